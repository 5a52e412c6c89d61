"""A gateway between the bot and the vendor: it gives up, and what was sent takes effect later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web

from tests.e2e.conftest import MARA, Make, World, until

LATE = 3.0  # seconds after which the vendor has done what it was sent


class Gateway:
    """Passes everything on to the vendor; a write is answered in its place, and passed on late."""

    def __init__(self, status: int, writes: str) -> None:
        self.target, self.status, self.writes = "", status, writes
        self.seen: list[str] = []
        self.loses = False  # what it took never reaches the vendor
        self._later: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._session = ClientSession(auto_decompress=False)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        for each in self._later:
            each.cancel()
        await self._session.close()
        await self._runner.cleanup()

    async def _pass(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.method != "GET" and self.writes in request.path:
            self.seen.append(body.decode())
            if not self.loses:
                task = asyncio.create_task(self._late(request, body))
                self._later.add(task)
            page = "<html><head><title>504</title></head><body>upstream timed out</body></html>"
            return web.Response(status=self.status, text=page, content_type="text/html")
        status, kind, answer = await self._sent(request, body)
        return web.Response(status=status, body=answer, headers={"Content-Type": kind})

    async def _late(self, request: web.Request, body: bytes) -> None:
        await asyncio.sleep(LATE)
        await self._sent(request, body)

    async def _sent(self, request: web.Request, body: bytes) -> tuple[int, str, bytes]:
        left = {"host", "content-length", "accept-encoding"}
        headers = {name: each for name, each in request.headers.items() if name.lower() not in left}
        url = self.target + request.path_qs
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), await answer.read()


Behind = Any

WRITES = {"qualys": "ticket_edit", "ccs": "RemediationTickets", "xpanse": "update_incident"}


@pytest_asyncio.fixture
async def behind(make: Make) -> AsyncIterator[Behind]:
    """A world in which one vendor stands behind a gateway that answers writes with a status."""
    gateways: list[Gateway] = []

    async def made(vendor: str, status: int) -> tuple[World, Gateway]:
        gateway = Gateway(status, WRITES[vendor])
        await gateway.start()
        gateways.append(gateway)
        world = await make(
            AMEND_ATTRIBUTION="off",
            AMEND_LOST_ANSWER_SECONDS="10",
            **{f"{vendor.upper()}_URL": gateway.url},
        )
        gateway.target = getattr(world.sandbox, vendor).url
        return world, gateway

    yield made
    for each in gateways:
        await each.stop()


EDITS = [
    ("qualys", "/qualys 23456 change_state=RESOLVED"),
    ("ccs", "/ccs {number} TicketDescription=patched"),
    ("xpanse", "/xpanse {number} status=UNDER_INVESTIGATION"),
]


def first(world: World, vendor: str) -> str:
    if vendor == "ccs":
        return str(min(world.sandbox.ccs.tickets))
    return str(min(world.sandbox.xpanse.incidents)) if vendor == "xpanse" else "23456"


@pytest.mark.parametrize("status", [408, 502, 504])
@pytest.mark.parametrize(("vendor", "typed"), EDITS)
async def test_a_late_effect_behind_a_gateway_is_found_and_nothing_is_sent_twice(
    behind: Behind, vendor: str, typed: str, status: int
) -> None:
    world, gateway = await behind(vendor, status)
    await world.type(MARA, typed.format(number=first(world, vendor)))
    payload = await world.settled()
    assert (payload["state"], payload["changed"]) == ("succeeded", 1)
    assert len(gateway.seen) == 1


async def test_a_comment_in_the_same_place_is_found_too(behind: Behind) -> None:
    world, gateway = await behind("qualys", 504)
    await world.type(MARA, '/qualys 23456 add_comment="Host patched"')
    payload = await world.settled()
    assert (payload["state"], payload["changed"]) == ("succeeded", 1)
    assert len(gateway.seen) == 1


async def test_a_comment_that_never_arrives_ends_as_unknown_and_is_sent_once(
    behind: Behind,
) -> None:
    world, gateway = await behind("qualys", 504)
    world.bot.work.runner.lost_answer = 2.0
    gateway.loses = True
    await world.type(MARA, '/qualys 23456 add_comment="Host patched"')
    payload = await world.settled()
    assert (payload["state"], payload["unknown"]) == ("unknown", 1)
    assert len(gateway.seen) == 1


async def test_a_state_that_never_arrived_is_sent_again_once_that_is_sure(
    behind: Behind,
) -> None:
    world, gateway = await behind("qualys", 504)
    world.bot.work.runner.lost_answer = 2.0
    gateway.loses = True
    await world.type(MARA, "/qualys 23456 change_state=RESOLVED")
    await until(lambda: len(gateway.seen) >= 2, "the second try")
    assert world.edits() == []
