"""Approvals: votes bound to a plan's digest, by people who may, checked each time they count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot import tracing
from bot.db.ledger import as_record
from bot.db.tables import Request
from bot.domain import access
from bot.domain.errors import NotNow
from bot.domain.operations import Operation, Record, Result
from bot.domain.plans import OVER, State
from bot.domain.policy import Demand, quoted
from bot.domain.quiet import next_window
from bot.pipeline.acting import Acting
from bot.pipeline.parts import Parts, barred_as_sent
from integrations.errors import VendorError

PAGE = 1000


@dataclass
class Approvals:
    """Votes, rejections and reminders of requests that wait for somebody."""

    parts: Parts
    acting: Acting

    async def approve(self, request_id: str, digest: str, user: str) -> str:
        """One person's approval; the sentence that they are told, "" where the card says it all."""
        request = await self._pending(request_id)
        if request is None or request.state != State.PENDING_APPROVAL or request.digest != digest:
            return no_longer(request)
        with tracing.following("request.approve", request.id, request.operation):
            return await self._approved(request, user)

    async def _pending(self, request_id: str) -> Request | None:
        """The request as it is now; one whose time to be decided on is over expires with this."""
        request = await self.parts.store.request(request_id)
        if request is None or not self.is_late(request):
            return request
        await self.expire(request_id)
        return await self.parts.store.request(request_id)

    def is_late(self, request: Request) -> bool:
        """True where it waited for a decision longer than policy lets it."""
        waits = request.state == State.PENDING_APPROVAL and request.expires_at is not None
        return waits and (request.expires_at or 0.0) <= self.parts.clock()

    async def _approved(self, request: Request, user: str) -> str:
        decision = await self.may(request, user)
        if not decision.allowed:
            return await self._refused(request, user, decision)
        assert decision.account is not None  # noqa: S101 - who may has an account
        voters = await self.parts.store.vote(request.id, user, request.digest, decision.account)
        if not voters:
            return no_longer(await self.parts.store.request(request.id))
        words = await self._count(request, user, voters)
        await self.parts.voice.show(request.id, "ask")
        return words

    async def recount(self, request: Request) -> None:
        """A pending request that has its votes: they could not be counted when the last one came."""
        votes = await self.parts.store.votes(request.id)
        if len(votes) < needed(request) or not self._switched_on(request):
            return
        await self._count(request, list(votes)[-1], list(votes))
        if await self.parts.store.votes(request.id) != votes:
            await self.parts.voice.show(request.id, "ask")

    def _switched_on(self, request: Request) -> bool:
        """False where its vendor is switched off: it waits until it is back, or expires."""
        return self.parts.registry.by_name(request.operation) is not None

    async def _count(self, request: Request, user: str, voters: Sequence[str]) -> str:
        """Start it where enough votes hold; else the sentence for who gave the last one, "" where
        the card says it all."""
        try:
            lapsed = await self._lapsed(request, voters)
        except NotNow as error:
            return f"Your approval is recorded. It cannot be counted just now: {error}"
        await self.parts.store.lapse(request.id, lapsed)
        holding = [each for each in voters if not lapsed[each]]
        if len(holding) >= needed(request):
            last = user if user in holding else holding[-1]
            await self._start(request, last, holding)
            return ""
        gone = lapsed_words(lapsed)
        return f"Your approval is recorded. {gone}" if gone else ""

    async def _start(self, request: Request, user: str, voters: Sequence[str]) -> None:
        """The last vote: it runs now, or at the time that was wished for."""
        now = self.parts.clock()
        wished = self._wished(request, now)
        later = wished is not None and wished > now
        won = await self.parts.store.move(
            request.id,
            (State.PENDING_APPROVAL,),
            State.SCHEDULED if later else State.RUNNING,
            actor=user,
            action="request:approved",
            facts={"digest": request.digest, "approvers": list(voters)},
            run_at=wished if later else None,
            released_at=now,
            decided_by=user,
        )
        if won and not later:
            await self.parts.start("carry_out", request.id)

    def _wished(self, request: Request, now: float) -> float | None:
        """When it is to run: a quiet window may have passed while somebody had to approve."""
        if not request.in_quiet:
            return request.wished_at
        vendor = self.acting.operation(request.operation).vendor
        span = next_window(self.parts.policy.quiet_windows(vendor), now)
        return span[0] if span else None

    async def reject(self, request_id: str, digest: str, user: str, why: str) -> str:
        """One person's rejection ends a pending request."""
        request = await self._pending(request_id)
        if request is None or request.state != State.PENDING_APPROVAL or request.digest != digest:
            return no_longer(request)
        with tracing.following("request.approve", request.id, request.operation):
            decision = await self.may(request, user)
            if not decision.allowed:
                return await self._refused(request, user, decision)
        return await self.end(request_id, State.REJECTED, user, why, (State.PENDING_APPROVAL,))

    async def expire(self, request_id: str) -> None:
        waiting = (State.PENDING_APPROVAL,)
        await self.end(request_id, State.EXPIRED, "amend", "", waiting)

    async def remind(self, request: Request) -> None:
        """Say once more that it waits, in doubling intervals."""
        gap = self.parts.policy.approvals.remind_after * 2.0 ** (request.reminders + 1)
        again = self.parts.clock() + gap
        if await self.parts.store.reminded(request.id, request.reminders, again):
            await self.parts.voice.remind(request.id)

    async def end(
        self, request_id: str, to: State, user: str, why: str, states: Sequence[State]
    ) -> str:
        """End a request that has not begun; the sentence for who was too late, else ""."""
        won = await self.parts.store.move(
            request_id,
            states,
            to,
            actor=user,
            action=f"request:{to}",
            facts={"why": why},
            decided_by=user,
            decided_why=why,
            ended_at=self.parts.clock(),
            unbegun=State.RUNNING in states,
            rest=f"the request was {to}",
        )
        request = await self.parts.store.request(request_id)
        if request is not None:
            # Also for who was too late: it may be this very deed, whose telling failed.
            await self._show(request)
        return "" if won else no_longer(request)

    async def _show(self, request: Request) -> None:
        beside = ["ask"] if request.demands else []
        if request.state in OVER and request.started_at is not None:
            beside.append("reply")  # it stopped in a pause, half done
        await self.parts.voice.show(request.id, *beside)

    async def still_approved(self, request: Request) -> bool:
        """Checked again when the run starts: enough votes for this plan hold. Raises `NotNow`."""
        if not request.demands:
            return not await self._undecided(request)
        lapsed = await self._lapsed(request, list(await self.parts.store.votes(request.id)))
        return list(lapsed.values()).count("") >= needed(request)

    async def _undecided(self, request: Request) -> str:
        """Why its asker may not take the decision that it is (any more); "" where they may."""
        operation = self.acting.operation(request.operation)
        if not operation.decides:
            return ""
        rows = self.parts.ledger.all(request.id, (Result.TO_SEND,))
        records = [as_record(row) async for row in rows]
        try:
            return await self.acting.undecided(
                operation, request.requester, request.channel, records
            )
        except VendorError as error:
            raise NotNow([f"It cannot be known now who may decide: {error}"]) from error

    # --- who may ----------------------------------------------------------------------------------

    async def may(self, request: Request, user: str) -> access.Decision:
        """May this person decide on this request, on all of its records? With reasons."""
        demands = [demand(each) for each in request.demands]
        wanted = [group for each in demands for group in each.groups]
        operation = self.acting.operation(request.operation)
        accounts = await self.parts.store.accounts(request.team, request.requester)
        own = accounts.get(operation.vendor)
        groups, not_known = await self.parts.directory.groups(user, wanted)
        decision = access.may_approve(
            self._approved_as(operation),
            access.Voter(
                await self.parts.directory.caller(user, fresh=True),
                groups,
                not_known,
                await self._linked(operation, user),
            ),
            access.Asker(
                request.requester,
                own.account if own else "",
                (
                    *await self._linked(operation, request.requester),
                    *([request.account] if request.own_account else []),
                ),
            ),
            demands,
            self.parts.policy,
        )
        if not decision.allowed:
            return decision
        try:
            why = await self._barred(request, operation, user, decision)
        except VendorError as error:
            words = f"Your own rights on these records cannot be checked now: {quoted(str(error))}"
            return access.Decision(access.Answer.NOT_NOW, (words,))
        return access.Decision(access.Answer.NO, (why,)) if why else decision

    async def _linked(self, operation: Operation, user: str) -> tuple[str, ...]:
        """The accounts whose credentials somebody has stored for this vendor."""
        linked = await self.parts.vault.linked(self.parts.directory.team, user)
        return tuple(linked[each] for each in linked if each == operation.vendor)

    def _approved_as(self, operation: Operation) -> Operation:
        return self.acting.operation(operation.approved_as) if operation.approved_as else operation

    async def _barred(
        self, request: Request, asked_for: Operation, user: str, decision: access.Decision
    ) -> str:
        """Why the approver may not do this on all of its records; "" if they may.

        What decides on somebody's wish is not approved by them either. Raises a `VendorError`
        where the vendor does not say.
        """
        operation = self._approved_as(asked_for) if asked_for.decides else asked_for
        if decision.account is None or decision.reach is None:
            return "It is not known through which account."
        parameters = self.acting.parameters(request)
        if not isinstance(parameters, operation.parameters):
            parameters = operation.parameters.model_construct()
        barred = partial(
            barred_as_sent,
            operation,
            parameters,
            account=decision.account,
            reach=decision.reach,
        )

        async def asked(
            page: Sequence[tuple[Record, Mapping[str, str] | None]],
        ) -> Mapping[str, str]:
            found = await barred(page)
            return found or await self.acting.own_wishes(operation, user, [r for r, _ in page])

        page: list[tuple[Record, Mapping[str, str] | None]] = []
        async for row in self.parts.ledger.all(request.id, (Result.TO_SEND,)):
            page.append((as_record(row), row.changes))
            if len(page) == PAGE:
                if found := await asked(page):
                    return _outside(found)
                page = []
        return _outside(await asked(page))

    async def _lapsed(self, request: Request, voters: Sequence[str]) -> dict[str, str]:
        """Why each vote does not hold at this moment, "" where it does: one account has one vote.

        Raises `NotNow` where it cannot be known of somebody on whom it depends.
        """
        found, by_account, unsure = dict[str, str](), dict[str, str](), list[str]()
        for each in voters:
            decision = await self.may(request, each)
            unsure += decision.reasons if decision.unsure else ()
            if not decision.allowed or decision.account is None:
                found[each] = decision.reasons[0]
                continue
            first = by_account.setdefault(decision.account.account.casefold(), each)
            found[each] = "" if first == each else f"<@{first}> has approved through that account."
        if unsure and len(by_account) < needed(request):
            raise NotNow(unsure[:1])
        return found

    async def _refused(self, request: Request, user: str, decision: access.Decision) -> str:
        """The sentence for who may not. What cannot be known now counts against nobody."""
        words = " ".join(decision.reasons)
        if decision.unsure:
            return f"Not now, please try again: {words}"
        facts = {"reasons": list(decision.reasons)}
        await self.parts.store.note(user, "request:vote_refused", request.id, facts)
        return words


def _outside(found: Mapping[str, str]) -> str:
    if not found:
        return ""
    record, why = next(iter(found.items()))
    more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
    return f"You may not decide on {record}{more}: {why}."


def needed(request: Request) -> int:
    """How many approvals a request needs; 0 for none."""
    return max((int(each["approvers"]) for each in request.demands), default=0)


def lapsed_words(lapsed: Mapping[str, str]) -> str:
    """Whose vote does not count, and why, a sentence each; "" where all do."""
    return " ".join(
        f"The approval of <@{user}> does not count any more: {why}"
        for user, why in lapsed.items()
        if why
    )


def demand(stored: Mapping[str, Any]) -> Demand:
    return Demand(
        approvers=int(stored["approvers"]),
        groups=tuple(stored["groups"]),
        people=tuple(stored["people"]),
        roles=tuple(stored["roles"]),
        why=str(stored["why"]),
    )


def no_longer(request: Request | None) -> str:
    """What somebody is told whose button came too late."""
    if request is None:
        return "This request is not known any more."
    words = {
        State.PLANNED: "has another plan than this",
        State.RUNNING: "is running already",
        State.PENDING_APPROVAL: "was planned again since; look at its newest card",
    }
    state = State(request.state)
    by = f" by <@{request.decided_by}>" if request.decided_by.startswith(("U", "W")) else ""
    return f"Request {request.id} {words.get(state, f'is {state.value}')}{by}."
