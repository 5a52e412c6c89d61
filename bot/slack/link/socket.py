"""Socket Mode with a watchdog, so that a link that cannot come back alone gets a new ticket."""

from __future__ import annotations

import asyncio
import time

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp

log = structlog.get_logger(__name__)

PING = 5.0  # seconds
WATCH = 2.0  # seconds
DEAF_AFTER = 3 * PING


class SocketLink:
    """The connection to Slack, watched.

    The SDK's client keeps trying a spent ticket when the WebSocket handshake was refused once;
    forgetting the address makes its next attempt ask for a fresh one.
    """

    def __init__(self, app: AsyncApp, app_token: str, *, ping: float = PING) -> None:
        self._handler = AsyncSocketModeHandler(app, app_token, ping_interval=ping)
        # By itself the SDK takes HTTPS_PROXY also for loopback; our client knows the way.
        self._handler.client.proxy = app.client.proxy
        self._ping = ping
        self._watch: asyncio.Task[None] | None = None
        self._down_since: float | None = time.monotonic()

    async def open(self) -> None:
        """Connect, however long Slack takes to give a ticket."""
        while True:
            try:
                await self._handler.connect_async()  # type: ignore[no-untyped-call]
                break
            except Exception as error:  # the SDK tries again by itself only once it has a ticket
                log.warning("slack_link_not_opened", error=type(error).__name__)
                await asyncio.sleep(WATCH)
        self._watch = asyncio.create_task(self._watchdog())

    async def close(self) -> None:
        if self._watch:
            self._watch.cancel()
        await self._handler.close_async()  # type: ignore[no-untyped-call]

    async def alive(self) -> bool:
        """False where the link is down or has gone deaf (no pong for three intervals)."""
        client = self._handler.client
        if not await client.is_connected():
            return False
        heard = client.last_ping_pong_time
        return heard is None or time.time() - heard < 3 * self._ping

    async def _watchdog(self) -> None:
        client = self._handler.client
        while True:
            await asyncio.sleep(min(WATCH, self._ping))
            try:
                if await client.is_connected():
                    self._down_since = None
                    continue
                if self._down_since is None:
                    self._down_since = time.monotonic()
                    continue
                client.wss_uri = None
                log.info("slack_link_down", seconds=round(time.monotonic() - self._down_since))
            except Exception:  # the watchdog outlives what it watches
                log.exception("watchdog_failed")
