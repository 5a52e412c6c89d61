"""The process from its first second to its last, while Slack, the database or vendors are away."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.sandbox import company
from deploy.sandbox.ports import free_port
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.people import PEOPLE_CSV
from tests.e2e.conftest import MARA, OPS, until
from tests.e2e.test_crash import Process

WITHIN = 10.0  # seconds that an orchestrator waits after SIGTERM


async def answer(port: int, path: str) -> tuple[int, Any]:
    """Status and body, once somebody listens."""
    async with asyncio.timeout(120), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}{path}") as got:
                    text = await got.text()
                    return got.status, await got.json() if text.startswith("{") else text
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def reason(port: int, part: str, words: str) -> None:
    """Wait until readiness gives a reason with these words for a part."""
    async with asyncio.timeout(120):
        found = ""
        while words not in found:
            await asyncio.sleep(0.1)
            found = (await answer(port, "/readyz"))[1]["reasons"].get(part) or ""


def environment(sandbox: Sandbox, folder: Path, port: int) -> dict[str, str]:
    return sandbox.environment(folder / "amend.db", port=port, socket_mode=False)


@pytest.mark.slow
async def test_slack_away_at_the_start_is_said_and_waited_for(tmp_path: Path) -> None:
    sandbox, port = Sandbox(), free_port()
    await sandbox.start()
    there = environment(sandbox, tmp_path, port)["SLACK_API_URL"]
    await sandbox.stop()
    process = Process(environment(sandbox, tmp_path, port) | {"SLACK_API_URL": there}, tmp_path)
    process.process = await process.run("run")
    try:
        assert (await answer(port, "/healthz"))[0] == 200
        await reason(port, "slack", "cannot be reached")
        assert (await answer(port, "/readyz"))[0] == 503
        began = time.monotonic()
        assert await process.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < WITHIN + 60
    finally:
        await process.end(signal.SIGKILL)


@pytest.mark.slow
async def test_a_token_that_slack_revoked_is_said_and_the_process_stays_up(tmp_path: Path) -> None:
    sandbox, port = Sandbox(), free_port()
    await sandbox.start()
    wrong = {"SLACK_BOT_TOKEN": "xoxb-sandbox-revoked"}
    process = Process(environment(sandbox, tmp_path, port) | wrong, tmp_path)
    process.process = await process.run("run")
    try:
        await reason(port, "slack", "invalid_auth")
        assert (await answer(port, "/healthz"))[0] == 200
        assert company.BOT_TOKEN not in str(await answer(port, "/readyz"))
        assert await process.end(signal.SIGTERM) == 0
    finally:
        await process.end(signal.SIGKILL)
        await sandbox.stop()


@pytest.mark.slow
async def test_a_database_that_is_away_at_the_start_is_said_and_waited_for(tmp_path: Path) -> None:
    sandbox, port, nobody = Sandbox(), free_port(), free_port()
    await sandbox.start()
    away = {"DATABASE_URL": f"postgresql://amend@127.0.0.1:{nobody}/amend"}
    process = Process(environment(sandbox, tmp_path, port) | away, tmp_path)
    process.process = await process.run("run")
    try:
        await reason(port, "database", "not reached yet")
        assert (await answer(port, "/healthz"))[0] == 200
        assert await process.end(signal.SIGTERM) == 0
    finally:
        await process.end(signal.SIGKILL)
        await sandbox.stop()


@pytest.mark.slow
async def test_a_bulk_run_in_which_everything_hangs_stops_in_time(tmp_path: Path) -> None:
    sandbox, port = Sandbox(), free_port()
    await sandbox.start()
    process = Process(environment(sandbox, tmp_path, port), tmp_path)
    (tmp_path / "people.csv").write_text(PEOPLE_CSV)
    imported = await process.run("people", "import", "people.csv")
    assert await imported.wait() == 0
    sandbox.slack.request_url = f"http://127.0.0.1:{port}/slack/events"
    try:
        await process.start(port)
        sandbox.xpanse.set_fault("slow", {"seconds": 600, "only": "update_incident"})
        ids = ",".join(str(each) for each in range(1, 61))
        await sandbox.slack.act(
            user=MARA, do="type", channel=OPS, text=f"/xpanse {ids} comment=checked"
        )
        views = sandbox.slack.state
        await until(lambda: bool(views(MARA)["views"]))
        await until(lambda: views(MARA)["views"][-1]["callback_id"] == "review")
        view = views(MARA)["views"][-1]["id"]
        await sandbox.slack.act(user=MARA, do="submit", view_id=view, values={})
        await until(lambda: any("update_incident" in each.path for each in sandbox.xpanse.requests))
        began = time.monotonic()
        assert await process.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < WITHIN + 60  # the machine may be busy
    finally:
        await process.end(signal.SIGKILL)
        await sandbox.stop()
