"""The journal: intents before calls and outcomes after them, many in one commit.

Each caller waits until its own line is committed, so nothing is called before its intent stands. While
one commit is under way the next lines gather, and go in together: a commit is shared by as many calls
as are under way, and a thousand calls a second need no thousand commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, func, or_, update

from bot.db.engine import AWAY
from bot.db.fence import LeaseLost, epoch_of, lost
from bot.db.ledger import Row
from bot.db.store import Store
from bot.db.tables import PlannedRecord
from bot.domain.operations import Outcome, Result

_TABLE = PlannedRecord.__table__  # type: ignore[attr-defined]

# Compared as an expression, so that no index of results is taken for it: on PostgreSQL, until a fresh
# plan is analysed, each row's statement would walk all rows of its request instead of its key.
_RESULT = func.coalesce(_TABLE.c.result, "")
_SENDING = (
    update(_TABLE)
    .where(
        _TABLE.c.request_id == bindparam("of_request"),
        _TABLE.c.seq == bindparam("at_seq"),
        _RESULT == Result.TO_SEND,
    )
    .values(result=Result.SENDING, sent_at=bindparam("at_time"), key=bindparam("call_key"))
)
_SETTLED = (
    update(_TABLE)
    .where(
        _TABLE.c.request_id == bindparam("of_request"),
        _TABLE.c.seq == bindparam("at_seq"),
        # What has ended stays so: a late word never takes the place of an outcome.
        or_(_RESULT == Result.TO_SEND, _RESULT == Result.SENDING),
    )
    .values(
        result=bindparam("new_result"), words=bindparam("new_words"), made=bindparam("new_made")
    )
)

_AT_ONCE = 2000  # rows in one go: the driver makes a copy of what it is given


@dataclass
class _Line:
    """One caller's rows, and its wait for them."""

    rows: list[dict[str, Any]]
    intent: bool
    done: asyncio.Future[bool]
    request_id: str
    epoch: int | None  # under which its request is held, None for no lease


@dataclass
class Journal:
    """Writes the ledger's intents and outcomes; one for a process."""

    store: Store
    _waiting: list[_Line] = field(default_factory=list)
    _writer: asyncio.Task[None] | None = None

    async def sending(self, request_id: str, rows: Sequence[Row], at: float) -> bool:
        """Note the intent to send these records; False (and nothing noted) unless all are to do.

        Raises `LeaseLost`, as `settle` does, where another replica has the request by now.
        """
        lines = [
            {"of_request": request_id, "at_seq": row.seq, "at_time": at, "call_key": row.key}
            for row in rows
        ]
        return await self._write(request_id, lines, intent=True)

    async def settle(
        self, request_id: str, rows: Sequence[Row], outcomes: Sequence[Outcome]
    ) -> None:
        """Write what became of records; one that has no outcome is `UNKNOWN`."""
        told = {outcome.id: outcome for outcome in outcomes}
        lines = []
        for row in rows:
            end = told.get(row.record_id, Outcome(row.record_id, Result.UNKNOWN))
            lines.append(
                {
                    "of_request": request_id,
                    "at_seq": row.seq,
                    "new_result": end.result,
                    "new_words": end.words,
                    "new_made": end.made,
                }
            )
        await self._write(request_id, lines, intent=False)

    async def _write(self, request_id: str, rows: list[dict[str, Any]], *, intent: bool) -> bool:
        if not rows:
            return True
        done = asyncio.get_running_loop().create_future()
        line = _Line(rows, intent, done, request_id, epoch_of(request_id))
        self._waiting.append(line)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain())
        # A caller that is cancelled leaves its line to the writer: half a commit is none.
        return await asyncio.shield(line.done)

    async def _drain(self) -> None:
        while self._waiting:
            lines, self._waiting = self._waiting, []
            await self._answer(lines)

    async def _answer(self, lines: Sequence[_Line]) -> None:
        """Write the lines and tell their callers; what cannot be written together is tried apart."""
        try:
            noted = await self._commit(lines)
        except Exception as error:
            parts = _parts(lines, error)
            if len(parts) > 1:
                await asyncio.gather(*(self._answer(each) for each in parts))
            else:
                _answer_all(lines, error)
            return
        if not noted and len(lines) > 1:
            for line in lines:
                await self._answer([line])
            return
        for line in lines:
            if not line.done.cancelled():
                line.done.set_result(noted)

    async def _commit(self, lines: Sequence[_Line]) -> bool:
        """All lines in one transaction; False (and nothing written) where an intent had no row.

        Raises `LeaseLost` (and nothing is written) where one of the requests is another's by now.
        """
        intents = [row for line in lines if line.intent for row in line.rows]
        outcomes = [row for line in lines if not line.intent for row in line.rows]
        held = {(line.request_id, line.epoch) for line in lines if line.epoch is not None}
        async with self.store.transaction() as session:
            if held and await lost(session, held):
                raise LeaseLost
            connection = await session.connection()
            for at in range(0, len(outcomes), _AT_ONCE):
                await connection.execute(_SETTLED, outcomes[at : at + _AT_ONCE])
            noted = 0
            for at in range(0, len(intents), _AT_ONCE):
                done = await connection.execute(_SENDING, intents[at : at + _AT_ONCE])
                noted += done.rowcount
            if noted != len(intents):
                await session.rollback()
        return noted == len(intents)


def _parts(lines: Sequence[_Line], error: Exception) -> list[list[_Line]]:
    """The lines of each request, for it may be one request's row that somebody holds; of one request
    each by itself, unless it is the database that fails, which then would for each of them."""
    by_request: dict[str, list[_Line]] = {}
    for line in lines:
        by_request.setdefault(line.request_id, []).append(line)
    if len(by_request) > 1 or isinstance(error, AWAY):
        return list(by_request.values())
    return [[line] for line in lines]


def _answer_all(lines: Sequence[_Line], error: Exception) -> None:
    for line in lines:
        if not line.done.cancelled():
            line.done.set_exception(error)
