"""Socket Mode: single-use tickets, and each envelope to exactly one connection."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from deploy.sandbox import company
from deploy.sandbox.slack.workspace import Json

MOST_CONNECTIONS = 10


@dataclass
class Connection:
    """One open socket of the bot."""

    ws: web.WebSocketResponse
    silent: bool = False


class Sockets:
    """All sockets of the bot, and the envelopes that wait for their acknowledgement."""

    def __init__(self) -> None:
        self._tickets: set[str] = set()
        self._turn = 0
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self.connections: list[Connection] = []
        # Told where the bot comes or goes, so that a page need not ask.
        self.on_change: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        """Whether the bot has a socket open."""
        return bool(self.connections)

    def ticket(self) -> str:
        """A ticket that opens one connection once."""
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /socket`: one connection from hello to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.json_response({"ok": False, "error": "invalid_ticket"}, status=401)
        self._tickets.remove(ticket)
        # Pings are answered below, so that a connection can fall silent.
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        if len(self.connections) >= MOST_CONNECTIONS:
            await ws.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await ws.close()
            return ws
        connection = Connection(ws)
        self.connections.append(connection)
        self.on_change()
        try:
            await ws.send_json(self._hello())
            await self._receive(connection)
        finally:
            self.connections.remove(connection)
            self.on_change()
        return ws

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "connection_info": {"app_id": company.APP_ID},
            "debug_info": {"host": "sandbox", "approximate_connection_time": 18060},
        }

    async def _receive(self, connection: Connection) -> None:
        async for message in connection.ws:
            if connection.silent:
                continue
            if message.type is WSMsgType.PING:
                await connection.ws.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._acknowledged(message.data)

    def _acknowledged(self, text: str) -> None:
        try:
            ack = json.loads(text)
        except ValueError:
            return
        waiting = self._waiting.get(str(ack.get("envelope_id")))
        if waiting is not None and not waiting.done():
            waiting.set_result(ack.get("payload", ""))

    async def send(self, envelope: Json, seconds: float) -> Any:
        """Sends an envelope over one connection and waits for its ack; TimeoutError without."""
        awake = [one for one in self.connections if not one.silent] or self.connections
        if not awake:
            raise ConnectionError("no socket is open")
        self._turn += 1
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[envelope["envelope_id"]] = waiting
        try:
            chosen = awake[self._turn % len(awake)]
            if not chosen.silent:
                await chosen.ws.send_json(envelope)
            return await asyncio.wait_for(waiting, seconds)
        finally:
            self._waiting.pop(envelope["envelope_id"], None)

    async def drop(self) -> None:
        """Cuts all connections without a word."""
        for connection in list(self.connections):
            await connection.ws.close()

    async def refresh(self) -> None:
        """Asks the bot to connect again."""
        for connection in list(self.connections):
            await connection.ws.send_json({"type": "disconnect", "reason": "refresh_requested"})
            await connection.ws.close()

    def hush(self, *, silent: bool) -> None:
        """Lets the present connections stay open and say nothing; new ones work."""
        for connection in self.connections:
            connection.silent = silent

    def speak(self) -> None:
        """Ends the silence."""
        self.hush(silent=False)
