"""`qualys.edit_tickets`: state, assignee, comment and reopening of Qualys remediation tickets."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar, NamedTuple

from bot.domain.errors import InvalidInput, Problem
from bot.domain.ids import Ids
from bot.domain.operations import (
    Batch,
    Context,
    Lookup,
    Operation,
    Outcome,
    Reach,
    Record,
    Result,
    Reversal,
)
from bot.domain.parameters import Kind, Parameters, given, nearest, wire
from bot.domain.people import Account
from handlers.qualys.lists import Remembered, best, is_whole, may_own
from handlers.qualys.scope import ALL_STATES, Scope, inside
from handlers.qualys.ticket_parameters import TicketParameters
from handlers.qualys.ticket_results import (
    SO_ALREADY,
    Sent,
    after,
    as_state,
    back,
    forbidden,
    state_of,
)
from handlers.qualys.ticket_rules import span
from integrations.errors import UnknownOutcome, Unreadable, VendorError
from integrations.qualys.client import QualysClient
from integrations.qualys.models import Ticket, User

__all__ = ["EditTickets", "TicketParameters"]

# A range up to this long counts as naming each of its tickets; a longer one is a filter.
NAMED_RANGE = 1000

_NUMBER = re.compile(r"(?<![\w.:/-])[0-9]{3,9}(?![\w:/-]|\.[0-9])")

NOT_LISTED = "Qualys does not list this ticket"
NOT_MATCHED = "Qualys does not list this ticket under the other filters"


class EditTickets(Operation):
    """One call of `/msp/ticket_edit.php` for up to 20,000 tickets, always by explicit numbers."""

    name: ClassVar[str] = "qualys.edit_tickets"
    vendor: ClassVar[str] = "qualys"
    vendor_title: ClassVar[str] = "Qualys"
    command: ClassVar[str] = "qualys"
    title: ClassVar[str] = "Edit tickets"
    summary: ClassVar[str] = "Change state, assignee or due date of tickets, or comment on them"
    noun: ClassVar[tuple[str, str]] = ("ticket", "tickets")
    # document, "Permissions": Managers all IPs, Unit Managers their business unit, others none.
    roles: ClassVar[Mapping[str, Reach]] = {"Manager": Reach.ALL, "Unit Manager": Reach.SCOPE}
    parameters: ClassVar[type[Parameters]] = TicketParameters
    records_in: ClassVar[str] = "ticket_numbers"
    comment: ClassVar[str] = "add_comment"
    # document, "Ticket limit": 20,000 tickets in one request; more is an error.
    ids: ClassVar[Ids] = Ids(
        plain=r"[0-9]+(?:\s*[-‐‑‒–—−]\s*[0-9]+)?",
        one=r"[0-9]{1,18}",
        address=r"(?:ticket|ticket_number|number|id)s?[=/]([0-9]{1,18})(?![0-9.])",
        before=("ticket", "tickets", "inc", "no"),
        between=lambda low, high: [f"{low}-{high}"] if int(low) <= int(high) else [],
    )
    call_size: ClassVar[int] = 20_000
    parallel: ClassVar[int] = 1
    examples: ClassVar[tuple[str, ...]] = (
        '23456 add_comment="Host patched, ready for re-scan"',
        "ips=10.10.10.120 reopen_ignored_days=7",
        (
            "states=OPEN unmodified_since=2018-01-01 ticket_assignee=qualys_tb"
            " change_assignee=qualys_ac"
        ),
        "since_ticket_number=00215555 invalid=1 change_assignee=acme_ac",
        'states=OPEN asset_groups="New York,London" change_state=IGNORED',
    )

    @classmethod
    def find(cls, text: str) -> tuple[str, ...]:
        """Ticket numbers in a message: whole numbers of 3 to 9 digits, no part of an IP or a date."""
        return tuple(dict.fromkeys(_NUMBER.findall(text)))

    def __init__(
        self,
        client: QualysClient,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._now = now
        self._users: Remembered[list[User]] = Remembered(client.users, clock)
        self._groups: Remembered[list[str]] = Remembered(client.asset_groups, clock)

    def single(self, parameters: Parameters) -> bool:
        filters = self._filters(parameters)
        numbers = filters.pop("ticket_numbers", "")
        return numbers.isdecimal() and not filters

    def repeatable(self, parameters: Parameters) -> bool:
        # vendors/qualys.md 3.6: state and assignee are naturally idempotent, a comment is not.
        return "add_comment" not in given(parameters)

    def _filters(self, parameters: Parameters) -> dict[str, str]:
        """The selection as it goes over the wire, under the names that were typed."""
        declared = self.params()
        return {
            name: wire(value)
            for name, value in given(parameters).items()
            if declared[name].kind is Kind.SELECTION
        }

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        filters = self._filters(parameters)
        changes = {name: wire(value) for name, value in self.changes(parameters).items()}
        scope = Scope(account.scope) if reach is Reach.SCOPE else None
        missing = _named(filters.get("ticket_numbers", ""))
        by_number_only = list(filters) == ["ticket_numbers"]
        # Where no state is asked for, any is meant (document, second example: `ips=…` and
        # `reopen_ignored_days`); a list without `states` has open tickets only on some platforms
        # (vendors/qualys.md 1.2).
        filters.setdefault("states", ALL_STATES)
        outlook = _Outlook(changes)
        async with aclosing(self._client.pages(filters, history=False)) as pages:
            async for page in pages:
                reachable = await inside(scope, page, self._client.tickets) if scope else None
                for ticket in page:
                    missing.discard(ticket.number)
                    outside = reachable is not None and ticket.number not in reachable
                    yield outlook.record(ticket, f"outside your scope ({scope})" if outside else "")
        for number in sorted(missing):
            why = NOT_LISTED if by_number_only else NOT_MATCHED
            yield Record(str(number), "not listed", {}, {}, left_out=why)

    async def barred(
        self, parameters: Parameters, records: Sequence[Record], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        if reach is not Reach.SCOPE:
            return {}
        scope = Scope(account.scope)
        located = [_Place(int(each.id), each.places[0] if each.places else "") for each in records]
        reached = await inside(scope, located, self._client.tickets)
        why = f"outside your scope ({scope})"
        return {str(each.number): why for each in located if each.number not in reached}

    def revert(self, record: Record) -> Reversal:
        return back(record)

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        found = await self._client.tickets_by_number([int(each) for each in ids])
        return {str(number): state_of(ticket, with_due=True) for number, ticket in found.items()}

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        sent = Sent(batch.changes, self._now())
        numbers = [int(record.id) for record in batch.records]
        try:
            reply = await self._client.edit(numbers, batch.changes)
        except Unreadable as error:
            # The edit went out, so an answer that cannot be read says nothing about what it did.
            raise UnknownOutcome(error.vendor, error.words) from error
        told = {
            str(number): Outcome(str(number), Result.REFUSED, reason or "Qualys skipped it")
            for number, reason in reply.skipped.items()
        }
        told |= {str(number): Outcome(str(number), Result.CHANGED) for number in reply.changed}
        untold = [record for record in batch.records if record.id not in told]
        told |= await self._read_back(untold, sent)
        return [told[record.id] for record in batch.records]

    async def _read_back(self, records: Sequence[Record], sent: Sent) -> dict[str, Outcome]:
        """What became of tickets that the reply does not mention."""
        if not records:
            return {}
        try:
            found = await self._tickets(records)
        except VendorError as error:
            # The edit did go out: this must not look like a call that changed nothing.
            why = f"Qualys' reply does not mention it, and reading it failed: {error}"
            return {each.id: Outcome(each.id, Result.UNKNOWN, why) for each in records}
        return {each.id: _seen(each, found.get(int(each.id)), sent) for each in records}

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        sent = Sent(batch.changes, _moment(since))
        repeatable = "add_comment" not in batch.changes
        found = await self._tickets(batch.records)
        outcomes = []
        for each in batch.records:
            ticket = found.get(int(each.id))
            outcome = _seen(each, ticket, sent)
            if outcome.result is not Result.CHANGED and ticket is not None:
                outcome = _undecided(each, ticket, repeatable)
            outcomes.append(outcome)
        return outcomes

    async def _tickets(self, records: Sequence[Record]) -> Mapping[int, Ticket]:
        return await self._client.tickets_by_number([int(record.id) for record in records])

    async def check(self, parameters: Parameters) -> None:
        assignee = given(parameters).get("change_assignee")
        if not isinstance(assignee, str):
            return
        try:
            users = await self._users.get()
        except VendorError:
            # The list is a courtesy (vendors/qualys.md 10.3); the vendor decides at the edit.
            return
        if problem := _no_assignee(assignee, users, whole=is_whole(users, self._client.username)):
            raise InvalidInput([Problem("change_assignee", problem)])

    async def lookup(self, name: str, words: str, context: Context) -> Sequence[Lookup]:
        if name == "people":
            people = [_person(user) for user in await self._users.get() if may_own(user)]
            return best(words, people)
        if name == "asset_groups":
            titles = await self._groups.get()
            # A title with a comma cannot be said (vendors/qualys.md 1.2).
            return best(words, [Lookup(each, each) for each in titles if "," not in each])
        return ()


@dataclass(frozen=True)
class _Place:
    """A planned ticket, as far as scope is concerned."""

    number: int
    ip: str


def _moment(iso: str) -> datetime:
    found = datetime.fromisoformat(iso)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _named(numbers: str) -> set[int]:
    """The tickets that were asked for by name, by number or in a short range."""
    spans = [span(entry) for entry in numbers.split(",") if entry]
    return {
        number for low, high in spans if high - low < NAMED_RANGE for number in range(low, high + 1)
    }


class _Judged(NamedTuple):
    """A state, the fields of it that will change, why not, and whether it is so already."""

    state: Mapping[str, str]
    after: Mapping[str, str]
    left_out: str
    already: bool = False


class _Outlook:
    """What `changes` would do to tickets. Those in the same state share one answer."""

    def __init__(self, changes: Mapping[str, str]) -> None:
        self._changes = changes
        self._with_due = "reopen_ignored_days" in changes
        self._known = lru_cache(maxsize=4096)(self._judged)

    def record(self, ticket: Ticket, outside: str) -> Record:
        """The planned record; one that is outside the scope is left out for that reason."""
        due = ticket.due if self._with_due else None
        state, after, left_out, already = self._known(ticket.condition, ticket.assignee_login, due)
        if outside:
            after, left_out, already = {}, outside, False
        label = f"{ticket.ip} · {ticket.title}"
        return Record(
            str(ticket.number), label, state, after, left_out, already, places=(ticket.ip,)
        )

    def _judged(self, condition: str, assignee: str, due: datetime | None) -> _Judged:
        state = as_state(condition, assignee, due, with_due=self._with_due)
        if why := forbidden(state, self._changes):
            return _Judged(state, {}, why)
        fields = after(state, self._changes)
        already = not fields and "add_comment" not in self._changes
        return _Judged(state, fields, SO_ALREADY if already else "", already)


def _seen(record: Record, ticket: Ticket | None, sent: Sent) -> Outcome:
    if ticket is None:
        return Outcome(record.id, Result.UNKNOWN, "Qualys no longer lists it")
    words = "sent, and Qualys shows no trace of it"
    return sent.outcome(record, ticket) or Outcome(record.id, Result.UNKNOWN, words)


def _undecided(record: Record, ticket: Ticket, repeatable: bool) -> Outcome:
    """A ticket that shows no trace of a call without an answer, which may still be at work."""
    now = state_of(ticket, with_due=True)
    same = all(now.get(name) == value for name, value in record.state.items())
    if repeatable and same:
        return Outcome(record.id, Result.TO_SEND)
    words = "sent without an answer, and Qualys shows no trace of it so far"
    return Outcome(record.id, Result.UNKNOWN, words)


def _no_assignee(login: str, users: Sequence[User], *, whole: bool) -> str:
    """Why tickets cannot go to `login`, and the nearest that can have them; "" if they can.

    Who is not in a list that is not `whole` may be a user all the same; the vendor decides.
    """
    found = next((user for user in users if user.login == login), None)
    if may_own(found) if found is not None else not whole:
        return ""
    if found is None:
        why = "must be the login of a Qualys user"
    elif found.role.casefold() == "contact":
        why = "must be a user whose role is not Contact"
    else:
        why = f"must be an active user ({login} is {found.status or 'not active'})"
    near = nearest(login, [user.login for user in users if may_own(user)], 1)
    hint = f"; the nearest is `{near[0]}`" if near else ""
    return f"`change_assignee` {why}, not `{login}`{hint}."


def _person(user: User) -> Lookup:
    return Lookup(user.login, f"{user.name} ({user.login})" if user.name else user.login, user.role)
