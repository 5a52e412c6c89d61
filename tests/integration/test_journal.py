"""The journal: an intent is noted once, and an outcome that stands is never replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from bot.db.engine import open_engine
from bot.db.journal import Journal
from bot.db.ledger import Ledger, Row
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.domain.operations import Outcome, Record, Result

PLANNED = [(Record(str(each), "", {"state": "Open"}, {}), None) for each in range(3)]


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    await migrate(engine)
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
