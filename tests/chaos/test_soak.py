"""Months of work in minutes: what has ended and is old leaves the tables, and memory levels off.

Days are eight seconds long for what is kept. `AMEND_SOAK_ROUNDS` says for how many rounds it goes on
(default 2; `make soak` takes 40), each of them with bulk runs, typed edits and questions.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.sandbox.start import Sandbox
from tests.chaos.storms import end, lives, storm_in, why
from tests.chaos.test_chaos import SEED, Storm
from tests.e2e.conftest import MARA, OPS, until

ROUNDS = int(os.environ.get("AMEND_SOAK_ROUNDS", "2"))
RECORDS, TYPED, QUESTIONS = 60, 4, 10  # in a round
SETTLED = 15  # rounds after which memory may grow by `GROWTH` at most
GROWTH = 1.1

# Python loads this before anything of the bot.
SHORT_DAYS = """
from bot.db import retention

retention.DAY = retention.KEPT_FOR = 8.0
retention.LOOKS_EVERY = retention.FIRST_AFTER = 1.0
"""

GO = ("request", "record", "delivery", "delivered", "draft", "vote")
ENGINE_GO = ("workflow_status", "operation_outputs")


@pytest.mark.slow
async def test_tables_and_memory_level_off_over_months_of_work(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SHORT_DAYS)
    sandbox = Sandbox()
    await sandbox.start()
    url = f"sqlite:///{tmp_path / 'bot' / 'amend.db'}"
    chance = random.Random(SEED)  # noqa: S311 - which moment, not a secret
    days = {"PYTHONPATH": str(site), "AMEND_RETENTION_DAYS": "1"}
    storm = storm_in(sandbox, tmp_path / "bot", url, chance, **days)
    memory: list[float] = []
    try:
        await storm.begin()
        for number in range(ROUNDS):
            await work(storm, number)
            held = rows(storm)
            await until(lambda: not any(rows(storm).values()), "all that is old is gone", 180)
            memory.append(resident(storm))
            sys.stdout.write(f"round {number}: {held}, then nothing; {memory[-1]:.0f} MB\n")
        assert lives(storm), why(storm)
        entries = storm.rows("SELECT count(*) FROM audit")[0][0]
        assert entries > ROUNDS * TYPED, "the trail alone is never purged"
        if ROUNDS > 2 * SETTLED:
            assert memory[-1] <= memory[SETTLED] * GROWTH, memory
    finally:
        await end(storm)
        await sandbox.stop()


async def work(storm: Storm, number: int) -> None:
    """A round, until each of its requests has ended."""
    incidents = ",".join(map(str, range(1, RECORDS + 1)))
    numbers = sorted(storm.sandbox.qualys.tickets)
    tickets = ",".join(map(str, numbers[:RECORDS]))
    await storm.ask(f"/xpanse {incidents} comment=round-{number}")
    await storm.ask(f"/qualys {tickets} add_comment=round-{number}")
    for each in range(QUESTIONS):
        await typed(storm, ("/amend help", "/amend requests", "/amend whoami")[each % 3])
    for each in range(TYPED):
        known = len(storm.requests())
        await typed(storm, f"/qualys {numbers[RECORDS + each]} add_comment=round-{number}")
        await until(lambda many=known: len(storm.requests()) > many, "accepted")  # type: ignore[misc]
    await storm.ends(within=120)


async def typed(storm: Storm, text: str) -> None:
    await storm.sandbox.slack.act(user=MARA, do="type", channel=OPS, text=text)


def rows(storm: Storm) -> Mapping[str, int]:
    """How many rows each table holds of those that shrink, our own and the engine's."""
    found = {each: storm.rows(f"SELECT count(*) FROM {each}")[0][0] for each in GO}  # noqa: S608
    engine = sqlite3.connect(storm.folder / "amend-jobs.db", timeout=120)
    try:
        for each in ENGINE_GO:
            query = f"SELECT count(*) FROM {each}"  # noqa: S608
            found[each] = engine.execute(query).fetchone()[0]
    finally:
        engine.close()
    return found


def resident(storm: Storm) -> float:
    """The bot's resident memory in MB."""
    assert storm.process.process is not None
    status = Path(f"/proc/{storm.process.process.pid}/status").read_text()
    (line,) = (each for each in status.splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
