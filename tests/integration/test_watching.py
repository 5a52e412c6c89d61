"""Polling: one for all who watch the same, and none of what people need."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import httpx
import pytest
import pytest_asyncio

from bot.db.engine import open_engine
from bot.db.leases import Leases
from bot.db.store import Store
from bot.db.tables import Watch
from bot.db.watching import WatchStore
from bot.domain.operations import Cursor, Registry, Sighting, Vendor, Watcher
from bot.domain.parameters import Kind, Param, Parameters, text
from bot.jobs import watching
from bot.jobs.watching import Watching
from integrations.qualys.client import QualysClient
from integrations.qualys.config import QualysSettings
from integrations.qualys.protocol import LIST
from tests.laid import lay


class InRoom(Parameters):
    room: Annotated[str | None, *text("room", Param(Kind.SELECTION, "Room"), str).__metadata__] = (
        None
    )


class Lamps(Watcher):
    """A vendor of one lamp that may be switched; it notes how it is polled."""

    name: ClassVar[str] = "acme.lamps"
    vendor: ClassVar[str] = "acme"
    vendor_title: ClassVar[str] = "Acme"
    command: ClassVar[str] = "lamps"
    noun: ClassVar[tuple[str, str]] = ("lamp", "lamps")
    parameters: ClassVar[type[Parameters]] = InRoom

    def __init__(self) -> None:
        self.polls: list[str] = []
        self.state = "off"
        self.gap = 0.0

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        self.polls.append(cursor)
        yield Sighting("lamp", "the lamp", self.state, "", "")
        yield Cursor(str(len(self.polls)))

    def states(self, selection: Parameters) -> frozenset[str]:
        return frozenset()

    def apart(self) -> float:
        return self.gap


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    lay(tmp_path / "amend.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    store = Store(engine)
    yield store
    await store.close()


async def nothing() -> None:
    pass


class House:
    """The watching of some channels, and a clock that is set by hand."""

    def __init__(self, store: Store) -> None:
        self.now = 1000.0
        store.clock = lambda: self.now
        self.lamps = Lamps()
        vendor = Vendor("acme", "Acme", (), None, nothing, nothing, watchers=(self.lamps,))
        self.watches = WatchStore(store)
        self.watching = Watching(self.watches, Registry((vendor,)), 60.0, lambda: None)

    async def add(self, name: str, **more: Any) -> None:
        known = {
            "selection": {},
            "created_at": self.now,
            "next_at": self.now,
            "watcher": "acme.lamps",
        }
        fields = {**known, "team": "T", "channel": f"C{name}", "owner": "U", **more}
        await self.watches.add(Watch(id=name, **fields))

    async def at(self, now: float) -> None:
        self.now = now
        await self.watching.round()
        while self.watching._tasks:
            for task in list(self.watching._tasks):
                await task

    async def news(self, name: str) -> list[str]:
        return [each.to_state for each in await self.watches.of_record(name, "lamp")]


async def test_watches_of_the_same_selection_share_one_poll(store: Store) -> None:
    house = House(store)
    for name in ("a", "b", "c"):
        await house.add(name)
    await house.add("other", selection={"room": "hall"})
    await house.at(1000)
    assert len(house.lamps.polls) == 2
    house.lamps.state = "on"
    await house.at(1060)
    assert len(house.lamps.polls) == 4
    for name in ("a", "b", "c", "other"):
        assert await house.news(name) == ["on"]


async def test_one_that_comes_later_joins_and_misses_and_repeats_nothing(store: Store) -> None:
    house = House(store)
    await house.add("a")
    await house.at(1000)
    house.lamps.state = "on"
    house.now = 1040.0
    await house.add("b")
    await house.at(1040)  # its own first look, which is no news
    await house.at(1060)  # it is not due before 1100, and too far off to join
    assert len(house.lamps.polls) == 3
    house.lamps.state = "dim"
    await house.at(1100)  # a is due at 1120: it was polled later, so it joins
    assert len(house.lamps.polls) == 4
    await house.at(1160)
    assert len(house.lamps.polls) == 5
    assert await house.news("a") == ["on", "dim"]
    assert await house.news("b") == ["dim"]


async def test_polls_stretch_before_they_take_what_people_need(store: Store) -> None:
    house = House(store)
    await house.add("a")
    await house.at(1000)
    house.lamps.gap = 200.0
    for now in (1060, 1120, 1199):
        await house.at(now)
    assert len(house.lamps.polls) == 1
    await house.at(1200)
    assert len(house.lamps.polls) == 2
    (row,) = await house.watches.listed()
    assert (row.failures, row.trouble) == (0, "")


async def test_how_far_apart_is_learned_from_the_vendors_headers() -> None:
    clock = [0.0]
    left = [60]

    def answer(_: httpx.Request) -> httpx.Response:
        left[0] -= 1
        limit = {"X-RateLimit-Limit": "60", "X-RateLimit-Window-Sec": "600"}
        headers = {**limit, "X-RateLimit-Remaining": str(left[0])}
        return httpx.Response(200, text="<REMEDIATION_TICKETS/>", headers=headers)

    settings = QualysSettings(url="https://q.example", username="a", password="sandbox")
    client = QualysClient(settings, transport=httpx.MockTransport(answer), clock=lambda: clock[0])
    assert client.apart(LIST) == 0
    seen = {}
    for _ in range(60):
        await client.check()
        seen[left[0]] = client.apart(LIST)
    await client.aclose()
    assert [seen[calls] for calls in (59, 30)] == [0, 0]
    assert seen[20] == 60, "ten of the twenty that are left in ten minutes"
    assert {seen[calls] for calls in range(7)} == {900}
    assert sorted(seen.values()) == [seen[calls] for calls in sorted(seen, reverse=True)]
    clock[0] = 601.0
    assert client.apart(LIST) == 0, "nobody knows any more"


class Poisoned(Lamps):
    """What it sees makes Amend itself fail."""

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        self.polls.append(cursor)
        if selection.model_dump().get("room") == "cellar":
            raise ValueError("a fault of our own")
        yield Cursor("1")


async def test_a_watch_that_fails_for_ever_backs_off_is_told_and_holds_up_no_other(
    store: Store,
) -> None:
    house = House(store)
    house.lamps = Poisoned()
    vendor = Vendor("acme", "Acme", (), None, nothing, nothing, watchers=(house.lamps,))
    told: list[tuple[str, str]] = []

    async def tell(watch: Watch, why: str) -> None:
        told.append((watch.id, why))
        raise OSError("Slack is away")

    house.watching = Watching(
        house.watches, Registry((vendor,)), 60.0, lambda: None, tell_owner=tell
    )
    await house.add("bad", selection={"room": "cellar"})
    await house.add("good")
    gaps = []
    for _ in range(7):
        await house.at(house.now)
        watch = await house.watches.get("bad")
        assert watch is not None
        gaps.append(watch.next_at - house.now)
        assert "a fault of our own" not in watch.trouble, "what the database said is no sentence"
        assert "log" in watch.trouble
        house.now = watch.next_at
    assert gaps == [60.0, 120.0, 240.0, 480.0, 900.0, 900.0, 900.0]
    assert [each for each, _ in told] == ["bad"]
    good = await house.watches.get("good")
    assert good is not None
    assert (good.failures, good.trouble) == (0, "")


class Slow(Lamps):
    """Its list takes far longer than a lease lasts; `ended` counts how often it came to its end."""

    def __init__(self, pages: int) -> None:
        super().__init__()
        self.pages, self.read, self.ended = pages, 0, 0

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        self.polls.append(cursor)
        for page in range(6):
            await asyncio.sleep(0.25)
            self.read += 1
            if page < self.pages:
                yield Sighting(f"lamp {page}", "a lamp", "off", "", "")
        self.ended += 1
        yield Cursor("read to the end")


@pytest_asyncio.fixture
async def slow(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A house that is watched by a clock that goes on."""
    monkeypatch.setattr(watching, "LEASE", 0.6)
    monkeypatch.setattr(watching, "PAGE", 1)
    house = House(store)
    store.clock = time.time
    yield house
    await house.watching.close()


def shows(house: House, pages: int) -> Slow:
    made = Slow(pages)
    vendor = Vendor("acme", "Acme", (), None, nothing, nothing, watchers=(made,))
    house.watching = Watching(house.watches, Registry((vendor,)), 60.0, lambda: None)
    return made


async def rounds(house: House, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await house.watching.round()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("pages", [6, 0], ids=["of many pages", "that shows nothing for long"])
async def test_a_poll_that_takes_longer_than_its_lease_is_read_to_its_end_and_once(
    pages: int, slow: House
) -> None:
    lamps = shows(slow, pages)
    await slow.add("a")
    await rounds(slow, 2.5)
    watch = await slow.watches.get("a")
    assert watch is not None
    assert (len(lamps.polls), lamps.ended) == (1, 1)
    assert (watch.cursor, watch.based, watch.trouble) == ("read to the end", True, "")


async def test_a_poll_ends_where_the_watch_is_another_ones_by_now(
    slow: House, store: Store
) -> None:
    lamps = shows(slow, 6)
    await slow.add("a")
    await slow.watching.round()
    await asyncio.sleep(0.1)
    await Leases(store, "b", "1").end("")  # as who takes over from a replica that is gone
    other = WatchStore(store, "b")
    now = store.clock()
    assert await other.claim(now, now + 60) is not None
    await asyncio.gather(*slow.watching._tasks)
    assert lamps.read < 6
    watch = await slow.watches.get("a")
    assert watch is not None
    assert (watch.next_at, watch.cursor, watch.failures) == (now + 60, "", 0)


async def test_a_poll_that_never_ends_is_given_up_and_its_watch_says_so(
    slow: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    shows(slow, 6)
    monkeypatch.setattr(watching, "LONGEST_POLL", 0.5)
    await slow.add("a")
    await rounds(slow, 1.0)
    watch = await slow.watches.get("a")
    assert watch is not None
    assert (watch.failures, watch.trouble) == (1, "its list took more than an hour to read")
