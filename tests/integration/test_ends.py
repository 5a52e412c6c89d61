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
from bot.db.store import Store
from bot.db.tables import Request
from bot.domain.operations import Batch, Outcome, Record, Result
from bot.domain.plans import State
from bot.jobs import trouble
from bot.jobs.calls import Calls
from bot.jobs.runner import Runner
from bot.jobs.trouble import Trouble
from bot.pipeline import Pipeline
from integrations.errors import Temporary
from tests.laid import lay


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A begun run of three records that waits; a killed process had sent the second."""
    lay(tmp_path / "amend.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
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
    parts = SimpleNamespace(
        store=store,
        ledger=Ledger(store),
        voice=Voice(),
        clock=time.time,
        registry=SimpleNamespace(operations=()),
    )
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


# --- a vendor that goes on refusing the edits -----------------------------------------------------


class Refuses:
    """An operation whose vendor asks for an hour each time, after it has taken `takes` edits."""

    call_size = 1
    parallel = 1
    comment = ""

    def __init__(self, takes: int) -> None:
        self.takes, self.left = takes, takes

    def repeatable(self, _parameters: object) -> bool:
        return True

    def changes(self, _parameters: object) -> dict[str, str]:
        return {}

    def at_work_for(self, _records: int, _bound: float) -> float:
        return 0.0

    async def read(self, ids: list[str]) -> dict[str, dict[str, str]]:
        return {each: {} for each in ids}

    async def barred(self, *_: object) -> dict[str, str]:
        return {}

    async def apply(self, batch: Batch) -> list[Outcome]:
        if not self.left:
            raise Temporary("Acme", "too many calls", wait=3600.0)
        self.left -= 1
        return [Outcome(each.id, Result.CHANGED) for each in batch.records]

    async def reconcile(self, batch: Batch, _since: str) -> list[Outcome]:
        return [Outcome(each.id, Result.TO_SEND) for each in batch.records]


async def hours_of(store: Store, operation: Refuses, monkeypatch: pytest.MonkeyPatch) -> int:
    """For how many hours the run of the store is tried, until nothing of it is left."""
    now = [time.time()]
    store.clock = lambda: now[0]
    made = pipeline(store)
    made.parts.policy = cast("Any", SimpleNamespace(quiet_windows=lambda _: ()))
    made.parts.vault = cast("Any", SimpleNamespace(changes=lambda: 0))
    runner = Runner(store, made.parts.ledger, made)

    async def nothing(*_: object) -> str:
        return ""

    async def unmoved(_request: Request, _operation: object, rows: Any) -> list[Any]:
        return list(rows)

    async def calls(request: Request) -> Calls:
        return Calls(store, runner.journal, made, cast("Any", operation), request, runner.sleep)

    monkeypatch.setattr(runner, "_calls", calls)
    monkeypatch.setattr(runner, "_unmoved", unmoved)
    monkeypatch.setattr(made.acting, "other_account", nothing)
    monkeypatch.setattr(made.acting, "operation", lambda _: operation)
    monkeypatch.setattr(made.acting, "parameters", lambda _: None)
    await store.set_fields("R1", started_at=now[0], state=State.RUNNING)
    hours = 0
    while (wait := await runner.run_slice("R1")) is not None:
        if wait:
            hours += 1
            operation.left = operation.takes
            now[0] += wait
        assert hours < 100, "it is tried for ever"
        await runner.resume("R1")
    return hours


async def test_a_vendor_that_goes_on_refusing_the_edits_is_given_up_after_a_day(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 24 <= await hours_of(store, Refuses(0), monkeypatch) <= 25
    rows = await Ledger(store).records("R1", tuple(Result), 9)
    assert {(row.result, row.words) for row in rows} == {
        ("not_sent", "Acme did not take the request, and nothing was changed: too many calls.")
    }


async def test_a_run_that_goes_on_slowly_is_never_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = [(Record(f"more {each}", "", {}, {}), None) for each in range(40)]
    await Ledger(store).add("R1", 3, more)
    assert await hours_of(store, Refuses(1), monkeypatch) > 24
    assert (await Ledger(store).counts("R1")).changed == 43
