"""The emulated workspace as one object and one aiohttp application on loopback."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from deploy.sandbox.company import Command, Shortcut
from deploy.sandbox.slack import control, files_api, web_api
from deploy.sandbox.slack.acts import Acts
from deploy.sandbox.slack.control import Control, Live
from deploy.sandbox.slack.core import Core
from deploy.sandbox.slack.delivery import Delivery
from deploy.sandbox.slack.faults import Switch, Vendor
from deploy.sandbox.slack.objects import page_message
from deploy.sandbox.slack.traffic import Traffic
from deploy.sandbox.slack.triggers import Triggers
from deploy.sandbox.slack.views import Views
from deploy.sandbox.slack.workspace import Json, Workspace

HOST = "127.0.0.1"
MOST_BYTES = 32 * 1024 * 1024
WEB = Path(__file__).resolve().parent.parent / "web"
_NAMES = {HOST, "localhost"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def only_loopback(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keeps other sites' pages out: a foreign Host or Origin is refused."""
    hosts = [urlsplit(f"//{request.host}").hostname]
    origin = request.headers.get("Origin")
    if origin is not None:
        hosts.append(urlsplit(origin).hostname)
    if not set(hosts) <= _NAMES:
        raise web.HTTPForbidden(text="loopback only")
    return await handler(request)


class SlackSandbox:
    """A Slack workspace in memory; `url` is where it listens once it is started."""

    def __init__(
        self,
        *,
        request_url: str | None = None,
        clock: Callable[[], float] = time.time,
        port: int = 0,
        commands: Sequence[Command | Mapping[str, str]] = (),
        shortcuts: Sequence[Shortcut | Mapping[str, str]] = (),
    ) -> None:
        self.url = ""
        self.static_dir: Path | None = WEB
        self._port = port
        self._live = Live()
        self.workspace = Workspace(clock, self._live.changed)
        traffic = Traffic(lambda entry: self._live.tell({"type": "traffic", "entry": entry}))
        self.core = Core(
            workspace=self.workspace,
            triggers=Triggers(clock),
            views=Views(self.workspace),
            traffic=traffic,
            delivery=Delivery(traffic, clock),
            base_url=lambda: self.url,
            commands=[one if isinstance(one, Command) else Command(**one) for one in commands],
            shortcuts=[one if isinstance(one, Shortcut) else Shortcut(**one) for one in shortcuts],
        )
        self.core.delivery.sockets.on_change = self._live.changed
        self.workspace.is_older = partial(self.core.fault.is_on, "older_workspace")
        self.request_url = request_url
        self._acts = Acts(self.core)
        self._runner: web.AppRunner | None = None

    @property
    def request_url(self) -> str | None:
        """Where commands, interactions and events go when no socket is open."""
        return self.core.delivery.request_url

    @request_url.setter
    def request_url(self, value: str | None) -> None:
        self.core.delivery.request_url = value

    @property
    def traffic(self) -> list[Json]:
        """All entries of the log so far."""
        return self.core.traffic.entries

    @property
    def violations(self) -> list[str]:
        """What the bot should never have sent; a good test ends with none."""
        return self.workspace.violations

    async def start(self) -> None:
        """Listens on loopback."""
        await self.core.delivery.start()
        self._runner = web.AppRunner(self._application(), shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://{HOST}:{self._port}"

    async def stop(self) -> None:
        """Closes everything."""
        await self._live.stop()
        await self.core.delivery.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[only_loopback])
        app.add_routes(
            [
                web.route("*", "/api/{method}", partial(web_api.call, self.core)),
                web.get("/socket", self.core.delivery.sockets.serve),
                web.post("/respond/{key}", partial(web_api.respond, self.core)),
                web.post("/upload/{key}", partial(files_api.receive, self.core)),
                web.get("/files/{file_id}/{name}", partial(files_api.download, self.core)),
                *Control(self.core, self._acts, self._live).routes(),
            ]
        )
        if self.static_dir is not None and (self.static_dir / "index.html").is_file():
            index = self.static_dir / "index.html"

            async def page(_request: web.Request) -> web.FileResponse:
                return web.FileResponse(index, headers={"Cache-Control": "no-store"})

            app.router.add_get("/", page)
            app.router.add_static("/static/", self.static_dir)
        return app

    async def act(self, **body: Any) -> Json:
        """What a person does; the same as `POST /sandbox/act`."""
        return await self._acts.act(body)

    async def fault(self, target: str, fault: str | None, **limits: Any) -> Json:
        """Switches a fault; the same as `POST /sandbox/fault`."""
        return await control.set_fault(self.core, {"target": target, "fault": fault, **limits})

    def state(self, user: str) -> Json:
        """What a person sees; the same as `GET /sandbox/state`."""
        return control.state(self.core, user)

    def messages(self, channel: str) -> list[Json]:
        """All messages of a channel; an ephemeral one says in `for` who sees it."""
        return [page_message(self.core, one) for one in self.workspace.messages[channel]]

    def join(self, channel: str, user: str) -> None:
        """Lets a person, or the bot, into a channel."""
        members = self.workspace.channel(channel).members
        if user not in members:
            members.append(user)
        self._live.changed()

    def add_vendor(
        self,
        name: str,
        url: str,
        faults: Mapping[str, str],
        set_fault: Callable[[str | None, Json], None],
        current: Callable[[], Json | None] | None = None,
    ) -> None:
        """Shows a vendor's stand-in on the page and lets its faults be switched from there."""
        self.core.vendors[name] = Vendor(name, url, faults, set_fault, current, Switch())
        self._live.changed()

    def record_traffic(self, entry: Json) -> None:
        """Adds an entry to the log; the vendors' stand-ins do so too."""
        self.core.traffic.record(entry)
