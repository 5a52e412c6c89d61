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
from integrations.config import Secret, VendorSettings, config, load
from integrations.errors import BadCredentials
from integrations.http import Http, Reply, Request
from integrations.json import encoded, parsed

TITLE = "Acme Lamps"


class LampsSettings(VendorSettings):
    """`LAMPS_URL` and `LAMPS_TOKEN`."""

    model_config = config("LAMPS_")
    example: ClassVar[str] = "https://lamps.example"

    token: Secret


class LampsClient:
    """The lamps' API."""

    def __init__(self, settings: LampsSettings) -> None:
        self._settings = settings
        self._http = Http(TITLE, verify=settings.verify)

    async def state(self) -> dict[str, str]:
        reply = await self._send("GET", "/lamps", None)
        return dict(parsed(TITLE, reply))

    async def switch(self, lamp: str, how: str) -> str:
        return str(
            parsed(TITLE, await self._send("PUT", f"/lamps/{lamp}", {"switch": how}))["says"]
        )

    async def check(self) -> None:
        await self.state()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _send(self, method: str, path: str, body: Any) -> Reply:
        token = self._settings.token.get_secret_value()
        request = Request(
            method,
            f"{self._settings.url}{path}",
            {"Authorization": f"Bearer {token}"},
            None if body is None else encoded(body),
        )
        reply = await self._http.send(request, writes=method == "PUT")
        if reply.status == 401:
            raise BadCredentials(TITLE, "the token is not right")
        return reply


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

    def __init__(self, client: LampsClient) -> None:
        self._client = client

    def repeatable(self, parameters: Parameters) -> bool:
        return True

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        wanted: Any = parameters
        lamps = await self._client.state()
        for each in wanted.lamp:
            known = lamps.get(each)
            left_out = "" if known else "there is no such lamp"
            yield Record(each, "", {"light": known or ""}, {"light": wanted.switch}, left_out)

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        lamps = await self._client.state()
        return {each: {"light": lamps[each]} for each in ids if each in lamps}

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        (record,) = batch.records
        said = await self._client.switch(record.id, batch.changes["switch"])
        return [Outcome(record.id, Result.CHANGED, said)]

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        return [Outcome(each.id, Result.TO_SEND) for each in batch.records]


def connect() -> Vendor | None:
    settings = load(LampsSettings)
    return None if settings is None else made(settings)


def made(settings: LampsSettings) -> Vendor:
    client = LampsClient(settings)
    return Vendor(
        name="lamps",
        title=TITLE,
        operations=(SwitchLamps(client),),
        roles=frozenset({"Janitor"}),
        check=client.check,
        close=client.aclose,
        account="janitor",
        secrets=(settings.token.get_secret_value(),),
    )


ENTRY = VendorEntry(
    name="lamps",
    title=TITLE,
    operations=(SwitchLamps,),
    connect=connect,
    roles=frozenset({"Janitor"}),
    settings=LampsSettings,
    stand_in="acme_lamps.stand_in:LampsStandIn",
)
