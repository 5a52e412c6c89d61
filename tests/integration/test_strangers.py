"""Whatever a stranger sends to `/slack/events` over the wire, it is 401 (CONTRACT section 4)."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.slack.link.server import build_server, runner

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"  # of Slack's own documentation
FORM = b"command=%2Fqualys&text=23456"

Head = Mapping[str, str]
Ask = Callable[[bytes], Awaitable[bytes]]


@pytest_asyncio.fixture
async def ask() -> AsyncIterator[Ask]:
    """Send bytes to a server, and get the first line of what it answers in the end."""
    server = runner(build_server(dispatched, SECRET, ready))
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    port = server.addresses[0][1]

    async def exchange(raw: bytes) -> bytes:
        async with asyncio.timeout(120):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(raw)
                line = await reader.readline()
                while line.startswith(b"HTTP/1.1 100") or line == b"\r\n":
                    line = await reader.readline()
                return line
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    yield exchange
    await server.cleanup()


async def dispatched(_: AsyncBoltRequest) -> BoltResponse:
    return BoltResponse(status=200, body="taken")


async def ready() -> Mapping[str, str]:
    return {}


def post(headers: Head, body: bytes = FORM, method: str = "POST", length: bool = True) -> bytes:
    usual = {"Host": "127.0.0.1"} | ({"Content-Length": str(len(body))} if length else {})
    lines = [f"{name}: {value}" for name, value in (usual | dict(headers)).items()]
    head = "\r\n".join([f"{method} /slack/events HTTP/1.1", *lines])
    return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def signed(body: bytes = FORM, stamp: str = "", secret: str = SECRET) -> dict[str, str]:
    """As Slack's documentation says that it signs."""
    when = stamp or str(int(time.time()))
    made = hmac.new(secret.encode(), b"v0:" + when.encode() + b":" + body, hashlib.sha256)
    return {
        "X-Slack-Request-Timestamp": when,
        "X-Slack-Signature": f"v0={made.hexdigest()}",
        "Content-Type": "application/x-www-form-urlencoded",
    }


FORGED = signed(secret="another")


async def status(ask: Ask, raw: bytes) -> int:
    return int((await ask(raw)).split()[1])


async def test_what_slack_signed_is_taken(ask: Ask) -> None:
    assert await status(ask, post(signed())) == 200
    assert await status(ask, post({**signed(), "Expect": "100-continue"})) == 200
    assert await status(ask, post({**signed(), "X-Padding": "x" * 9000})) == 200


STRANGE: dict[str, bytes] = {
    "nothing": post({}),
    "no body": post({}, b""),
    "forged": post(FORGED),
    "4,000 digits": post({**FORGED, "X-Slack-Request-Timestamp": "1" * 4000}),
    "5,000 digits": post({**FORGED, "X-Slack-Request-Timestamp": "1" * 5000}),
    "13 digits, signed": post(signed(stamp=str(int(time.time() * 1000)))),
    "an old stamp, signed": post(signed(stamp="1")),
    "a minus": post(signed(stamp="-1")),
    "an underscore": post(signed(stamp="1_0")),
    "no gzip": post({**FORGED, "Content-Encoding": "gzip"}),
    "gzip": post({**FORGED, "Content-Encoding": "gzip"}, gzip.compress(FORM)),
    "gzip cut short": post({**FORGED, "Content-Encoding": "gzip"}, gzip.compress(FORM)[:-9]),
    "a bomb": post({**FORGED, "Content-Encoding": "gzip"}, gzip.compress(bytes(50_000_000))),
    "no deflate": post({**FORGED, "Content-Encoding": "deflate"}),
    "brotli": post({**FORGED, "Content-Encoding": "br"}),
    "zstd": post({**FORGED, "Content-Encoding": "zstd"}),
    "an encoding of nobody's": post({**FORGED, "Content-Encoding": "banana, gzip"}),
    "a charset of nobody's": post({**FORGED, "Content-Type": "text/plain; charset=banana"}),
    "a form of no parts": post({**FORGED, "Content-Type": "multipart/form-data"}),
    "no UTF-8": post(FORGED, b"\xff\xfe"),
    "an expectation of nobody's": post({**FORGED, "Expect": "banana"}),
    "an expectation": post({**FORGED, "Expect": "100-continue"}),
    "a long header": post({**FORGED, "X-Long": "x" * 9000}),
    "a longer header": post({**FORGED, "X-Long": "x" * 200_000}),
    "a long name": post({**FORGED, "X" * 9000: "x"}),
    "a long signature": post({**FORGED, "X-Slack-Signature": "v0=" + "0" * 100_000}),
    "a signature in other letters": post({**FORGED, "X-Slack-Signature": "v0=ü"}),
    "a signature of raw bytes": post({**FORGED, "X-Slack-Signature": "v0=\udcff\udcfe"}),
    "many headers": post(FORGED | {f"X-{each}": "x" for each in range(1000)}),
    "two megabytes": post(FORGED, b"x" * 2_000_000),
    "chunks": post(
        {**FORGED, "Transfer-Encoding": "chunked"}, b"3\r\nabc\r\n0\r\n\r\n", length=False
    ),
    "an upgrade": post({**FORGED, "Connection": "Upgrade", "Upgrade": "websocket"}),
    "an upgrade to h2c": post(
        {**FORGED, "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"}
    ),
    "HTTP/1.0": post(FORGED).replace(b"HTTP/1.1\r\nHost: 127.0.0.1", b"HTTP/1.0", 1),
    "a strange host": post({**FORGED, "Host": "[::1"}),
    "a query": post(FORGED).replace(b"/slack/events", b"/slack/events?a=%ff&b[", 1),
}


@pytest.mark.parametrize("name", STRANGE)
async def test_a_strangers_request_is_refused_whatever_is_in_it(ask: Ask, name: str) -> None:
    assert await status(ask, STRANGE[name]) == 401


async def test_a_stranger_who_never_sends_the_body_is_refused_in_the_end(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.link.server.READ_WITHIN", 0.2)
    assert await status(ask, post({**FORGED, "Content-Length": "500"}, b"", length=False)) == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
async def test_other_methods_are_not_there(ask: Ask, method: str) -> None:
    assert await status(ask, post(FORGED, method=method)) == 405


# RFC 9110, 5.1 and 5.5: a name is a token; a value is visible, with blanks inside, or bytes above 0x7F.
TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NAMES = st.one_of(
    st.text(TOKEN, min_size=1, max_size=30),
    st.sampled_from(
        [
            *(
                "Accept",
                "Authorization",
                "Connection",
                "Content-Encoding",
                "Content-Type",
                "Cookie",
            ),
            *("Expect", "Forwarded", "If-Match", "Keep-Alive", "Origin", "Range", "TE", "Upgrade"),
            *("X-Slack-Request-Timestamp", "X-Slack-Signature", "X-Slack-Retry-Num"),
        ]
    ),
)
VALUES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=60),
    st.text([chr(0xDC00 + byte) for byte in range(0x80, 0x100)], max_size=20),
    st.text("0123456789", max_size=30).map(lambda digits: digits * 200),
    st.sampled_from(
        ["gzip", "deflate", "br", "zstd", "identity", "100-continue", "close", "a=b; c"]
    ),
)
# What says where a message ends is the protocol's own: a proxy or parser that minds it never reads on.
FRAMING = {"content-length", "transfer-encoding", "host"}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(NAMES.filter(lambda name: name.lower() not in FRAMING), VALUES, max_size=5),
    st.binary(max_size=200),
)
@example({"Expect": "200-ok", "Content-Encoding": "GZIP"}, b"\x1f\x8b")
async def test_whatever_headers_http_allows_a_stranger_is_refused(
    ask: Ask, headers: Head, body: bytes
) -> None:
    assert await status(ask, post({**FORGED, **headers}, body)) == 401
