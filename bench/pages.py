"""Pages of Qualys tickets, written and handed out by a process of their own.

`python -m bench.pages FOLDER TICKETS` writes the pages into FOLDER, prints the URL that serves them,
and lives until its input closes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

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


def _written(folder: Path, tickets: int) -> list[bytes]:
    """The pages as the stand-in writes them, in files too."""
    stand_in = QualysStandIn()
    many_tickets(stand_in, tickets)
    everything = list(stand_in.tickets.values())
    where, now = {"states": "OPEN"}, datetime.now(UTC)
    pages = []
    for at in range(0, tickets, A_PAGE):
        # One more than a page, so that each but the last announces the next.
        some = everything[at : at + A_PAGE + 1]
        pages.append(qualys_answers.ticket_list(some, where, "amend_api", now).encode())
        (folder / f"{at // A_PAGE:04}.xml").write_bytes(pages[-1])
    return pages


def parsed(files: list[Path]) -> int:
    """The yardstick: lxml.iterparse alone; how many tickets went by."""
    many = 0
    for file in files:
        for _, element in etree.iterparse(str(file), tag="TICKET"):
            many += 1
            element.clear()
    return many


@asynccontextmanager
async def page_client(tickets: int) -> AsyncIterator[tuple[list[Path], QualysClient]]:
    """Files with the pages, and Amend's own client on a process that serves them."""
    with tempfile.TemporaryDirectory() as name:
        pipe = asyncio.subprocess.PIPE
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.pages", name, str(tickets), stdin=pipe, stdout=pipe
        )
        assert server.stdin is not None
        assert server.stdout is not None
        url = (await server.stdout.readline()).decode().strip()
        settings = QualysSettings(url=url, username="bench", password=SecretStr("bench"))
        client = QualysClient(settings)
        try:
            yield [Path(name) / f"{n:04}.xml" for n in range(-(-tickets // A_PAGE))], client
        finally:
            await client.aclose()
            server.stdin.close()
            await server.wait()


async def _serve(pages: list[bytes]) -> None:
    async def listed(request: web.Request) -> web.Response:
        asked = {**request.query, **await request.post()}
        since = int(str(asked.get("since_ticket_number") or FIRST))
        page = pages[min((since - FIRST + 1) // A_PAGE, len(pages) - 1)]
        return web.Response(body=page, content_type="text/xml")

    app = web.Application()
    app.router.add_route("*", "/msp/ticket_list.php", listed)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve(_written(Path(sys.argv[1]), int(sys.argv[2]))))
