"""What proof costs: an entry of the trail beside a bare row, and a bundle of all there is."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import text

from bench.figures import say, scaled
from bench.stage import Stage, stage
from bot.db.engine import close_engine, open_engine
from bot.db.migrate import migrate
from bot.db.store import Store

FACTS = {"digest": "ab" * 32, "demands": [], "run_at": None}


async def append() -> None:
    """Entries one after the other on SQLite, each durable, beside one bare row each."""
    many = scaled(5_000)
    with tempfile.TemporaryDirectory() as name:
        engine = open_engine(f"sqlite:///{name}/amend.db")
        await migrate(engine)
        store = Store(engine)
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE bare (line TEXT)"))

        async def bare(number: int) -> None:
            async with store.transaction() as session:
                statement = text("INSERT INTO bare VALUES (:line)")
                await session.execute(statement, {"line": f"{number}" * 60})

        async def entry(number: int) -> None:
            await store.note("U0MARA", "request:submitted", f"R{number:07}", FACTS)

        rate = await _rate(bare, many)
        first = await _rate(entry, many)
        later = await _rate(entry, many)
        await close_engine(engine)
    say(f"{many:,} bare rows, each durable", f"{rate:.0f}/s", "")
    say(
        f"the first and the next {many:,} entries of a trail",
        f"{first:.0f}/s, {later:.0f}/s ({rate / later:.1f} times a row)",
        "",
    )


async def _rate(work: Callable[[int], Awaitable[None]], many: int) -> float:
    began = time.perf_counter()
    for number in range(many):
        await work(number)
    return many / (time.perf_counter() - began)


async def bundle() -> None:
    """The evidence of a tenth and of all: twenty thousand records, made by the command line."""
    many = scaled(20_000)
    for number in (max(many // 10, 1), many):
        async with stage(qualys=number) as held:
            await held.confirm("/qualys states=OPEN change_state=RESOLVED")
            await held.ended()
            took, memory, size = await asyncio.to_thread(_made, held)
        say(
            f"evidence of a request with {number:,} records: time, memory, size",
            f"{took:.1f} s, {memory:.0f} MB, {size / 1e6:.1f} MB",
            "memory level",
        )


def _made(held: Stage) -> tuple[float, float, int]:
    """(seconds, MB at the peak, bytes) of `amend evidence`, a process of its own."""
    request = held.rows("SELECT id FROM request ORDER BY created_at DESC LIMIT 1")[0][0]
    file = Path(held.database).with_name("evidence.zip")
    words = [sys.executable, "-m", "bot.cli", "evidence", request, "--out", str(file)]
    began = time.perf_counter()
    pid = os.posix_spawn(words[0], words, {**os.environ, **held.environment})
    _, status, used = os.wait4(pid, 0)
    assert status == 0, status
    return time.perf_counter() - began, used.ru_maxrss / 1024, file.stat().st_size
