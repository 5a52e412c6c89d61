"""The one way of every request: decide, plan, decide again, approve, hand to the run."""

from __future__ import annotations

import secrets
import time
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.db.ledger import Ledger, as_record
from bot.db.store import Store
from bot.db.tables import Request
from bot.domain import access
from bot.domain.errors import AmendError, Denied, invalid
from bot.domain.operations import Operation, Record, Registry, Result, canonical
from bot.domain.parameters import Parameters, given, read, wire
from bot.domain.people import Caller
from bot.domain.plans import Digest, RequestFacts, State
from bot.domain.policy import Demand, Policy
from integrations.errors import BadCredentials, Temporary, VendorError

ACCEPT_WITHIN = 1.0  # seconds that an acknowledgement may wait for the record
LONG_WAIT = 60.0  # seconds; a vendor that asks for more gets a scheduled request
SAMPLE = 5
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTVWXYZ"
_PAGE = 1000


class Directory(Protocol):
    """Who is who in Slack."""

    async def caller(self, user: str, *, fresh: bool = False) -> Caller: ...
    async def groups(self, user: str, groups: Sequence[str]) -> frozenset[str]: ...
    @property
    def team(self) -> str: ...


class Voice(Protocol):
    """How the pipeline speaks: privately to the caller, or by the messages that everybody sees."""

    async def planned(self, request: Request, facts: RequestFacts) -> None: ...
    async def refused(self, request: Request, error: AmendError) -> None: ...
    async def show(self, request_id: str) -> None: ...
    async def reply(self, request_id: str) -> None: ...
    async def ask(self, request_id: str) -> None: ...


Start = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True)
class Origin:
    """Where a request comes from; `key` is the same for each redelivery of the same act."""

    key: str
    user: str
    channel: str
    thread_ts: str = ""
    view_id: str = ""
    response_url: str = ""


@dataclass
class Pipeline:
    """Joins store, vendors, directory, policy and voice; holds no state of its own."""

    store: Store
    ledger: Ledger
    registry: Registry
    directory: Directory
    policy: Policy
    voice: Voice
    start: Start
    attribution: bool = True
    clock: Callable[[], float] = field(default=time.time)

    # --- understand and accept -----------------------------------------------------------------

    def operation(self, name: str) -> Operation:
        found = self.registry.by_name(name)
        if found is None:
            message = f"`{name}` is not switched on here."
            raise Denied([message])
        return found

    def needs_review(self, operation: Operation, parameters: Parameters) -> bool:
        """True unless one record is named and neither an approval nor an execution is due."""
        if not operation.single(parameters) or operation.executes(parameters):
            return True
        return bool(self.policy.demands(operation.name, given(parameters), 1))

    async def accept(
        self, operation: Operation, parameters: Parameters, origin: Origin, *, direct: bool
    ) -> str | None:
        """Record the request durably; its id, or None for a redelivery.

        Raises `TimeoutError` or a database error where it could not be recorded in time.
        """
        now = self.clock()
        request = Request(
            id=f"R{''.join(secrets.choice(_ALPHABET) for _ in range(7))}",
            origin=origin.key,
            operation=operation.name,
            parameters=canonical(parameters),
            team=self.directory.team,
            requester=origin.user,
            channel=origin.channel,
            thread_ts=origin.thread_ts,
            view_id=origin.view_id,
            response_url=origin.response_url,
            direct=direct,
            state=State.RECEIVED,
            created_at=now,
        )
        accepted = await self.store.accept(request, time.monotonic() + ACCEPT_WITHIN)
        return request.id if accepted else None

    def parameters(self, request: Request) -> Parameters:
        return read(self.operation(request.operation).parameters, request.parameters)

    # --- decide ----------------------------------------------------------------------------------

    async def decide(self, operation: Operation, user: str, channel: str) -> access.Decision:
        """May this person do this, here and now? Always with reasons."""
        caller = await self.directory.caller(user)
        people = await self.store.mapped(self.directory.team, operation.vendor)
        return access.decide(operation, caller, channel, self.policy, people)

    async def require(self, operation: Operation, user: str, channel: str) -> access.Decision:
        """The same; raises `Denied` for a no."""
        decision = await self.decide(operation, user, channel)
        if not decision.allowed:
            raise Denied(decision.reasons)
        return decision

    # --- plan ------------------------------------------------------------------------------------

    async def prepare(self, request_id: str) -> float | None:
        """Plan a request that was received. Seconds to wait where the vendor asks for a pause.

        A direct one goes on to its run at once; the others are shown for review.
        """
        request = await self.store.request(request_id)
        if request is None or request.state not in (State.RECEIVED, State.SCHEDULED):
            return None
        try:
            await self._plan(request)
        except Temporary as error:
            return await self._vendor_waits(request, error)
        except (AmendError, VendorError) as error:
            await self._turn_down(request, error)
            return None
        planned = await self.store.request(request_id)
        if planned is not None and planned.direct:
            await self._go_directly(planned)
        elif planned is not None:
            await self.voice.planned(planned, await self.facts(planned))
        return None

    async def _plan(self, request: Request) -> None:
        operation = self.operation(request.operation)
        parameters = self.parameters(request)
        decision = await self.require(operation, request.requester, request.channel)
        await operation.check(parameters)
        if decision.account is None or decision.reach is None:
            raise Denied(decision.reasons)
        comment = await self._comment(operation, parameters, request.requester)
        digest = Digest(operation.name, {**canonical(parameters), "as sent": comment})
        await self.ledger.clear(request.id)
        many = left_out = 0
        page: list[Record] = []
        async for record in operation.plan(parameters, decision.account, decision.reach):
            digest.add(record)
            page.append(record)
            many += 1
            left_out += bool(record.left_out)
            if len(page) == _PAGE:
                await self.ledger.add(request.id, many - len(page), page)
                page = []
        if page:
            await self.ledger.add(request.id, many - len(page), page)
        if not many:
            message = f"{operation.vendor_title} lists no {operation.noun[0]} for this selection."
            raise invalid(message)
        demands = self.policy.demands(operation.name, given(parameters), many - left_out)
        await self.store.move(
            request.id,
            (State.RECEIVED, State.SCHEDULED),
            State.PLANNED,
            actor=request.requester,
            action="request:planned",
            facts={"digest": digest.hex(), "records": many, "left_out": left_out},
            digest=digest.hex(),
            records=many,
            left_out=left_out,
            comment=comment,
            demands=[_demand_json(demand) for demand in demands],
            planned_at=self.clock(),
            run_at=None,
        )

    async def _comment(self, operation: Operation, parameters: Parameters, user: str) -> str:
        """The comment as it will be sent: with the human's name, where that fits the limit."""
        typed = getattr(parameters, operation.comment, None) if operation.comment else None
        if not typed:
            return ""
        if not self.attribution:
            return str(typed)
        name = plain_name((await self.directory.caller(user)).name)
        signed = f"{typed} [{name} via Amend]"
        most = operation.params()[operation.comment].most
        return str(typed) if most is not None and len(signed) > most else signed

    async def _vendor_waits(self, request: Request, error: Temporary) -> float | None:
        if error.wait is None or not request.direct or error.wait <= LONG_WAIT:
            await self._turn_down(request, error)
            return None
        await self.store.move(
            request.id,
            (State.RECEIVED, State.SCHEDULED),
            State.SCHEDULED,
            actor="amend",
            action="request:scheduled",
            facts={"reason": str(error), "seconds": error.wait},
            words=str(error),
            run_at=self.clock() + error.wait,
        )
        await self.voice.show(request.id)
        return error.wait

    async def _turn_down(self, request: Request, error: Exception) -> None:
        """The request ends before anything was sent, and the caller is told why."""
        denied = isinstance(error, AmendError)
        await self.store.move(
            request.id,
            (State.RECEIVED, State.SCHEDULED, State.PLANNED),
            State.DENIED if denied else State.FAILED,
            actor="amend",
            action="request:denied" if denied else "request:failed",
            facts={"reasons": str(error)},
            words=str(error),
            ended_at=self.clock(),
        )
        shown = error if isinstance(error, AmendError) else AmendError(explain(error))
        await self.voice.refused(request, shown)

    async def _go_directly(self, request: Request) -> None:
        facts = await self.facts(request)
        if facts.to_send == 0 and facts.counts.unchanged == 0:
            reasons = [f"{ids[0]}: {reason}." for reason, _, ids in facts.left_out]
            await self._turn_down(request, invalid(" ".join(reasons)))
            return
        await self.submit(request.id, request.digest, request.requester)

    # --- submit, approve, cancel -----------------------------------------------------------------

    async def submit(self, request_id: str, digest: str, user: str) -> State | None:
        """Start a planned request, or ask for its approval; None where it is not theirs to start.

        Compare-and-set: a second submission of the same plan finds nothing to do.
        """
        request = await self.store.request(request_id)
        if request is None or request.requester != user or request.digest != digest:
            return None
        to = State.PENDING_APPROVAL if request.demands else State.RUNNING
        expires = self.clock() + self.policy.approvals.expires_after if request.demands else None
        moved = await self.store.move(
            request_id,
            (State.PLANNED,),
            to,
            actor=user,
            action="request:submitted",
            facts={"digest": digest, "demands": request.demands},
            started_at=None if request.demands else self.clock(),
            expires_at=expires,
        )
        return to if moved else None

    async def follow(self, request_id: str) -> None:
        """What comes after a submission: the messages, and the run where none has to approve."""
        request = await self.store.request(request_id)
        if request is None:
            return
        if request.state == State.RUNNING:
            await self.start("carry_out", request_id)
        elif request.state == State.PENDING_APPROVAL:
            await self.voice.show(request_id)
            await self.voice.ask(request_id)

    async def approve(self, request_id: str, digest: str, user: str) -> str:
        """One person's approval; the sentence that they are told, "" where the card says it all."""
        request = await self.store.request(request_id)
        if request is None or request.state != State.PENDING_APPROVAL or request.digest != digest:
            return _no_longer(request)
        decision = await self._may_approve(request, user)
        if not decision.allowed:
            await self.store.note(
                user, "request:vote_refused", request_id, {"reasons": list(decision.reasons)}
            )
            return " ".join(decision.reasons)
        voters = await self.store.vote(request_id, user, digest)
        if not voters:
            return _no_longer(await self.store.request(request_id))
        if len(await self._standing(request, voters)) >= _needed(request):
            won = await self.store.move(
                request_id,
                (State.PENDING_APPROVAL,),
                State.RUNNING,
                actor=user,
                action="request:approved",
                facts={"digest": digest, "approvers": voters},
                started_at=self.clock(),
                decided_by=user,
            )
            if won:
                await self.start("carry_out", request_id)
        await self.voice.ask(request_id)
        await self.voice.show(request_id)
        return ""

    async def reject(self, request_id: str, digest: str, user: str, why: str) -> str:
        """One person's rejection ends a pending request."""
        request = await self.store.request(request_id)
        if request is None or request.state != State.PENDING_APPROVAL or request.digest != digest:
            return _no_longer(request)
        decision = await self._may_approve(request, user)
        if not decision.allowed:
            return " ".join(decision.reasons)
        return await self._end(request_id, State.REJECTED, user, why, (State.PENDING_APPROVAL,))

    async def cancel(self, request_id: str, user: str) -> str:
        """The requester's (or an approver's) stop: before the run at once, else after the call."""
        request = await self.store.request(request_id)
        if request is None or request.requester != user:
            return "Only the person who asked can cancel this request."
        if request.state == State.RUNNING:
            await self.store.set_fields(request_id, cancelling=True)
            await self.voice.show(request_id)
            return ""
        waiting = (State.PENDING_APPROVAL, State.SCHEDULED)
        return await self._end(request_id, State.CANCELLED, user, "", waiting)

    async def expire(self, request_id: str) -> None:
        await self._end(request_id, State.EXPIRED, "amend", "", (State.PENDING_APPROVAL,))

    async def _end(
        self, request_id: str, to: State, user: str, why: str, states: Sequence[State]
    ) -> str:
        won = await self.store.move(
            request_id,
            states,
            to,
            actor=user,
            action=f"request:{to}",
            facts={"why": why},
            decided_by=user,
            decided_why=why,
            ended_at=self.clock(),
        )
        if not won:
            return _no_longer(await self.store.request(request_id))
        await self.ledger.close_rest(request_id, f"the request was {to}")
        await self.voice.ask(request_id)
        await self.voice.show(request_id)
        return ""

    async def _may_approve(self, request: Request, user: str) -> access.Decision:
        demands = [_demand(each) for each in request.demands]
        wanted = [group for demand in demands for group in demand.groups]
        accounts = await self.store.accounts(request.team, request.requester)
        operation = self.operation(request.operation)
        own = accounts.get(operation.vendor)
        return access.may_approve(
            operation,
            await self.directory.caller(user, fresh=True),
            request.requester,
            own.account if own else "",
            demands,
            await self.directory.groups(user, wanted),
            self.policy,
        )

    async def _standing(self, request: Request, voters: Sequence[str]) -> list[str]:
        """The votes that still hold at this moment."""
        return [each for each in voters if (await self._may_approve(request, each)).allowed]

    async def still_approved(self, request: Request) -> bool:
        """Checked again when the run starts: enough votes for this plan hold."""
        if not request.demands:
            return True
        voters = await self.store.approvers(request.id)
        return len(await self._standing(request, voters)) >= _needed(request)

    # --- facts -----------------------------------------------------------------------------------

    async def facts(self, request: Request) -> RequestFacts:
        """What messages and views show of a request now."""
        sample = await self.ledger.records(request.id, list(Result), SAMPLE + 15)
        kept = [as_record(row) for row in sample if not row.left_out][:SAMPLE]
        return RequestFacts(
            id=request.id,
            operation=request.operation,
            state=State(request.state),
            requester=request.requester,
            parameters=request.parameters,
            digest=request.digest,
            counts=await self.ledger.counts(request.id),
            sample=kept,
            left_out=await self.ledger.left_out(request.id),
            words=request.words,
            reply=request.reply,
            sent_comment=request.comment,
            approvers=self._approver_words(request),
            approvals_needed=_needed(request),
            approved_by=await self.store.approvers(request.id) if request.demands else (),
            decided_by=request.decided_by,
            decided_why=request.decided_why,
            created=request.created_at,
            started=request.started_at,
            ended=request.ended_at,
            run_at=request.run_at,
        )

    def _approver_words(self, request: Request) -> str:
        return " ".join(dict.fromkeys(str(each["why"]) for each in request.demands))


def changes_on_the_wire(
    operation: Operation, parameters: Parameters, comment: str
) -> Mapping[str, str]:
    """The change parameters as sent: only those that were set, the comment as reviewed."""
    changes = {name: wire(value) for name, value in operation.changes(parameters).items()}
    if comment:
        changes[operation.comment] = comment
    return changes


def plain_name(name: str) -> str:
    """A person's name in ASCII, as it may stand in any vendor's comment."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return " ".join(folded.replace("[", "").replace("]", "").split()) or "a person"


def explain(error: Exception) -> str:
    """A vendor's failure before anything was sent, in one or two plain sentences."""
    if isinstance(error, BadCredentials):
        return f"{error} Nothing was sent; please tell an administrator of Amend."
    if isinstance(error, Temporary) and error.wait:
        return f"{error} Nothing was sent; try again in {int(error.wait) + 1} s."
    return f"{error} Nothing was sent."


def _needed(request: Request) -> int:
    return max((int(each["approvers"]) for each in request.demands), default=0)


def _demand_json(demand: Demand) -> dict[str, Any]:
    return {
        "approvers": demand.approvers,
        "groups": list(demand.groups),
        "people": list(demand.people),
        "roles": list(demand.roles),
        "why": demand.why,
    }


def _demand(stored: Mapping[str, Any]) -> Demand:
    return Demand(
        approvers=int(stored["approvers"]),
        groups=tuple(stored["groups"]),
        people=tuple(stored["people"]),
        roles=tuple(stored["roles"]),
        why=str(stored["why"]),
    )


def _no_longer(request: Request | None) -> str:
    if request is None:
        return "This request is not known any more."
    words = {
        State.RUNNING: "is running already",
        State.PENDING_APPROVAL: "was planned again since; look at its newest card",
    }
    state = State(request.state)
    by = f" by <@{request.decided_by}>" if request.decided_by.startswith(("U", "W")) else ""
    return f"Request {request.id} {words.get(state, f'is {state.value}')}{by}."
