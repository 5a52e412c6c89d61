"""The Web API: who may call, how arguments come, which method answers, and the response URLs."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import Any

from aiohttp import web

from deploy.sandbox import company
from deploy.sandbox.slack import chat_api, files_api, lookups_api, reference, views_api
from deploy.sandbox.slack.chat_api import Paced, answer
from deploy.sandbox.slack.core import Arguments, Core
from deploy.sandbox.slack.workspace import Json, SlackError

SCOPES = (
    "app_mentions:read,channels:history,channels:read,chat:write,commands,files:write,"
    "groups:history,groups:read,im:history,im:read,im:write,team:read,usergroups:read,users:read,users:read.email"
)
SLOW_SECONDS = 2.0
# Arguments that are JSON inside a form or a query.
_STRUCTURED = ("blocks", "attachments", "view", "metadata", "files")


def auth_test(core: Core, _given: Arguments) -> Json:
    """auth.test"""
    return {
        "url": f"{core.base_url()}/",
        "team": company.TEAM_NAME,
        "user": company.BOT_NAME,
        "team_id": company.TEAM_ID,
        "user_id": company.BOT_USER,
        "bot_id": company.BOT_ID,
        "is_enterprise_install": False,
    }


def connections_open(core: Core, _given: Arguments) -> Json:
    """apps.connections.open"""
    address = core.base_url().replace("http://", "ws://")
    return {"url": f"{address}/socket?ticket={core.delivery.sockets.ticket()}"}


METHODS = {
    "auth.test": auth_test,
    "apps.connections.open": connections_open,
    **chat_api.METHODS,
    **views_api.METHODS,
    **lookups_api.METHODS,
    **files_api.METHODS,
}


async def call(core: Core, request: web.Request) -> web.Response:
    """`/api/METHOD`: one call, from its faults to its place in the log."""
    begun = time.monotonic()
    method = request.match_info["method"]
    given = await _arguments(request)
    if core.fault.take("slow", method):
        await asyncio.sleep(SLOW_SECONDS)
    status, body = _outcome(core, request, method, given)
    if core.fault.take("slow_answer", method):
        await asyncio.sleep(SLOW_SECONDS)
    shown = given if isinstance(given, dict) else {}
    ms = int((time.monotonic() - begun) * 1000)
    entry = {"what": method, "status": status, "ms": ms, "request": shown, "response": body}
    core.traffic.record(entry)
    headers = {"x-oauth-scopes": SCOPES} if method == "auth.test" else {}
    if status == 429:
        headers["Retry-After"] = str(body.pop("wait", 1))
    return web.json_response(body, status=status, headers=headers)


def _outcome(
    core: Core, request: web.Request, method: str, given: Arguments | SlackError
) -> tuple[int, Json]:
    if core.fault.take("rate_limited", method):
        return 429, {"ok": False, "error": "ratelimited"}
    if core.fault.take("server_error", method):
        return 500, {"ok": False, "error": "internal_error"}
    try:
        if isinstance(given, SlackError):
            raise given
        if method not in METHODS:
            core.workspace.violation(f"unknown method {method}")
            raise SlackError("unknown_method")
        _authorise(request, method, given)
        _fits(core, method, given)
        if wait := core.tiers.wait(method):
            return 429, {"ok": False, "error": "ratelimited", "wait": math.ceil(wait)}
        if error := core.fault.named(method):
            raise SlackError(error)
        return 200, {"ok": True, **METHODS[method](core, given)}
    except Paced as refusal:
        return 429, refusal.body()
    except SlackError as refusal:
        return 200, refusal.body()


def _authorise(request: web.Request, method: str, given: Arguments) -> None:
    header = request.headers.get("Authorization", "")
    token = header.removeprefix("Bearer ").strip() or str(given.get("token") or "")
    if not token:
        raise SlackError("not_authed")
    if token not in (company.BOT_TOKEN, company.APP_TOKEN):
        raise SlackError("invalid_auth")
    if (token == company.APP_TOKEN) != (method == "apps.connections.open"):
        raise SlackError("not_allowed_token_type")


def _fits(core: Core, method: str, given: Arguments) -> None:
    """Held against Slack's reference: what Slack may overlook is refused here."""
    known = reference.known(method)
    if why := known.misfit(given):
        core.workspace.violation(f"{method}: {why}")
        raise SlackError("invalid_arguments", [why])
    if scope := known.lacks(SCOPES.split(",")):
        core.workspace.violation(f"{method}: needs the scope {scope}")
        raise SlackError("missing_scope")


async def _arguments(request: web.Request) -> Arguments | SlackError:
    """The arguments from the query and the body, JSON inside a form opened."""
    given: Arguments = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError:
            return SlackError("invalid_json")
        if not isinstance(body, dict):
            return SlackError("json_not_object")
        given |= body
    elif request.can_read_body:
        given |= dict(await request.post())
    for key in _STRUCTURED:
        if isinstance(given.get(key), str):
            try:
                given[key] = json.loads(given[key])
            except ValueError:
                return SlackError("invalid_arguments", [f"{key} is not JSON"])
    return {key: value for key, value in given.items() if value is not None}


async def respond(core: Core, request: web.Request) -> web.Response:
    """`POST /respond/ID`: a message through a response URL."""
    status, body, given = 200, "ok", await _response_body(request)
    try:
        place = core.triggers.use_response(request.match_info["key"])
        if not isinstance(given, dict):
            raise SlackError("invalid_payload")
        answer(core, place, given, "response_url")
    except Paced:
        status, body = 429, "rate_limited"
    except SlackError as refusal:
        gone = refusal.error in ("invalid_url", "expired_url", "used_url")
        status, body = 404 if gone else 400, json.dumps(refusal.body())
        if refusal.error != "invalid_blocks":  # which of the rules was broken is noted already
            core.workspace.violation(f"response_url: {refusal.error}")
    entry = {"what": "response_url", "status": status, "request": given, "response": body}
    core.traffic.record(entry)
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.Response(status=status, text=body, headers=headers)


async def _response_body(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        return await request.text()
