"""What holds for HTTP to every vendor: nothing followed, nothing kept, nothing too large."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

import httpx
import pytest

from integrations.errors import NoAnswer, Temporary, Unreadable, VendorError
from integrations.http import MOST, Http, Request, Timeouts
from integrations.last_look import last_look


async def test_an_answer_that_is_too_large_is_refused() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"x" * 2_000))
    http = Http("Qualys", transport=transport, largest=1_000)
    with pytest.raises(Unreadable, match="larger"):
        await http.send(Request("GET", "https://q.example"), writes=False)
    await http.aclose()


async def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        headers = {"Location": "https://evil.example/", "Set-Cookie": "QualysSession=1"}
        return httpx.Response(302, headers=headers)

    http = Http("Qualys", transport=httpx.MockTransport(answer))
    for _ in range(2):
        reply = await http.send(Request("GET", "https://q.example/"), writes=False)
        assert reply.status == 302
    await http.aclose()
    assert [each.url.host for each in seen] == ["q.example", "q.example"]
    assert "cookie" not in seen[1].headers


@pytest.mark.parametrize(
    ("failure", "writes", "kind"),
    [
        (httpx.ConnectError("refused"), True, Temporary),
        (httpx.ConnectTimeout("late"), True, Temporary),
        (httpx.PoolTimeout("full"), True, Temporary),
        (httpx.ProxyError("403"), True, Temporary),
        (httpx.WriteError("broken"), True, NoAnswer),
        (httpx.ReadTimeout("late"), True, NoAnswer),
        (httpx.RemoteProtocolError("gone"), True, NoAnswer),
        (httpx.ReadTimeout("late"), False, Temporary),
        (httpx.ReadError("broken"), False, Temporary),
    ],
)
async def test_a_failure_is_named_by_whether_the_request_may_have_run(
    failure: httpx.HTTPError, writes: bool, kind: type[VendorError]
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise failure

    http = Http("Qualys", transport=httpx.MockTransport(answer))
    with pytest.raises(VendorError) as caught:
        await http.send(Request("POST", "https://q.example"), writes=writes)
    await http.aclose()
    assert type(caught.value) is kind


XHTML = (
    '<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x.dtd">\n'
    '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>Under maintenance</p></body></html>'
)
PAGE = "<!doctype HTML><title>502</title><p>Bad Gateway"
XML = '<?xml version="1.0"?><!DOCTYPE TICKET_EDIT_OUTPUT SYSTEM "https://q/t.dtd"><TICKET_EDIT_OUTPUT/>'


@pytest.mark.parametrize(
    ("status", "body", "gateway"),
    [
        (408, "", True),
        (502, "upstream connect error", True),
        (504, PAGE, True),
        (504, "", True),
        (503, PAGE, False),
        (500, PAGE, False),
        (200, XHTML, True),
        (200, "\ufeff  <!-- x -->\n<HTML lang='en'>", True),
        (302, PAGE, True),
        (200, XML, False),
        (502, XML, True),
        (504, '{"message": "Endpoint request timed out"}', True),
        (503, '{"error": {"code": "SYS.1001"}}', False),
        (401, PAGE, False),
        (403, PAGE, False),
        (429, PAGE, False),
        (204, "", False),
    ],
)
async def test_after_a_write_a_gateway_is_not_the_vendor(
    status: int, body: str, gateway: bool
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body.encode()))
    http = Http("Qualys", transport=transport)
    request = Request("POST", "https://q.example")
    if gateway:
        with pytest.raises(NoAnswer, match=f"HTTP status {status}"):
            await http.send(request, writes=True)
    else:
        assert (await http.send(request, writes=True)).status == status
    await http.aclose()


@pytest.mark.parametrize("body", [XHTML, PAGE])
async def test_a_web_page_in_the_place_of_a_list_is_tried_again_and_never_read(body: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    http = Http("Qualys", transport=transport)
    with pytest.raises(Temporary, match="web page"):
        await http.send(Request("GET", "https://q.example"), writes=False)
    await http.aclose()


async def test_cancelled_calls_give_their_connections_back() -> None:
    """Between getting a place and connecting, in whatever moment the caller is cancelled."""
    async with _Server(hold=0.0) as server:
        http = Http("Qualys", timeouts=Timeouts(read=60.0))
        request = Request("GET", server.url)
        for steps in range(40):
            calls = [asyncio.create_task(http.send(request, writes=True)) for _ in range(MOST)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert (await http.send(request, writes=True)).status == 204
        await http.aclose()


async def test_a_cancelled_write_is_still_sent_whole() -> None:
    async with _Server(hold=0.05) as server:
        http = Http("Qualys")
        call = asyncio.create_task(
            http.send(Request("POST", server.url, body=b"x" * 1000), writes=True)
        )
        await server.seen.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.answered.wait()
        await http.aclose()


async def test_closing_breaks_off_what_is_under_way_without_cancelling_who_waits() -> None:
    async with _Server(hold=60.0) as server:
        http = Http("Qualys")
        call = asyncio.create_task(http.send(Request("POST", server.url), writes=True))
        await server.seen.wait()
        await http.aclose()
        with pytest.raises(NoAnswer):
            await call


class Slept(Exception):
    """What a last look raises."""


async def test_the_last_look_is_taken_once_the_connection_stands_and_holds_back_every_byte() -> (
    None
):
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.read())
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http = Http("Xpanse")
    write = Request("POST", f"http://127.0.0.1:{port}/", body=b"comment")

    def look() -> None:
        raise Slept

    with last_look(look), pytest.raises(Slept):
        await http.send(write, writes=True)
    await http.aclose()
    assert await heard.get() == b"", "it had connected, and sent nothing"
    server.close()


async def test_the_last_look_holds_for_writes_of_its_block_alone() -> None:
    looks: list[int] = []
    async with _Server(hold=0.0) as server:
        http = Http("Xpanse")
        with last_look(lambda: looks.append(1)):
            await http.send(Request("GET", server.url), writes=False)
            assert not looks
            assert (await http.send(Request("POST", server.url), writes=True)).status == 204
            assert looks == [1]
        await http.send(Request("POST", server.url), writes=True)
        assert looks == [1]
        await http.aclose()


class _Server:
    """A server on loopback that answers 204 after `hold` seconds, and counts."""

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen = asyncio.Event()
        self.answered = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0, backlog=1000)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.seen.set()
            await asyncio.sleep(self._hold)
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
            self.answered.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # it was not wanted after all
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
