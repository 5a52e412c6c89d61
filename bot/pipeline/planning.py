"""Planning: from typed parameters to frozen records and their digest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from bot import tracing
from bot.db.ledger import Ledger, as_record
from bot.db.tables import Request
from bot.domain.access import Decision
from bot.domain.clocks import APART
from bot.domain.errors import AmendError, Denied, NotAllowed, NotNow, invalid
from bot.domain.operations import Operation, Record, Result, Reversal
from bot.domain.parameters import Parameters, given
from bot.domain.plans import Digest, Intent, State, drift, notes_line, record_line
from bot.domain.policy import Demand, quoted
from bot.pipeline.acting import Acting
from bot.pipeline.parts import (
    AT_MOST,
    GIVEN_UP_AFTER,
    LONG_WAIT,
    PAGE,
    Parts,
    barred_as_sent,
    explain,
    name_in,
    pages,
    refuse_signed,
)
from integrations.errors import Temporary, VendorError

UNSURE_FOR = 600.0  # seconds for which a person waits for a plan while who they are is not known
ASKS_AGAIN = 10.0  # seconds between two tries meanwhile
NOTED = 20  # records that the vendor is asked about for the review's notes

Planned = tuple[Record, Mapping[str, str] | None]


@dataclass
class Tally:
    """What a plan adds up to while its records pass by.

    `own_changes` are the different changes of records that have their own, as far as policy
    `looks_at` them.
    """

    digest: Digest
    looks_at: frozenset[str] = frozenset()
    records: int = 0
    left_out: int = 0
    first: list[Record] = field(default_factory=list)
    own_changes: set[frozenset[tuple[str, str]]] = field(default_factory=set)

    def add(self, record: Record, changes: Mapping[str, str] | None) -> None:
        self.digest.add(record_line(record, changes))
        self.records += 1
        if record.left_out:
            self.left_out += 1
        elif len(self.first) < NOTED:
            self.first.append(record)
        if changes is not None:
            seen = (pair for pair in changes.items() if pair[0] in self.looks_at)
            self.own_changes.add(frozenset(seen))


async def keep(
    ledger: Ledger, request_id: str, planned: AsyncIterator[Planned], tally: Tally
) -> None:
    """Add up and write down records as they come; a page is written while the next is read."""
    writing: asyncio.Task[None] | None = None
    try:
        async for page in pages(planned):
            for record, changes in page:
                tally.add(record, changes)
            if writing:
                await writing
            first = tally.records - len(page)
            writing = asyncio.create_task(ledger.add(request_id, first, page))
    finally:
        if writing:
            await writing


@dataclass
class Planner:
    """Makes plans; it only reads at the vendor."""

    parts: Parts
    acting: Acting

    async def plan(self, request: Request) -> None:
        """Freeze the records of a request. Raises `AmendError` or a vendor's error."""
        operation = await self.acting.as_person(request.operation, request.requester)
        parameters = self.acting.parameters(request)
        decision = await self.acting.require(operation, request.requester, request.channel)
        if request.relation != "undo":
            await operation.check(parameters)
        account, own = await self.acting.goes_out_as(operation.vendor, request.requester)
        comment = await self._comment(operation, parameters, request, own=own)
        intent = Intent(operation.name, request.parameters, comment, account, own)
        looks_at = self.parts.policy.looks_at(operation.name)
        tally = Tally(Digest(intent.line()), looks_at)
        await self.parts.ledger.clear(request.id)
        records = self._records(request, operation, parameters, decision)
        await keep(self.parts.ledger, request.id, records, tally)
        if not tally.records:
            message = f"{operation.vendor_title} lists no {operation.noun[0]} for this selection."
            raise invalid(message)
        if tally.records == tally.left_out and request.relation != "undo":
            await self._refuse_barred(request, operation, parameters, decision, tally.records)
        notes = await self._notes(request, operation, parameters, tally)
        tally.digest.add(notes_line(notes))
        frozen = {"comment": comment, "notes": notes, "account": account, "own_account": own}
        await self._freeze(request, operation, parameters, tally, frozen)

    async def _refuse_barred(
        self,
        request: Request,
        operation: Operation,
        parameters: Parameters,
        decision: Decision,
        many: int,
    ) -> None:
        """Raises `NotAllowed` where this person's rights alone leave out all of `many` records."""
        if decision.account is None or decision.reach is None:
            return
        first: Record | None = None
        async for rows in pages(self.parts.ledger.all(request.id)):
            records = [as_record(row) for row in rows]
            why = await operation.barred(parameters, records, decision.account, decision.reach)
            if any(why.get(each.id) != each.left_out for each in records):
                return
            first = first or records[0]
        if first is not None:
            more = f" (and {many - 1:,} more)" if many > 1 else ""
            told = f"{quoted(first.id)}{more}: {escape(first.left_out, quote=False)}."
            able = await self.acting.who_may(operation, parameters, first, request.requester)
            raise NotAllowed([each for each in (told, able) if each])

    async def _notes(
        self, request: Request, operation: Operation, parameters: Parameters, tally: Tally
    ) -> list[str]:
        """What the vendor will do, or will not take back, that the records alone do not show."""
        if request.relation == "undo":
            source = await self.parts.store.request(request.source)
            stays = f"The comment of request {request.source} stays at {operation.vendor_title}."
            return [stays] if source is not None and source.comment else []
        return [*await operation.notes(parameters, tally.first)] if tally.first else []

    async def _freeze(
        self,
        request: Request,
        operation: Operation,
        parameters: Parameters,
        tally: Tally,
        frozen: Mapping[str, Any],
    ) -> None:
        demands = [
            *self._demands(operation, parameters, tally),
            *await self._decision(request, operation, tally),
        ]
        digest = tally.digest.hex()
        facts = {
            "digest": digest,
            "account": frozen["account"],
            "own_account": frozen["own_account"],
            "records": tally.records,
            "left_out": tally.left_out,
        }
        await self.parts.store.move(
            request.id,
            (State.RECEIVED, State.SCHEDULED),
            State.PLANNED,
            actor=request.requester,
            action="request:planned",
            facts=facts,
            digest=digest,
            records=tally.records,
            left_out=tally.left_out,
            **frozen,
            demands=[demand_json(each) for each in demands],
            planned_at=self.parts.clock(),
            run_at=None,
        )

    async def _decision(
        self, request: Request, operation: Operation, tally: Tally
    ) -> Sequence[Demand]:
        """An edit that is a decision waits for somebody who may take it, where its asker may not."""
        if not operation.decides or tally.records == tally.left_out:
            return ()
        rows = self.parts.ledger.all(request.id, (Result.TO_SEND,))
        records = [as_record(row) async for row in rows]
        user, channel = request.requester, request.channel
        if not await self.acting.undecided(operation, user, channel, records):
            return ()
        decider = self.acting.operation(operation.approved_as)
        why = f"This needs somebody who may {decider.title.lower()}."
        return (Demand(approvers=1, groups=(), people=(), roles=(), why=why),)

    def _demands(
        self, operation: Operation, parameters: Parameters, tally: Tally
    ) -> Sequence[Demand]:
        """What policy demands for the values that will be sent; an undo sends its own."""
        to_send = tally.records - tally.left_out
        # In order, so that a plan made twice asks for the same in the same words.
        own: list[Mapping[str, Any]] = [
            operation.as_read(dict(each)) for each in sorted(map(sorted, tally.own_changes))
        ]
        values = own or [given(parameters)]
        found = [
            demand
            for each in values
            for demand in self.parts.policy.demands(operation.name, each, to_send)
        ]
        return list(dict.fromkeys(found))

    async def _comment(
        self, operation: Operation, parameters: Parameters, request: Request, *, own: bool
    ) -> str:
        """The comment as it will be sent: with the human's name, where that fits the limit.

        Under a person's own credentials the vendor names them itself, and without attribution
        nobody does. Raises `InvalidInput` for words that name somebody in Amend's stead.
        """
        if request.relation == "undo":
            return ""
        typed = getattr(parameters, operation.comment, None) if operation.comment else None
        if own or not self.parts.attribution:
            return str(typed or "")
        refuse_signed(operation, parameters)
        if not typed:
            return ""
        caller = await self.parts.directory.caller(request.requester)
        name = name_in(operation, operation.comment, caller)
        signed = f"{typed} [{name} via Amend]"
        most = operation.params()[operation.comment].most
        return str(typed) if most is not None and len(signed) > most else signed

    # --- the records of each kind of request ------------------------------------------------------

    async def _records(
        self, request: Request, operation: Operation, parameters: Parameters, decision: Decision
    ) -> AsyncIterator[Planned]:
        if decision.account is None or decision.reach is None:
            raise Denied(decision.reasons)
        if request.relation == "undo":
            async for planned in self._backwards(request, operation, parameters, decision):
                yield planned
            return
        selections = [parameters]
        if request.relation == "retry":
            missed = await self.parts.ledger.missed(request.source)
            cuts = range(0, len(missed), PAGE)
            selections = [operation.narrowed(parameters, missed[at : at + PAGE]) for at in cuts]
        wishes = self.acting.wishes(operation)
        for selection in selections:
            async for record in operation.plan(selection, decision.account, decision.reach):
                why = ""
                if wishes:
                    why = await self.acting.own_wish(operation, request.requester, record.id)
                yield replace(record, after={}, left_out=why) if why else record, None

    async def _backwards(
        self, request: Request, operation: Operation, parameters: Parameters, decision: Decision
    ) -> AsyncIterator[Planned]:
        """The records that the source changed, each with what brings it back."""
        changed = self.parts.ledger.all(request.source, (Result.CHANGED,))
        async for rows in pages(changed):
            before = [as_record(row) for row in rows]
            now = await operation.read([each.id for each in before])
            barred: Mapping[str, str] = {}
            if decision.account is not None and decision.reach is not None:
                reversals = ((each, operation.revert(each).changes) for each in before)
                # What cannot go back at all says so itself; nothing of it would be sent.
                back = [(each, changes) for each, changes in reversals if changes]
                barred = await barred_as_sent(
                    operation, parameters, back, decision.account, decision.reach
                )
            for record in before:
                present = now.get(record.id)
                yield _reversed(operation, record, present, barred.get(record.id, ""))


def _reversed(
    operation: Operation, record: Record, now: Mapping[str, str] | None, barred: str
) -> Planned:
    """One step back: refused where the record moved since, or where the vendor cannot."""
    back = operation.revert(record)
    if not barred and back.changes and _is_back(record, now):
        state = dict(now or {})
        told = "is back already"
        return replace(record, state=state, after={}, left_out=told, already=True), back.changes
    why = (
        barred
        or _moved(record, back, now)
        or ("" if back.changes else back.lost or "cannot go back")
    )
    label = f"{record.label} · {back.lost}" if back.lost and not why else record.label
    state = dict(now or record.state)
    after = {} if why else back.after
    return replace(record, label=label, state=state, after=after, left_out=why), back.changes


def _is_back(record: Record, now: Mapping[str, str] | None) -> bool:
    """True where each field that was changed holds again what it held before."""
    changed = [name for name in record.after if record.state.get(name) != record.after[name]]
    return now is not None and all(now.get(name) == record.state.get(name) for name in changed)


def _moved(record: Record, back: Reversal, now: Mapping[str, str] | None) -> str:
    """Why a record is not as the source left it, in what is to go back.

    In any case of letters: some vendors write a value in their own.
    """
    if now is None:
        return drift(record, None)
    other = [
        f"{name} is {now.get(name, '') or 'empty'}"
        for name in back.after
        if now.get(name, "").casefold() != record.after.get(name, "").casefold()
    ]
    return f"changed since: {'; '.join(other)}" if other else ""


def demand_json(demand: Demand) -> dict[str, Any]:
    return {
        "approvers": demand.approvers,
        "groups": list(demand.groups),
        "people": list(demand.people),
        "roles": list(demand.roles),
        "why": demand.why,
    }


@dataclass
class Preparer:
    """Plans a request that was received, and sends it on its way or tells why not."""

    parts: Parts
    planner: Planner

    async def prepare(self, request: Request) -> float | None:
        """Seconds to wait where it is to be tried again soon; None where the plan is done with, or
        its time is so far off that it is begun anew then.

        A direct request goes on to its run; the others are shown for review by the caller of this.
        """
        if request.digest or request.state not in (State.RECEIVED, State.SCHEDULED):
            return None
        early = (request.run_at or 0.0) - self.parts.clock()
        if 0.0 < early <= AT_MOST + APART:
            return early if early <= LONG_WAIT else None
        with tracing.following("request.plan", request.id, request.operation):
            return await self._planned(request)

    async def _planned(self, request: Request) -> float | None:
        try:
            await self.planner.plan(request)
        except Temporary as error:
            await self._vendor_waits(request, error)
        except NotNow as error:
            if self.parts.clock() - request.created_at < UNSURE_FOR:
                return ASKS_AGAIN
            await self.turn_down(request, error)
        except VendorError as error:
            await self.planner.acting.heard(request, error)
            await self.turn_down(request, error)
        except AmendError as error:
            await self.turn_down(request, error)
        return None

    async def _vendor_waits(self, request: Request, error: Temporary) -> None:
        lasts = self.parts.clock() - request.created_at
        waits = request.direct and lasts <= GIVEN_UP_AFTER
        if error.wait is None or error.wait <= LONG_WAIT or not waits:
            await self.turn_down(request, error)
            return
        wait = min(error.wait, AT_MOST)
        await self.parts.store.move(
            request.id,
            (State.RECEIVED, State.SCHEDULED),
            State.SCHEDULED,
            actor="amend",
            action="request:scheduled",
            facts={"reason": str(error), "seconds": wait},
            words=str(error),
            run_at=self.parts.clock() + wait,
        )
        await self.parts.voice.show(request.id)

    async def turn_down(self, request: Request, error: Exception) -> None:
        """The request ends before anything was sent, and the caller is told why."""
        denied = isinstance(error, AmendError)
        await self.parts.store.move(
            request.id,
            (State.RECEIVED, State.SCHEDULED, State.PLANNED),
            State.DENIED if denied else State.FAILED,
            actor="amend",
            action="request:denied" if denied else "request:failed",
            facts={"reasons": str(error)},
            words=str(error),
            ended_at=self.parts.clock(),
        )
        if request.state == State.SCHEDULED:
            await self.parts.voice.show(request.id)  # its card says when it goes on
        await self._tell(request, error)

    async def tell_again(self, request: Request) -> None:
        """It was turned down, and what was to say so failed, or was about to end well."""
        denied = request.state == State.DENIED
        await self._tell(request, (AmendError if denied else RuntimeError)(request.words))

    async def _tell(self, request: Request, error: Exception) -> None:
        if request.program:
            return  # a program reads it in the answer to its call
        shown = error if isinstance(error, AmendError) else AmendError(explain(error))
        await self.parts.voice.refused(request, shown)

    async def abandon(self, request: Request) -> None:
        """Forget a plan whose review nobody submitted; its records may be many."""
        moved = await self.parts.store.move(
            request.id,
            (State.PLANNED,),
            State.EXPIRED,
            actor="amend",
            action="request:abandoned",
            rest=None,
            words="Nobody submitted its review.",
            ended_at=self.parts.clock(),
        )
        if moved and request.program and request.channel:
            await self.parts.voice.show(request.id)
