"""The ZStack client at a server that speaks as the vendor's own sources do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr

from integrations.errors import BadCredentials, Rejected, VendorError
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


# --- the document's answer: 200, and an `error` that is not null where the operation failed ---------


class Documented:
    """Answers each call with the document's 200; `error` is what the next calls hold, by session."""

    def __init__(self) -> None:
        self.sign_ins = 0
        self.asked = 0
        self.code = ""
        self.ended: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/login"):
            self.sign_ins += 1
            return httpx.Response(200, json={"inventory": {"uuid": f"{self.sign_ins:032x}"}})
        presented = request.headers["authorization"]
        self.asked += 1
        code = "ID.1001" if presented.removeprefix("OAuth ") in self.ended else self.code
        if not code:
            return httpx.Response(200, json={"error": None, "inventories": []})
        words = f"refused {presented} and {presented.rpartition(':')[2]}"
        error = {"code": code, "description": "no", "details": words}
        return httpx.Response(200, text=json.dumps({"error": error}))


def documented(server: Documented, **settings: Any) -> ZstackClient:
    given = settings or {"account": "amend", "password": SecretStr("fake")}
    url = "https://zstack.example"
    return ZstackClient(ZstackSettings(url=url, **given), transport=httpx.MockTransport(server))


async def test_a_session_that_ended_is_renewed_also_where_a_200_says_so() -> None:
    server = Documented()
    client = documented(server)
    await client.check()
    server.ended.add(f"{1:032x}")
    await client.check()
    assert server.sign_ins == 2
    await client.aclose()


async def test_an_account_that_is_refused_is_left_in_peace_also_where_a_200_says_so() -> None:
    server = Documented()
    server.code = "ID.1000"
    client = documented(server)
    for _ in range(3):
        with pytest.raises(BadCredentials):
            await client.check()
    assert server.asked == 1
    await client.aclose()


async def test_what_signed_a_call_is_hidden_where_an_answer_quotes_it() -> None:
    server = Documented()
    server.code = "SYS.1000"
    key = {"access_key_id": "an-id", "access_key_secret": SecretStr("a-secret")}
    client = documented(server, **key)
    with pytest.raises(Rejected) as met:
        await client.check()
    assert "refused ZStack an-id:(hidden) and (hidden)" in str(met.value)
    await client.aclose()
