"""The yardstick of acknowledgement: a Bolt app that does nothing, on the same kind of server."""

from __future__ import annotations

import sys
from typing import Any

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult

SECRET = "bench-not-a-secret"


async def authorize(**_: Any) -> AuthorizeResult:
    return AuthorizeResult(
        enterprise_id=None, team_id="T0NORTH", bot_id="B0", bot_user_id="U0", bot_token="xoxb-bench"
    )


def build() -> web.Application:
    app = AsyncApp(signing_secret=SECRET, authorize=authorize)

    @app.command("/amend")
    async def _amend(ack: Any) -> None:
        await ack()

    async def events(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    server = web.Application()
    server.router.add_post("/slack/events", events)
    return server


if __name__ == "__main__":
    web.run_app(build(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
