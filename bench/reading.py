"""Reading: a plan of 100,000 tickets beside `lxml.iterparse` alone, and a watch over as many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import peak, say, scaled
from bench.pages import page_client, parsed
from bot.bootstrap import settle
from bot.db.engine import close_engine, open_engine
from bot.db.ledger import Ledger
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.db.tables import Request, Watch
from bot.db.vault import Vault
from bot.db.watching import WatchStore
from bot.domain.operations import Cursor, Registry, Sighting, Vendor
from bot.domain.parameters import read
from bot.domain.people import Account, Caller
from bot.domain.plans import State
from bot.domain.policy import Policy
from bot.pipeline.acting import Acting
from bot.pipeline.parts import Parts
from bot.pipeline.planning import Planner
from handlers.qualys.tickets import EditTickets
from handlers.qualys.watches import TicketWatcher
from integrations.qualys.client import QualysClient

MARA = "U0MARA"
ACCOUNT = Account("qualys", "mlindqvist", "Manager")


class OneManager:
    """A directory that knows one Manager; Slack is no part of what is measured here."""

    team = "T0NORTH"

    async def caller(self, user: str, *, fresh: bool = False) -> Caller:
        return Caller(user, self.team, "Mara", {"qualys": ACCOUNT})

    async def groups(
        self, user: str, groups: Sequence[str]
    ) -> tuple[frozenset[str], frozenset[str]]:
        return frozenset(), frozenset()


class Silent:
    """A voice that nobody needs while a plan is made."""

    async def planned(self, *_: object) -> None: ...
    async def refused(self, *_: object) -> None: ...
    async def show(self, *_: object) -> None: ...
    async def follow(self, *_: object) -> None: ...
    async def remind(self, *_: object) -> None: ...


async def plan() -> None:
    """A plan of 100,000 tickets from 100 pages: fetched, read, decided, digested and kept.

    By the pipeline's own planner. The yardstick reads the same pages from files. Both take turns,
    five times, and the best of each counts. A plan of a tenth of the size comes first, and shows
    whether the memory that it needs depends on the size.
    """
    many = scaled(100_000)
    async with page_client(max(1000, many // 10)) as (_, client):
        await _planned(client)
    settle()
    small = peak()
    bare, own = [], []
    async with page_client(many) as (files, client):
        for _ in range(5):
            began = time.perf_counter()
            assert await asyncio.to_thread(parsed, files) >= many
            bare.append(time.perf_counter() - began)
            own.append(await _planned(client, many))
    times = min(own) / min(bare)
    say(f"{many:,} tickets: lxml.iterparse alone", f"{min(bare):.2f} s", "")
    say(f"{many:,} tickets: planned and kept", f"{min(own):.2f} s, {times:.1f} times", "2 times")
    say(
        "peak memory, and how much less a tenth of it takes",
        f"{peak():.0f}, {peak() - small:.0f} MB",
        "no growth",
    )


async def _planned(client: QualysClient, many: int = 0) -> float:
    """Plan everything that the client lists; the seconds it took."""
    operation = EditTickets(client)
    async with _store() as store:
        parts = _parts(store, operation)
        request = Request(
            id="RBENCH",
            origin="bench",
            operation=operation.name,
            parameters={"states": "OPEN", "change_state": "RESOLVED"},
            team=OneManager.team,
            requester=MARA,
            channel="C0OPS",
            state=State.RECEIVED,
            created_at=store.clock(),
        )
        assert await store.accept(request, time.monotonic() + 5)
        began = time.perf_counter()
        await Planner(parts, Acting(parts)).plan(request)
        took = time.perf_counter() - began
        planned = await store.request("RBENCH")
        assert planned is not None
        assert planned.records >= many
    return took


def _parts(store: Store, operation: EditTickets) -> Parts:
    async def nothing(*_: object) -> None: ...

    vendor = Vendor("qualys", "Qualys", (operation,), None, nothing, nothing)
    return Parts(
        store,
        Ledger(store),
        Registry((vendor,)),
        OneManager(),
        Policy.default(),
        Silent(),
        nothing,
        Vault(store),
    )


async def poll() -> None:
    """A watch over 100,000 tickets: the first poll learns them, the next finds nothing new."""
    many = scaled(100_000)
    async with page_client(many) as (_, client), _store() as store:
        watches, watcher = WatchStore(store), TicketWatcher(client)
        watch = Watch(
            id="WBENCH",
            team="T",
            channel="C",
            owner="U",
            watcher=watcher.name,
            selection={},
            created_at=0.0,
        )
        await watches.add(watch)
        before = peak()
        for what in ("first poll", "next poll, everything listed again"):
            began = time.perf_counter()
            await _poll(watcher, watches, watch)
            took = time.perf_counter() - began
            say(f"watch of {many:,} tickets: {what}", f"{took:.1f} s", "")
            watch.based = True
        say("memory that both added", f"{peak() - before:.0f} MB", "")


async def _poll(watcher: TicketWatcher, watches: WatchStore, watch: Watch) -> None:
    page: list[Sighting] = []
    async for each in watcher.poll(read(watcher.parameters, {}), ""):
        if isinstance(each, Cursor):
            break
        page.append(each)
        if len(page) == 1000:
            await watches.notice(watch, page, frozenset())
            page = []
    await watches.notice(watch, page, frozenset())


@asynccontextmanager
async def _store() -> AsyncIterator[Store]:
    """A store in a file of its own."""
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'amend.db'}")
        try:
            await migrate(engine)
            yield Store(engine)
        finally:
            await close_engine(engine)
