"""What a look back counts: what was seen elsewhere, and ends that are still near."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar

import pytest_asyncio

from bot.db.engine import open_engine
from bot.db.lookback import Counting
from bot.db.store import Store
from bot.db.tables import PlannedRecord, Request, Watch
from bot.db.watching import WatchStore
from bot.domain.lookback import LookBack, day_of
from bot.domain.operations import Cursor, Registry, Result, Sighting, Vendor, Watcher
from bot.domain.parameters import Kind, Param, Parameters, number
from bot.domain.plans import State
from bot.domain.reminders import reminder
from bot.jobs.watching import Watching
from tests.laid import lay

NOW = 1_790_000_000.0
TODAY = day_of(NOW, "UTC")
HOUR = 3600.0


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    lay(tmp_path / "amend.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    store = Store(engine, clock=lambda: NOW)
    yield store
    await store.close()


async def look(store: Store, *vendors: str) -> LookBack:
    operations = ["acme.edit", "acme2.edit"]
    return await Counting(store, vendors, operations, 30, "UTC").count(lambda *_: True)


# --- elsewhere --------------------------------------------------------------------------------------


async def watching(store: Store, name: str, watcher: str) -> Watch:
    watches = WatchStore(store)
    fields = {"team": "T", "channel": "C", "owner": "U", "selection": {}, "based": True}
    await watches.add(Watch(id=name, watcher=watcher, created_at=NOW, **fields))
    found = await watches.get(name)
    assert found is not None
    return found


async def edited(store: Store, record: str, state: str, ago: float) -> None:
    """Amend brought a record of Acme to a state, in another channel than the watches'."""
    who = {"team": "T", "requester": "U", "channel": "C9", "parameters": {}}
    made = {"created_at": NOW - ago, "started_at": NOW - ago, "state": State.SUCCEEDED}
    key = f"R{record}{ago}"
    async with store.transaction() as session:
        session.add(Request(id=key, origin=key, operation="acme.edit", **who, **made))
        session.add(
            PlannedRecord(
                request_id=key,
                seq=0,
                record_id=record,
                label="",
                state={"state": "Open"},
                after={"state": state},
                result=Result.CHANGED,
                sent_at=NOW - ago,
            )
        )


def seen(record: str, state: str, at: str = "2026-09-21T00:00:00+00:00") -> Sequence[Sighting]:
    return [Sighting(record, "a label", state, at, "carl")]


async def elsewhere(store: Store) -> int:
    return sum((await look(store, "acme", "acme2")).elsewhere.values())


async def test_only_what_amend_itself_brought_about_is_not_elsewhere(store: Store) -> None:
    await edited(store, "71", "Resolved", 2 * HOUR)
    ours = await watching(store, "W1", "acme.tickets")
    other = await watching(store, "W2", "acme2.tickets")
    watches, none = WatchStore(store), frozenset[str]()
    assert await watches.notice(ours, seen("71", "Resolved"), none) == 1
    assert await elsewhere(store) == 0, "a watch in another channel than the edit's saw the edit"
    assert await watches.notice(ours, seen("71", "Reopened"), none) == 1
    assert await elsewhere(store) == 1, "somebody reopened it in the console"
    assert await watches.notice(other, seen("71", "Resolved"), none) == 1
    assert await elsewhere(store) == 2, "another vendor has a record of that number"
    assert await watches.notice(ours, seen("72", "Resolved"), none) == 1
    assert await elsewhere(store) == 3


async def test_an_edit_of_long_ago_explains_nothing_of_today(store: Store) -> None:
    await edited(store, "71", "Resolved", 30 * HOUR)
    watch = await watching(store, "W1", "acme.tickets")
    await WatchStore(store).notice(watch, seen("71", "Resolved"), frozenset())
    assert await elsewhere(store) == 1


# --- ends -------------------------------------------------------------------------------------------


class Ends(Parameters):
    ends_within: Annotated[
        int | None,
        *number(
            "ends_within", Param(Kind.SELECTION, "Ends within", least=1, most=365)
        ).__metadata__,
    ] = None


class Permits(Watcher):
    """A vendor of permits that end; it looks at all of them, or at none."""

    name: ClassVar[str] = "acme.permits"
    vendor: ClassVar[str] = "acme"
    vendor_title: ClassVar[str] = "Acme"
    command: ClassVar[str] = "permits"
    noun: ClassVar[tuple[str, str]] = ("permit", "permits")
    parameters: ClassVar[type[Parameters]] = Ends

    def __init__(self, **ends: int) -> None:
        self.ends = ends  # days from now on which each approved one ends
        self.looks = True

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        for name, days in self.ends.items() if self.looks else ():
            ends = TODAY + timedelta(days=days)
            due = reminder(ends, TODAY, 30)
            if due is not None:
                yield Sighting(name, "a permit", "Approved", ends.isoformat(), reminder=due)
        yield Cursor("seen", ends=self.looks)

    def states(self, selection: Parameters) -> frozenset[str]:
        return frozenset()


async def nothing() -> None:
    pass


async def test_what_was_renewed_or_is_approved_no_more_does_not_end_soon(store: Store) -> None:
    permits = Permits(one=5, two=20, three=25)
    vendor = Vendor("acme", "Acme", (), None, nothing, nothing, watchers=(permits,))
    watches = WatchStore(store)
    fields = {"team": "T", "channel": "C", "owner": "U", "based": True}
    selection = {"ends_within": 30}
    await watches.add(
        Watch(id="W", watcher="acme.permits", selection=selection, created_at=NOW, **fields)
    )
    job = Watching(watches, Registry((vendor,)), 60.0, lambda: None)

    async def polled() -> int | None:
        watch = await watches.get("W")
        assert watch is not None
        await job.poll([watch])
        return (await look(store, "acme")).ending

    assert await polled() == 3
    permits.ends = {"one": 5, "two": 20 + 365}  # renewed; `three` was taken back
    permits.looks = False
    assert await polled() == 3, "nothing was looked at, so nothing is known"
    permits.looks = True
    assert await polled() == 1
    told = [each.record_id for each in await watches.untold("W", 10, ends=True)]
    assert told == ["one", "two", "three"], "each was told once"
    permits.ends = {"one": 5, "two": 20}
    assert await polled() == 2
