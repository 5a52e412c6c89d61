"""The whole sandbox in one process group: workspace, vendor stand-ins, and the real bot."""

from __future__ import annotations

import asyncio
import signal
import sys
import webbrowser
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from bot.bootstrap import entries
from bot.settings import BadSettings
from bot.slack.link.manifest import manifest
from deploy.sandbox import company
from deploy.sandbox.clock import Clock
from deploy.sandbox.ports import free_port
from deploy.sandbox.running import Running
from deploy.sandbox.slack.server import SlackSandbox
from deploy.sandbox.trail import Trail
from deploy.sandbox.vendors.people import people_csv
from deploy.sandbox.vendors.standin import StandIn

HOME = Path(".sandbox")
WEB = Path(__file__).with_name("web")
POLL_SECONDS = "5"  # who tries a watch does not wait for a minute
LIKE_AFAR = 0.1  # seconds that a call to Xpanse takes, so that a bulk run can be watched


class Sandbox:
    """Everything but the bot: start it, then give `environment` to a bot.

    Each vendor that is installed brings its stand-in, an attribute of the vendor's name; `own` are
    some that were made differently.
    """

    slack: SlackSandbox

    def __init__(self, port: int = 0, **own: StandIn) -> None:
        self.port = port
        made = {each.name: each.stand_in for each in entries() if each.stand_in}
        self._made = {name: own.get(name) or _stand_in(path) for name, path in made.items()}

    def __getattr__(self, name: str) -> Any:
        made = self.__dict__.get("_made", {})
        if name not in made:
            raise AttributeError(name)
        return made[name]

    @property
    def stand_ins(self) -> tuple[StandIn, ...]:
        return tuple(self._made.values())

    async def start(self) -> None:
        self.slack = SlackSandbox(port=self.port, commands=_commands(), shortcuts=_shortcuts())
        self.slack.static_dir = WEB
        await self.slack.start()
        for each in self.stand_ins:
            await each.start()
            self.slack.add_vendor(
                each.name, each.url, each.faults.available, each.set_fault, _active(each)
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
            "AMEND_PUBLIC_URL": f"http://127.0.0.1:{port}" if port else "",
            "DATABASE_URL": f"sqlite:///{database}",
            "AMEND_SECRET_KEY": Fernet.generate_key().decode(),
            "AMEND_ADMINS": "U0MARA",
            "AMEND_APPROVALS_CHANNEL": "C0APPROVALS",
            "AMEND_MCP": "on",
            **vendors,
        }


async def _ask_as_program(url: str, token: str, channel: str) -> None:
    # A client library that nothing else here needs, loaded when somebody wants it.
    await import_module("deploy.sandbox.assistant").propose(url, token, channel)


def _active(stand_in: StandIn) -> Callable[[], dict[str, Any] | None]:
    """The fault that is on at a stand-in, as long as it has something to hit."""

    def active() -> dict[str, Any] | None:
        found: dict[str, Any] | None = stand_in.faults.state()["active"]
        return found and {"fault": found["name"], "times": found["times"]}

    return active


def _stand_in(path: str) -> StandIn:
    """A stand-in by the name that its vendor gives: `MODULE:CLASS`."""
    module, _, name = path.partition(":")
    made: StandIn = getattr(import_module(module), name)()
    return made


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
    clock = Clock(HOME / "clock")
    clock.start()
    sandbox = Sandbox(port)
    sandbox.xpanse.delay = LIKE_AFAR
    sandbox.qualys.compliance.end_soon(datetime.now(UTC).date())
    try:
        await sandbox.start()
    except OSError as error:
        await sandbox.stop()
        message = f"--port: {port} cannot be listened on ({error.strerror})."
        raise BadSettings(message) from None
    database = HOME / "amend.db"
    sandbox.slack.core.trail = Trail(database).of
    # The same port each time that the bot begins anew, so that programs find it again.
    settings = sandbox.environment(database, port=free_port()) | {
        "AMEND_POLL_SECONDS": POLL_SECONDS
    }
    bot = Running(settings, clock, sandbox.slack.core.delivery.sockets)
    try:
        await _import_people(sandbox, bot)
        await bot.start()
        core = sandbox.slack.core
        core.days_later = bot.days_later
        core.programs_at = f"http://127.0.0.1:{settings['AMEND_PORT']}/mcp"
        core.program = partial(_ask_as_program, core.programs_at)
        url = f"{sandbox.slack.url}/"
        print(f"\n  The sandbox is ready: {url}\n\n  Ctrl-C stops everything.\n", flush=True)
        if open_browser and sys.stdout.isatty():
            webbrowser.open(url)
        stopped = asyncio.create_task(stop.wait())
        ended = asyncio.create_task(bot.ended())
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await bot.stop()
        await sandbox.stop()


async def _import_people(sandbox: Sandbox, bot: Running) -> None:
    file = HOME / "people.csv"
    file.write_text(people_csv(each.people for each in sandbox.stand_ins), encoding="utf-8")
    done = await bot.amend("people", "import", str(file), "--replace")
    if await done.wait() != 0:
        message = "the sandbox's people could not be imported"
        raise RuntimeError(message)
