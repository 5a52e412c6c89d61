"""100 pages of Qualys tickets as bytes, and a server that only hands them out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import BytesIO

from aiohttp import web
from lxml import etree
from pydantic import SecretStr

from bench.sandbox import many_tickets
from deploy.sandbox.vendors import qualys_answers
from deploy.sandbox.vendors.qualys import QualysStandIn
from integrations.qualys.client import QualysClient
from integrations.qualys.config import QualysSettings

A_PAGE = 1000
FIRST = 1_000_000


def rendered(tickets: int) -> list[bytes]:
    """The pages as the stand-in writes them."""
    stand_in = QualysStandIn()
    many_tickets(stand_in, tickets)
    everything = list(stand_in.tickets.values())
    where, now = {"states": "OPEN"}, datetime.now(UTC)
    return [
        # One more than a page, so that each but the last announces the next.
        qualys_answers.ticket_list(
            everything[at : at + A_PAGE + 1], where, "amend_api", now
        ).encode()
        for at in range(0, tickets, A_PAGE)
    ]


def parsed(pages: list[bytes]) -> int:
    """The yardstick: lxml.iterparse alone; how many tickets went by."""
    many = 0
    for page in pages:
        for _, element in etree.iterparse(BytesIO(page), tag="TICKET"):
            many += 1
            element.clear()
    return many


class PageServer:
    """Answers `ticket_list.php` from ready pages; counts the calls."""

    def __init__(self, pages: list[bytes]) -> None:
        self.pages, self.calls, self.quiet = pages, 0, False

    async def list(self, request: web.Request) -> web.Response:
        self.calls += 1
        asked = {**request.query, **await request.post()}
        since = int(str(asked.get("since_ticket_number") or FIRST))
        page = self.pages[min((since - FIRST + 1) // A_PAGE, len(self.pages) - 1)]
        return web.Response(body=page, content_type="text/xml")


@asynccontextmanager
async def page_client(pages: list[bytes]) -> AsyncIterator[tuple[PageServer, QualysClient]]:
    """Amend's own client on a page server."""
    held = PageServer(pages)
    app = web.Application()
    app.router.add_route("*", "/msp/ticket_list.php", held.list)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    client = QualysClient(QualysSettings(url=url, username="bench", password=SecretStr("bench")))
    try:
        yield held, client
    finally:
        await client.aclose()
        await runner.cleanup()
