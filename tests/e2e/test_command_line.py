"""`amend run` as a process of its own: what it writes, from the first line on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import httpx

from deploy.sandbox.start import Sandbox


async def lines_of_a_run(tmp_path: Path, style: str) -> list[str]:
    """Everything on stderr of a start in the sandbox and a planned stop."""
    sandbox = Sandbox()
    await sandbox.start()
    try:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        settings = sandbox.environment(tmp_path / "amend.db", port=0)
        bot = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.cli", "run"),
            env=kept | settings | {"AMEND_LOG_FORMAT": style},
            stderr=asyncio.subprocess.PIPE,
        )
        assert bot.stderr is not None
        async with asyncio.timeout(120):
            lines = [(await bot.stderr.readline()).decode()]
            await until_ready(lines[0])
            bot.send_signal(signal.SIGTERM)
            rest = (await bot.stderr.read()).decode()
            assert await bot.wait() == 0
        return lines + rest.splitlines()
    finally:
        await sandbox.stop()


async def until_ready(first: str) -> None:
    """Wait until the bot that said where it listens is ready."""
    found = re.search(r"127\.0\.0\.1:(\d+)", first)
    assert found, first
    async with httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{found[1]}/readyz"
        while (await client.get(url)).status_code != 200:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.1)


async def test_a_start_in_the_sandbox_tells_where_it_listens_and_warns_of_nothing(
    tmp_path: Path,
) -> None:
    lines = await lines_of_a_run(tmp_path, "json")
    read = [json.loads(line) for line in lines]
    assert read[0]["event"].startswith("Amend listens on 127.0.0.1:")
    assert not any("http://" in line for line in lines)
    # On a busy machine a part may take longer to end than it has, and the stop says so.
    said = [each for each in read if each["event"] != "part_not_ended"]
    assert [each for each in said if each["level"] != "info"] == []
