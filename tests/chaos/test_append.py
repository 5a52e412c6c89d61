"""Killed at each step of an append: a deed and its entry stand or fall together, and the trail holds."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from bot.db import audit
from bot.db.engine import close_engine, open_engine
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.domain.people import Account
from tests.chaos.append_steps import TEAM
from tests.chaos.test_chaos import KILLS
from tests.postgres.server import Server

# Each step in `make chaos`; else each on PostgreSQL, whose driver makes few, and a third on SQLite.
EVERY = {"sqlite": 1 if KILLS > 10 else 3, "postgres": 1}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_killed_at_each_step(kind: str, tmp_path: Path, postgres: Server) -> None:
    url = f"sqlite:///{tmp_path}/amend.db" if kind == "sqlite" else postgres.new_database()
    engine = open_engine(url)
    await migrate(engine)
    first = ("U0MARA", Account("qualys", "mlindqvist", "Manager"))
    await Store(engine).import_people(TEAM, [first], replace=False, actor="U0MARA")
    await close_engine(engine)
    steps = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.append_steps",
        url,
        str(EVERY[kind]),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await steps.communicate()
    assert steps.returncode == 0
    found = [json.loads(line) for line in told.splitlines()]
    assert len(found) > 40, "it was killed at few steps only"
    before = 1
    for each in found:
        assert each["wrong"] == "", each
        assert each["head_is_last"], each
        assert each["entries"] == each["people"] == each["head"], each
        assert each["entries"] in (before, before + 1), each
        before = each["entries"]
    assert not found[-1]["killed"]
    done = [each for each in found if each["killed"] and each["entries"] > 1]
    assert done, "no step after the commit was met"
    engine = open_engine(url)
    assert await audit.verify(engine) is None
    await close_engine(engine)
