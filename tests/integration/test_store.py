"""The store: a transaction ends whole, also where it is cancelled, and closing waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db import store as store_module
from bot.db.engine import open_engine
from bot.db.store import Store
from bot.db.tables import Delivered
from tests.laid import lay


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    lay(tmp_path / "amend.db")
    store = Store(open_engine(f"sqlite:///{tmp_path / 'amend.db'}"))
    yield store
    await store.close()


def lent(store: Store) -> int:
    return store.engine.sync_engine.pool.checkedout()  # type: ignore[attr-defined]


async def writes(store: Store, key: str, inside: asyncio.Event, goes_on: asyncio.Event) -> None:
    async with store.transaction() as session:
        session.add(Delivered(key=key, kind="k", payload={}, at=1.0))
        await session.flush()
        inside.set()
        await goes_on.wait()


async def cancelled_again_and_again(task: asyncio.Task[None]) -> None:
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def test_a_cancelled_transaction_has_let_go_when_it_ends(store: Store) -> None:
    inside = asyncio.Event()
    task = asyncio.create_task(writes(store, "cut", inside, asyncio.Event()))
    await inside.wait()
    assert lent(store) == 1
    await cancelled_again_and_again(task)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lent(store) == 0, "the connection is back before anybody hears of the end"
    assert await store.undone() == [], "and nothing of it is kept"


async def test_a_cancellation_while_committing_comes_after_the_commit(store: Store) -> None:
    inside, goes_on = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(writes(store, "kept", inside, goes_on))
    await inside.wait()
    goes_on.set()
    await asyncio.sleep(0)  # the block has ended, and the commit is under way
    await cancelled_again_and_again(task)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lent(store) == 0
    assert [each.key for each in await store.undone()] == ["kept"]


async def test_no_moment_of_a_transaction_is_a_bad_one_to_cancel(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    for moment in range(150):
        task = asyncio.create_task(store.undone())
        await asyncio.sleep(moment * 0.00002)
        task.cancel()
        await asyncio.wait((task,))
        assert lent(store) == 0, f"after {moment} steps"
    assert not caplog.messages, "an end that is cut short is an error in the log"


async def test_a_time_limit_during_a_commit_does_not_make_it_unrecorded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a person would hear "not accepted" of what the next sweep carries out."""
    commit = store_module._commit

    async def slow(session: AsyncSession) -> None:
        await asyncio.sleep(0.2)
        await commit(session)

    monkeypatch.setattr(store_module, "_commit", slow)
    async with asyncio.timeout(0.1):
        assert await store.take("approve:1", "approve", {}, time.monotonic() + 300)
    assert [each.key for each in await store.undone()] == ["approve:1"]


async def test_a_commit_that_hangs_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(session: AsyncSession) -> None:
        async with session:
            await asyncio.Event().wait()

    monkeypatch.setattr(store_module, "_commit", hangs)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await store.take("approve:2", "approve", {}, time.monotonic() + 300)
    assert time.monotonic() - began < 120
    monkeypatch.undo()
    assert await store.undone() == []


async def test_closing_waits_for_what_is_still_open(store: Store) -> None:
    inside, goes_on = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(writes(store, "late", inside, goes_on))
    await inside.wait()
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    goes_on.set()
    await asyncio.gather(task, closing)
    async with store.transaction() as session:
        assert len((await session.exec(select(Delivered))).all()) == 1
