"""However a request ends, its receipt adds up: of what was being sent nobody can say what became."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from bot.db.engine import open_engine
from bot.db.journal import Journal
from bot.db.ledger import Ledger
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.db.tables import Request
from bot.domain.operations import Record, Result
from bot.domain.plans import State
from bot.jobs import trouble
from bot.jobs.trouble import Trouble
from bot.pipeline import Pipeline


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A begun run of three records that waits; a killed process had sent the second."""
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    await migrate(engine)
    store = Store(engine)
    async with store.transaction() as session:
        session.add(
            Request(
                id="R1",
                origin="o",
                operation="acme.switch",
                parameters={},
                team="T",
                requester="U",
                channel="C",
                state=State.SCHEDULED,
                digest="d",
                records=3,
                created_at=1.0,
                started_at=2.0,
                run_at=time.time() + 3000,
            )
        )
    ledger, journal = Ledger(store), Journal(store)
    await ledger.add("R1", 0, [(Record(each, "", {}, {}), None) for each in "123"])
    rows = await ledger.records("R1", (Result.TO_SEND,), 3)
    await journal.sending("R1", rows[1:2], 2.0)
    yield store
    await store.close()


class Voice:
    async def show(self, *_: str) -> None:
        pass


def pipeline(store: Store) -> Pipeline:
    parts = SimpleNamespace(store=store, ledger=Ledger(store), voice=Voice(), clock=time.time)
    return Pipeline(cast("Any", parts))


async def ends(store: Store) -> dict[str, str]:
    rows = await Ledger(store).records("R1", tuple(Result), 9)
    counts = await Ledger(store).counts("R1")
    assert counts.ended == counts.records == 3
    assert all(row.words for row in rows), "each says why"
    return {row.record_id: row.result for row in rows}


HALF_DONE = {"1": "not_sent", "2": "unknown", "3": "not_sent"}


async def test_a_begun_run_that_is_cancelled_while_it_waits_leaves_nothing_at_sending(
    store: Store,
) -> None:
    assert await pipeline(store).cancel("R1", "U") == ""
    request = await store.request("R1")
    assert request is not None
    assert request.state == State.CANCELLED
    assert await ends(store) == HALF_DONE


async def test_a_request_that_is_given_up_and_whose_end_fails_leaves_nothing_at_sending(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "TRIES", 1)

    async def fails(*_: object) -> None:
        raise ValueError("a fault of our own")

    runner: Any = SimpleNamespace(stop=fails)
    await Trouble(pipeline(store), runner).within("R1", cast("Any", fails))
    request = await store.request("R1")
    assert request is not None
    assert request.state == State.FAILED
    assert await ends(store) == HALF_DONE
