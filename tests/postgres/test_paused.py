"""A replica that is paused in the middle of a transaction, or whose machine is gone, holds up nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import cast

import psycopg
import pytest
from dbos._dbos import _get_dbos_instance
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db import audit
from bot.db import engine as database_engine
from bot.db.engine import IDLE_WITHIN, open_engine, open_reader
from bot.db.leases import LASTS, Leases
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.jobs.engine import VERSION, Engine, Work
from bot.jobs.replicas import Replicas
from bot.jobs.trouble import NOT_ITS_FAULT

SOON = 0.5  # seconds in place of ten


@pytest.fixture
async def paused(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """The store of a replica that will say nothing for a while."""
    await _migrated(database)
    monkeypatch.setattr(database_engine, "IDLE_WITHIN", SOON)
    store = Store(open_engine(database))
    yield store
    await store.close()


async def _migrated(database: str) -> None:
    store = Store(open_engine(database))
    await migrate(store.engine)
    await store.close()


@pytest.fixture
async def other(database: str, paused: Store) -> AsyncIterator[Store]:
    store = Store(open_engine(database))
    yield store
    await store.close()


async def _look(session: AsyncSession) -> None:
    await (await session.connection()).execute(text("SELECT 1"))


async def test_what_it_holds_is_free_before_its_lease_lapses(paused: Store, other: Store) -> None:
    async def half() -> None:
        async with paused.transaction() as session:
            await audit.append(session, 1.0, "amend", "first")
            await other.note("amend", "second", "", {})
            await _look(session)

    async with asyncio.timeout(120):
        with pytest.raises(NOT_ITS_FAULT):
            await half()
    assert IDLE_WITHIN < LASTS
    assert [b"second" in line async for _, line in audit.lines(other.engine)] == [True]


@pytest.mark.parametrize("why", [ValueError, asyncio.CancelledError])
async def test_that_its_connection_was_ended_hides_nothing_else(
    paused: Store, why: type[BaseException]
) -> None:
    async def half() -> None:
        async with paused.transaction() as session:
            await _look(session)
            await asyncio.sleep(2 * SOON)
            raise why

    with pytest.raises(why):
        await half()
    await paused.ping()


async def test_what_its_end_was_to_commit_counts_as_a_lost_database(
    paused: Store, other: Store
) -> None:
    async def slow() -> None:
        async with paused.transaction() as session:
            await audit.append(session, 1.0, "amend", "first")
            await asyncio.sleep(2 * SOON)

    with pytest.raises(NOT_ITS_FAULT):
        await slow()
    assert [each async for each in audit.lines(other.engine)] == []


async def test_a_take_over_in_which_somebody_was_paused_is_another_ones(
    database: str, paused: Store
) -> None:
    asleep, awake = Replicas(database, "a"), Replicas(database, "b")
    begun, done = asyncio.Event(), asyncio.Event()

    async def never_ends(_owner: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def ends(_owner: str) -> None:
        done.set()

    stuck = asyncio.create_task(asleep.take_over(["gone"], ["gone"], never_ends))
    await begun.wait()
    async with asyncio.timeout(120):
        while not done.is_set():
            await awake.take_over(["gone"], ["gone"], ends)
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)


SHOWN = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


async def test_the_server_notices_soon_that_a_machine_is_gone(database: str) -> None:
    replicas = Replicas(database, "a")
    await replicas.hold()
    assert replicas._held is not None
    for name, value in SHOWN.items():
        row = await (await replicas._held.execute(f"SHOW {name}")).fetchone()
        assert row == (value,)
    await replicas.close()
    for engine in (open_engine(database), open_reader(database)):
        async with engine.connect() as connection:
            for name, value in SHOWN.items():
                found = (await connection.execute(text(f"SHOW {name}"))).scalar()
                assert found == value
            raw = await connection.get_raw_connection()
            known = {
                each.keyword.decode(): each.val
                for each in raw.driver_connection.pgconn.info  # type: ignore[union-attr]
            }
            assert known["keepalives_idle"] == b"10"
            assert known["tcp_user_timeout"] == b"15000"
        await engine.dispose()


@pytest.mark.usefixtures("paused")
async def test_the_job_engine_holds_up_nobody_either(database: str) -> None:
    engine = Engine(database, "a")
    await engine.launch(cast("Work", None))
    jobs = _get_dbos_instance()._sys_db.engine

    async def slow() -> None:
        with jobs.begin() as connection:
            connection.execute(text("SELECT 1"))
            await asyncio.sleep(2 * SOON)
            connection.execute(text("SELECT 1"))

    try:
        with pytest.raises(DBAPIError) as ended:
            await slow()
        assert ended.value.connection_invalidated, "so that the engine tries again"
    finally:
        await engine.close()


async def test_that_all_connections_are_taken_says_nothing_about_a_request(database: str) -> None:
    """So it is where the database hangs: each that is open waits for it."""
    store = Store(open_engine(database, busy_seconds=0.3))
    async with AsyncExitStack() as taken:
        for _ in range(5):
            await _look(await taken.enter_async_context(store.transaction()))
        with pytest.raises(NOT_ITS_FAULT):
            await store.ping()
    await store.close()


async def test_what_it_asked_for_half_is_let_go_by_who_takes_over(
    database: str, other: Store
) -> None:
    """A question whose end was never sent: the server waits for the rest of it, and for ever."""
    held = await psycopg.AsyncConnection.connect(database, application_name="amend:gone")
    held.pgconn.enter_pipeline_mode()
    held.pgconn.send_query_params(b"BEGIN", None)
    held.pgconn.send_query_params(b"LOCK TABLE replica, request, delivery, watch", None)
    held.pgconn.send_flush_request()
    held.pgconn.flush()
    locks = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
    async with asyncio.timeout(120), other.transaction() as session:
        connection = await session.connection()
        while (await connection.execute(text(locks))).scalar_one() < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    leases = Leases(other, "b", VERSION)
    await Replicas(database, "b").take_over(["gone"], ["gone"], leases.end)
    held.pgconn.finish()


async def test_every_session_of_a_replica_bears_its_name(database: str) -> None:
    replicas = Replicas(database, "a")
    await replicas.hold()
    writes, reads = open_engine(database, replica="a"), open_reader(database, "a")
    async with writes.connect() as one, reads.connect() as two:
        for each in (one, two):
            assert (await each.execute(text("SHOW application_name"))).scalar_one() == "amend:a"
        known = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'amend:a'"
        assert (await one.execute(text(known))).scalar_one() == 3
    await replicas.close()
    for engine in (writes, reads):
        await engine.dispose()
