"""A vendor that Amend has never heard of: lamps, each on or off. Client, one operation, entry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from bot.domain.operations import (
    Batch,
    Operation,
    Outcome,
    Reach,
    Record,
    Result,
    Vendor,
    VendorEntry,
)
from bot.domain.parameters import Kind, Param, Parameters, choice, items
from bot.domain.people import Account


class Lamps:
    """The vendor's API: what it holds, and the calls that came."""

    def __init__(self) -> None:
        self.state = {"L1": "off", "L2": "off", "L3": "on"}
        self.calls: list[tuple[str, str]] = []


LAMPS = Lamps()


class SwitchParameters(Parameters):
    """Which lamps, and how they shall be."""

    lamp: Annotated[
        tuple[str, ...],
        *items(
            "lamp", Param(Kind.SELECTION, "Lamps", "Such as `L1`.", example="L1"), str.strip
        ).__metadata__,
    ]
    switch: Annotated[
        str,
        *choice(
            "switch", Param(Kind.CHANGE, "Switch", choices={"on": "On", "off": "Off"})
        ).__metadata__,
    ]


class SwitchLamps(Operation):
    """Switches lamps."""

    name: ClassVar[str] = "lamps.switch"
    vendor: ClassVar[str] = "lamps"
    vendor_title: ClassVar[str] = "Acme Lamps"
    command: ClassVar[str] = "lamps"
    title: ClassVar[str] = "Switch lamps"
    summary: ClassVar[str] = "Switches lamps on or off."
    noun: ClassVar[tuple[str, str]] = ("lamp", "lamps")
    roles: ClassVar[Mapping[str, Reach]] = {"Janitor": Reach.ALL}
    parameters: ClassVar[type[Parameters]] = SwitchParameters
    records_in: ClassVar[str] = "lamp"
    examples: ClassVar[tuple[str, ...]] = ("L1 switch=on",)

    def repeatable(self, parameters: Parameters) -> bool:
        return True

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        wanted: Any = parameters
        for each in wanted.lamp:
            known = LAMPS.state.get(each)
            left_out = "" if known else "there is no such lamp"
            yield Record(each, "", {"light": known or ""}, {"light": wanted.switch}, left_out)

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        return {each: {"light": LAMPS.state[each]} for each in ids if each in LAMPS.state}

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        for record in batch.records:
            LAMPS.calls.append((record.id, batch.changes["switch"]))
            LAMPS.state[record.id] = batch.changes["switch"]
        return [Outcome(each.id, Result.CHANGED, "click") for each in batch.records]

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        return [Outcome(each.id, Result.TO_SEND) for each in batch.records]


async def _nothing() -> None:
    return None


ENTRY = VendorEntry(
    name="lamps",
    title="Acme Lamps",
    operations=(SwitchLamps,),
    connect=lambda: Vendor(
        name="lamps",
        title="Acme Lamps",
        operations=(SwitchLamps(),),
        roles=("Janitor",),
        check=_nothing,
        close=_nothing,
    ),
)
