"""What the benchmarks stand on: the sandbox and the bot as processes, and signed requests."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from slack_sdk.signature import SignatureVerifier

from deploy.sandbox.ports import free_port

MARA, OPS, TEAM = "U0MARA", "C0OPS", "T0SANDBOX"
PEOPLE = (
    "slack_user,vendor,account,role,scope\n"
    "U0MARA,qualys,mlindqvist,Manager,\n"
    "U0MARA,ccs,northwind\\mlindqvist,Remediation Administrator,\n"
)
POLICY = "[approvals]\ndefaults = false\n"


@dataclass
class Stage:
    """A running bot in a running sandbox."""

    slack: str
    environment: dict[str, str]
    bot: asyncio.subprocess.Process
    database: Path
    ready_in: float

    def memory(self, field: str) -> float:
        """`VmRSS` or `VmHWM` (the peak) of the bot, in MB."""
        for line in Path(f"/proc/{self.bot.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.database, timeout=30) as connection:
            return connection.execute(query).fetchall()

    async def act(self, do: str, user: str = MARA, **fields: Any) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=120) as client:
            answer = await client.post(
                f"{self.slack}/sandbox/act", json={"user": user, "do": do, **fields}
            )
        found: dict[str, Any] = answer.json()
        return found

    async def entries(self, since: int) -> list[dict[str, Any]]:
        """What went between bot, Slack and vendors behind entry `since`."""
        async with httpx.AsyncClient(timeout=120) as client:
            answer = await client.get(f"{self.slack}/sandbox/traffic", params={"since": since})
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return entries

    async def view(self) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=120) as client:
            answer = await client.get(f"{self.slack}/sandbox/state", params={"user": MARA})
        views = answer.json()["views"]
        return dict(views[-1]) if views else {}

    async def confirm(self, typed: str) -> float:
        """Type a bulk request and submit its review; seconds until the review stood."""
        began = time.perf_counter()
        await self.act("type", channel=OPS, text=typed)
        while (view := await self.view()).get("callback_id") != "review":
            await asyncio.sleep(0.2)
        took = time.perf_counter() - began
        await self.act("submit", view_id=view["id"], values={})
        return took

    async def ended(self) -> tuple[str, float, float]:
        """(state, started, ended) of the newest request, once it has ended."""
        query = "SELECT state, started_at, ended_at FROM request ORDER BY created_at DESC LIMIT 1"
        while not (row := (self.rows(query) or [("", None, None)])[0])[2]:
            await asyncio.sleep(0.3)
        return row[0], row[1], row[2]


@asynccontextmanager
async def stage(
    *, ccs: int = 500, qualys: int = 0, people: int = 0, **settings: str
) -> AsyncIterator[Stage]:
    """A sandbox with so many records and more people, and a bot that is ready in it."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        words = [str(folder / "amend.db"), str(port), str(ccs), str(qualys), str(people)]
        sandbox = await _python("-m", "bench.sandbox", *words, stdout=True)
        assert sandbox.stdout is not None
        assert sandbox.stdin is not None
        told = json.loads(await sandbox.stdout.readline())
        (folder / "policy.toml").write_text(POLICY)
        more = "".join(f"U0BENCH{each},qualys,bench{each},Manager,\n" for each in range(people))
        (folder / "people.csv").write_text(PEOPLE + more)
        own = {"AMEND_POLICY": str(folder / "policy.toml"), "AMEND_LOG_LEVEL": "ERROR"}
        environment = {**told["environment"], **own, **settings}
        imported = await _python(
            "-m", "bot.cli", "people", "import", str(folder / "people.csv"), env=environment
        )
        await imported.wait()
        began = time.perf_counter()
        bot = await _python("-m", "bot.cli", "run", env=environment)
        await until_ready(f"http://127.0.0.1:{port}/readyz")
        ready_in = time.perf_counter() - began
        try:
            yield Stage(told["slack"], environment, bot, folder / "amend.db", ready_in)
        finally:
            bot.terminate()
            await bot.wait()
            sandbox.stdin.close()
            await sandbox.wait()


async def _python(
    *words: str, env: dict[str, str] | None = None, stdout: bool = False
) -> asyncio.subprocess.Process:
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        env={**os.environ, **(env or {})},
        stdin=pipe if stdout else nothing,
        stdout=pipe if stdout else nothing,
        stderr=None if stdout else nothing,
    )


async def until_ready(url: str) -> None:
    async with httpx.AsyncClient() as client:
        while True:
            try:
                if (await client.get(url)).status_code in (200, 404, 405):
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def bare_bolt() -> AsyncIterator[int]:
    """The yardstick app; its port."""
    port = free_port()
    process = await _python("-m", "bench.bare_bolt", str(port))
    await until_ready(f"http://127.0.0.1:{port}/")
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


def command(text: str, number: int) -> str:
    """The form of a slash command as Slack sends it."""
    name, _, rest = text.partition(" ")
    return urlencode(
        {
            "command": name,
            "text": rest,
            "user_id": MARA,
            "team_id": TEAM,
            "channel_id": OPS,
            "trigger_id": f"{time.time_ns()}.{number}",
            "response_url": "http://127.0.0.1:9/nowhere",
            "api_app_id": "A0AMEND",
        }
    )


async def acks(port: int, secret: str, text: Callable[[int], str], many: int) -> list[float]:
    """Seconds to each acknowledgement, at 50 requests a second."""
    signer, url = SignatureVerifier(secret), f"http://127.0.0.1:{port}/slack/events"
    took: list[float] = []
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:

        async def one(number: int) -> None:
            body, stamp = command(text(number), number), str(int(time.time()))
            headers = {
                "X-Slack-Request-Timestamp": stamp,
                "X-Slack-Signature": signer.generate_signature(timestamp=stamp, body=body) or "",
                "Content-Type": "application/x-www-form-urlencoded",
            }
            began = time.perf_counter()
            answer = await client.post(url, content=body, headers=headers)
            took.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.text

        tasks = []
        for number in range(many):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.sleep(1 / 50)
        await asyncio.gather(*tasks)
    return sorted(took)
