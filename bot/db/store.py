"""The store: requests, drafts, people and votes; one method is one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

from sqlalchemy import delete, func, or_, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db import audit
from bot.db.engine import close_engine
from bot.db.fence import still_ours
from bot.db.tables import (
    CARDS,
    Credential,
    Delivered,
    Delivery,
    Draft,
    Mapping,
    News,
    PlannedRecord,
    Request,
    Vote,
)
from bot.db.tokens import end_of_unmapped
from bot.db.turns import Turns
from bot.db.upsert import put
from bot.domain.clocks import APART
from bot.domain.operations import Result
from bot.domain.people import Account
from bot.domain.plans import OVER, State, steps
from bot.domain.receipts import receipt_head, receipt_row

ENDS_WITHIN = 0.8  # seconds; with the time limit before it an acknowledgement keeps within three


class NotKnown(Exception):
    """Whether something was recorded cannot be known now."""


class Store:
    """Requests and what belongs to them. `clock` gives epoch seconds."""

    def __init__(
        self,
        engine: AsyncEngine,
        quick: AsyncEngine | None = None,
        clock: Callable[[], float] = time.time,
        *,
        reader: AsyncEngine | None = None,
    ) -> None:
        self.engine = engine
        # What only looks goes through an engine whose transactions take no lock, where there is one.
        self.reader = reader
        # What must be recorded before an acknowledgement goes through an engine that gives up soon.
        self.quick = quick or engine
        self.clock = clock
        self._turns = Turns() if engine.dialect.name == "sqlite" else None

    @asynccontextmanager
    async def transaction(self, engine: AsyncEngine | None = None) -> AsyncIterator[AsyncSession]:
        """One transaction, committed where the block ends well; `engine` is `quick` or nothing.

        Its end is not cut short by a cancellation: the turn is passed on only once the write lock is
        let go and the connection is back in its pool. What somebody waits for (`quick`) is told as it
        is: a time limit that strikes during a commit does not count where the commit succeeds.
        """
        async with self._turn(hurried=engine is not None):
            session = AsyncSession(engine or self.engine, expire_on_commit=False)
            try:
                yield session
            except BaseException:
                with suppress(DBAPIError):  # a connection that is lost has rolled back by itself
                    await _to_the_end(session.close())  # which rolls back
                raise
            await _to_the_end(_commit(session), heed=engine is None)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """One look at what is committed; it neither waits for whoever writes nor holds them up."""
        if self.reader is None:
            async with self.transaction() as session:
                yield session
            return
        session = AsyncSession(self.reader, expire_on_commit=False)
        try:
            yield session
        finally:
            await _to_the_end(session.close())

    def _turn(self, *, hurried: bool) -> AbstractAsyncContextManager[None]:
        return self._turns.take(hurried=hurried) if self._turns else nullcontext()

    async def close(self) -> None:
        """Close the database; nothing may be asked of the store any more."""
        for engine in {self.engine, self.quick, self.reader or self.engine}:
            await close_engine(engine)

    async def ping(self) -> None:
        """Raises where the database does not answer."""
        async with self.transaction(self.quick) as session:
            await session.exec(select(1))

    # --- requests ---------------------------------------------------------------------------------

    async def accept(self, request: Request, deadline: float) -> bool:
        """Record a request durably; False where its `origin` is known already.

        Raises `TimeoutError` where `deadline` (`time.monotonic`) passed before the write lock was
        had, and the database's error where it failed: then nothing is recorded, so what is told "not
        accepted" never runs. Raises `NotKnown` where the answer to the commit was lost, and it
        cannot be looked up either.
        """
        try:
            async with self.transaction(self.quick) as session:
                _check(deadline)
                session.add(request)
                await session.flush()
                facts = {"operation": request.operation, "parameters": request.parameters}
                where = {"channel": request.channel, "thread": request.thread_ts}
                await audit.append(
                    session,
                    request.created_at,
                    request.requester,
                    "request:accepted",
                    request.id,
                    facts | where,
                )
                _check(deadline)
        except IntegrityError:
            return False
        except DBAPIError as error:
            return await self._stands(Request, request.id, error)
        return True

    async def _stands(self, kind: type[SQLModel], key: str, error: DBAPIError) -> bool:
        """True where a row was written although its transaction failed: only the answer was lost.

        Raises `error` where it was not, and `NotKnown` where that cannot be asked.
        """
        if not error.connection_invalidated:
            raise error  # the database itself said no
        try:
            async with asyncio.timeout(ENDS_WITHIN), self.reading() as session:
                stands = await session.get(kind, key)
        except Exception:
            raise NotKnown from error
        if stands is None:
            raise error
        return True

    async def take(self, key: str, kind: str, payload: dict[str, Any], deadline: float) -> bool:
        """Record a delivery before it is acknowledged; False where it is known already.

        Bounded like `accept`.
        """
        try:
            async with self.transaction(self.quick) as session:
                _check(deadline)
                session.add(Delivered(key=key, kind=kind, payload=payload, at=self.clock()))
        except IntegrityError:
            return False
        except DBAPIError as error:
            return await self._stands(Delivered, key, error)
        return True

    async def done(self, key: str) -> None:
        """A delivery that was taken has had its effect."""
        async with self.transaction() as session:
            await session.exec(
                update(Delivered).where(col(Delivered.key) == key).values(done_at=self.clock())
            )

    async def undone(self, older: float = 0.0) -> Sequence[Delivered]:
        """Deliveries acknowledged at least `older` seconds ago and not finished, oldest first."""
        async with self.reading() as session:
            before = self.clock() - older
            at = col(Delivered.at)
            # What was taken later than now was so by a clock that has been set back since.
            query = select(Delivered).where(
                col(Delivered.done_at).is_(None), or_(at <= before, at > self.clock() + APART)
            )
            return (await session.exec(query.order_by(col(Delivered.at)))).all()

    async def request(self, request_id: str) -> Request | None:
        async with self.reading() as session:
            return await session.get(Request, request_id)

    async def requests_in(self, states: Collection[State]) -> Sequence[Request]:
        """Requests in one of `states`, oldest first."""
        async with self.reading() as session:
            query = select(Request).where(col(Request.state).in_(states))
            return (await session.exec(query.order_by(col(Request.created_at)))).all()

    async def move(
        self,
        request_id: str,
        from_states: Collection[State],
        to: State,
        *,
        actor: str,
        action: str,
        facts: dict[str, Any] | None = None,
        unbegun: bool = False,
        rest: str | None = "",
        **fields: Any,
    ) -> bool:
        """Compare-and-set the state, with its audit entry; False where somebody was first.

        Raises `ValueError` for a step that the life of a request does not have (`plans.NEXT`).
        `unbegun`: only where it has not begun to run either. `rest`: why its records that are still
        to do end with it; None: no record of it is kept. The entry that ends a request names the
        SHA-256 of its receipt. Cards of it that are wanted already are wanted anew.
        """
        async with self.transaction() as session:
            statement = (
                update(Request)
                .where(col(Request.id) == request_id)
                .where(col(Request.state).in_(steps(from_states, to)))
                .where(*still_ours(request_id))
                .values(state=to, **fields)
            )
            if unbegun:
                statement = statement.where(col(Request.started_at).is_(None))
            done = await session.exec(statement)
            if _rows(done) != 1:
                return False
            if rest:
                await _end_rest(session, request_id, rest)
            if rest is None:
                await session.exec(
                    delete(PlannedRecord).where(col(PlannedRecord.request_id) == request_id)
                )
            await _draw_anew(session, request_id)
            if to in OVER:
                facts = {**(facts or {}), "receipt": await _receipt(session, request_id)}
            await audit.append(session, self.clock(), actor, action, request_id, facts)
            return True

    async def propose(self, request_id: str, owner: str, channel: str, reason: str) -> bool:
        """A program's plan gets its channel, once; False where it has one or is planned no more."""
        async with self.transaction() as session:
            done = await session.exec(
                update(Request)
                .where(
                    col(Request.id) == request_id,
                    col(Request.state) == State.PLANNED,
                    col(Request.program) != "",
                    col(Request.channel) == "",
                )
                .values(channel=channel, reason=reason)
            )
            if _rows(done) != 1:
                return False
            facts = {"channel": channel, "reason": reason}
            await audit.append(session, self.clock(), owner, "request:proposed", request_id, facts)
            return True

    async def begin(self, request_id: str) -> bool:
        """Note when a running request begins, the first time; False where it runs no more."""
        async with self.transaction() as session:
            running = (
                col(Request.id) == request_id,
                col(Request.state) == State.RUNNING,
                *still_ours(request_id),
            )
            await session.exec(
                update(Request)
                .where(*running, col(Request.started_at).is_(None))
                .values(started_at=self.clock(), words="")
            )
            return (await session.exec(select(Request.id).where(*running))).first() is not None

    async def set_fields(self, request_id: str, **fields: Any) -> None:
        async with self.transaction() as session:
            await session.exec(
                update(Request)
                .where(col(Request.id) == request_id, *still_ours(request_id))
                .values(**fields)
            )

    async def failed(self, request_id: str, retry_at: float) -> int:
        """Count a fault of ours on a request, to be tried again at `retry_at`; how many there were."""
        async with self.transaction() as session:
            await session.exec(
                update(Request)
                .where(col(Request.id) == request_id, *still_ours(request_id))
                .values(failures=col(Request.failures) + 1, retry_at=retry_at)
            )
            query = select(Request.failures).where(Request.id == request_id)
            return int((await session.exec(query)).first() or 0)

    async def stop(self, request_id: str, actor: str) -> bool:
        """Ask a running request to stop after the calls under way; False where it runs no more."""
        async with self.transaction() as session:
            done = await session.exec(
                update(Request)
                .where(col(Request.id) == request_id, col(Request.state) == State.RUNNING)
                .values(cancelling=True)
            )
            if _rows(done) != 1:
                return False
            await audit.append(session, self.clock(), actor, "request:stopping", request_id)
            return True

    async def stopping(self, request_id: str) -> bool:
        async with self.reading() as session:
            query = select(Request.cancelling).where(Request.id == request_id)
            return bool((await session.exec(query)).first())

    async def reminded(self, request_id: str, known: int, again_at: float) -> bool:
        """Count a reminder; False where another replica was first, or it waits no more."""
        async with self.transaction() as session:
            done = await session.exec(
                update(Request)
                .where(
                    col(Request.id) == request_id,
                    col(Request.reminders) == known,
                    col(Request.state) == State.PENDING_APPROVAL,
                )
                .values(reminders=known + 1, remind_at=again_at)
            )
            return _rows(done) == 1

    async def decision_on(self, source: str) -> Request | None:
        """The newest request that decides on what `source` made, once it runs; None for none."""
        async with self.reading() as session:
            query = (
                select(Request)
                .where(Request.source == source, Request.relation == "decision")
                .where(col(Request.state).in_((State.SUCCEEDED, State.RUNNING)))
                .order_by(col(Request.created_at).desc())
            )
            found: Request | None = (await session.exec(query)).first()
            return found

    async def listed(
        self, team: str, *, requester: str = "", channel: str = "", before: float = 0.0, limit: int
    ) -> Sequence[Request]:
        """Requests that were submitted, newest first: one person's, or one channel's."""
        unsubmitted = (State.RECEIVED, State.DENIED, State.PLANNED)
        async with self.reading() as session:
            query = select(Request).where(
                Request.team == team,
                col(Request.state).not_in(unsubmitted),
                # An approval that expired had a time to expire at; a review that was left has none.
                (col(Request.state) != State.EXPIRED) | col(Request.expires_at).is_not(None),
            )
            if requester:
                query = query.where(Request.requester == requester)
            if channel:
                query = query.where(Request.channel == channel)
            if before:
                query = query.where(Request.created_at < before)
            query = query.order_by(col(Request.created_at).desc()).limit(limit)
            return (await session.exec(query)).all()

    async def news_of(self, record_id: str, limit: int) -> Sequence[News]:
        """What watches noticed of a record, newest first; each change once."""
        async with self.reading() as session:
            query = select(News).where(News.record_id == record_id)
            rows = (await session.exec(query.order_by(col(News.noticed_at).desc()))).all()
        once = {(row.at, row.from_state, row.to_state): row for row in reversed(rows)}
        return list(reversed(once.values()))[:limit]

    async def note(self, actor: str, action: str, request_id: str, facts: dict[str, Any]) -> None:
        """An audit entry for something that changed no request."""
        async with self.transaction() as session:
            await audit.append(session, self.clock(), actor, action, request_id, facts)

    # --- votes ------------------------------------------------------------------------------------

    async def vote(self, request_id: str, approver: str, digest: str, as_: Account) -> list[str]:
        """Record an approval of a pending plan with this digest; all approvers so far, or [].

        `as_` is the vendor's account, with its role, by which they may. An empty list says that the
        request is not pending any more, or has another digest.
        """
        async with self.transaction() as session:
            query = select(Request).where(
                Request.id == request_id,
                Request.state == State.PENDING_APPROVAL,
                Request.digest == digest,
            )
            if (await session.exec(query.with_for_update())).first() is None:
                return []
            if await session.get(Vote, (request_id, approver)) is None:
                now = self.clock()
                facts = {"digest": digest, "role": as_.role, "account": as_.account}
                session.add(Vote(request_id=request_id, approver=approver, at=now, **facts))
                await audit.append(session, now, approver, "request:vote", request_id, facts)
            return await self._approvers(session, request_id)

    async def votes(self, request_id: str) -> dict[str, str]:
        """Who has approved, in order, and why that did not count at the last count ("": it did)."""
        async with self.reading() as session:
            query = select(Vote.approver, Vote.lapsed).where(Vote.request_id == request_id)
            return dict((await session.exec(query.order_by(col(Vote.at)))).all())

    async def lapse(self, request_id: str, lapsed: dict[str, str]) -> None:
        """Note of each vote why it does not count; "" for one that does."""
        async with self.transaction() as session:
            for approver, why in lapsed.items():
                vote = update(Vote).where(
                    col(Vote.request_id) == request_id, col(Vote.approver) == approver
                )
                await session.exec(vote.where(col(Vote.lapsed) != why).values(lapsed=why))

    @staticmethod
    async def _approvers(session: AsyncSession, request_id: str) -> list[str]:
        query = select(Vote.approver).where(Vote.request_id == request_id)
        return list((await session.exec(query.order_by(col(Vote.at)))).all())

    # --- drafts -----------------------------------------------------------------------------------

    async def save_draft(self, draft: Draft) -> None:
        async with self.transaction(self.quick) as session:
            await put(session, draft)

    async def hand_on(self, copy: Draft, by: str) -> None:
        """Keep a copy of what `by` filled in for the person it is handed to, once."""
        async with self.transaction() as session:
            if await session.get(Draft, copy.id) is not None:
                return
            facts = {"asked": copy.operation, "to": copy.slack_user}
            await put(session, copy)
            await audit.append(session, self.clock(), by, "request:handed_on", "", facts)

    async def draft(self, draft_id: str) -> Draft | None:
        async with self.reading() as session:
            return await session.get(Draft, draft_id)

    # --- people -----------------------------------------------------------------------------------

    async def accounts(self, team: str, slack_user: str) -> dict[str, Account]:
        """One person's accounts by vendor."""
        async with self.reading() as session:
            query = select(Mapping).where(Mapping.team == team, Mapping.slack_user == slack_user)
            rows = (await session.exec(query)).all()
            stored = select(Credential).where(
                Credential.team == team, Credential.slack_user == slack_user
            )
            linked = {each.vendor: each.account for each in (await session.exec(stored)).all()}
        return {row.vendor: _account(row, linked.get(row.vendor, "")) for row in rows}

    async def mapped(
        self, team: str | None, vendor: str | None = None
    ) -> list[tuple[str, Account]]:
        """Everybody who is mapped (in `team`, at `vendor`), as (Slack user id, account)."""
        async with self.reading() as session:
            query = select(Mapping)
            if team:
                query = query.where(Mapping.team == team)
            if vendor:
                query = query.where(Mapping.vendor == vendor)
            rows = await session.exec(query.order_by(Mapping.slack_user, Mapping.vendor))
            return [(row.slack_user, _account(row)) for row in rows.all()]

    async def import_people(
        self, team: str, rows: Sequence[tuple[str, Account]], *, replace: bool, actor: str
    ) -> None:
        """Add or replace entries, all or none; `replace` removes every other entry of the team.

        The audit entry names who was added, changed (from, to) and removed.
        """
        async with self.transaction() as session:
            await audit.alone(session)
            query = select(Mapping).where(Mapping.team == team)
            found = (await session.exec(query)).all()
            before = {(row.slack_user, row.vendor): _told(_account(row)) for row in found}
            if replace:
                await session.exec(delete(Mapping).where(col(Mapping.team) == team))
            for user, account in rows:
                await put(session, self._mapping(team, user, account))
            after = {(user, each.vendor): _told(each) for user, each in rows}
            await end_of_unmapped(session, team, self.clock())
            for user, vendor in _other_accounts(before, after, replace=replace):
                await self._forget(session, team, user, vendor, actor)
            facts = {"replace": replace, **_differences(before, after, replace=replace)}
            await audit.append(session, self.clock(), actor, "people:imported", "", facts)

    async def map_person(
        self, team: str, user: str, account: Account, actor: str, *, by_link: bool = False
    ) -> None:
        """Add or replace one entry; `by_link`: it ends with the person's own credentials.

        Those of the account that they were mapped to before are forgotten.
        """
        async with self.transaction() as session:
            await audit.alone(session)
            known = await session.get(Mapping, (team, user, account.vendor))
            before = _told(_account(known)) if known else None
            await put(session, self._mapping(team, user, account, by_link=by_link))
            if before and not by_link and _another(before, _told(account)):
                await self._forget(session, team, user, account.vendor, actor)
            facts = {
                "person": user,
                "vendor": account.vendor,
                "before": before,
                **_told(account),
                "by_link": by_link,
            }
            await audit.append(session, self.clock(), actor, "people:mapped", "", facts)

    async def _forget(
        self, session: AsyncSession, team: str, user: str, vendor: str, actor: str
    ) -> None:
        """Somebody's stored credentials, which belong to another account than theirs is now."""
        found = await session.get(Credential, (team, user, vendor))
        if found is not None:
            await session.delete(found)
            facts = {"vendor": vendor, "account": found.account, "person": user}
            await audit.append(session, self.clock(), actor, "link:removed", "", facts)

    def _mapping(self, team: str, user: str, account: Account, *, by_link: bool = False) -> Mapping:
        return Mapping(
            team=team,
            slack_user=user,
            vendor=account.vendor,
            account=account.account,
            role=account.role,
            scope=list(account.scope),
            updated_at=self.clock(),
            by_link=by_link,
        )

    async def unmap_person(self, team: str, user: str, vendor: str, actor: str) -> bool:
        """Remove one entry; False where there was none."""
        async with self.transaction() as session:
            found = await session.get(Mapping, (team, user, vendor))
            if found is None:
                return False
            await session.delete(found)
            await end_of_unmapped(session, team, self.clock())
            facts = {"person": user, "vendor": vendor, "account": found.account}
            await audit.append(session, self.clock(), actor, "people:unmapped", "", facts)
            return True

    async def end_linked(self, team: str, user: str, vendor: str, why: str) -> bool:
        """Remove an entry that only the person's own credentials brought; False where none is."""
        async with self.transaction() as session:
            found = await session.get(Mapping, (team, user, vendor))
            if found is None or not found.by_link:
                return False
            await session.delete(found)
            await end_of_unmapped(session, team, self.clock())
            facts = {"person": user, "vendor": vendor, "account": found.account, "why": why}
            await audit.append(session, self.clock(), "amend", "people:unmapped", "", facts)
            return True

    # --- housekeeping -----------------------------------------------------------------------------

    async def count_requests(self) -> dict[str, int]:
        """How many requests stand in each state."""
        async with self.reading() as session:
            query = select(Request.state, func.count()).group_by(Request.state)
            return dict((await session.exec(query)).all())


async def _commit(session: AsyncSession) -> None:
    async with session:
        await session.commit()


async def _to_the_end(ending: Coroutine[Any, Any, None], *, heed: bool = True) -> None:
    """Await `ending`; a cancellation that comes meanwhile is raised after it, if at all.

    A database that hangs gets `ENDS_WITHIN` seconds after the last cancellation.
    """
    task, cancelled = asyncio.create_task(ending), None
    while not task.done():
        try:
            done, _ = await asyncio.wait((task,), timeout=ENDS_WITHIN if cancelled else None)
        except asyncio.CancelledError as error:
            cancelled = error
        else:
            if not done:
                task.cancel()
    try:
        task.result()
    finally:
        if cancelled is not None and heed:
            raise cancelled


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError


def _rows(result: Any) -> int:
    return int(result.rowcount)


def _account(row: Mapping, linked: str = "") -> Account:
    return Account(row.vendor, row.account, row.role, tuple(row.scope), linked)


async def _end_rest(session: AsyncSession, request_id: str, why: str) -> None:
    """What is to do is not sent; what a killed process was sending is neither done nor not done."""
    for left, end in ((Result.TO_SEND, Result.NOT_SENT), (Result.SENDING, Result.UNKNOWN)):
        await session.exec(
            update(PlannedRecord)
            .where(
                col(PlannedRecord.request_id) == request_id,
                col(PlannedRecord.result) == left,
            )
            .values(result=end, words=why)
        )


async def _draw_anew(session: AsyncSession, request_id: str) -> None:
    """No card goes on showing a state that is over, whatever fails after the step was taken."""
    # The request's own card first, as in the outbox: two who lock both never wait for each other.
    standing = select(Delivery).where(
        Delivery.request_id == request_id, col(Delivery.kind).in_(CARDS)
    )
    for each in await session.exec(standing.order_by(col(Delivery.key).desc()).with_for_update()):
        each.version += 1


async def _receipt(session: AsyncSession, request_id: str) -> str:
    """The SHA-256 of a request's receipt as it stands in this transaction."""
    seal = hashlib.sha256(receipt_head())
    columns = (PlannedRecord.record_id, PlannedRecord.result, PlannedRecord.words)
    query = select(*columns, PlannedRecord.label).where(PlannedRecord.request_id == request_id)
    for row in await session.exec(query.order_by(col(PlannedRecord.seq))):
        seal.update(receipt_row(*row))
    return seal.hexdigest()


Told = dict[str, Any]


def _told(account: Account) -> Told:
    return {"account": account.account, "role": account.role, "scope": list(account.scope)}


def _another(before: Told, after: Told) -> bool:
    return str(before["account"]).casefold() != str(after["account"]).casefold()


def _other_accounts(
    before: dict[tuple[str, str], Told], after: dict[tuple[str, str], Told], *, replace: bool
) -> list[tuple[str, str]]:
    """Who, and where, has another account than before, or none."""
    return [
        key for key in before if (_another(before[key], after[key]) if key in after else replace)
    ]


def _differences(
    before: dict[tuple[str, str], Told], after: dict[tuple[str, str], Told], *, replace: bool
) -> dict[str, list[Told]]:
    """Who was added, changed and removed, each as person, vendor and what they were and are."""
    known = {key: {"person": key[0], "vendor": key[1]} for key in {**before, **after}}
    return {
        "added": [known[key] | after[key] for key in after if key not in before],
        "changed": [
            known[key] | {"before": before[key]} | after[key]
            for key in after
            if key in before and before[key] != after[key]
        ],
        "removed": [known[key] | before[key] for key in before if replace and key not in after],
    }
