"""The ZStack client at a server that speaks as the vendor's own sources do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr

from integrations.errors import VendorError
from integrations.zstack.client import ZstackClient
from integrations.zstack.config import ZstackSettings

TICKET = "5" * 32


class RestServer:
    """Sessions, one ticket, and its actions: the body's key is compared with case.

    From ZStack's RestServer.java: an unknown key is HTTP 400 in plain text, and runs nothing.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.bodies: list[dict[str, Any]] = []
        self.ran: list[str] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_put("/zstack/v1/accounts/login", self._login)
        app.router.add_delete("/zstack/v1/accounts/sessions/{uuid}", self._logout)
        app.router.add_put("/zstack/v1/tickets/{uuid}/actions", self._act)
        return app

    async def _login(self, _request: web.Request) -> web.Response:
        return web.json_response({"inventory": {"uuid": "9" * 32}})

    async def _logout(self, _request: web.Request) -> web.Response:
        return web.json_response({})

    async def _act(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        await asyncio.sleep(0)  # others come in between
        if self.key not in body:
            words = f"the body doesn't contain action mapping to the URL[{request.path}]"
            return web.Response(status=400, text=words)
        self.ran.append(body[self.key]["statusEvent"])
        return web.json_response({"inventory": {"uuid": TICKET, "name": "x", "status": "Rejected"}})


@pytest_asyncio.fixture(params=["changeTicketStatus", "changeticketstatus", "anotherKey"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[tuple[RestServer, str]]:
    made = RestServer(request.param)
    runner = web.AppRunner(made.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def fired(client: ZstackClient, number: int) -> str:
    try:
        await client.change(TICKET, {"statusEvent": "reject"}, f"{number:032x}")
    except VendorError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("configured", ["changeticketstatus", "changeTicketStatus"])
async def test_whichever_key_the_server_knows_is_found_once_and_kept(
    server: tuple[RestServer, str], configured: str
) -> None:
    vendor, url = server
    settings = ZstackSettings(
        url=url, account="amend", password=SecretStr("fake"), action_key=configured
    )
    client = ZstackClient(settings)
    first = await asyncio.gather(*(fired(client, number) for number in range(4)))
    tried = len(vendor.bodies)
    assert await fired(client, 9) == first[0]
    if vendor.key == "anotherKey":
        assert "action mapping" in first[0], "the server's own words"
        assert len(vendor.bodies) == tried + 2, "the other is tried once"
    else:
        assert first == [""] * 4
        assert vendor.ran == ["reject"] * 5
        assert len(vendor.bodies) == tried + 1, "and is not looked for again"
    await client.aclose()
