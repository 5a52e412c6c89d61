"""The whole sandbox in one process group: workspace, vendor stand-ins, and the real bot."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from bot.bootstrap import entries
from bot.slack.link.manifest import manifest
from deploy.sandbox import company
from deploy.sandbox.slack.server import SlackSandbox
from deploy.sandbox.vendors.ccs import CcsStandIn
from deploy.sandbox.vendors.people import PEOPLE_CSV
from deploy.sandbox.vendors.qualys import QualysStandIn
from deploy.sandbox.vendors.standin import StandIn
from deploy.sandbox.vendors.xpanse import XpanseStandIn
from deploy.sandbox.vendors.zstack import ZstackStandIn

HOME = Path(".sandbox")
WEB = Path(__file__).with_name("web")
READY_WITHIN = 30.0  # seconds


@dataclass
class Sandbox:
    """Everything but the bot: start it, then give `environment` to a bot."""

    port: int = 0
    slack: SlackSandbox = field(init=False)
    qualys: QualysStandIn = field(default_factory=QualysStandIn)
    ccs: CcsStandIn = field(default_factory=CcsStandIn)
    xpanse: XpanseStandIn = field(default_factory=XpanseStandIn)
    zstack: ZstackStandIn = field(default_factory=ZstackStandIn)

    @property
    def stand_ins(self) -> tuple[StandIn, ...]:
        return (self.qualys, self.ccs, self.xpanse, self.zstack)

    async def start(self) -> None:
        self.slack = SlackSandbox(port=self.port, commands=_commands(), shortcuts=_shortcuts())
        self.slack.static_dir = WEB
        await self.slack.start()
        for each in self.stand_ins:
            await each.start()
            self.slack.add_vendor(
                each.name, each.url, sorted(each.faults.available), each.set_fault
            )
            each.on_traffic = self.slack.record_traffic

    async def stop(self) -> None:
        await self.slack.stop()
        for each in self.stand_ins:
            await each.stop()

    def environment(self, database: Path, *, port: int, socket_mode: bool = True) -> dict[str, str]:
        """The settings of a bot that lives in this sandbox; every token is visibly fake."""
        vendors = {name: text for each in self.stand_ins for name, text in each.settings().items()}
        return {
            "SLACK_BOT_TOKEN": company.BOT_TOKEN,
            "SLACK_SIGNING_SECRET": company.SIGNING_SECRET,
            "SLACK_APP_TOKEN": company.APP_TOKEN if socket_mode else "",
            "SLACK_API_URL": f"{self.slack.url}/api/",
            "AMEND_HOST": "127.0.0.1",
            "AMEND_PORT": str(port),
            "DATABASE_URL": f"sqlite:///{database}",
            "AMEND_SECRET_KEY": Fernet.generate_key().decode(),
            "AMEND_ADMINS": "U0MARA",
            "AMEND_APPROVALS_CHANNEL": "C0APPROVALS",
            **vendors,
        }


def _surface() -> dict[str, Any]:
    features: dict[str, Any] = manifest(entries(), None)["features"]
    return features


def _commands() -> tuple[company.Command, ...]:
    """The slash commands that the app's own manifest registers."""
    return tuple(
        company.Command(each["command"], each["description"], each.get("usage_hint", ""))
        for each in _surface()["slash_commands"]
    )


def _shortcuts() -> tuple[company.Shortcut, ...]:
    return tuple(
        company.Shortcut(each["callback_id"], each["name"], each["type"])
        for each in _surface()["shortcuts"]
    )


async def start(port: int, *, open_browser: bool) -> None:
    """Run the sandbox until Ctrl-C: one URL is printed, and that page is all one needs."""
    HOME.mkdir(exist_ok=True)
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    sandbox = Sandbox(port)
    await sandbox.start()
    settings = sandbox.environment(HOME / "amend.db", port=0)
    try:
        await _import_people(settings)
        bot = await _amend(settings, "run")
        await _until_connected(sandbox, bot)
        url = f"{sandbox.slack.url}/"
        print(f"\n  The sandbox is ready: {url}\n\n  Ctrl-C stops everything.\n", flush=True)
        if open_browser and sys.stdout.isatty():
            webbrowser.open(url)
        stopped = asyncio.create_task(stop.wait())
        ended = asyncio.create_task(bot.wait())
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if bot.returncode is None:
            bot.terminate()
        await bot.wait()
    finally:
        await sandbox.stop()


async def _amend(settings: dict[str, str], *words: str) -> asyncio.subprocess.Process:
    """The real command line in a process of its own, with the sandbox's settings."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot.cli",
        *words,
        env=kept | settings,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def _import_people(settings: dict[str, str]) -> None:
    file = HOME / "people.csv"
    file.write_text(PEOPLE_CSV, encoding="utf-8")
    done = await _amend(settings, "people", "import", str(file), "--replace")
    if await done.wait() != 0:
        message = "the sandbox's people could not be imported"
        raise RuntimeError(message)


async def _until_connected(sandbox: Sandbox, bot: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_WITHIN):
        while not sandbox.slack.core.delivery.sockets.connected:
            if bot.returncode is not None:
                message = "the bot ended before it was ready"
                raise RuntimeError(message)
            await asyncio.sleep(0.05)
