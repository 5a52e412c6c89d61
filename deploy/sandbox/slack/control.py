"""The small protocol of the web page and the tests: state, live updates, traffic, acts, faults."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from deploy.sandbox import company
from deploy.sandbox.slack import inspection, reference
from deploy.sandbox.slack.acts import Acts
from deploy.sandbox.slack.core import Core
from deploy.sandbox.slack.faults import SLACK_FAULTS
from deploy.sandbox.slack.objects import page_messages
from deploy.sandbox.slack.workspace import Json

COALESCE_SECONDS = 0.05


def state(core: Core, user: str) -> Json:
    """Everything that a person may see."""
    workspace = core.workspace
    workspace.person(user)
    mine = [one for one in workspace.channels.values() if user in one.members]
    home = core.views.homes.get(user)
    says = dict(SLACK_FAULTS)
    faults = {"available": list(says), "says": says, "active": core.fault.active()}
    return {
        "team": {"id": company.TEAM_ID, "name": company.TEAM_NAME},
        "me": user,
        "users": _users(core),
        "channels": [_channel(one.id, one.name, one.with_user) for one in mine],
        "messages": {
            one.id: page_messages(core, one.id, workspace.seen_by(user, one.id)) for one in mine
        },
        "commands": [vars(one) for one in core.commands],
        "shortcuts": [vars(one) for one in core.shortcuts],
        "views": [one.page() for one in core.views.stack(user)],
        "home": home.page() if home else None,
        "bot": {
            "user_id": company.BOT_USER,
            "name": "Amend",
            "connected": core.delivery.connected,
        },
        "vendors": [one.page() for one in core.vendors.values()],
        "faults": faults,
        "programs": {"url": core.programs_at},
        "clock": {"at": workspace.clock(), "moves": core.days_later is not None},
    }


def _channel(channel: str, name: str, with_user: str) -> Json:
    if with_user:
        return {"id": channel, "name": "Amend", "kind": "im", "with": company.BOT_USER}
    return {"id": channel, "name": name, "kind": "channel"}


def _users(core: Core) -> Json:
    found: Json = {
        one.id: {
            "id": one.id,
            "name": one.name,
            "real_name": one.real_name,
            "title": one.title,
            "is_bot": False,
            "is_guest": one.is_guest,
            "team_id": one.team_id,
            "color": one.color,
        }
        for one in core.workspace.people.values()
    }
    found[company.BOT_USER] = {
        "id": company.BOT_USER,
        "name": company.BOT_NAME,
        "real_name": "Amend",
        "title": "",
        "is_bot": True,
        "is_guest": False,
        "team_id": company.TEAM_ID,
        "color": "36506c",
    }
    return found


class Live:
    """The pages that want to know at once."""

    def __init__(self) -> None:
        self._pages: dict[web.WebSocketResponse, asyncio.Queue[Json]] = {}
        self._due: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Tells the pages to fetch the state again, at most once in a while."""
        if self._pages and self._due is None:
            self._due = asyncio.get_running_loop().call_later(COALESCE_SECONDS, self._flush)

    def _flush(self) -> None:
        self._due = None
        self.tell({"type": "state"})

    def tell(self, event: Json) -> None:
        """Sends one event to every page."""
        for queue in self._pages.values():
            queue.put_nowait(event)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """`GET /sandbox/live`."""
        ws = web.WebSocketResponse(heartbeat=20)
        await ws.prepare(request)
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._pages[ws] = queue
        sender = asyncio.create_task(_pump(ws, queue))
        try:
            async for _ in ws:
                pass  # the page has nothing to say here
        finally:
            del self._pages[ws]
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        return ws

    async def stop(self) -> None:
        """Lets all pages go."""
        if self._due is not None:
            self._due.cancel()
        for ws in list(self._pages):
            await ws.close()


async def _pump(ws: web.WebSocketResponse, queue: asyncio.Queue[Json]) -> None:
    while not ws.closed:
        await ws.send_json(await queue.get())


async def set_fault(core: Core, body: Json) -> Json:
    """Switches a fault of Slack or of a vendor on, or off with `null`."""
    target, name = str(body.get("target")), body.get("fault")
    times, seconds = body.get("times"), body.get("seconds")
    if target == "slack":
        return await _slack_fault(core, name, times, seconds, body.get("only"))
    vendor = core.vendors.get(target)
    if vendor is None:
        return {"ok": False, "error": f"no vendor {target!r}"}
    if name is not None and name not in vendor.faults:
        return {"ok": False, "error": f"{target} has no fault {name!r}"}
    vendor.switch_fault(name, times, seconds, body.get("only"))
    core.workspace.changed()
    return {"ok": True}


async def _slack_fault(core: Core, name: Any, times: Any, seconds: Any, only: Any) -> Json:
    if name is not None and name not in SLACK_FAULTS and not reference.is_error(name, only):
        return {"ok": False, "error": f"slack has no fault {name!r}"}
    sockets = core.delivery.sockets
    if name == "socket_drop":
        await sockets.drop()
    elif name == "socket_refresh":
        await sockets.refresh()
    else:
        sockets.hush(silent=name == "socket_silent")
        core.fault.set(name, times, seconds, only)
        if name == "socket_silent" and seconds is not None:
            asyncio.get_running_loop().call_later(float(seconds), sockets.speak)
    core.workspace.changed()
    return {"ok": True}


async def move_clock(core: Core, body: Json) -> Json:
    """Lets so many days go by; answers when the bot is there again."""
    days = body.get("days")
    if core.days_later is None:
        return {"ok": False, "error": "the clock of this sandbox cannot be moved"}
    if not isinstance(days, int):
        return {"ok": False, "error": "`days` is a whole number"}
    try:
        await core.days_later(days)
    except (ValueError, ImportError, RuntimeError, TimeoutError) as error:
        return {"ok": False, "error": str(error) or "the bot did not come back in time"}
    core.workspace.changed()
    return {"ok": True}


async def ask_as_program(core: Core, body: Json) -> Json:
    """Lets a program ask in a channel, with the token that somebody gave it."""
    token, channel = body.get("token"), body.get("channel")
    if core.program is None:
        return {"ok": False, "error": "no program can ask in this sandbox"}
    if not (isinstance(token, str) and isinstance(channel, str)):
        return {"ok": False, "error": "`token` and `channel` are texts"}
    try:
        await core.program(token, channel)
    except ValueError as error:
        return {"ok": False, "error": str(error)}
    return {"ok": True}


class Control:
    """The routes under `/sandbox/`."""

    def __init__(self, core: Core, acts: Acts, live: Live) -> None:
        self._core = core
        self._acts = acts
        self._live = live

    def routes(self) -> list[web.RouteDef]:
        """What the server adds."""
        return [
            web.get("/sandbox/state", self._state),
            web.get("/sandbox/live", self._live.serve),
            web.get("/sandbox/traffic", self._traffic),
            web.get("/sandbox/request", self._request),
            web.post("/sandbox/act", self._act),
            web.post("/sandbox/fault", self._fault),
            web.post("/sandbox/clock", self._clock),
            web.post("/sandbox/program", self._program),
        ]

    async def _state(self, request: web.Request) -> web.Response:
        # Who comes for the first time names nobody, and is the first person of the company.
        user = request.query.get("user") or next(iter(self._core.workspace.people))
        if user not in self._core.workspace.people:
            return web.json_response({"ok": False, "error": "user_not_found"}, status=404)
        return web.json_response(state(self._core, user))

    async def _traffic(self, request: web.Request) -> web.Response:
        since = request.query.get("since", "0")
        number = int(since) if since.isdigit() else 0
        return web.json_response({"entries": self._core.traffic.since(number)})

    async def _request(self, request: web.Request) -> web.Response:
        return web.json_response(await inspection.watched(self._core, request.query.get("id", "")))

    async def _act(self, request: web.Request) -> web.Response:
        body = await _object(request)
        return web.json_response(await self._acts.act(body))

    async def _fault(self, request: web.Request) -> web.Response:
        return web.json_response(await set_fault(self._core, await _object(request)))

    async def _program(self, request: web.Request) -> web.Response:
        return web.json_response(await ask_as_program(self._core, await _object(request)))

    async def _clock(self, request: web.Request) -> web.Response:
        return web.json_response(await move_clock(self._core, await _object(request)))


async def _object(request: web.Request) -> Json:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="a JSON object is needed")
    return body
