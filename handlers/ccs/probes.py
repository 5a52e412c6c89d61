"""What reading tells of a CCS site: which settings fit it (`amend doctor --deep`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from integrations.ccs.client import CcsClient
from integrations.ccs.config import CcsSettings
from integrations.ccs.protocol import STATES
from integrations.ccs.reading import CannotRead, Ticket


def probes(client: CcsClient, settings: CcsSettings) -> Mapping[str, Callable[[], Awaitable[str]]]:
    """Each probe by name; its words. Raises `VendorError`."""
    site = _Site(client, settings)
    return {"reading": site.reading, "forms": site.forms, "writing": site.writing}


@dataclass(frozen=True)
class _Site:
    client: CcsClient
    settings: CcsSettings

    async def reading(self) -> str:
        try:
            ticket = await self._sample()
        except CannotRead as error:
            return f"{error.words}; edits go by CCS' word alone, and cannot be undone"
        if ticket is None:
            return "the list answers, and is empty: nothing can be told of its forms"
        if await self.client.ticket(ticket.number) is None:
            return f"the list shows {ticket.number}, and asked for alone it is not there"
        return "tickets are shown in the list and alone"

    async def forms(self) -> str:
        try:
            ticket = await self._sample()
        except CannotRead:
            return "nothing is shown"
        if ticket is None:
            return "no ticket to look at"
        return f"{_fields(ticket)}; {_priority(ticket.priority)}"

    async def writing(self) -> str:
        names = ("state_type", "priority_type", "description_key", "send_priority")
        told = ", ".join(f"CCS_{each.upper()}={getattr(self.settings, each)}" for each in names)
        return f"not tried, because only an edit tells; as set: {told}"

    async def _sample(self) -> Ticket | None:
        for state in STATES:
            async for page in self.client.search({"TicketState": state}):
                return page[0]
        return None


def _fields(ticket: Ticket) -> str:
    fields = ("state", "description", "priority", "assignee")
    hidden = [each for each in fields if getattr(ticket, each) is None]
    return f"not shown: {', '.join(hidden)}" if hidden else "all four fields are shown"


def _priority(shown: str | None) -> str:
    if not shown:
        return "no priority to look at"
    if not shown.removesuffix(".0").isdecimal():
        return f"priorities are names ({shown}): CCS_PRIORITY_TYPE=name fits"
    return (
        f"priorities are numbers ({shown}): CCS_PRIORITY_TYPE=number fits, and CCS_PRIORITIES"
        " names them"
    )
