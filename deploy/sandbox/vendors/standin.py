"""What the sandbox asks of a vendor's stand-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from deploy.sandbox.vendors.faults import FaultSwitch

Traffic = Callable[[dict[str, Any]], None]


class StandIn(Protocol):
    """A vendor on loopback: `url` is set by `start`; `settings` are the bot's to reach it.

    `people` are rows of the people file: which of the workspace's people have an account here.
    """

    name: str
    people: ClassVar[Sequence[str]]
    url: str
    faults: FaultSwitch
    on_traffic: Traffic | None

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def set_fault(self, name: str | None, options: Mapping[str, Any] | None = None) -> None: ...
    def settings(self) -> dict[str, str]: ...
