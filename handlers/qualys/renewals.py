"""`qualys.renew_exception`: a later end for what is approved, under the same four eyes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from typing import ClassVar

from bot.domain.errors import InvalidInput, Problem
from bot.domain.operations import Batch, Context, Lookup, Outcome, Reach, Record, Reversal
from bot.domain.parameters import Parameters, given
from bot.domain.people import Account
from handlers.qualys.decisions import DecideException, label_of, state_of
from handlers.qualys.exception_parameters import ExceptionRenewal
from handlers.qualys.exceptions import RequestException, outside
from handlers.qualys.scope import Scope
from integrations.qualys.exceptions import ComplianceException

NOT_LISTED = "Qualys does not list this exception"
WHY_BACK = "Put back to its former end"


class RenewException(DecideException):
    """One `action=update` with `status=Approved` and the new end, for up to 200 exceptions.

    Facts 5.3: `end_date` is a future day, and counts only with Approved. An exception that is
    Pending waits for its decision, and one that has ended or was rejected is asked for anew:
    whether an update may approve those again, no public document says.
    """

    name: ClassVar[str] = "qualys.renew_exception"
    command: ClassVar[str] = "renew"
    slash: ClassVar[bool] = False
    title: ClassVar[str] = "Renew exception"
    summary: ClassVar[str] = "Give an approved compliance exception a later end"
    # Asking is open to whoever may request exceptions (facts 5.6); deciding is `approved_as`.
    roles: ClassVar[Mapping[str, Reach]] = RequestException.roles
    parameters: ClassVar[type[Parameters]] = ExceptionRenewal
    approved_as: ClassVar[str] = DecideException.name
    decides: ClassVar[bool] = True
    examples: ClassVar[tuple[str, ...]] = ('1 end_date=2027-03-31 comments="Still isolated"',)

    def executes(self, parameters: Parameters) -> bool:
        """A decision is always reviewed, also of one exception."""
        return True

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        numbers = list(getattr(parameters, self.records_in))
        end = date.fromisoformat(str(given(parameters)["end_date"]))
        listed = await self._listed(numbers)
        scope = Scope(account.scope) if reach is Reach.SCOPE else None
        for number in numbers:
            found = listed.get(number)
            if found is None:
                yield Record(number, "not listed", {}, {}, left_out=NOT_LISTED)
                continue
            hidden = await outside(self._exceptions, scope, [found.ip]) if scope else ""
            yield _record(found, end, hidden or _why_not(found, end))

    async def barred(
        self, parameters: Parameters, records: Sequence[Record], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        return await self.out_of_scope(records, account, reach)

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        changes = {"status": "Approved", **batch.changes}
        return await super().apply(Batch(batch.parameters, changes, batch.records, batch.key))

    async def check(self, parameters: Parameters) -> None:
        end = str(given(parameters)["end_date"])
        if date.fromisoformat(end) <= self._today():
            message = f"`end_date` must lie in the future; {end} does not."
            raise InvalidInput([Problem("end_date", message)])

    async def lookup(self, name: str, words: str, context: Context) -> Sequence[Lookup]:
        return ()

    def revert(self, record: Record) -> Reversal:
        before = record.state.get("ends", "")
        if before <= self._today().isoformat():
            return Reversal(lost="its former end has passed")
        changes = {"end_date": before, "comments": WHY_BACK}
        return Reversal(changes, {"ends": before}, "its comments stay")


def _why_not(found: ComplianceException, end: date) -> str:
    if found.status != "Approved":
        return f"it is {found.status}; only an approved exception is renewed"
    if found.ends is None:
        return f"its end ({found.expires or 'none'}) is no day that could be moved"
    if end < found.ends:
        return f"it ends later already, on {found.ends.isoformat()}"
    return ""


def _record(found: ComplianceException, end: date, why: str) -> Record:
    state = state_of(found)
    already = not why and state["ends"] == end.isoformat()
    return Record(
        id=found.number,
        label=label_of(found),
        state=state,
        after={} if why or already else {"ends": end.isoformat()},
        left_out=why or (f"ends on {end.isoformat()} already" if already else ""),
        already=already,
        places=(found.ip,),
    )
