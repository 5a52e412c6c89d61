"""What a channel can be told of: Qualys tickets and exceptions that change state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, ClassVar

from bot.domain.operations import ME, Cursor, Offer, Sighting, Watcher
from bot.domain.parameters import (
    Kind,
    Param,
    Parameters,
    Widget,
    choices,
    given,
    items,
    number,
    wire,
)
from bot.domain.reminders import reminder
from handlers.qualys import ticket_rules as rules
from handlers.qualys.exceptions import decisions
from handlers.qualys.scope import ALL_STATES
from handlers.qualys.ticket_parameters import STATES, TICKET_NUMBERS, TicketFilters
from handlers.qualys.ticket_results import CONDITIONS
from integrations.qualys.client import QualysClient
from integrations.qualys.exceptions import DAY, ComplianceException, ExceptionClient
from integrations.qualys.models import FILTER_STATES, Ticket
from integrations.qualys.protocol import LIST

# Changes that were committed late, and clocks that differ; what is seen twice is told once.
OVERLAP = timedelta(minutes=10)
EXCEPTION_STATES = {each: each for each in ("Pending", "Approved", "Rejected", "Expired")}
# Ends are days, so they are looked at by the hour and whenever a day begins.
LOOK_AT_ENDS = timedelta(hours=1)
ENDS = Param(
    Kind.SELECTION,
    "Ends within",
    help="Days, 1 to 365: told before approved exceptions end, then, at 7 days and at 1.",
    widget=Widget.NUMBER,
    least=1,
    most=365,
    example="30",
)
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
        began: datetime | None = None
        filters = {name: wire(value) for name, value in given(selection).items()}
        # A ticket that leaves the chosen states is news too, so all of them are asked for.
        filters["states"] = ALL_STATES
        if cursor:
            since = datetime.fromisoformat(cursor) - OVERLAP
            filters["modified_since_datetime"] = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        async for ticket in self._client.tickets(filters):
            began = began or self._client.said_at
            yield _sighting(ticket)
        # By Qualys' clock: one of ours that is ahead would pass over what changes meanwhile.
        began = began or self._client.said_at or self._now()
        yield Cursor(began.isoformat(timespec="seconds"))

    def is_open(self, state: str) -> bool:
        return not state.startswith("Closed")

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

    lets_end: ClassVar[str] = "qualys.renew_exception"

    class Selection(Parameters):
        """Which exceptions a channel is told of: changes of state, ends that come nearer, or both."""

        status: Annotated[tuple[str, ...] | None, *choices("status", WATCHED).__metadata__] = None
        ends_within: Annotated[int | None, *number("ends_within", ENDS).__metadata__] = None

    parameters: ClassVar[type[Parameters]] = Selection

    def __init__(
        self, client: ExceptionClient, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._now = now

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        began, asked = self._now(), given(selection)
        since, _, looked = cursor.partition("|")
        within, looks = asked.get("ends_within"), False
        if within is None or "status" in asked:
            async for changed in self._changes(since, began):
                yield changed
        if isinstance(within, int):
            last = datetime.fromisoformat(looked) if looked else None
            looks = last is None or began - last >= LOOK_AT_ENDS or began.date() != last.date()
            if looks:
                looked = began.isoformat(timespec="seconds")
                async for ending in self._ends(within, began.date()):
                    yield ending
        yield Cursor(f"{began.isoformat(timespec='seconds')}|{looked}", ends=looks)

    async def _changes(self, since: str, began: datetime) -> AsyncIterator[Sighting]:
        filters = {}
        if since:
            day = datetime.fromisoformat(since) - timedelta(days=1)
            filters["updated_after_date"] = day.strftime(DAY)
        async for each in self._client.exceptions(filters):
            at = (each.modified or began).isoformat(timespec="seconds")
            yield Sighting(each.number, _label(each), each.status, at, each.modified_by)

    async def _ends(self, within: int, today: date) -> AsyncIterator[Sighting]:
        """What is approved and ends soon; facts 5.2: days are mm/dd/yyyy, one status at a time."""
        before = today + timedelta(days=within + 1)
        filters = {"status": "approved", "expired_before_date": before.strftime(DAY)}
        async for each in self._client.exceptions(filters):
            due = reminder(each.ends, today, within) if each.ends else None
            if due is not None and each.status == "Approved":
                ends = due.ends.isoformat()
                yield Sighting(each.number, _label(each), each.status, ends, reminder=due)

    async def still_ends(self, record: str, ends: str) -> bool:
        listed = self._client.exceptions({"exception_numbers": record})
        found = [each async for each in listed if each.number == record]
        return any(
            each.status == "Approved" and each.ends is not None and each.ends.isoformat() == ends
            for each in found
        )

    def apart(self) -> float:
        return self._client.apart()

    def is_open(self, state: str) -> bool:
        return state in ("Pending", "Approved")

    def states(self, selection: Parameters) -> frozenset[str]:
        chosen = given(selection).get("status")
        return frozenset(chosen) if isinstance(chosen, tuple) else frozenset()

    def offers(self, sighting: Sighting) -> Sequence[Offer]:
        if sighting.state == "Ends":
            picked = {"exception_numbers": sighting.id}
            return (Offer("renew", "Renew …", "qualys.renew_exception", picked, "primary"),)
        return decisions(sighting.id) if sighting.state == "Pending" else ()


def _label(each: ComplianceException) -> str:
    return " · ".join(filter(None, (each.ip, each.control.name, each.policy.name)))


def _sighting(ticket: Ticket) -> Sighting:
    newest = max((each for each in ticket.history if each.at), key=_when, default=None)
    at = ticket.modified.isoformat(timespec="seconds") if ticket.modified else ""
    label = f"{ticket.ip} · {ticket.title}"
    by = newest.actor if newest else ""
    return Sighting(str(ticket.number), label, CONDITIONS[ticket.condition], at, by)


def _when(entry: object) -> str:
    return str(getattr(entry, "at", ""))
