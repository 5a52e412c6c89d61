"""Watches of ZStack tickets: the history tells what moved, and who moved it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, ClassVar

from bot.domain.operations import Cursor, Offer, Sighting, Watcher
from bot.domain.parameters import Kind, Param, Parameters, Widget, choices, given
from handlers.zstack.tickets import label
from integrations.zstack.client import ZstackClient
from integrations.zstack.protocol import EVENTS, LEADS_ON

WATCHED = Param(
    Kind.SELECTION,
    "Status",
    help="Told when tickets come into or leave one of them; empty for all.",
    widget=Widget.MULTI_SELECT,
    choices={name: name for name in LEADS_ON},
)


class WatchedTickets(Parameters):
    """Which tickets a channel is told of."""

    status: Annotated[tuple[str, ...] | None, *choices("status", WATCHED).__metadata__] = None


class TicketWatcher(Watcher):
    """Polls the history by its `sequence`, which grows by itself (facts C.8)."""

    name: ClassVar[str] = "zstack.tickets"
    vendor: ClassVar[str] = "zstack"
    vendor_title: ClassVar[str] = "ZStack Cloud"
    command: ClassVar[str] = "zstack"
    noun: ClassVar[tuple[str, str]] = ("ticket", "tickets")
    parameters: ClassVar[type[Parameters]] = WatchedTickets

    def __init__(self, client: ZstackClient) -> None:
        self._client = client

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        if not cursor:
            # The cursor is read first, so that what changes meanwhile is seen again, not missed.
            newest = await self._client.newest()
            async for tickets in self._client.all_tickets():
                for each in tickets:
                    yield Sighting(each.uuid, label(each), each.status, at)
            yield Cursor(str(newest))
            return
        newest = int(cursor)
        async for page in self._client.changes(newest):
            newest = max(newest, page[-1].sequence)
            moved = [each for each in page if each.after]
            names = await self._client.tickets(list(dict.fromkeys(each.ticket for each in moved)))
            people = await self._client.names(each.operator for each in moved)
            for change in moved:
                ticket = names.get(change.ticket)
                line = label(ticket) if ticket else change.comment
                by = people.get(change.operator, "")
                yield Sighting(change.ticket, line, change.after, at, by)
        yield Cursor(str(newest))

    def states(self, selection: Parameters) -> frozenset[str]:
        chosen = given(selection).get("status")
        return frozenset(chosen) if isinstance(chosen, tuple) else frozenset()

    def is_open(self, state: str) -> bool:
        return state in ("Pending", "IntermediateApproved")

    def offers(self, sighting: Sighting) -> Sequence[Offer]:
        styles = {"approve": "primary", "reject": "danger"}
        return [
            Offer(
                event,
                EVENTS[event],
                "zstack.change_ticket_status",
                {"uuid": sighting.id, "statusEvent": event},
                styles.get(event, ""),
            )
            for event in LEADS_ON.get(sighting.state, ())
        ]
