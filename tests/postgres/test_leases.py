"""A replica that is paused loses what it held, and changes nothing of it when it wakes up."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path

import psycopg
import pytest
from dbos import WorkflowStatus
from sqlalchemy import text

from bot.db.engine import open_engine
from bot.db.fence import LeaseLost, insist_in_time
from bot.db.journal import Journal
from bot.db.leases import Leases
from bot.db.ledger import Ledger
from bot.db.migrate import migrate
from bot.db.outbox import Outbox
from bot.db.retention import Retention
from bot.db.store import Store
from bot.db.tables import Delivery, Request, Watch
from bot.db.watching import WatchStore
from bot.domain.operations import Outcome, Record, Result
from bot.domain.plans import State
from bot.jobs.engine import Engine, set_up
from bot.jobs.replicas import Replicas
from deploy.sandbox.ports import free_port
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.people import PEOPLE_CSV
from tests.e2e.conftest import MARA, OPS, until
from tests.e2e.test_crash import Process
from tests.postgres.test_postgres import cards, ended, sent


async def test_a_paused_replicas_run_goes_on_and_the_woken_one_writes_nothing(
    database: str, tmp_path: Path
) -> None:
    sandbox = Sandbox()
    await sandbox.start()
    replicas = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        port = free_port()
        environment = sandbox.environment(folder / "unused.db", port=port, socket_mode=False)
        own = {"DATABASE_URL": database, "XPANSE_EDITS_PER_SECOND": "0"}
        own["AMEND_LOST_ANSWER_SECONDS"] = "3"
        replicas.append((Process(environment | own, folder), port))
    (tmp_path / "a" / "people.csv").write_text(PEOPLE_CSV)
    (first, at_first), (second, at_second) = replicas
    try:
        assert await (await first.run("people", "import", "people.csv")).wait() == 0
        await first.start(at_first)
        await second.start(at_second)
        sandbox.slack.request_url = f"http://127.0.0.1:{at_first}/slack/events"
        sandbox.xpanse.set_fault("slow", {"seconds": 0.3, "only": "update_incident"})
        ids = ",".join(str(each) for each in range(1, 61))
        await sandbox.slack.act(
            user=MARA, do="type", channel=OPS, text=f"/xpanse {ids} comment=checked"
        )
        await until(lambda: bool(sandbox.slack.state(MARA)["views"]), "the review")
        await until(lambda: sandbox.slack.state(MARA)["views"][-1]["callback_id"] == "review")
        view = sandbox.slack.state(MARA)["views"][-1]["id"]
        await sandbox.slack.act(user=MARA, do="submit", view_id=view, values={})
        await until(lambda: sent(sandbox) >= 10, "some calls")
        assert first.process is not None
        first.process.send_signal(signal.SIGSTOP)
        sandbox.slack.request_url = f"http://127.0.0.1:{at_second}/slack/events"
        await until(lambda: ended(sandbox), "the end at the second", within=240)
        told, calls = cards(sandbox)[-1], sent(sandbox)
        first.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(8)
        assert sent(sandbox) == calls, "who was paused sends nothing more"
        # What it was about to write into the card when it was paused is put right again.
        await until(lambda: cards(sandbox)[-1] == told, "the card as it was")
        comments = [len(each.comments) for each in sandbox.xpanse.incidents.values()]
        assert max(comments) == 1, "no comment twice"
    finally:
        for process, _ in replicas:
            await process.end(signal.SIGKILL)
        await sandbox.stop()


@pytest.fixture
async def stores(database: str) -> object:
    """Two replicas' stores on one database, with a request and its one record."""
    pair = [Store(open_engine(database)) for _ in range(2)]
    await migrate(pair[0].engine)
    async with pair[0].transaction() as session:
        session.add(_request())
    record = Record(id="1", label="one", state={}, after={})
    await Ledger(pair[0]).add("R1", 0, [(record, None)])
    yield pair
    for each in pair:
        await each.close()


def _request() -> Request:
    return Request(
        id="R1",
        origin="o",
        operation="xpanse.update_incident",
        parameters={},
        team="T",
        requester="U",
        channel="C",
        state=State.RUNNING,
        created_at=1.0,
    )


async def test_only_one_of_two_living_replicas_holds_a_request(stores: list[Store]) -> None:
    one, other = (Leases(store, name, "1") for store, name in zip(stores, "ab", strict=True))
    await one.renew()
    await other.renew()
    async with one.held("R1"):
        with pytest.raises(LeaseLost):
            async with other.held("R1"):
                pass
    async with other.held("R1"):
        pass


async def test_every_write_of_the_loser_changes_nothing(stores: list[Store]) -> None:
    one, other = (Leases(store, name, "1", 0.0) for store, name in zip(stores, "ab", strict=True))
    await one.renew()  # lapses at once, as with a process that is paused
    rows = await Ledger(stores[0]).records("R1", (Result.TO_SEND,), 1)
    async with one.held("R1"):
        async with other.held("R1"):
            pass
        changed = await stores[0].move(
            "R1", (State.RUNNING,), State.FAILED, actor="amend", action="request:failed"
        )
        assert not changed
        await stores[0].set_fields("R1", words="late")
        with pytest.raises(LeaseLost):
            await Journal(stores[0]).settle("R1", rows, [Outcome("1", Result.CHANGED)])
        with pytest.raises(LeaseLost):
            await Journal(stores[0]).sending("R1", rows, 2.0)
        with pytest.raises(LeaseLost):
            await Ledger(stores[0]).close_rest("R1", "late")
    request = await stores[1].request("R1")
    assert request is not None
    assert (request.state, request.words) == (State.RUNNING, "")
    assert await Ledger(stores[1]).records("R1", (Result.TO_SEND,), 1) == rows


async def test_what_a_replica_that_is_gone_was_posting_is_due_at_once(stores: list[Store]) -> None:
    outbox = Outbox(stores[0], "a")
    await outbox.want(Delivery(key="k", request_id="R1", kind="card", channel="C"))
    (wanted,), _ = await outbox.due(stores[0].clock() + 1)
    assert await outbox.claim(wanted, 1.0, stores[0].clock() + 60)
    assert not (await outbox.due(stores[0].clock() + 1))[0]
    await Leases(stores[1], "b", "1").end("a")
    assert [each.key for each in (await outbox.due(stores[0].clock()))[0]] == ["k"]


async def test_what_a_replica_that_is_gone_had_posted_is_still_known_as_long_as_it_is_kept(
    stores: list[Store],
) -> None:
    outbox, now = Outbox(stores[0], "a"), stores[0].clock()
    await outbox.want(Delivery(key="k", request_id="R1", kind="card", channel="C"))
    (card,), _ = await outbox.due(now + 1)
    assert await outbox.claim(card, now, now + 60)
    await outbox.sent(card, channel="C", ts="1.0", next_at=now + 1)
    stands = await outbox.get("k")
    await Leases(stores[1], "b", "1").end("a")
    await Retention(stores[1], 400, _nothing_to_purge).step()
    assert await outbox.get("k") == stands, "else it would be posted once more, and not edited"


async def _nothing_to_purge(_before: float, _limit: int) -> int:
    return 0


async def test_of_the_watches_of_a_replica_that_is_gone_one_that_failed_keeps_its_pause(
    stores: list[Store],
) -> None:
    watches, now = WatchStore(stores[0], "a"), stores[0].clock()
    for name in ("polled", "paused"):
        watch = Watch(id=name, team="T", channel="C", owner="U", watcher="x.y", created_at=now)
        watch.selection = {}
        await watches.add(watch)
        taken = await watches.claim(now, now + 180)
        assert taken is not None
        if name == "paused":
            await watches.failed(taken, 1, "the vendor asks for a pause", now + 600)
    await Leases(stores[1], "b", "1").end("a")
    due = {each.id: each.next_at for each in await watches.listed()}
    assert due == {"polled": 0.0, "paused": now + 600}


async def test_who_was_paused_while_posting_does_not_undo_what_the_next_one_noted(
    stores: list[Store],
) -> None:
    slow, next_one = Outbox(stores[0], "a"), Outbox(stores[1], "b")
    await slow.want(Delivery(key="k", request_id="R1", kind="card", channel="C"))
    now = stores[0].clock() + 1
    (mine,), _ = await slow.due(now)
    assert await slow.claim(mine, now, now + 1)
    (its,), _ = await next_one.due(now + 2)
    assert await next_one.claim(its, now + 2, now + 60)
    await next_one.sent(its, channel="C", ts="2.0", next_at=now + 3)
    await slow.sent(mine, channel="C", ts="1.0", next_at=0.0)
    await slow.failed(mine, again_at=0.0, failures=4)
    await slow.given_up(mine)
    await slow.postponed(mine, 0.0, 4)
    stands = await slow.get("k")
    assert stands is not None
    assert (stands.ts, stands.failures, stands.due_at) == ("2.0", 0, now + 3)
    assert stands.version > stands.sent_version, "its late words may stand over newer ones"


async def test_who_slept_past_its_lease_sends_nothing_before_it_has_looked(
    stores: list[Store],
) -> None:
    awake, asleep = Leases(stores[0], "a", "1"), Leases(stores[1], "b", "1", lasts=0.0)
    await awake.renew()
    await asleep.renew()
    async with awake.held("R1"):
        insist_in_time()
    async with asleep.held("R1"):
        with pytest.raises(LeaseLost):
            insist_in_time()


async def test_a_gap_of_the_database_makes_nobody_take_living_ones_for_gone(
    stores: list[Store],
) -> None:
    other = Leases(stores[0], "a", "1", lasts=0.0)
    await other.renew()
    back = Leases(stores[1], "b", "1")
    await back.renew()
    assert not await back.lapsed(), "it has not watched for as long as a lease lasts"
    now = 100.0
    watched = Leases(stores[1], "c", "1", ticks=lambda: now)
    await watched.renew()
    now += 15.0
    await watched.renew()
    assert not await watched.lapsed()
    now += 5.0
    assert await watched.lapsed() == ["a"]


async def test_the_start_goes_on_while_a_transaction_of_ours_is_open(database: str) -> None:
    """Who asks for readiness opens one, and it ends only if the event loop goes on meanwhile."""
    ended = threading.Event()
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await connection.execute("SELECT 1 FROM pg_class LIMIT 1")
        cut_off = threading.Timer(30, connection.pgconn.finish)  # else it would wait for ever
        cut_off.start()

        async def end() -> None:
            await asyncio.sleep(1)
            await connection.commit()
            ended.set()

        ending = asyncio.create_task(end())
        await set_up(database)
        assert ended.is_set(), "it waited for a transaction that could not end"
        cut_off.cancel()
        await ending


async def test_versions_of_living_replicas_are_known(stores: list[Store]) -> None:
    await Leases(stores[0], "a", "2").renew()
    await Leases(stores[1], "b", "3", lasts=-1.0).renew()
    assert await Leases(stores[1], "c", "4").versions() == {"2"}
    async with stores[0].transaction() as session:
        assert (await session.exec(text("SELECT count(*) FROM replica"))).scalar() == 2


async def test_the_version_of_a_replica_that_knows_no_leases_counts_while_it_lives(
    database: str, stores: list[Store]
) -> None:
    before = Replicas(database, "old")
    await before.hold()
    engine = Engine(database, "new", Leases(stores[0], "new", "3"))
    engine._replicas = Replicas(database, "new")
    found = [WorkflowStatus(), WorkflowStatus()]
    for each, (executor, version) in zip(found, (("old", "2"), ("gone", "1")), strict=True):
        each.executor_id, each.app_version = executor, version
    assert await engine._living(found) == {"2"}
    await before.close()
    async with asyncio.timeout(120):  # the server notices in its own time
        while await engine._living(found):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
