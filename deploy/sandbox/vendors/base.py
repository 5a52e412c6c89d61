"""What the JSON vendors' stand-ins share: listening on loopback, faults, traffic, a record of calls."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from aiohttp import web

from deploy.sandbox.vendors.faults import Fault, FaultSwitch
from deploy.sandbox.vendors.standin import Traffic

FAULTS = {
    "timeout": "never answers (or only after `seconds`)",
    "slow": "answers after `seconds`",
    "reset": "reads the request, then breaks the connection",
    "reset_after_edit": "does what was asked, then breaks the connection",
    "http_500": "HTTP 500 with nothing to read",
    "http_503": "HTTP 503 with a web page",
    "html_200": "HTTP 200 with a web page",
    "half_json": "does what was asked, answers with half of the JSON",
    "bad_credentials": "does not take the account",
}
TIMED = frozenset({"timeout", "slow"})
NEVER = 3600.0
PAGE = "<!doctype html><title>Gateway</title><p>The gateway is having a bad day.</p>"


@dataclass(frozen=True)
class Call:
    """A call as it came in; `body` is the text as sent, `json` what it holds, if it is JSON.

    `params` holds each name once, `query` all of them in order.
    """

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    json: Any = None
    query: Sequence[tuple[str, str]] = ()


@dataclass
class Answer:
    """What goes back: JSON (`value`), or `text` of the given kind."""

    status: int = 200
    value: Any = None
    text: str | None = None
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> str:
        if self.text is not None:
            return self.text
        if self.value is None:
            return ""
        # Letters as they are, but half a surrogate pair, which UTF-8 cannot hold, as JSON's escape.
        text = json.dumps(self.value, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace").decode()


class JsonStandIn(ABC):
    """`async with Vendor() as vendor`, or `start` and `stop`; subclasses answer in `answer`."""

    name = ""
    people: ClassVar[Sequence[str]] = ()
    more_faults: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, port: int = 0, delay: float = 0.0) -> None:
        self.requests: list[Call] = []
        self.on_traffic: Traffic | None = None
        self.faults = FaultSwitch({**FAULTS, **self.more_faults}, TIMED)
        self.url = ""
        self.delay = delay
        self._port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on 127.0.0.1; `url` is set then."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # A caller that hangs up ends its call, so that a `timeout` leaves nothing running.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def set_fault(self, name: str | None, options: Mapping[str, Any] | None = None) -> None:
        """Switch a fault on (options: times, seconds, only), or all off with None."""
        self.faults.set(name, options)

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """A bot's settings to reach this stand-in."""

    @abstractmethod
    def answer(self, call: Call) -> Answer:
        """What the document says comes back."""

    def refused(self) -> Answer:
        """How this vendor refuses an account."""
        return Answer(401, {"message": "unauthorized"})

    @abstractmethod
    def broken(self, fault: str, call: Call) -> Answer | None:
        """The answer of one of `more_faults`; None for an answer as usual."""

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        began = time.perf_counter()
        text = (await request.read()).decode("utf-8", "replace")
        call = Call(
            request.method,
            request.path,
            dict(request.query),
            {name.lower(): value for name, value in request.headers.items()},
            text,
            _json(text),
            [*request.query.items()],
        )
        self.requests.append(call)
        if self.delay:
            await asyncio.sleep(self.delay)
        found = await self._answered(call)
        self._traffic(call, found, (time.perf_counter() - began) * 1000)
        if found is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(
            text=found.body, status=found.status, headers=found.headers, content_type=found.kind
        )

    async def _answered(self, call: Call) -> Answer | None:
        """The answer; None where the connection is to break."""
        fault = self.faults.take(call.path)
        if fault is None:
            return self.answer(call)
        if fault.name in TIMED:
            default = NEVER if fault.name == "timeout" else 1.0
            await asyncio.sleep(default if fault.seconds is None else fault.seconds)
            return self.answer(call)
        return self._faulty(fault, call)

    def _faulty(self, fault: Fault, call: Call) -> Answer | None:
        if fault.name == "reset":
            return None
        if fault.name == "reset_after_edit":
            self.answer(call)
            return None
        if fault.name == "half_json":
            body = self.answer(call).body
            return Answer(200, text=body[: max(1, len(body) // 2)])
        plain = {
            "http_500": Answer(500, text="", kind="text/plain"),
            "http_503": Answer(503, text=PAGE, kind="text/html"),
            "html_200": Answer(200, text=PAGE, kind="text/html"),
            "bad_credentials": self.refused(),
        }
        return plain.get(fault.name) or self.broken(fault.name, call) or self.answer(call)

    def _traffic(self, call: Call, answer: Answer | None, ms: float) -> None:
        if self.on_traffic is None:
            return
        shown = answer.value if answer is not None and answer.text is None else None
        self.on_traffic(
            {
                "link": "vendor",
                "vendor": self.name,
                "direction": "from_bot",
                "what": f"{call.method} {call.path}",
                "status": answer.status if answer else 0,
                "ms": round(ms, 1),
                "request": self.masked(call),
                "response": shown if shown is not None else (answer.body if answer else ""),
            }
        )

    def masked(self, call: Call) -> Any:
        """The request as the traffic panel shows it, without secrets."""
        return call.json if call.json is not None else (dict(call.params) or call.body)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
