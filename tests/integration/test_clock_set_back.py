"""What a clock that was ahead wrote down holds up nothing once it is set back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from sqlmodel import select

from bot.db import audit
from bot.db.engine import open_engine
from bot.db.store import Store
from bot.db.tables import Delivered, Delivery, Request, Watch
from bot.db.watching import REPORT, WatchStore
from bot.domain.operations import Registry
from bot.domain.plans import State
from bot.domain.policy import Policy
from bot.jobs.pausing import Windows
from bot.jobs.runner import Runner
from bot.jobs.upkeep import Upkeep
from bot.jobs.watching import Watching
from bot.jobs.witness import Forwarding
from bot.pipeline import Parts
from bot.pipeline.planning import Preparer
from bot.proof.notes import Signer
from bot.slack.outgoing.lookback import LooksBack
from integrations.errors import Temporary
from tests.laid import lay

HOUR, DAY = 3600.0, 86400.0
NOW = 1_800_000_000.0  # 2027-01-15, a Friday, 08:00 UTC
AHEAD = 2 * HOUR


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    lay(tmp_path / "amend.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    made = Store(engine, clock=clock)
    yield made
    await made.close()


def request(state: State, **more: Any) -> Request:
    known = {"id": "R1", "origin": "R1", "operation": "acme.switch", "parameters": {}}
    where = {"team": "T", "requester": "U", "channel": "C", "created_at": NOW - HOUR}
    return Request(**{**known, **where, **more}, state=state)


# --- requests -------------------------------------------------------------------------------------

QUIET = """
[[quiet]]
vendor = "acme"
days = ["fri"]
from = "22:00"
to = "23:00"
timezone = "UTC"
"""
OPENS = NOW + 14 * HOUR  # that Friday, 22:00 UTC


@pytest.mark.parametrize(
    ("run_at", "more", "when"),
    [
        (NOW - 10, {}, NOW - 10),
        (NOW + 50 * 60, {}, NOW + 50 * 60),
        (NOW + AHEAD, {}, NOW),
        (NOW + 3 * DAY, {"wished_at": NOW + 3 * DAY}, NOW + 3 * DAY),
        (NOW + 3 * DAY + AHEAD, {"wished_at": NOW + 3 * DAY}, NOW),
        (OPENS + 0.01, {"in_quiet": True, "wished_at": OPENS}, OPENS + 0.01),
        (OPENS + 7 * DAY, {"in_quiet": True, "wished_at": OPENS + 7 * DAY}, NOW),
    ],
    ids=["due", "soon", "too far", "wished", "beyond the wish", "its window", "a later window"],
)
def test_no_request_waits_for_longer_than_the_hour_that_a_vendor_gets_or_what_was_asked_for(
    run_at: float, more: dict[str, Any], when: float, store: Store
) -> None:
    policy = Policy.load(QUIET, {"acme.switch": ()})
    windows = Windows(cast("Parts", SimpleNamespace(store=store, policy=policy)))
    assert windows.runs_at(request(State.SCHEDULED, run_at=run_at, **more)) == when


class Engine:
    """Notes what is started; nothing is under way, and nothing failed."""

    def __init__(self) -> None:
        self.started: list[str] = []

    async def under_way(self) -> set[str]:
        return set()

    async def failed(self, _since: float) -> set[str]:
        return set()

    async def start(self, kind: str, _request_id: str) -> None:
        self.started.append(kind)


@pytest.mark.parametrize(
    "made", [{"retry_at": NOW + AHEAD}, {"created_at": NOW + AHEAD}], ids=["retry", "accepted"]
)
async def test_what_was_accepted_or_failed_is_taken_up(
    made: dict[str, float], store: Store
) -> None:
    async with store.transaction() as session:
        session.add(request(State.RECEIVED, **made))
    engine, pipeline = Engine(), SimpleNamespace(parts=SimpleNamespace(store=store))
    rest: Any = None
    upkeep = Upkeep(store, cast("Any", engine), cast("Any", pipeline), rest, rest, [], rest)
    await upkeep.take_up()
    assert engine.started == ["prepare"]


async def test_a_plan_of_a_later_moment_is_not_fresh(store: Store) -> None:
    nothing = SimpleNamespace(operations=())
    pipeline = SimpleNamespace(parts=SimpleNamespace(store=store, registry=nothing))
    runner = Runner(store, cast("Any", None), cast("Any", pipeline))
    looked: list[Any] = []

    async def still(_request: Request, _operation: Any, rows: Any) -> list[Any]:
        looked.append(rows)
        return []

    runner._still = still  # type: ignore[method-assign]
    operation: Any = SimpleNamespace(call_size=2)
    made = request(State.RUNNING, direct=True, planned_at=NOW + AHEAD)
    assert await runner._unmoved(made, operation, [cast("Any", "row")]) == []
    assert looked == [["row"]]


async def test_a_deed_is_taken_up(store: Store) -> None:
    async with store.transaction() as session:
        session.add(Delivered(key="k", kind="run", payload={}, at=NOW + AHEAD))
    assert [each.key for each in await store.undone(60.0)] == ["k"]


# --- watches --------------------------------------------------------------------------------------


def watch(**more: Any) -> Watch:
    known = {"id": "W1", "team": "T", "channel": "C", "owner": "U", "watcher": "acme.lamps"}
    return Watch(**{**known, "selection": {}, "created_at": NOW - DAY, **more})


async def test_a_watch_that_failed_is_tried_again(store: Store, clock: Clock) -> None:
    watches = WatchStore(store)
    await watches.add(watch(polled_at=NOW - 60))
    polling = Watching(watches, Registry(()), 60.0, lambda: None)
    clock.now = NOW + AHEAD
    taken = await watches.claim(clock.now, clock.now + 180)
    assert taken is not None
    await polling._failed(taken, Temporary("Acme", "not now", wait=9 * HOUR), clock.now)
    failed = await watches.get("W1")
    assert failed is not None
    assert failed.next_at == NOW + AHEAD + HOUR, "a vendor that asks for more says so again"
    clock.now = NOW
    assert await watches.claim(NOW, NOW + 180, NOW + HOUR) is not None


async def test_a_look_back_keeps_its_day(store: Store, clock: Clock) -> None:
    watches = WatchStore(store)
    monday = NOW + 3 * DAY + HOUR  # 09:00 UTC
    every = {"selection": {"every": "mon@09:00"}, "quiet": {"timezone": "UTC"}}
    await watches.add(watch(watcher=REPORT, next_at=monday + 28 * DAY, **every))
    looks = LooksBack(cast("Any", None), watches)
    await looks.repeat()
    found = await watches.get("W1")
    assert found is not None
    assert found.next_at == monday
    async with store.reading() as session:
        assert (await session.exec(select(Delivery))).all() == [], "none on another day"
    clock.now = monday
    await looks.repeat()
    async with store.reading() as session:
        assert len((await session.exec(select(Delivery))).all()) == 1


# --- witnesses ------------------------------------------------------------------------------------


async def test_who_forwarded_to_the_siem_and_was_killed_holds_nobody_up(
    store: Store, clock: Clock
) -> None:
    forwarding = Forwarding(store, cast("Any", None), "", "")
    clock.now = NOW + AHEAD
    assert await forwarding._hold() == 0
    assert await forwarding._hold() is None, "another one forwards"
    clock.now = NOW
    assert await forwarding._hold() == 0


async def test_checkpoints_are_signed_on(store: Store, clock: Clock) -> None:
    witness = audit.Witness(Signer.fresh("amend.example"), "")

    async def signed() -> bool:
        await store.note("amend", "test", "", {})
        async with store.transaction() as session:
            return await audit.sign(session, witness, clock(), HOUR) is not None

    clock.now = NOW + AHEAD
    assert await signed()
    assert not await signed(), "one an hour"
    clock.now = NOW
    assert await signed()


# --- a replica whose clock is behind --------------------------------------------------------------

BEHIND = 45.0  # seconds; what another replica wrote lies so far ahead, and means what it says


@pytest.mark.parametrize(
    ("run_at", "more"),
    [
        (NOW + HOUR + BEHIND, {}),
        (NOW + 3 * DAY + 61 + BEHIND, {"wished_at": NOW + 3 * DAY}),
    ],
    ids=["the vendor's hour", "a wish"],
)
def test_what_another_replica_put_off_does_not_go_on_early(
    run_at: float, more: dict[str, Any], store: Store
) -> None:
    policy = Policy.load("", {"acme.switch": ()})
    windows = Windows(cast("Parts", SimpleNamespace(store=store, policy=policy)))
    assert windows.runs_at(request(State.SCHEDULED, run_at=run_at, **more)) == run_at


@pytest.mark.parametrize(
    "made",
    [{"retry_at": NOW + 600 + BEHIND}, {"created_at": NOW + BEHIND}],
    ids=["retry", "accepted"],
)
async def test_what_another_replica_has_in_hand_is_not_taken_up(
    made: dict[str, float], store: Store
) -> None:
    async with store.transaction() as session:
        session.add(request(State.RECEIVED, **made))
    engine, pipeline = Engine(), SimpleNamespace(parts=SimpleNamespace(store=store))
    rest: Any = None
    upkeep = Upkeep(store, cast("Any", engine), cast("Any", pipeline), rest, rest, [], rest)
    await upkeep.take_up()
    assert engine.started == []


async def test_a_plan_that_another_replica_put_off_is_not_made_early(store: Store) -> None:
    parts = cast("Any", SimpleNamespace(clock=store.clock))
    preparer = Preparer(parts, cast("Any", None))
    put_off = request(State.SCHEDULED, run_at=NOW + HOUR + BEHIND)
    assert await preparer.prepare(put_off) is None


async def test_a_deed_that_another_replica_took_just_now_is_left_to_it(store: Store) -> None:
    async with store.transaction() as session:
        session.add(Delivered(key="k", kind="run", payload={}, at=NOW + BEHIND))
    assert await store.undone(60.0) == []


@pytest.mark.parametrize(
    "made",
    [
        {"next_at": NOW + HOUR + BEHIND},
        {"next_at": NOW + 60.0, "polled_at": NOW + BEHIND},
    ],
    ids=["put off", "polled"],
)
async def test_a_watch_that_another_replica_read_just_now_is_not_due(
    made: dict[str, float], store: Store
) -> None:
    watches = WatchStore(store)
    await watches.add(watch(**made))
    assert await watches.claim(NOW, NOW + 180, NOW + HOUR) is None
