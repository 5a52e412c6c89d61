"""The ledger: a plan's records, and what became of each; it is what prevents a repeated call."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Dialect, Select, Text, case, cast, delete, func, update
from sqlmodel import col, select

from bot.db.fence import insist
from bot.db.store import Store
from bot.db.tables import PlannedRecord, Request
from bot.domain.operations import Record, Result
from bot.domain.plans import BY_CONCERN, Counts, as_json

Changes = Mapping[str, str]

_TABLE = PlannedRecord.__table__  # type: ignore[attr-defined]


class Row(NamedTuple):
    """A planned record and what became of it, as the ledger holds it.

    States that recur are one object in all their rows, and so are not to be changed: 20,000 rows
    take some 10 MB.
    """

    request_id: str
    seq: int
    record_id: str
    label: str
    state: Mapping[str, str]
    after: Mapping[str, str]
    places: tuple[str, ...]
    left_out: str
    result: str
    words: str
    later: str
    made: str
    changes: Changes | None
    key: str
    sent_at: float | None

    @property
    def said(self) -> str:
        """The vendor's words, and what it did by itself afterwards."""
        return "; ".join(filter(None, (self.words, self.later)))


class Ledger:
    """Planned records and their results. Rows are written in batches, so plans may be large."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def clear(self, request_id: str) -> None:
        """Forget a plan that was not finished."""
        async with self._store.transaction() as session:
            await insist(session, request_id)
            await session.exec(
                delete(PlannedRecord).where(col(PlannedRecord.request_id) == request_id)
            )

    async def add(
        self, request_id: str, first: int, records: Sequence[tuple[Record, Changes | None]]
    ) -> None:
        """Write the next records of a plan; those left out get their result at once.

        Each comes with wire values of its own, or None where the request's are sent.
        """
        for at in range(0, len(records), _A_STATEMENT):
            part = records[at : at + _A_STATEMENT]
            values = _values(request_id, first + at, part)
            async with self._store.transaction() as session:
                await insist(session, request_id)
                connection = await session.connection()
                await connection.exec_driver_sql(_insert(connection.dialect, len(part)), values)

    async def records(self, request_id: str, results: Sequence[Result], limit: int) -> list[Row]:
        """Up to `limit` records with one of `results`, in the plan's order."""
        return await self._rows(_with(request_id, results, limit))

    async def foremost(self, request_id: str, limit: int) -> list[Row]:
        """Up to `limit` records, those first that did not go as wished."""
        found: list[Row] = []
        async with self._store.reading() as session:
            connection = await session.connection()
            for results in BY_CONCERN:
                query = _with(request_id, results, limit - len(found))
                found += [_row(*each) for each in await connection.execute(query)]
        return found

    async def sample(self, request_id: str, limit: int) -> list[Row]:
        """The first records that are not left out."""
        chosen = _TABLE.c.left_out == ""
        return await self._rows(_of(request_id).where(chosen).order_by(_TABLE.c.seq).limit(limit))

    async def all(
        self, request_id: str, results: Sequence[Result] = tuple(Result)
    ) -> AsyncIterator[Row]:
        """Every record with one of `results` in the plan's order, read in pages."""
        chosen = _of(request_id).where(_TABLE.c.result.in_(results)).order_by(_TABLE.c.seq)
        after = -1
        while page := await self._rows(chosen.where(_TABLE.c.seq > after).limit(1000)):
            for row in page:
                yield row
            after = page[-1].seq

    async def story(self, record_id: str, limit: int) -> list[Row]:
        """One record in all the plans that held it, the newest first."""
        return await self._rows(
            _SELECT.join(Request, col(Request.id) == _TABLE.c.request_id)
            .where(_TABLE.c.record_id == record_id)
            .order_by(col(Request.created_at).desc())
            .limit(limit)
        )

    async def _rows(self, query: Select[Any]) -> list[Row]:
        async with self._store.reading() as session:
            connection = await session.connection()
            return [_row(*each) for each in await connection.execute(query)]

    async def silent(self, request_id: str) -> list[str]:
        """The changed records of which nothing was said afterwards, in the plan's order."""
        async with self._store.reading() as session:
            query = (
                select(_TABLE.c.record_id)
                .where(*_changed(request_id), _TABLE.c.later == "")
                .order_by(_TABLE.c.seq)
            )
            return list((await session.exec(query)).all())

    async def followed(self, request_id: str, limit: int) -> tuple[list[Row], int]:
        """The first changed records of which something was said afterwards, and how many those are."""
        spoken = (*_changed(request_id), _TABLE.c.later != "")
        rows = await self._rows(_SELECT.where(*spoken).order_by(_TABLE.c.seq).limit(limit))
        async with self._store.reading() as session:
            query = select(func.count()).select_from(_TABLE).where(*spoken)
            return rows, (await session.exec(query)).one()

    async def say(self, request_id: str, words: Mapping[str, str]) -> None:
        """What the vendor did by itself afterwards, by record."""
        async with self._store.transaction() as session:
            await insist(session, request_id)
            for record_id, said in words.items():
                await session.exec(
                    update(_TABLE)
                    .where(_TABLE.c.request_id == request_id, _TABLE.c.record_id == record_id)
                    .values(later=said)
                )

    async def say_of_the_silent(self, request_id: str, words: str) -> None:
        async with self._store.transaction() as session:
            await insist(session, request_id)
            await session.exec(
                update(_TABLE)
                .where(*_changed(request_id), _TABLE.c.later == "")
                .values(later=words)
            )

    async def close_rest(self, request_id: str, words: str) -> None:
        """Everything still to do ends as not sent, for the reason given."""
        async with self._store.transaction() as session:
            await insist(session, request_id)
            await session.exec(
                update(_TABLE)
                .where(_TABLE.c.request_id == request_id, _TABLE.c.result == Result.TO_SEND)
                .values(result=Result.NOT_SENT, words=words)
            )

    async def counts(self, request_id: str) -> Counts:
        async with self._store.reading() as session:
            held = func.sum(case((col(PlannedRecord.left_out) != "", 1), else_=0))
            query = (
                select(PlannedRecord.result, func.count(), held)
                .where(PlannedRecord.request_id == request_id)
                .group_by(PlannedRecord.result)
            )
            rows = (await session.exec(query)).all()
            by_result = {result: many for result, many, _ in rows}
            return Counts.of(
                by_result, sum(h for result, _, h in rows if result == Result.NOT_SENT)
            )

    async def maker(self, operations: Sequence[str], made: str) -> Request | None:
        """The newest request of one of these operations whose call made `made` at the vendor."""
        async with self._store.reading() as session:
            query = (
                select(Request)
                .join(PlannedRecord, col(PlannedRecord.request_id) == col(Request.id))
                # The index holds those only in which something was made.
                .where(
                    PlannedRecord.made != "",
                    PlannedRecord.made == made,
                    col(Request.operation).in_(operations),
                )
                .order_by(col(Request.created_at).desc())
            )
            found: Request | None = (await session.exec(query)).first()
            return found

    async def undone(self, source: str) -> frozenset[str]:
        """The ids of records that an undo of `source` has put back, or found so."""
        async with self._store.reading() as session:
            query = (
                select(PlannedRecord.record_id)
                .join(Request, col(PlannedRecord.request_id) == col(Request.id))
                .where(Request.source == source, Request.relation == "undo")
                .where(col(PlannedRecord.result).in_((Result.CHANGED, Result.UNCHANGED)))
            )
            return frozenset((await session.exec(query)).all())

    async def missed(self, request_id: str, limit: int = 100_000) -> list[str]:
        """The ids of records that were to be sent, and were refused or held back."""
        async with self._store.reading() as session:
            query = (
                select(PlannedRecord.record_id)
                .where(*_missed(request_id))
                .order_by(col(PlannedRecord.seq))
                .limit(limit)
            )
            return list((await session.exec(query)).all())

    async def left_out(self, request_id: str) -> list[tuple[str, int, list[str]]]:
        """The reasons records were left out for: (reason, how many, a few ids)."""
        async with self._store.reading() as session:
            reasons = (
                await session.exec(
                    select(PlannedRecord.left_out, func.count())
                    .where(PlannedRecord.request_id == request_id, PlannedRecord.left_out != "")
                    .group_by(PlannedRecord.left_out)
                    .order_by(func.count().desc())
                    .limit(20)
                )
            ).all()
            found = []
            for reason, many in reasons:
                query = (
                    select(PlannedRecord.record_id)
                    .where(PlannedRecord.request_id == request_id, PlannedRecord.left_out == reason)
                    .order_by(col(PlannedRecord.seq))
                    .limit(5)
                )
                found.append((reason, many, list((await session.exec(query)).all())))
            return found


def _changed(request_id: str) -> tuple[ColumnElement[bool], ...]:
    return (_TABLE.c.request_id == request_id, _TABLE.c.result == Result.CHANGED)


def _missed(request_id: str) -> tuple[ColumnElement[bool], ...]:
    return (
        col(PlannedRecord.request_id) == request_id,
        col(PlannedRecord.result).in_((Result.REFUSED, Result.NOT_SENT)),
        col(PlannedRecord.left_out) == "",
    )


# The JSON columns as the text that they are: states recur, and each is read once.
_AS_TEXT = frozenset({"state", "after", "places", "changes"})
_SELECT = select(
    *(cast(_TABLE.c[name], Text) if name in _AS_TEXT else _TABLE.c[name] for name in Row._fields)
)


def _of(request_id: str) -> Select[Any]:
    return _SELECT.where(_TABLE.c.request_id == request_id)


def _with(request_id: str, results: Sequence[Result], limit: int) -> Select[Any]:
    """The first of a request's records with one of `results`, in the plan's order."""
    chosen = _of(request_id).where(_TABLE.c.result.in_(results))
    return chosen.order_by(_TABLE.c.seq).limit(limit)


_loaded = lru_cache(maxsize=1024)(json.loads)


def _row(*columns: Any) -> Row:
    row = Row(*columns)
    state, after, places, changes = row.state, row.after, row.places, row.changes
    return row._replace(
        state=_loaded(state),
        after=_loaded(after),
        places=tuple(_loaded(places)),
        changes=_loaded(changes) if changes else None,
    )


# SQLite takes 32,766 values in a statement, PostgreSQL 65,535.
_A_STATEMENT = 2000
_COLUMNS = (
    "request_id",
    "seq",
    "record_id",
    "label",
    "state",
    "after",
    "places",
    "left_out",
    "result",
    "words",
    "changes",
    "made",
    "key",
)


def _insert(dialect: Dialect, many: int) -> str:
    """One INSERT of so many records. Row by row, SQLite's thread would want the interpreter's lock
    for each of them, and the next page could not be read in the meantime."""
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    row = f"({', '.join([mark] * len(_COLUMNS))})"
    rows = ", ".join([row] * many)
    return f"INSERT INTO {_TABLE.name} ({', '.join(_COLUMNS)}) VALUES {rows}"  # noqa: S608


def _values(
    request_id: str, first: int, records: Sequence[tuple[Record, Changes | None]]
) -> tuple[object, ...]:
    """The values of `_COLUMNS`, record after record."""
    keys = _keys(len(records))
    found: list[object] = []
    for offset, (record, changes) in enumerate(records):
        found += (
            request_id,
            first + offset,
            record.id,
            record.label,
            as_json(record.state),
            as_json(record.after),
            _places(record.places),
            record.left_out,
            _first_result(record).value,
            record.left_out,
            "null" if changes is None else as_json(changes),
            "",
            keys[offset],
        )
    return tuple(found)


@lru_cache(maxsize=1024)
def _places(places: tuple[str, ...]) -> str:
    return json.dumps(places)


def _keys(many: int) -> list[str]:
    """Random ids of 32 hex digits; one question to the system for all of them."""
    digits = secrets.token_hex(16 * many)
    return [digits[at : at + 32] for at in range(0, len(digits), 32)]


def _first_result(record: Record) -> Result:
    if record.already:
        return Result.UNCHANGED
    return Result.NOT_SENT if record.left_out else Result.TO_SEND


def as_record(row: Row) -> Record:
    """The planned record that a row holds."""
    return Record(
        id=row.record_id,
        label=row.label,
        state=row.state,
        after=row.after,
        left_out=row.left_out,
        places=row.places,
    )
