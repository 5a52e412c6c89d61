"""The journal: an intent is noted once, and an outcome that stands is never replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.exc import OperationalError

from bot.db.engine import open_engine
from bot.db.journal import Journal
from bot.db.ledger import Ledger, Row
from bot.db.store import Store
from bot.domain.operations import Outcome, Record, Result
from tests.laid import lay

PLANNED = [(Record(str(each), "", {"state": "Open"}, {}), None) for each in range(3)]


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    lay(tmp_path / "amend.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    store = Store(engine)
    yield store
    await store.close()


async def rows_of(store: Store) -> list[Row]:
    return await Ledger(store).records("R", list(Result), 10)


async def test_an_intent_is_noted_for_all_of_a_call_or_for_none(store: Store) -> None:
    await Ledger(store).add("R", 0, PLANNED)
    journal, rows = Journal(store), await rows_of(store)
    assert await journal.sending("R", rows[:1], 1.0)
    assert not await journal.sending("R", rows, 2.0), "one of them is being sent already"
    assert [row.result for row in await rows_of(store)] == ["sending", "to_send", "to_send"]


async def test_a_late_word_never_takes_the_place_of_an_outcome(store: Store) -> None:
    await Ledger(store).add("R", 0, PLANNED)
    journal, rows = Journal(store), (await rows_of(store))[:1]
    await journal.sending("R", rows, 1.0)
    await journal.settle("R", rows, [Outcome("0", Result.CHANGED, "done")])
    for late in (Result.UNKNOWN, Result.TO_SEND, Result.NOT_SENT):
        await journal.settle("R", rows, [Outcome("0", late, "late")])
    first = (await rows_of(store))[0]
    assert (first.result, first.words) == ("changed", "done")
    assert not await journal.sending("R", rows, 2.0), "what has ended is not sent again"


async def test_one_outcome_that_cannot_be_written_keeps_no_other_from_being_written(
    store: Store,
) -> None:
    """SQLite takes no such number as text; they are all to go into one commit."""
    await Ledger(store).add("R", 0, PLANNED)
    await Ledger(store).add("OTHER", 0, PLANNED)
    journal, rows = Journal(store), await rows_of(store)
    others = await Ledger(store).records("OTHER", list(Result), 10)
    assert await journal.sending("R", rows, 1.0)
    assert await journal.sending("OTHER", others, 1.0)
    bad = object()
    ended = await asyncio.gather(
        journal.settle("R", rows[:1], [Outcome("0", Result.CHANGED, "done")]),
        journal.settle("R", rows[1:2], [Outcome("1", Result.CHANGED, bad)]),  # type: ignore[arg-type]
        journal.settle("R", rows[2:], [Outcome("2", Result.CHANGED, "done")]),
        journal.settle("OTHER", others, [Outcome(each, Result.CHANGED) for each in "012"]),
        return_exceptions=True,
    )
    assert [isinstance(each, Exception) for each in ended] == [False, True, False, False]
    assert [row.result for row in await rows_of(store)] == ["changed", "sending", "changed"]


@pytest.mark.parametrize(
    "away", [OperationalError("UPDATE", {}, Exception("is locked")), OSError()]
)
async def test_a_database_that_is_away_is_asked_once_for_each_request_and_not_for_each_line(
    store: Store, away: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, asked = Journal(store), []

    async def fails(lines: object) -> bool:
        asked.append(lines)
        raise away

    monkeypatch.setattr(journal, "_commit", fails)
    await Ledger(store).add("R", 0, PLANNED * 20)
    rows = await Ledger(store).records("R", list(Result), 60)
    ended = await asyncio.gather(
        *(journal.sending(request, [row], 1.0) for request in ("R", "OTHER") for row in rows),
        return_exceptions=True,
    )
    assert all(each is away for each in ended)
    assert len(asked) <= 6, "else all would wait for minutes for what does not come"
