"""`qualys.decide_exception`: approve, reject or reassign exceptions; reached by their buttons."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import ClassVar

from bot.domain.errors import InvalidInput, Problem
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
from bot.domain.parameters import Parameters, given
from bot.domain.people import Account
from handlers.qualys.exception_parameters import ExceptionDecision
from handlers.qualys.exceptions import id_of, known_user, outside, person
from handlers.qualys.lists import Remembered, best, may_own
from handlers.qualys.scope import Scope
from integrations.errors import Rejected, UnknownOutcome, Unreadable, VendorError
from integrations.qualys.client import QualysClient
from integrations.qualys.exceptions import DAY, ComplianceException, ExceptionClient, Updated
from integrations.qualys.models import User

NOT_LISTED = "Qualys does not list this exception"
YOURS = "you asked for it yourself; somebody else decides"
WHY_BACK = "Put back to what it was before"
TRACES = ("state", "ends")


class DecideException(Operation):
    """One `action=update` for up to 200 exceptions; the approver's word is the vendor's word."""

    name: ClassVar[str] = "qualys.decide_exception"
    vendor: ClassVar[str] = "qualys"
    vendor_title: ClassVar[str] = "Qualys"
    command: ClassVar[str] = ""
    title: ClassVar[str] = "Decide exception"
    summary: ClassVar[str] = "Approve, reject or reassign compliance exceptions"
    noun: ClassVar[tuple[str, str]] = ("exception", "exceptions")
    # vendors/qualys.md 5.6: Scanners and Readers may only comment, so they decide nothing.
    roles: ClassVar[Mapping[str, Reach]] = {
        "Manager": Reach.ALL,
        "Auditor": Reach.ALL,
        "Unit Manager": Reach.SCOPE,
    }
    parameters: ClassVar[type[Parameters]] = ExceptionDecision
    records_in: ClassVar[str] = "exception_numbers"
    comment: ClassVar[str] = "comments"
    call_size: ClassVar[int] = 200
    parallel: ClassVar[int] = 1

    def __init__(
        self,
        client: QualysClient,
        exceptions: ExceptionClient,
        *,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._exceptions = exceptions
        self._today = today
        self._users: Remembered[list[User]] = Remembered(client.users, clock)

    def single(self, parameters: Parameters) -> bool:
        return len(getattr(parameters, self.records_in)) == 1

    def repeatable(self, parameters: Parameters) -> bool:
        # Every update leaves its comments in the history.
        return False

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        numbers = list(getattr(parameters, self.records_in))
        listed = await self._listed(numbers)
        own = await self._own(listed, account)
        scope = Scope(account.scope) if reach is Reach.SCOPE else None
        for number in numbers:
            found = listed.get(number)
            if found is None:
                yield Record(number, "not listed", {}, {}, left_out=NOT_LISTED)
                continue
            why = YOURS if number in own else ""
            if scope and not why:
                why = await outside(self._exceptions, scope, [found.ip])
            yield _record(found, self.changes(parameters), why)

    async def barred(
        self, parameters: Parameters, records: Sequence[Record], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        listed = await self._listed([each.id for each in records])
        own = dict.fromkeys(await self._own(listed, account), YOURS)
        return {**await self.out_of_scope(records, account, reach), **own}

    async def out_of_scope(
        self, records: Sequence[Record], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        if reach is not Reach.SCOPE:
            return {}
        scope = Scope(account.scope)
        reasons = {
            each.id: await outside(self._exceptions, scope, list(each.places)) for each in records
        }
        return {record: why for record, why in reasons.items() if why}

    async def out_of_scope_now(
        self, ids: Sequence[str], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        if reach is not Reach.SCOPE:
            return {}
        listed, scope = await self._listed(ids), Scope(account.scope)
        reasons = {n: await outside(self._exceptions, scope, [e.ip]) for n, e in listed.items()}
        missing = {number: NOT_LISTED for number in ids if number not in listed}
        return {number: why for number, why in reasons.items() if why} | missing

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        return {number: state_of(each) for number, each in (await self._listed(ids)).items()}

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        ids = [record.id for record in batch.records]
        try:
            reply = await self._exceptions.update(ids, _on_the_wire(batch.changes))
        except Unreadable as error:
            raise UnknownOutcome(error.vendor, error.words) from error
        told = {each: Outcome(each, Result.REFUSED, why) for each, why in reply.failed.items()}
        told |= {each: Outcome(each, Result.CHANGED, words) for each, words in reply.done.items()}
        told |= await self._read_back(
            [each for each in batch.records if each.id not in told], reply
        )
        return [told[each] for each in ids]

    async def _read_back(self, records: Sequence[Record], reply: Updated) -> dict[str, Outcome]:
        """What became of exceptions of which the answer says neither yes nor no."""
        if not records:
            return {}
        said = {each.id: _said(reply, each.id) for each in records}
        try:
            now = await self._listed(list(said))
        except VendorError as error:
            # The update did go out: this must not look like a call that changed nothing.
            why = f"reading it failed: {error}"
            return {n: Outcome(n, Result.UNKNOWN, f"{words}; {why}") for n, words in said.items()}
        found = [_trace(each, now.get(each.id)) for each in records]
        return {each.id: replace(each, words=f"{said[each.id]}; {each.words}") for each in found}

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        """Done where it is as wanted and was not before; else it cannot be told."""
        now = await self._listed([each.id for each in batch.records])
        return [_reconciled(each, now.get(each.id)) for each in batch.records]

    async def as_user(self, name: str, account: str) -> str:
        return await id_of(self._users, name, account)

    async def check(self, parameters: Parameters) -> None:
        end = given(parameters).get("end_date")
        if isinstance(end, str) and date.fromisoformat(end) <= self._today():
            # vendors/qualys.md 5.3: a future date.
            message = f"`end_date` must lie in the future; {end} does not."
            raise InvalidInput([Problem("end_date", message)])
        login = self._client.username
        await known_user(self._users, login, "reassign_to", given(parameters).get("reassign_to"))

    async def lookup(self, name: str, words: str, context: Context) -> Sequence[Lookup]:
        if name != "people":
            return ()
        return best(words, [person(each) for each in await self._users.get() if may_own(each)])

    def revert(self, record: Record) -> Reversal:
        before = record.state.get("state", "")
        if before not in ("Pending", "Rejected") or "state" not in record.after:
            return Reversal(lost="only a decision on a pending or rejected exception can go back")
        changes = {"status": before, "comments": WHY_BACK}
        return Reversal(changes, {"state": before}, "its comments stay")

    async def _own(
        self, listed: Mapping[str, ComplianceException], account: Account
    ) -> frozenset[str]:
        """Those of some exceptions that Qualys has as asked for under an account of this person.

        The list names who spoke first. Who asked is a filter of its own (facts 5.2), by user ids;
        where Qualys refuses it, or the list of users, what the list names has to do. Raises a
        `VendorError` where that cannot be known now.
        """
        own = {number for number, each in listed.items() if _asked(each, account)}
        numbers = ",".join(sorted(listed.keys() - own))
        with suppress(Rejected):
            for each in await self._users.get() if numbers else ():
                if each.login.strip().casefold() in account.names:
                    filters = {"exception_numbers": numbers, "created_by": str(each.id)}
                    own |= {found.number async for found in self._exceptions.exceptions(filters)}
        return frozenset(own & listed.keys())

    async def _listed(self, numbers: Sequence[str]) -> dict[str, ComplianceException]:
        filters = {"exception_numbers": ",".join(numbers)}
        wanted = frozenset(numbers)
        found = self._exceptions.exceptions(filters)
        return {each.number: each async for each in found if each.number in wanted}


def _on_the_wire(changes: Mapping[str, str]) -> dict[str, str]:
    """vendors/qualys.md 5.3: `end_date` is mm/dd/yyyy."""
    found = dict(changes)
    if "end_date" in found:
        found["end_date"] = date.fromisoformat(found["end_date"]).strftime(DAY)
    return found


def state_of(found: ComplianceException) -> dict[str, str]:
    """What a plan freezes of an exception; `ends` as an ISO day, else in the vendor's words."""
    ends = found.ends.isoformat() if found.ends else found.expires
    return {"state": found.status, "ends": ends, "assignee": found.assignee}


def label_of(found: ComplianceException) -> str:
    """An exception in a line: host, control and policy."""
    control = found.control.name or found.control.id
    return f"{found.ip or 'host'} · {control} · {found.policy.name}"


def _asked(found: ComplianceException, account: Account) -> bool:
    """Does the list name this very account as who asked, or the one that its owner has linked?"""
    first = min((r for r in found.history if r.at), key=lambda r: str(r.at), default=None)
    by = found.created_by or (first.user if first else "")
    return by.strip().casefold() in account.names


def _record(found: ComplianceException, changes: Mapping[str, object], why: str) -> Record:
    wanted = {
        "state": changes.get("status"),
        "ends": changes.get("end_date"),
        "assignee": changes.get("reassign_to"),
    }
    state = state_of(found)
    after = {name: str(to) for name, to in wanted.items() if to and to != state[name]}
    return Record(
        id=found.number,
        label=label_of(found),
        state=state,
        after={} if why else after,
        left_out=why,
        places=(found.ip,),
    )


def _said(reply: Updated, number: str) -> str:
    """An answer's words of an exception that it neither confirms nor refuses."""
    silent = "Qualys' reply does not mention it"
    loose = f"{silent}, and says: {reply.loose}" if reply.loose else silent
    return reply.unsaid.get(number) or loose


def _fields(record: Record, now: ComplianceException) -> tuple[list[str], list[str]]:
    """The planned fields that are as wanted now and were not before, and those that are not.

    An assignee is no trace: an update takes the number of a user, and lists show another name.
    """
    shown = state_of(now)
    wanted = {each: record.after[each] for each in TRACES if each in record.after}
    moved = [each for each, to in wanted.items() if record.state.get(each) != to]
    done = [each for each in moved if shown[each] == wanted[each]]
    return done, [each for each in moved if each not in done]


def _trace(record: Record, now: ComplianceException | None) -> Outcome:
    """What reading alone tells of an update; `REFUSED`: nothing that can be seen has changed."""
    done, missed = ([], []) if now is None else _fields(record, now)
    if done:
        words = f"Qualys left as it was: {', '.join(missed)}" if missed else "read back"
        return Outcome(record.id, Result.CHANGED, words)
    if missed:
        return Outcome(record.id, Result.REFUSED, "Qualys left it as it was")
    return Outcome(record.id, Result.UNKNOWN, "Qualys shows no trace of it")


def _reconciled(record: Record, now: ComplianceException | None) -> Outcome:
    found = _trace(record, now)
    if found.result is Result.CHANGED:
        return found
    words = "sent without an answer, and Qualys shows no trace of it so far"
    return Outcome(record.id, Result.UNKNOWN, words)
