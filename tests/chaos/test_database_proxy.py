"""The way to PostgreSQL breaks in the middle of bulk runs: nothing is lost or repeated.

A proxy stands between the bot and its database. It resets connections at random moments, and swallows
answers of commits: the transaction stands, and whoever made it hears of a broken connection.

`AMEND_CHAOS_RESETS` says how many of both there are (default 8; `make chaos` takes 200),
and `AMEND_CHAOS_SEED` when.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from deploy.sandbox.start import Sandbox
from tests.chaos.storms import end, lives, storm_in, why
from tests.chaos.test_chaos import SEED, Storm, bulk, judge
from tests.e2e.conftest import MARA, OPS, until
from tests.postgres.server import Server

RESETS = int(os.environ.get("AMEND_CHAOS_RESETS", "8"))
A_ROUND = 20  # faults of one sandbox's runs at most; then others begin

# PostgreSQL's protocol: a simple query is Q, its length with itself, and a text that ends with NUL.
COMMIT = b"Q" + struct.pack("!i", 11) + b"COMMIT\0"
TAKES_ON = b"workflow_deadline_epoch_ms="  # what the next run of a queue is taken on with
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: to close is to reset, and what was not sent is gone


@dataclass(eq=False)
class Way:
    """One connection of the bot, and the one to the server that carries it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    seen: bytes = b""  # what its transaction has said so far
    swallows: bool = False  # the next answer

    def reset(self) -> None:
        for each in (self.client, self.server):
            found = each.get_extra_info("socket")
            if found is not None and not each.is_closing():
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            each.transport.abort()


@dataclass
class Proxy:
    """Carries what it is given to a PostgreSQL on loopback, until it is told to break something."""

    to: int
    port: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    _ways: set[Way] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _swallow_in: int = 0  # so many commits from now; 0 for none
    _words: bytes = b""  # only of a transaction that said this

    def url(self, url: str) -> str:
        """A database's URL by way of this proxy."""
        return url.replace(f":{self.to}/", f":{self.port}/")

    def reset(self, chosen: Callable[[list[Way]], list[Way]]) -> None:
        """Reset some of the connections that are open."""
        for way in chosen(list(self._ways)):
            way.reset()
            self.happened["reset"] += 1

    def swallow(self, commits: int = 1, words: bytes = b"") -> None:
        """The answer of the n-th commit from now never comes, though the commit itself does."""
        self._swallow_in, self._words = commits, words

    @property
    def swallows(self) -> bool:
        """Is an answer still to be swallowed?"""
        return self._swallow_in > 0

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        way = Way(writer, server)
        self._ways.add(way)
        there = asyncio.create_task(self._ask(way, reader))
        back = asyncio.create_task(self._answer(way, answers))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ways.discard(way)
            for each in (there, back):
                each.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            for end_of_it in (way.client, way.server):
                end_of_it.close()
                with suppress(OSError):
                    await end_of_it.wait_closed()

    async def _ask(self, way: Way, reader: asyncio.StreamReader) -> None:
        while asked := await reader.read(65536):
            way.seen += asked
            if COMMIT in asked:
                self._committed(way)
                way.seen = b""
            way.server.write(asked)
            await way.server.drain()

    def _committed(self, way: Way) -> None:
        if self.swallows and self._words in way.seen:
            self._swallow_in -= 1
            way.swallows = self._swallow_in == 0

    async def _answer(self, way: Way, answers: asyncio.StreamReader) -> None:
        while answer := await answers.read(65536):
            if way.swallows:  # the commit is done: only its answer is missing
                self.happened["swallowed"] += 1
                way.reset()
                return
            way.client.write(answer)
            await way.client.drain()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Proxy]:
        def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._carry(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        listener = await asyncio.start_server(take, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            self.reset(lambda ways: ways)
            if self._tasks:
                await asyncio.wait(self._tasks)
            await listener.wait_closed()


@asynccontextmanager
async def storm_behind(
    proxy: Proxy, url: str, folder: Path, chance: random.Random
) -> AsyncIterator[Storm]:
    """A storm whose bot reaches its database through the proxy; we look at it directly."""
    sandbox = Sandbox()
    await sandbox.start()
    storm = storm_in(sandbox, folder, proxy.url(url), chance)
    storm.engine.dispose()
    storm.engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        await storm.begin()
        yield storm
    finally:
        await end(storm)
        await sandbox.stop()


async def break_something(proxy: Proxy, chance: random.Random) -> None:
    """After a moment: an answer swallowed, one connection reset, or all of them."""
    await asyncio.sleep(chance.uniform(0.0, 0.6))
    what = chance.random()
    if what < 0.5:
        proxy.swallow(chance.randint(1, 8))
    elif what < 0.75:
        proxy.reset(lambda ways: [chance.choice(ways)] if ways else [])
    else:
        proxy.reset(lambda ways: ways)


async def rage(proxy: Proxy, storm: Storm, chance: random.Random, most: int) -> int:
    """Break something again and again until all has ended; how often it was at most `most` times."""
    broken = 0
    while broken < most and not storm.over():
        await break_something(proxy, chance)
        broken += 1
    await until(lambda: storm.over() or not proxy.swallows, "a commit")
    return broken


@pytest.mark.slow
async def test_a_broken_way_to_the_database_loses_and_repeats_nothing(
    postgres: Server, tmp_path: Path
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - which moment, not a secret
    broken, happened = 0, Counter[str]()
    while broken < RESETS:
        folder = tmp_path / f"after-{broken}"
        async with (
            Proxy(postgres.port).listening() as proxy,
            storm_behind(proxy, postgres.new_database(), folder, chance) as storm,
        ):
            for typed in bulk(storm.sandbox):
                await storm.ask(typed)
            now = await rage(proxy, storm, chance, min(A_ROUND, RESETS - broken))
            await storm.ends(within=180)
            judge(storm)
            assert lives(storm), f"the process stays up\n{why(storm)}"
            assert now, "nothing ran long enough"
            broken, happened = broken + now, happened + proxy.happened
            sys.stdout.write(f"{broken} faults so far, {dict(happened)}: {storm.told()}\n")
    assert happened["swallowed"], "no answer of a commit was swallowed"
    assert happened["reset"], "no connection was reset"


@pytest.mark.slow
async def test_what_is_told_not_accepted_does_not_run_though_its_commit_came_through(
    postgres: Server, tmp_path: Path
) -> None:
    """The request is recorded, and the answer of its commit is lost: one word, and it is kept."""
    chance = random.Random(SEED)  # noqa: S311 - which moment, not a secret
    async with (
        Proxy(postgres.port).listening() as proxy,
        storm_behind(proxy, postgres.new_database(), tmp_path / "bot", chance) as storm,
    ):
        proxy.swallow(words=b"INSERT INTO request ")
        typed = '/qualys 23456 add_comment="Host patched"'
        await storm.sandbox.slack.act(user=MARA, do="type", channel=OPS, text=typed)
        await until(lambda: proxy.happened["swallowed"] == 1, "the commit")
        ends = {"denied", "failed", "cancelled", "expired", "succeeded", "partial", "unknown"}
        query = "SELECT state FROM request"
        await until(lambda: all(state in ends for (state,) in storm.rows(query)), "its end")
        told = refused(storm)
        edits = [each for each in storm.sandbox.qualys.requests if "ticket_edit" in each.path]
        assert bool(edits) is not told, (
            f"told {'not accepted' if told else 'nothing'}, and {len(edits)} calls went out\n"
            f"{why(storm)}"
        )


@pytest.mark.slow
async def test_a_run_goes_on_that_was_taken_out_of_its_line_without_an_answer(
    postgres: Server, tmp_path: Path
) -> None:
    """The engine has taken the run on, and the answer of that commit is lost: somebody runs it."""
    chance = random.Random(SEED)  # noqa: S311 - which moment, not a secret
    async with (
        Proxy(postgres.port).listening() as proxy,
        storm_behind(proxy, postgres.new_database(), tmp_path / "bot", chance) as storm,
    ):
        proxy.swallow(words=TAKES_ON)
        await storm.ask(bulk(storm.sandbox)[1])
        await until(lambda: proxy.happened["swallowed"] == 1, "the commit")
        await storm.ends()
        judge(storm)


def refused(storm: Storm) -> bool:
    """Was the person told that nothing was accepted?"""
    seen = storm.sandbox.slack.state(MARA)["messages"].get(OPS, [])
    return any("not accepted" in str(each) for each in seen)
