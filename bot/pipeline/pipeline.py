"""The one way of every request: decide, plan, decide again, approve, hand to the run."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot import tracing
from bot.db import audit
from bot.db.ledger import Row, as_record
from bot.db.tables import Request
from bot.domain.errors import Denied, NotAllowed, invalid
from bot.domain.operations import Operation, Result, canonical
from bot.domain.parameters import Parameters, given
from bot.domain.plans import OVER, Counts, RequestFacts, State
from bot.domain.policy import quoted
from bot.domain.quiet import next_window
from bot.pipeline import bounds
from bot.pipeline.acting import Acting
from bot.pipeline.deciding import Approvals, lapsed_words, needed, no_longer
from bot.pipeline.looking import Looking
from bot.pipeline.parts import Origin, Parts, ended_by_its_run
from bot.pipeline.planning import Planner, Preparer

SAMPLE = 5
OWN_PLACES = "the id of a channel that you are in, nor of your direct messages with Amend"
ONLY_ASKER = "Only the person who asked can"
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTVWXYZ"
SOON = 60.0  # seconds; what is due later is started when its time has nearly come
MOST_AHEAD = 90 * 24 * 3600.0  # seconds; a run further ahead is a mistake in the date


@dataclass
class Pipeline:
    """Joins the steps; holds no state of its own."""

    parts: Parts
    acting: Acting = field(init=False)
    approvals: Approvals = field(init=False)
    preparer: Preparer = field(init=False)
    looking: Looking = field(init=False)

    def __post_init__(self) -> None:
        self.acting = Acting(self.parts)
        self.looking = Looking(self.parts, self.acting)
        self.approvals = Approvals(self.parts, self.acting)
        self.preparer = Preparer(self.parts, Planner(self.parts, self.acting))

    # --- understand and accept --------------------------------------------------------------------

    def needs_review(self, operation: Operation, parameters: Parameters) -> bool:
        """True unless one record is named and neither an approval nor an execution is due."""
        if not operation.single(parameters) or operation.executes(parameters):
            return True
        return bool(self.parts.policy.demands(operation.name, given(parameters), 1))

    async def accept(
        self,
        operation: Operation,
        parameters: Parameters,
        origin: Origin,
        *,
        direct: bool,
        within: float | None = None,
    ) -> str | None:
        """Record the request durably; its id, or None for a redelivery.

        Raises `TimeoutError` or a database error where it was not recorded `within` so many seconds.
        """
        request = Request(
            id=f"R{''.join(secrets.choice(_ALPHABET) for _ in range(7))}",
            origin=origin.key,
            operation=operation.name,
            parameters=canonical(parameters),
            team=self.parts.directory.team,
            requester=origin.user,
            channel=origin.channel,
            thread_ts=origin.thread_ts,
            view_id=origin.view_id,
            response_url=origin.response_url,
            source=origin.source,
            relation=origin.relation,
            program=origin.program,
            direct=direct,
            state=State.RECEIVED,
            created_at=self.parts.clock(),
        )
        within = within or bounds.ACCEPT_WITHIN
        if not await self.parts.store.accept(request, time.monotonic() + within):
            return None
        tracing.accepted(request.id, request.operation)
        return request.id

    async def again(self, source: Request, relation: str, origin: Origin) -> str | None:
        """A new request for what a finished one missed (`retry`) or changed (`undo`).

        Raises `Denied` where there is nothing of the kind, or it is not this person's.
        """
        if source.requester != origin.user:
            raise NotAllowed([f"{ONLY_ASKER} do that; type your own request instead."])
        if source.state not in OVER:
            raise Denied([f"Request {source.id} has not ended yet."])
        facts, operation = await self.facts(source), self.acting.operation(source.operation)
        if relation == "retry" and not facts.missed:
            raise Denied([f"Request {source.id} missed nothing."])
        if relation == "undo" and not facts.undoable:
            lost = {f": {operation.revert(each).lost}" for each in facts.sample} - {": "}
            why = lost.pop() if len(lost) == 1 else ""
            raise Denied(
                [f"Request {source.id} changed nothing that can still be taken back{why}."]
            )
        if relation == "retry" and source.relation in ("undo", "decision"):
            # To try an undo again is to undo once more: its parameters are those of the edit.
            origin = replace(origin, source=source.source, relation=source.relation)
        parameters = self.acting.parameters(source)
        return await self.accept(operation, parameters, origin, direct=False)

    # --- plan -------------------------------------------------------------------------------------

    async def prepare(self, request_id: str) -> float | None:
        """Plan a request that was received. Seconds to wait where the vendor asks for a pause.

        A direct one goes on to its run at once; the others are shown for review. Safe to repeat.
        """
        request = await self.parts.store.request(request_id)
        if request is None:
            return None
        if request.state in (State.DENIED, State.FAILED) and not ended_by_its_run(request):
            await self.preparer.tell_again(request)
            return None
        with audit.by_program(request.program):
            wait = await self.preparer.prepare(request)
        if wait is not None:
            return wait
        planned = await self.parts.store.request(request_id)
        if planned is None or planned.state != State.PLANNED or planned.program:
            return None  # a program asks for its plan itself
        if planned.direct:
            await self._go_directly(planned)
        else:
            await self.parts.voice.planned(planned, await self.facts(planned))
        return None

    async def _go_directly(self, request: Request) -> None:
        facts = await self.facts(request)
        if facts.to_send == 0 and facts.counts.unchanged == 0:
            reasons = [f"{ids[0]}: {reason}." for reason, _, ids in facts.left_out]
            await self.preparer.turn_down(request, invalid(" ".join(reasons)))
            return
        await self.submit(request.id, request.digest, request.requester)

    # --- propose ----------------------------------------------------------------------------------

    async def propose(self, request: Request, digest: str, channel: str, reason: str) -> None:
        """Post the plan that a program asked for as a card; its owner alone can run it from there.

        Raises `Denied` where it is not to be proposed (any more), or not in this channel, and
        `NotNow` where that cannot be known.
        """
        if request.state != State.PLANNED or request.digest != digest:
            raise Denied([no_longer(request)])
        if not (await self.facts(request)).to_send:
            raise Denied(["Nothing of this plan can be changed, so there is nothing to propose."])
        operation = self.acting.operation(request.operation)
        await self.acting.require(operation, request.requester, channel)
        if not await self.parts.directory.is_in(request.requester, channel):
            raise NotAllowed([f"`{channel}` is not {OWN_PLACES}, so nothing is proposed there."])
        if not await self.parts.store.propose(request.id, request.requester, channel, reason):
            raise Denied([f"Request {request.id} was proposed already."])
        await self.parts.voice.show(request.id)

    # --- submit, cancel ---------------------------------------------------------------------------

    def misfit(self, wished: float | None) -> str:
        """Why a request cannot wait until `wished`; "" where it can."""
        if wished is None or wished > self.parts.clock() - 60:
            far = wished is not None and wished > self.parts.clock() + MOST_AHEAD
            return "The time must lie within the next 90 days." if far else ""
        return "The time has passed; choose one that is still to come, or leave it empty."

    async def submit(
        self,
        request_id: str,
        digest: str,
        user: str,
        *,
        wished: float | None = None,
        in_quiet: bool = False,
        reason: str = "",
    ) -> State | None:
        """Start a planned request, or ask for its approval; None where it is not theirs to start.

        `wished` is when it shall run (epoch seconds), None for at once; `in_quiet`: in the vendor's
        quiet window, now if it is open and else in the next. Compare-and-set: a second
        submission of the same plan finds nothing to do.
        """
        request = await self.parts.store.request(request_id)
        if request is None or request.requester != user or request.digest != digest:
            return None
        now = self.parts.clock()
        if in_quiet:
            wished = self._quiet(self.acting.operation(request.operation).vendor)
        later = wished is not None and wished > now
        to = State.SCHEDULED if later else State.RUNNING
        policy = self.parts.policy.approvals
        if request.demands:
            to = State.PENDING_APPROVAL
        moved = await self.parts.store.move(
            request_id,
            (State.PLANNED,),
            to,
            actor=user,
            action="request:submitted",
            facts={"digest": digest, "demands": request.demands, "run_at": wished},
            run_at=wished if to is State.SCHEDULED else None,
            wished_at=wished if later else None,
            released_at=None if request.demands else now,
            in_quiet=in_quiet,
            reason=reason,
            expires_at=now + policy.expires_after if request.demands else None,
            remind_at=now + policy.remind_after if request.demands else None,
        )
        return to if moved else None

    async def follow(self, request_id: str) -> None:
        """What comes after a submission: the messages, and the run where none has to approve."""
        request = await self.parts.store.request(request_id)
        if request is None:
            return
        if request.state == State.RUNNING:
            await self.parts.start("carry_out", request_id)
            return
        if request.run_at is not None and request.run_at < self.parts.clock() + SOON:
            await self.parts.start("carry_out", request_id)
        beside = ["ask"] if request.state == State.PENDING_APPROVAL else []
        await self.parts.voice.show(request_id, *beside)

    async def cancel(self, request_id: str, user: str) -> str:
        """The requester's stop: before the run at once, else after the calls under way."""
        request = await self.parts.store.request(request_id)
        if request is None:
            return f"There is no request {quoted(request_id)}; nothing was cancelled."
        if request.requester != user:
            return await self._not_theirs(request, user)
        waiting = (State.PENDING_APPROVAL, State.SCHEDULED, State.PLANNED)
        states = (State.RUNNING,) if request.state == State.RUNNING else waiting
        late = await self.approvals.end(request_id, State.CANCELLED, user, "", states)
        if not late or not await self.parts.store.stop(request_id, user):
            return late
        await self.parts.voice.show(request_id)
        return ""

    async def _not_theirs(self, request: Request, user: str) -> str:
        refusal = NotAllowed([f"{ONLY_ASKER} cancel this request."])
        await self.acting.turned_away(user, "cancel", refusal, request.id)
        return str(refusal)

    # --- facts ------------------------------------------------------------------------------------

    async def facts(self, request: Request) -> RequestFacts:
        """What messages and views show of a request now."""
        ledger, store = self.parts.ledger, self.parts.store
        counts = await ledger.counts(request.id)
        operation = self.acting.operation(request.operation)
        first = await ledger.sample(request.id, SAMPLE)
        decision = await store.decision_on(request.id) if operation.wishes else None
        decided = await ledger.sample(decision.id, 1) if decision else []
        votes = await store.votes(request.id) if request.demands else {}
        return RequestFacts(
            id=request.id,
            operation=request.operation,
            state=State(request.state),
            requester=request.requester,
            parameters=request.parameters,
            digest=request.digest,
            account=request.account,
            own_account=request.own_account,
            counts=counts,
            sample=[as_record(row) for row in first],
            left_out=await ledger.left_out(request.id) if request.left_out else [],
            left_out_many=request.left_out,
            missed=counts.missed if request.state in OVER else 0,
            words=request.words,
            reply=request.reply,
            sent_comment=request.comment or comment_back(operation, request, first),
            unsigned=self._unsigned(request),
            approvers=" ".join(dict.fromkeys(str(each["why"]) for each in request.demands)),
            approvals_needed=needed(request),
            approved_by=[user for user, why in votes.items() if not why],
            lapsed=lapsed_words(votes),
            decided_by=request.decided_by,
            decided_why=request.decided_why,
            created=request.created_at,
            started=request.started_at,
            ended=request.ended_at,
            run_at=request.run_at,
            wished=request.wished_at,
            notes=request.notes,
            source=request.source,
            asked_by=await self._asked_by(request),
            relation=request.relation,
            program=request.program,
            reason=request.reason,
            cancelling=request.cancelling,
            undoable=await self._undoable(request, operation, counts),
            decided_upon=decision.state if decision else "",
            decision_by=decision.requester if decision else "",
            decision_words=(decision.reply or decision.words) if decision else "",
            decision_after=decided[0].after if decided else {},
            quiet_from=self._quiet(operation.vendor),
        )

    async def _undoable(self, request: Request, operation: Operation, counts: Counts) -> bool:
        """True where something of what it changed can go back, and has not yet."""
        if not counts.changed or request.state not in OVER or request.relation == "undo":
            return False
        undone = await self.parts.ledger.undone(request.id)
        async for row in self.parts.ledger.all(request.id, (Result.CHANGED,)):
            if row.record_id not in undone and operation.revert(as_record(row)).changes:
                return True
        return False

    def _unsigned(self, request: Request) -> bool:
        """True where a comment under the shared account has no room for a name."""
        nameless = bool(request.comment) and not request.comment.endswith(" via Amend]")
        return self.parts.attribution and not request.own_account and nameless

    async def _asked_by(self, request: Request) -> str:
        """Who asked for what a decision is about; "" for other requests."""
        if request.relation != "decision":
            return ""
        source = await self.parts.store.request(request.source)
        return source.requester if source else ""

    def _quiet(self, vendor: str) -> float | None:
        """When the vendor's next quiet window begins (or began, if it is open)."""
        windows = self.parts.policy.quiet_windows(vendor)
        span = next_window(windows, self.parts.clock())
        return span[0] if span else None


def comment_back(operation: Operation, request: Request, rows: Sequence[Row]) -> str:
    """The words that an undo sends along, where the vendor asks for some; "" for none."""
    if request.relation != "undo" or not rows:
        return ""
    return (rows[0].changes or {}).get(operation.comment, "")
