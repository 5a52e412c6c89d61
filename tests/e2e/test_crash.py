"""`kill -9` in the middle: what was accepted goes on after the restart, and nothing runs twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.bootstrap import entries
from bot.people import COLUMNS
from deploy.sandbox.ports import free_port
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.people import PEOPLE_CSV
from tests.e2e.conftest import MARA, OPS, until

assert entries()
assert COLUMNS


class Process:
    """`amend run` as a process of its own."""

    def __init__(self, environment: dict[str, str], cwd: Path, log: Path | None = None) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._environment, self._cwd, self._log = kept | environment, cwd, log
        self.process: asyncio.subprocess.Process | None = None

    async def run(self, *words: str) -> asyncio.subprocess.Process:
        with (self._log or Path(os.devnull)).open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot.cli",
                *words,
                env=self._environment,
                cwd=self._cwd,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
            )

    async def start(self, port: int) -> None:
        self.process = await self.run("run")
        async with asyncio.timeout(120), aiohttp.ClientSession() as session:
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)  # who asks without a pause holds up the start

    async def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["slow", None])
async def test_a_kill_during_the_call_loses_nothing_and_repeats_nothing(
    tmp_path: Path, fault: str | None
) -> None:
    sandbox = Sandbox()
    await sandbox.start()
    port = free_port()
    environment = sandbox.environment(tmp_path / "amend.db", port=port, socket_mode=False)
    environment["AMEND_LOST_ANSWER_SECONDS"] = "3"
    (tmp_path / "people.csv").write_text(PEOPLE_CSV)
    process = Process(environment, tmp_path)
    imported = await process.run("people", "import", "people.csv")
    assert await imported.wait() == 0
    sandbox.slack.request_url = f"http://127.0.0.1:{port}/slack/events"
    try:
        await process.start(port)
        if fault:
            sandbox.qualys.set_fault(fault, {"times": 1, "seconds": 2, "only": "ticket_edit"})
        await sandbox.slack.act(
            user=MARA, do="type", channel=OPS, text='/qualys 23456 add_comment="Host patched"'
        )
        if fault:
            await until(lambda: any("ticket_edit" in each.path for each in sandbox.qualys.requests))
        await process.end(signal.SIGKILL)
        await asyncio.sleep(2.5 if fault else 0)
        await process.start(port)
        await until(lambda: _state(sandbox) in ("succeeded", "unknown"), "the end")
        edits = [each for each in sandbox.qualys.requests if "ticket_edit" in each.path]
        assert len(edits) == 1
        assert len(_cards(sandbox)) == 1
        assert await process.end(signal.SIGTERM) == 0
    finally:
        await process.end(signal.SIGKILL)
        await sandbox.stop()


@pytest.mark.slow
async def test_a_planned_restart_in_a_bulk_run_leaves_no_outcome_open(tmp_path: Path) -> None:
    """Comments at Xpanse are not safe to repeat, and reading back may not tell: none is needed."""
    sandbox = Sandbox()
    await sandbox.start()
    port = free_port()
    environment = sandbox.environment(tmp_path / "amend.db", port=port, socket_mode=False)
    environment["AMEND_LOST_ANSWER_SECONDS"] = "3"
    (tmp_path / "people.csv").write_text(PEOPLE_CSV)
    process = Process(environment | {"AMEND_ATTRIBUTION": "off"}, tmp_path)
    imported = await process.run("people", "import", "people.csv")
    assert await imported.wait() == 0
    sandbox.slack.request_url = f"http://127.0.0.1:{port}/slack/events"
    sandbox.xpanse.set_fault("slow", {"seconds": 0.4, "only": "update_incident"})
    try:
        await process.start(port)
        ids = ",".join(map(str, range(1, 121)))
        await sandbox.slack.act(
            user=MARA, do="type", channel=OPS, text=f"/xpanse {ids} comment=checked"
        )
        await until(lambda: _view(sandbox).get("callback_id") == "review", "the review")
        await sandbox.slack.act(user=MARA, do="submit", view_id=_view(sandbox)["id"], values={})
        for _ in range(2):
            before = _commented(sandbox)
            await until(lambda known=before: _commented(sandbox) > known + 8, "calls")  # type: ignore[misc]
            began = time.monotonic()
            assert await process.end(signal.SIGTERM) == 0
            assert time.monotonic() - began < 60
            assert _open_rows(tmp_path) == 0
            await process.start(port)
        await until(lambda: _state(sandbox) == "succeeded", "the end")
        assert _cards(sandbox)[-1]["changed"] == 120
        assert _commented(sandbox) == 120
        assert all(len(each.comments) <= 1 for each in sandbox.xpanse.incidents.values())
    finally:
        await process.end(signal.SIGKILL)
        await sandbox.stop()


def _view(sandbox: Sandbox) -> dict[str, Any]:
    views = sandbox.slack.state(MARA)["views"]
    return dict(views[-1]) if views else {}


def _commented(sandbox: Sandbox) -> int:
    return sum(len(each.comments) for each in sandbox.xpanse.incidents.values())


def _open_rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "amend.db")) as connection:
        query = "SELECT count(*) FROM record WHERE result = 'sending'"
        return int(connection.execute(query).fetchone()[0])


def _cards(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [
        each["metadata"]["event_payload"]
        for each in sandbox.slack.messages(OPS)
        if (each.get("metadata") or {}).get("event_type") == "amend_request"
    ]


def _state(sandbox: Sandbox) -> str:
    cards = _cards(sandbox)
    return str(cards[-1]["state"]) if cards else ""
