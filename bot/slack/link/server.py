"""The HTTP side: signed Slack requests, health, readiness and metrics."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier

from bot.health import PARTS, SLACK
from bot.metrics import LINK_UP, READY, REFUSED
from bot.slack.link import signed_in

log = structlog.get_logger(__name__)

WARNED_EVERY = 60.0  # seconds
LARGEST = 1024 * 1024  # bytes; Slack's own payloads stay far below
LONGEST_LINE = 256 * 1024  # bytes of one header
MOST_HEADERS = 1024
READ_WITHIN = 3.0  # seconds for a whole body; Slack waits as long for its answer
STAMP = re.compile(r"[0-9]{1,12}")  # seconds; `int` takes other signs, too, and raises for many

Dispatch = Callable[[AsyncBoltRequest], Awaitable[BoltResponse]]
Programs = Callable[[web.Request], Awaitable[web.StreamResponse]]
Readiness = Callable[[], Awaitable[Mapping[str, str]]]


def build_server(
    dispatch: Dispatch,
    signing_secret: str,
    readiness: Readiness,
    programs: Programs | None = None,
    *,
    sign_in: bool = False,
) -> web.Application:
    """The aiohttp application; what Slack signed goes to `dispatch`, what programs ask to `programs`.

    Without a signing secret (Socket Mode) `/slack/events` is closed. With `sign_in` browsers that
    come back from a vendor's own page are shown what to paste.

    `readiness` gives the reasons why this process is not ready, by part; none when it is.
    """
    verifier = SignatureVerifier(signing_secret) if signing_secret else None
    server = web.Application(client_max_size=LARGEST)
    warn = _seldom("slack_request_refused")

    async def events(request: web.Request) -> web.StreamResponse:
        body = await _text(request)
        if verifier is None or body is None or not _genuine(verifier, body, request.headers):
            REFUSED.labels("signature").inc()
            warn(signed="X-Slack-Signature" in request.headers)
            return web.Response(status=401, text="signature missing, wrong or too old")
        headers: dict[str, str | Sequence[str]] = {**request.headers}
        bolt_request = AsyncBoltRequest(body=body, query=request.query_string, headers=headers)
        return await to_aiohttp_response(await dispatch(bolt_request))

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def ready(_: web.Request) -> web.Response:
        reasons = await readiness()
        return web.json_response(
            {"ready": not reasons, "reasons": dict(reasons)}, status=503 if reasons else 200
        )

    async def metrics(_: web.Request) -> web.Response:
        _measure(await readiness())
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def came_back(request: web.Request) -> web.Response:
        return web.Response(
            text=signed_in.page(request.query),
            content_type="text/html",
            headers=signed_in.HEADERS,
        )

    server.router.add_post("/slack/events", events, expect_handler=_expected)
    server.router.add_get("/healthz", alive)
    server.router.add_get("/readyz", ready)
    server.router.add_get("/metrics", metrics)
    if sign_in:
        server.router.add_get("/signed-in", came_back)
    if programs is not None:
        server.router.add_post("/mcp", programs)
    return server


def _seldom(event: str) -> Callable[..., None]:
    """A warning at most once in `WARNED_EVERY`, for strangers must not fill the log."""
    next_at = float("-inf")

    def warn(**facts: object) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + WARNED_EVERY
            log.warning(event, **facts)

    return warn


def _measure(reasons: Mapping[str, str]) -> None:
    """Looked at when somebody asks: a gauge kept from the database would stand still without it."""
    for part in PARTS:
        READY.labels(part).set(part not in reasons)
    LINK_UP.set(SLACK not in reasons)


def runner(server: web.Application) -> web.AppRunner:
    """What the application runs in: whoever signs nothing is refused by it, not by HTTP's own errors.

    So headers may be longer and more than aiohttp takes by itself, and no body is unpacked (Slack packs
    none, and a small one may hold gigabytes).
    """
    return web.AppRunner(
        server,
        access_log=None,
        shutdown_timeout=1.0,
        auto_decompress=False,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
        max_headers=MOST_HEADERS,
    )


async def _expected(request: web.Request) -> None:
    """Who waits for a word before the body gets it; any other expectation is passed over, and no 417."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


async def _text(request: web.Request) -> str | None:
    """The body as Slack writes it, in UTF-8; None for anything else (too large, broken, too slow).

    Whatever it claims of its charset is not asked: who signs nothing gets no error of its own.
    """
    try:
        async with asyncio.timeout(READ_WITHIN):
            return (await request.read()).decode()
    except Exception as error:  # whatever aiohttp raises at a body, a stranger is refused alike
        log.debug("body_not_read", error=type(error).__name__)
        return None


def _genuine(verifier: SignatureVerifier, body: str, headers: Mapping[str, Any]) -> bool:
    """True for a signature of ours that is at most five minutes off, in either direction."""
    stamp = str(headers.get("X-Slack-Request-Timestamp") or "")
    signature = str(headers.get("X-Slack-Signature") or "")
    # What is no stamp would raise inside the verifier: an error instead of a refusal.
    if not (STAMP.fullmatch(stamp) and signature.isascii()):
        return False
    return verifier.is_valid(body=body, timestamp=stamp, signature=signature)
