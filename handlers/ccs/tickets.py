"""`ccs.update_ticket`: state, description, priority and assignee of CCS remediation tickets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import model_validator

from bot.domain.ids import Ids, count_up
from bot.domain.operations import (
    Batch,
    Cursor,
    Operation,
    Outcome,
    Reach,
    Record,
    Result,
    Reversal,
    Sighting,
    Watcher,
)
from bot.domain.parameters import (
    Kind,
    Param,
    Parameters,
    Widget,
    broken,
    choice,
    given,
    items,
    text,
)
from bot.domain.people import Account
from integrations.ccs.client import CcsClient
from integrations.ccs.config import priority_name
from integrations.ccs.protocol import STATES
from integrations.ccs.reading import CannotRead, Ticket
from integrations.errors import Rejected, VendorError

MOST_TICKETS = 20_000  # ours: what one request may name
FIELDS = {
    "TicketState": "state",
    "TicketDescription": "description",
    "Priority": "priority",
    "AssignedTo": "assignee",
}
VERIFYING = "2"  # document: only this state starts the verification job
VERIFIED = {"Verified": "verification passed: Verified", "Failed": "verification failed: Failed"}
NOT_LISTED = "CCS does not list this ticket"
SO_ALREADY = "is so already"
UNREAD = "its present state cannot be read"
UNREAD_NOTE = (
    "CCS shows no tickets here, so the present state cannot be read: what is so already is sent all"
    " the same, and this cannot be undone."
)

_NUMBER = re.compile(r"(?<![\w-])[A-Z]{2,8}[0-9]{5,10}(?![\w-])")

NUMBERS = Param(
    Kind.SELECTION,
    "Ticket numbers",
    help="One or several, as the Remediation workspace shows them.",
    example="INCA0000009",
    aliases=("tickets", "numbers"),
)
STATE = Param(
    Kind.CHANGE,
    "State",
    help="2 starts the verification job.",
    widget=Widget.SELECT,
    choices=STATES,
    aliases=("state", "status"),
)
DESCRIPTION = Param(
    Kind.CHANGE,
    "Description",
    help="Replaces the present one.",
    widget=Widget.LINES,
    most=3000,
    aliases=("description",),
)
PRIORITY = Param(
    Kind.CHANGE,
    "Priority",
    help="A name that your site knows, such as Low or Medium.",
    example="Medium",
    most=100,
)
ASSIGNEE = Param(
    Kind.CHANGE,
    "Assigned to",
    help="User id, e-mail address or name; domain\\user as CCS writes it.",
    example="corp\\jdoe",
    most=256,
    aliases=("assignee",),
    account=True,
)


def _number(value: str) -> str:
    """As the workspace shows it, where it has the form that all samples have."""
    return value.upper() if _NUMBER.fullmatch(value.upper()) else value


class TicketUpdate(Parameters):
    """The document's fields under their own names, and its rules."""

    TicketNumber: Annotated[
        tuple[str, ...] | None, *items("TicketNumber", NUMBERS, _number).__metadata__
    ] = None
    TicketState: Annotated[str | None, *choice("TicketState", STATE).__metadata__] = None
    TicketDescription: Annotated[
        str | None, *text("TicketDescription", DESCRIPTION).__metadata__
    ] = None
    Priority: Annotated[str | None, *text("Priority", PRIORITY, priority_name).__metadata__] = None
    AssignedTo: Annotated[str | None, *text("AssignedTo", ASSIGNEE).__metadata__] = None

    @model_validator(mode="after")
    def _rules(self) -> TicketUpdate:
        if not self.TicketNumber:
            # document, 400: "Ticket number is invalid or empty."
            raise broken("`TicketNumber` is required, such as `INCA0000009`.", "TicketNumber")
        if len(self.TicketNumber) > MOST_TICKETS:
            message = f"`TicketNumber` takes at most {MOST_TICKETS:,} tickets in one request."
            raise broken(message, "TicketNumber")
        if not any(getattr(self, name) for name in FIELDS):
            # document, 400: "Provide ticket details to update."
            names = ", ".join(f"`{name}`" for name in FIELDS)
            raise broken(f"Say what to change: one of {names}.", "TicketState")
        return self


class UpdateTicket(Operation):
    """One `PATCH RemediationTickets` for each ticket, read back because CCS answers with nothing."""

    name: ClassVar[str] = "ccs.update_ticket"
    vendor: ClassVar[str] = "ccs"
    vendor_title: ClassVar[str] = "Symantec CCS"
    command: ClassVar[str] = "ccs"
    title: ClassVar[str] = "Update tickets"
    summary: ClassVar[str] = "Change state, description, priority or assignee of tickets"
    noun: ClassVar[tuple[str, str]] = ("ticket", "tickets")
    # document, "Authorization requirements".
    roles: ClassVar[Mapping[str, Reach]] = {"Remediation Administrator": Reach.ALL}
    parameters: ClassVar[type[Parameters]] = TicketUpdate
    records_in: ClassVar[str] = "TicketNumber"
    ids: ClassVar[Ids] = Ids(
        plain=r"[A-Z]{2,8}[0-9]{5,10}",
        one=r"[A-Z]{2,8}[0-9]{5,10}",
        address=r"(?<![\w-])([A-Z]{2,8}[0-9]{5,10})(?![\w-])",
        before=("ticket", "tickets"),
        spelled=str.upper,
        between=count_up(MOST_TICKETS),
    )
    call_size: ClassVar[int] = 1
    parallel: ClassVar[int] = 16
    follows: ClassVar[float] = 600.0
    examples: ClassVar[tuple[str, ...]] = (
        'INCA0000009 TicketState="Remediation Performed" Priority=Medium',
        (
            'INCA0000001 TicketState=4 TicketDescription="Description updated"'
            " Priority=Low AssignedTo=AzadRai"
        ),
    )

    def __init__(self, client: CcsClient, priority: Callable[[str], str] = str) -> None:
        """`priority` names a site's priority that was given by its number."""
        self._client = client
        self._priority = priority

    @classmethod
    def find(cls, text: str) -> tuple[str, ...]:
        """Ticket numbers in a message: letters and then at least five digits."""
        return tuple(dict.fromkeys(_NUMBER.findall(text)))

    def single(self, parameters: Parameters) -> bool:
        return len(getattr(parameters, self.records_in) or ()) == 1

    def repeatable(self, parameters: Parameters) -> bool:
        # facts A.6: an update sets values.
        return True

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        numbers = list(getattr(parameters, self.records_in))
        changes = {name: str(value) for name, value in self.changes(parameters).items()}
        for at in range(0, len(numbers), 200):
            page = numbers[at : at + 200]
            found = await self._found(page)
            for number in page:
                if found is None:
                    yield Record(number, UNREAD, {}, self._wanted(changes))
                else:
                    yield self._planned(number, found.get(number), changes)

    async def notes(self, parameters: Parameters, records: Sequence[Record]) -> Sequence[str]:
        """What a plan without present states cannot tell."""
        if not any(each.label == UNREAD for each in records):
            return ()
        return [UNREAD_NOTE]

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        found = await self._found(ids)
        if found is None:
            return {number: {} for number in ids}
        return {
            number: _hidden(each) if isinstance(each, Rejected) else _state(each)
            for number, each in found.items()
        }

    async def _found(self, numbers: Sequence[str]) -> Mapping[str, Ticket | Rejected] | None:
        """Tickets by number, or why one may not be read; None where this server shows none at all."""
        try:
            return await self._client.tickets(numbers)
        except CannotRead:
            return None

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        (record,) = batch.records
        sent = _sent(record, batch.changes)
        await self._client.update(record.id, sent)
        # CCS said 204, which is its word that the details were updated (document); what it shows
        # of them afterwards is a remark.
        try:
            now = await self._client.ticket(record.id)
        except CannotRead:
            return [Outcome(record.id, Result.CHANGED, "CCS took it; it cannot be read back here")]
        except VendorError as error:
            words = f"CCS took it; reading it back failed: {error}"
            return [Outcome(record.id, Result.CHANGED, words)]
        other = self._otherwise(now, sent)
        words = f"CCS took it, and shows {other}" if other else ""
        return [Outcome(record.id, Result.CHANGED, words)]

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        (record,) = batch.records
        now = await self._client.ticket(record.id)
        if now is not None and _state(now) == dict(record.state):
            return [Outcome(record.id, Result.TO_SEND)]
        sent = _sent(record, batch.changes)
        other = self._otherwise(now, sent)
        if now is not None and not other and self._wanted(sent).keys() <= _state(now).keys():
            return [Outcome(record.id, Result.CHANGED)]
        words = f"sent without an answer, and CCS shows {other or 'too little to tell'}"
        return [Outcome(record.id, Result.UNKNOWN, words)]

    def _wanted(self, changes: Mapping[str, str]) -> dict[str, str]:
        """The changes as the ticket will show them: states and priorities by name."""
        found = {FIELDS[name]: value for name, value in changes.items() if name in FIELDS}
        if "state" in found:
            found["state"] = STATES.get(found["state"], found["state"])
        if "priority" in found:
            found["priority"] = self._priority(found["priority"])
        return found

    def _planned(
        self, number: str, ticket: Ticket | Rejected | None, changes: Mapping[str, str]
    ) -> Record:
        if ticket is None:
            return Record(number, "not listed", {}, {}, left_out=NOT_LISTED)
        if isinstance(ticket, Rejected):
            return Record(number, "not shown", {}, {}, left_out=ticket.words)
        state = _state(ticket)
        wanted = self._wanted(changes)
        after = {field: value for field, value in wanted.items() if state.get(field) != value}
        already = not after
        left_out = SO_ALREADY if already else ""
        return Record(number, _label(ticket), state, after, left_out, already)

    def _otherwise(self, ticket: Ticket | None, changes: Mapping[str, str]) -> str:
        """What reading back shows in another form than it was sent; "" for nothing."""
        if ticket is None:
            return "no such ticket any more"
        shown = _state(ticket)
        other = [
            f"{field} as {shown[field] or 'empty'}"
            for field, value in self._wanted(changes).items()
            if field in shown and not _same(field, shown[field], value)
        ]
        return ", ".join(other)

    def goes_on(self, parameters: Parameters) -> bool:
        return given(parameters).get("TicketState") == VERIFYING

    async def follow_up(self, parameters: Parameters, ids: Sequence[str]) -> Mapping[str, str]:
        """The verification job's verdict, which CCS runs after state 2 (document)."""
        found = await self._client.tickets(ids)
        return {
            number: verdict
            for number, ticket in found.items()
            if isinstance(ticket, Ticket) and (verdict := VERIFIED.get(ticket.state or ""))
        }

    def revert(self, record: Record) -> Reversal:
        changes: dict[str, str] = {}
        after: dict[str, str] = {}
        lost = []
        for name, field in FIELDS.items():
            if field not in record.after:
                continue
            if field not in record.state:
                lost.append(f"{field} was not shown")
                continue
            before = record.state[field]
            number = next((key for key, title in STATES.items() if title == before), before)
            if not before:
                # facts A.1: there is no documented way to clear a field.
                lost.append(f"{field} was empty, and CCS cannot clear it")
                continue
            changes[name] = number if name == "TicketState" else before
            after[field] = before
        return Reversal(changes, after, "; ".join(lost))


def _state(ticket: Ticket) -> dict[str, str]:
    """What CCS shows of the fields that can be edited; what it does not show is absent."""
    shown = {field: getattr(ticket, field) for field in FIELDS.values()}
    return {field: value for field, value in shown.items() if value is not None}


def _sent(record: Record, changes: Mapping[str, str]) -> dict[str, str]:
    """What goes out for one ticket: what will change in it, as its review showed.

    facts A.6: sending state 2 again may start the verification job again. A priority goes along all
    the same: the document calls it mandatory.
    """
    return {
        name: value
        for name, value in changes.items()
        if name == "Priority" or FIELDS[name] in record.after
    }


def _hidden(why: Rejected) -> dict[str, str]:
    """The same of a ticket that may not be read any more: it is not as it was planned."""
    return dict.fromkeys(FIELDS.values(), "not shown") | {"state": f"not shown ({why.words})"}


def _label(ticket: Ticket) -> str:
    known = [each for each in (ticket.asset, ticket.standard, ticket.description) if each]
    return " · ".join(known)[:300]


def _same(field: str, shown: str, sent: str) -> bool:
    # After state 2 the verification job may have moved the ticket on before it is read (document).
    if field == "state" and sent == STATES[VERIFYING]:
        return shown in (sent, *VERIFIED)
    if field == "assignee":
        return _login(shown) == _login(sent)
    return " ".join(shown.split()).casefold() == " ".join(sent.split()).casefold()


def _login(user: str) -> str:
    """A user's own part of `DOMAIN\\name` and `name@domain`, which CCS shows in either form."""
    return user.rpartition("\\")[2].partition("@")[0].strip().casefold()


# --- watching --------------------------------------------------------------------------------------

WATCHED_STATE = Param(
    Kind.SELECTION,
    "State",
    help="Told when tickets come into or leave it; empty for every state.",
    widget=Widget.SELECT,
    choices=STATES,
    aliases=("state",),
)
WATCHED_ASSIGNEE = Param(
    Kind.SELECTION, "Assigned to", most=256, example="corp\\jdoe", account=True
)
WATCHED_PRIORITY = Param(Kind.SELECTION, "Priority", most=100, example="Medium")


def _one_value(name: str, value: str) -> str:
    # facts A.4: in a search "," means "and", and nothing is told of another way to write it.
    if "," in value:
        rule = "CCS reads it as the beginning of another condition"
        raise broken(f"`{name}` cannot have a comma in a watch: {rule}.", name)
    return value


def _searched(name: str, spec: Param) -> tuple[Any, ...]:
    found: tuple[Any, ...] = text(name, spec, partial(_one_value, name)).__metadata__
    return found


class WatchedTickets(Parameters):
    """The fields of the search that CCS documents (`Fields`, only with `=`)."""

    TicketState: Annotated[str | None, *choice("TicketState", WATCHED_STATE).__metadata__] = None
    AssignedTo: Annotated[str | None, *_searched("AssignedTo", WATCHED_ASSIGNEE)] = None
    Priority: Annotated[str | None, *_searched("Priority", WATCHED_PRIORITY)] = None


class TicketWatcher(Watcher):
    """Polls the search. It knows no time of change (facts A.4), so each poll reads the selection.

    `Fields` is mandatory, so that a watch without a filter asks for each state in turn.
    """

    name: ClassVar[str] = "ccs.tickets"
    vendor: ClassVar[str] = "ccs"
    vendor_title: ClassVar[str] = "Symantec CCS"
    command: ClassVar[str] = "ccs"
    noun: ClassVar[tuple[str, str]] = ("ticket", "tickets")
    parameters: ClassVar[type[Parameters]] = WatchedTickets

    def __init__(self, client: CcsClient, now: Any) -> None:
        self._client = client
        self._now = now

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        at = self._now().isoformat(timespec="seconds")
        chosen = {name: str(value) for name, value in given(selection).items()}
        state = chosen.pop("TicketState", "")
        # The first look needs the chosen state alone; later ones must see where tickets went.
        states = [state] if state and not cursor else list(STATES)
        for each in states:
            async for page in self._client.search({**chosen, "TicketState": each}):
                for ticket in page:
                    yield Sighting(ticket.number, _label(ticket), ticket.state or "", at)
        yield Cursor(at)

    def states(self, selection: Parameters) -> frozenset[str]:
        state = given(selection).get("TicketState")
        return frozenset({STATES[str(state)]}) if state else frozenset()
