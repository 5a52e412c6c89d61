"""PostgreSQL is stopped and started again in the middle of bulk runs: nothing is lost or repeated.

`AMEND_CHAOS_RESTARTS` says how often (default 2; `make chaos` takes 20).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from deploy.sandbox.start import Sandbox
from tests.chaos.test_chaos import SEED, Storm, bulk, judge
from tests.postgres.server import Server

RESTARTS = int(os.environ.get("AMEND_CHAOS_RESTARTS", "2"))


@pytest.mark.slow
async def test_a_database_that_is_restarted_loses_and_repeats_nothing(
    own_server: Server, tmp_path: Path
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - which moment, not a secret
    sandbox = Sandbox()
    await sandbox.start()
    folder = tmp_path / "bot"
    folder.mkdir()
    storm = Storm(sandbox, folder, own_server.new_database(), chance)
    restarts = 0
    try:
        await storm.begin()
        for typed in bulk(sandbox):
            await storm.ask(typed)
        while restarts < RESTARTS and not storm.over():
            await asyncio.sleep(chance.uniform(0.2, 2.0))
            await asyncio.to_thread(own_server.stop, signal.SIGQUIT)  # as by a power cut
            await asyncio.sleep(chance.uniform(0.0, 3.0))
            await asyncio.to_thread(own_server.start)
            storm.engine.dispose()
            restarts += 1
        await storm.ends(within=180)
        assert restarts, "nothing ran long enough"
        judge(storm)
        assert storm.process.process is not None
        assert storm.process.process.returncode is None, "the process stays up"
        sys.stdout.write(f"{restarts} restarts of PostgreSQL: {storm.told()}\n")
    finally:
        await storm.process.end(signal.SIGKILL)
        storm.engine.dispose()
        await sandbox.stop()
