"""What a channel can be told of: Qualys tickets and exceptions that change state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, ClassVar

from bot.domain.operations import ME, Cursor, Offer, Sighting, Watcher
from bot.domain.parameters import Kind, Param, Parameters, Widget, choices, given, items, wire
from handlers.qualys import ticket_rules as rules
from handlers.qualys.exceptions import decisions
from handlers.qualys.scope import ALL_STATES
from handlers.qualys.ticket_parameters import STATES, TICKET_NUMBERS, TicketFilters
from handlers.qualys.ticket_results import CONDITIONS
from integrations.qualys.client import QualysClient
from integrations.qualys.exceptions import DAY, ExceptionClient
from integrations.qualys.models import FILTER_STATES, Ticket
from integrations.qualys.protocol import LIST

# Changes that were committed late, and clocks that differ; what is seen twice is told once.
OVERLAP = timedelta(minutes=10)
EXCEPTION_STATES = {each: each for each in ("Pending", "Approved", "Rejected", "Expired")}
WATCHED = Param(
    Kind.SELECTION,
    "State",
    help="Told when exceptions come into or leave one of them; empty for all.",
    widget=Widget.MULTI_SELECT,
    choices=EXCEPTION_STATES,
)


class WatchedTickets(TicketFilters):
    """The filters of an edit, and single tickets."""

    ticket_numbers: Annotated[
        tuple[str, ...] | None,
        *items(
            "ticket_numbers", TICKET_NUMBERS, partial(rules.numbers, "ticket_numbers")
        ).__metadata__,
    ] = None


class TicketWatcher(Watcher):
    """Polls by `modified_since_datetime` with an overlap (vendors/qualys.md 3.1)."""

    name: ClassVar[str] = "qualys.tickets"
    vendor: ClassVar[str] = "qualys"
    vendor_title: ClassVar[str] = "Qualys"
    command: ClassVar[str] = "qualys"
    noun: ClassVar[tuple[str, str]] = ("ticket", "tickets")
    parameters: ClassVar[type[Parameters]] = WatchedTickets
    records_in: ClassVar[str] = "ticket_numbers"

    def __init__(
        self, client: QualysClient, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._now = now

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        began = self._now()
        filters = {name: wire(value) for name, value in given(selection).items()}
        # A ticket that leaves the chosen states is news too, so all of them are asked for.
        filters["states"] = ALL_STATES
        if cursor:
            since = datetime.fromisoformat(cursor) - OVERLAP
            filters["modified_since_datetime"] = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        async for ticket in self._client.tickets(filters):
            yield _sighting(ticket)
        yield Cursor(began.isoformat(timespec="seconds"))

    def apart(self) -> float:
        return self._client.apart(LIST)

    def states(self, selection: Parameters) -> frozenset[str]:
        chosen = given(selection).get("states")
        if not isinstance(chosen, tuple):
            return frozenset()
        return frozenset(
            CONDITIONS[condition] for condition, each in FILTER_STATES.items() if each in chosen
        )

    def offers(self, sighting: Sighting) -> Sequence[Offer]:
        def offer(key: str, label: str, style: str = "", **values: str) -> Offer:
            picked = {"ticket_numbers": sighting.id, **values}
            return Offer(key, label, "qualys.edit_tickets", picked, style)

        if sighting.state.startswith("Closed"):
            return (offer("reopen", "Reopen", change_state="OPEN"),)
        mine = offer("assign", "Assign to me", change_assignee=ME)
        ignore = offer("ignore", "Ignore …", change_state="IGNORED")
        if sighting.state == STATES["RESOLVED"]:
            return (offer("reopen", "Reopen", change_state="OPEN"), mine)
        return (offer("resolve", "Resolve", "primary", change_state="RESOLVED"), mine, ignore)


class ExceptionWatcher(Watcher):
    """Polls by `updated_after_date`, which is a day: what was told already is told once."""

    name: ClassVar[str] = "qualys.exceptions"
    vendor: ClassVar[str] = "qualys"
    vendor_title: ClassVar[str] = "Qualys"
    command: ClassVar[str] = "exception"
    noun: ClassVar[tuple[str, str]] = ("exception", "exceptions")

    class Selection(Parameters):
        """Which exceptions a channel is told of."""

        status: Annotated[tuple[str, ...] | None, *choices("status", WATCHED).__metadata__] = None

    parameters: ClassVar[type[Parameters]] = Selection

    def __init__(
        self, client: ExceptionClient, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._now = now

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        began = self._now()
        filters = {}
        if cursor:
            day = datetime.fromisoformat(cursor) - timedelta(days=1)
            filters["updated_after_date"] = day.strftime(DAY)
        async for each in self._client.exceptions(filters):
            label = " · ".join(filter(None, (each.ip, each.control.name, each.policy.name)))
            at = (each.modified or began).isoformat(timespec="seconds")
            yield Sighting(each.number, label, each.status, at, each.modified_by)
        yield Cursor(began.isoformat(timespec="seconds"))

    def apart(self) -> float:
        return self._client.apart()

    def states(self, selection: Parameters) -> frozenset[str]:
        chosen = given(selection).get("status")
        return frozenset(chosen) if isinstance(chosen, tuple) else frozenset()

    def offers(self, sighting: Sighting) -> Sequence[Offer]:
        return decisions(sighting.id) if sighting.state == "Pending" else ()


def _sighting(ticket: Ticket) -> Sighting:
    newest = max((each for each in ticket.history if each.at), key=_when, default=None)
    at = ticket.modified.isoformat(timespec="seconds") if ticket.modified else ""
    label = f"{ticket.ip} · {ticket.title}"
    by = newest.actor if newest else ""
    return Sighting(str(ticket.number), label, CONDITIONS[ticket.condition], at, by)


def _when(entry: object) -> str:
    return str(getattr(entry, "at", ""))
