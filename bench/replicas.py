"""Two replicas beside one: the same vendor-bound work, on one PostgreSQL, over Socket Mode.

A vendor's call takes `CALL` seconds and a replica has 16 calls to CCS under way, so that one replica
waits for the vendor most of its time; what a second one adds is what the replicas share.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import psycopg

from bench.figures import say
from bench.stage import MARA, OPS, PEOPLE, POLICY, until_ready
from deploy.sandbox.ports import free_port
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.ccs import CcsStandIn
from tests.postgres.server import server

CALL = 0.4  # seconds that a CCS call takes, once all runs stand for their time
AHEAD = 110  # seconds; what is due within 60 would begin where it was submitted
RUNS, TICKETS = 16, 30  # at most 100 each: a run that stands in no line
CALLS = 3  # for each ticket: read, changed and read back
MOST_CALLS = 16  # at once of one replica

T = TypeVar("T")


async def replicas() -> None:
    with tempfile.TemporaryDirectory() as name, server(_folder(Path(name))) as postgres:
        rates = [await _rate(many, postgres.new_database()) for many in (1, 2)]
    floor = MOST_CALLS / (CALLS * CALL)
    say(
        f"{RUNS} runs of {TICKETS} CCS tickets: one replica",
        f"{rates[0]:.1f}/s",
        f"at most {floor:.1f}/s",
    )
    say("the same: two replicas", f"{rates[1]:.1f}/s, {rates[1] / rates[0]:.2f} times", "1.6 times")


def _folder(path: Path) -> Path:
    """Where a server that runs as nobody may read."""
    path.chmod(0o755)
    return path


async def _rate(many: int, database: str) -> float:
    """Tickets a second, from the first run's start to the last one's end."""
    async with _company(many, database) as sandbox:
        numbers = iter(f"INCA{each:07}" for each in range(1, RUNS * TICKETS + 1))
        start = int(time.time()) + AHEAD
        for _ in range(RUNS):
            await _confirmed(sandbox, [next(numbers) for _ in range(TICKETS)], start)
        assert time.time() < start, "the reviews took longer than the runs were to wait for"
        sandbox.ccs.delay = CALL
        began, ended = await _over(database)
    return RUNS * TICKETS / (ended - began)


@asynccontextmanager
async def _company(many: int, database: str) -> AsyncIterator[Sandbox]:
    """A sandbox in this process, and so many replicas that are ready."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sandbox = Sandbox(
            ccs=CcsStandIn(
                tickets=RUNS * TICKETS,
            )
        )
        await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        (folder / "policy.toml").write_text(POLICY)
        (folder / "people.csv").write_text(PEOPLE)
        own = {
            "AMEND_POLICY": str(folder / "policy.toml"),
            "AMEND_LOG_LEVEL": "ERROR",
            "CCS_EDITS_PER_SECOND": "0",
            "DATABASE_URL": database,
        }
        environment = {**sandbox.environment(folder / "unused", port=0), **own}
        imported = await _amend(environment, "people", "import", str(folder / "people.csv"))
        assert await imported.wait() == 0
        for _ in range(many):
            await stack.enter_async_context(_replica(environment))
        yield sandbox


@asynccontextmanager
async def _replica(environment: dict[str, str]) -> AsyncIterator[None]:
    port = free_port()
    bot = await _amend({**environment, "AMEND_PORT": str(port)}, "run")
    await until_ready(f"http://127.0.0.1:{port}/readyz")
    try:
        yield
    finally:
        bot.terminate()
        await bot.wait()


async def _amend(environment: dict[str, str], *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", *words, env={**os.environ, **environment}
    )


async def _confirmed(sandbox: Sandbox, numbers: list[str], start: int) -> None:
    """Type a run, and submit its review for `start` (seconds since 1970)."""
    typed = f"/ccs {','.join(numbers)} TicketDescription=bench"
    await sandbox.slack.act(user=MARA, do="type", channel=OPS, text=typed)
    later = {"run_at": {"run_at": {"selected_date_time": start}}}
    view = await _until(lambda: _view(sandbox, "review"))
    await sandbox.slack.act(user=MARA, do="submit", view_id=view["id"], values=later)


async def _view(sandbox: Sandbox, name: str) -> dict[str, str] | None:
    views = sandbox.slack.state(MARA)["views"]
    return views[-1] if views and views[-1]["callback_id"] == name else None


async def _over(database: str) -> tuple[float, float]:
    """When the first run began and the last one ended."""

    async def ended() -> tuple[float, float] | None:
        with psycopg.connect(database) as connection:
            query = "SELECT count(ended_at), min(started_at), max(ended_at) FROM request"
            found = connection.execute(query).fetchone() or (0, 0.0, 0.0)
        return (found[1], found[2]) if found[0] == RUNS else None

    return await _until(ended)


async def _until(look: Callable[[], Awaitable[T | None]]) -> T:
    while (found := await look()) is None:
        await asyncio.sleep(0.1)
    return found
