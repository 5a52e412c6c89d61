"""A stand-in for Qualys on loopback: follows the document on ticket_edit.php, and can misbehave."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar

from aiohttp import web

from deploy.sandbox.vendors import qualys_answers as answers
from deploy.sandbox.vendors.faults import Fault, FaultSwitch
from deploy.sandbox.vendors.qualys_compliance import Compliance
from deploy.sandbox.vendors.qualys_edit import (
    CHANGES,
    check_changes,
    edit,
    may_see,
    member,
    reopen_ignored,
)
from deploy.sandbox.vendors.qualys_selection import SELECTION, Refused, flag, selection, unknown
from deploy.sandbox.vendors.qualys_session import COOKIE, PATH, Sessions
from deploy.sandbox.vendors.seed import Member, StandInTicket, seed_tickets

FAULTS = {
    "timeout": "never answers (or only after `seconds`)",
    "slow": "answers after `seconds`",
    "reset": "reads the request, then breaks the connection",
    "reset_after_edit": "does what was asked, then breaks the connection",
    "http_500": "HTTP 500 with nothing to read",
    "http_503": "HTTP 503 with a web page",
    "html_200": "HTTP 200 with a web page",
    "error_200": "HTTP 200 with an error inside",
    "conflict_wait": "HTTP 409, code 1965: wait `seconds`",
    "conflict_running": "HTTP 409, code 1960: too many calls at a time, no time named",
    "truncated_xml": "does what was asked, answers with half of the XML",
    "hostile_xml": "XML with entities that grow and fetch",
    "bad_credentials": "HTTP 401, code 2000",
}
TIMED = frozenset({"timeout", "slow", "conflict_wait"})
ROOTS = {
    "/msp/ticket_edit.php": ("TICKET_EDIT_OUTPUT", "ticket_edit_output"),
    "/msp/ticket_list.php": ("REMEDIATION_TICKETS", "ticket_list_output"),
    "/msp/user_list.php": ("USER_LIST_OUTPUT", "user_list_output"),
}
LIST_OPTIONS = frozenset({"show_vuln_details", "show_host_id"})
WINDOW = 3600
REMEMBERED = 5_000
SHOWN = 20_000


@dataclass(frozen=True)
class Call:
    """A call as it came in; `form` is the body as it was sent."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    form: str


@dataclass(frozen=True)
class Edit:
    """An edit as it was done."""

    selection: Mapping[str, str]
    changes: Mapping[str, str]
    changed: tuple[int, ...]
    skipped: Mapping[int, str]
    caller: str


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: str
    status: int = 200
    headers: Mapping[str, str] | None = None
    kind: str = "text/xml"
    crowded: bool = False


class QualysStandIn:
    """`async with QualysStandIn() as vendor`, or `start` and `stop`.

    `rate` calls an hour and `at_once` at a time are allowed for each function. Beside the service
    account every active user may sign in with the password `sandbox-LOGIN`.
    """

    name = "qualys"
    people: ClassVar[Sequence[str]] = (
        "U0MARA,qualys,mlindqvist,Manager,",
        "U0UMAR,qualys,uhaddad,Unit Manager,London;10.10.20.0/24",
        "U0SAMI,qualys,sito,Scanner,",
        "U0ONCA,qualys,oreyes,Manager,",
    )
    username = "amend_api"
    password = "sandbox-not-a-secret"  # noqa: S105 - a sandbox has nothing to hide

    def __init__(
        self,
        *,
        port: int = 0,
        rate: int = 2_000,
        at_once: int = 5,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.tickets: dict[int, StandInTicket] = seed_tickets()
        # The numbers of ignored tickets whose issue a scan found resolved in the meantime.
        self.fixed_while_ignored: set[int] = set()
        self.compliance = Compliance()
        self.sessions = Sessions()
        self.requests: list[Call] = []
        self.edits: list[Edit] = []
        self.on_traffic: Callable[[dict[str, Any]], None] | None = None
        self.faults = FaultSwitch(FAULTS, TIMED)
        self.url = ""
        self._port, self._rate, self._at_once, self._now = port, rate, at_once, now
        self._running: dict[str, int] = defaultdict(int)
        self._calls: dict[str, deque[float]] = defaultdict(deque)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on 127.0.0.1; `url` is set then."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            # A caller that hangs up ends its call, so that a `timeout` leaves nothing running.
            app,
            access_log=None,
            shutdown_timeout=0.1,
            handler_cancellation=True,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening; calls that hang are cut off."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> QualysStandIn:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def set_fault(self, name: str | None, options: Mapping[str, Any] | None = None) -> None:
        """Switch a fault of `FAULTS` on (options: times, seconds, only), or all off with None."""
        self.faults.set(name, options)

    def settings(self) -> dict[str, str]:
        """A bot's settings to reach this stand-in."""
        return {
            "QUALYS_URL": self.url,
            "QUALYS_USERNAME": self.username,
            "QUALYS_PASSWORD": self.password,
        }

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        began = time.perf_counter()
        form = (await request.read()).decode("utf-8", "replace")
        # A parameter given twice: the last one wins silently.
        params = dict([*request.query.items(), *(await request.post()).items()])
        call = Call(
            request.method,
            request.path,
            {name: str(value) for name, value in params.items()},
            {name: value for name, value in request.headers.items() if name != "Authorization"},
            form,
        )
        self.requests.append(call)
        del self.requests[:-REMEMBERED]
        self._running[call.path] += 1
        try:
            answer = await self._answer(call, request)
        finally:
            self._running[call.path] -= 1
        self._tell(call, answer, (time.perf_counter() - began) * 1000)
        if answer is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        clock = {"Date": format_datetime(self._now(), usegmt=True)}
        headers = {**clock, **self._limits(call.path, answer), **(answer.headers or {})}
        return web.Response(
            text=answer.body, status=answer.status, headers=headers, content_type=answer.kind
        )

    async def _answer(self, call: Call, request: web.Request) -> Answer | None:
        """The answer; None breaks the connection instead."""
        fault = self.faults.take(call.path)
        if fault is not None and fault.name in TIMED - {"conflict_wait"}:
            lasts = 3600.0 if fault.name == "timeout" else 2.0
            await asyncio.sleep(lasts if fault.seconds is None else fault.seconds)
        elif fault is not None and fault.name == "reset":
            return None
        elif fault is not None and fault.name in _INSTEAD:
            return _INSTEAD[fault.name](fault, call, self._now())
        answer = self._limited(call) or self._done(call, request)
        if fault is not None and fault.name == "reset_after_edit":
            return None
        if fault is not None and fault.name == "truncated_xml":
            return Answer(answer.body[: len(answer.body) // 2], answer.status)
        return answer

    def _done(self, call: Call, request: web.Request) -> Answer:
        key = request.cookies.get(COOKIE, "")
        caller = self._caller(call, request.headers.get("Authorization", ""), key)
        if caller is None:
            return _INSTEAD["bad_credentials"](Fault(""), call, self._now())
        if "X-Requested-With" not in request.headers:
            words = "missing required header: X-Requested-With"
            return Answer(answers.simple("1903", words, {}, self._now()), 400)
        try:
            return self._session(call, caller, key) or self._asked(call, caller)
        except Refused as refused:
            if call.path.startswith("/api/"):
                body = answers.simple(refused.code, refused.words, {}, self._now())
                return Answer(body, 409 if refused.code == "1920" else 400)
            root, dtd = ROOTS.get(call.path, ("GENERIC_RETURN", "generic_return"))
            # The calls below /msp/ answer errors with HTTP 200.
            return Answer(answers.error(root, dtd, refused.code, refused.words))

    def _session(self, call: Call, caller: Member, key: str) -> Answer | None:
        """Sign in or out; None for a call of anything else."""
        if call.path != PATH:
            return None
        action = call.params.get("action", "")
        if action not in ("login", "logout"):
            raise Refused("1905", f"parameter action has invalid value: {action}")
        if call.method != "POST":
            raise Refused(
                "1908", "Request method is incompatible with specified parameter(s): action"
            )
        if action == "login":
            cookie = self.sessions.login(caller, self._now())
            body = answers.simple("", "Logged in", {}, self._now())
            return Answer(body, headers={"Set-Cookie": cookie})
        self.sessions.logout(key)
        return Answer(answers.simple("", "Logged out", {}, self._now()))

    def _asked(self, call: Call, caller: Member) -> Answer:
        reopen_ignored(self.tickets.values(), self.fixed_while_ignored, self._now())
        match call.path:
            case "/msp/ticket_edit.php":
                return self._edit(call.params, caller)
            case "/msp/ticket_list.php":
                return self._list(call.params, caller)
            case "/msp/user_list.php":
                if caller.role not in ("Manager", "Unit Manager"):
                    raise Refused("2012", "The account may not list users")
                return Answer(answers.user_list())
            case "/api/2.0/fo/asset/group/" if call.params.get("action") == "list":
                return Answer(answers.asset_group_list())
        found = self.compliance.answer(call.path, call.params, call.method, caller, self._now())
        if found is not None:
            return Answer(found[1].replace("@BASE@", self.url), found[0])
        return Answer("<html><body>Not Found<br></body></html>", 404, kind="text/html")

    def _edit(self, params: Mapping[str, str], caller: Member) -> Answer:
        if caller.role not in ("Manager", "Unit Manager"):
            raise Refused("2012", "The account may not edit tickets")
        changes = {name: value for name, value in params.items() if name in CHANGES}
        where = self._where(params, CHANGES)
        check_changes(changes)
        now = self._now()
        selected = self._selected(where, caller)
        changed, skipped = edit(selected, changes, caller.login, now)
        self.edits.append(Edit(where, changes, tuple(changed), skipped, caller.login))
        return Answer(answers.edit_output(changed, skipped, where, caller.login, now))

    def _list(self, params: Mapping[str, str], caller: Member) -> Answer:
        where = self._where(params, LIST_OPTIONS)
        selected = self._selected(where, caller)
        shown = {name for name in LIST_OPTIONS if flag(name, params.get(name, "0"))}
        return Answer(answers.ticket_list(selected, where, caller.login, self._now(), shown))

    def _where(self, params: Mapping[str, str], others: frozenset[str]) -> dict[str, str]:
        unknown(params, {*SELECTION, *others})
        where = {name: value for name, value in params.items() if name in SELECTION}
        if not where:
            raise Refused("1922", "at least one ticket selection parameter is required")
        return where

    def _selected(self, where: Mapping[str, str], caller: Member) -> list[StandInTicket]:
        test = selection(where, caller.login, self._now())
        found = (each for each in self.tickets.values() if may_see(caller, each) and test(each))
        return sorted(found, key=lambda each: each.number)

    def _caller(self, call: Call, authorization: str, key: str) -> Member | None:
        if call.path == PATH and call.params.get("action") == "login":
            return self._user(call.params.get("username", ""), call.params.get("password", ""))
        scheme, _, coded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return self.sessions.caller(call.path, key, self._now())
        try:
            login, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self._user(login, password)

    def _user(self, login: str, password: str) -> Member | None:
        user = member(login)
        if user is None or user.status != "Active":
            return None
        expected = self.password if login == self.username else f"sandbox-{login}"
        return user if password == expected and user.role != "Contact" else None

    def _limited(self, call: Call) -> Answer | None:
        """Concurrency is checked first and wins; then the calls of the last hour."""
        if call.path == PATH:
            return None
        if self._running[call.path] > self._at_once:
            return _INSTEAD["conflict_running"](Fault(""), call, self._now())
        calls, now = self._calls[call.path], time.monotonic()
        while calls and now - calls[0] > WINDOW:
            calls.popleft()
        if len(calls) >= self._rate:
            seconds = float(int(WINDOW - (now - calls[0])) + 1)
            return _INSTEAD["conflict_wait"](Fault("", seconds=seconds), call, self._now())
        calls.append(now)
        return None

    def _limits(self, path: str, answer: Answer) -> dict[str, str]:
        if path == PATH:
            return {}
        limits = {
            "X-RateLimit-Limit": str(self._rate),
            "X-RateLimit-Window-Sec": str(WINDOW),
            "X-Concurrency-Limit-Limit": str(self._at_once),
        }
        if answer.crowded:
            # A call that is one too many does not run, and is not told how many more it may make.
            return {**limits, "X-Concurrency-Limit-Running": str(self._at_once)}
        return {
            **limits,
            "X-RateLimit-Remaining": str(max(0, self._rate - len(self._calls[path]))),
            "X-RateLimit-ToWait-Sec": "0",
            "X-Concurrency-Limit-Running": str(self._running[path] + 1),
        }

    def _tell(self, call: Call, answer: Answer | None, ms: float) -> None:
        if self.on_traffic is None:
            return
        self.on_traffic(
            {
                "link": "vendor",
                "vendor": "qualys",
                "direction": "from_bot",
                "what": f"{call.method} {call.path}",
                "status": answer.status if answer else 0,
                "ms": round(ms, 1),
                "request": dict(call.params),
                "response": answer.body[:SHOWN] if answer else "(connection broken)",
            }
        )


def _blocked(fault: Fault, _: Call, now: datetime) -> Answer:
    seconds = 3 if fault.seconds is None else int(fault.seconds)
    words = f"This API cannot be run again for another {seconds} seconds."
    body = answers.simple("1965", words, {"SECONDS_TO_WAIT": str(seconds)}, now)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-ToWait-Sec": str(seconds)}
    return Answer(body, 409, headers)


def _crowded(_: Fault, __: Call, now: datetime) -> Answer:
    words = "This API cannot be run again until 1 currently running instance has finished."
    body = answers.simple("1960", words, {"CALLS_TO_FINISH": "1"}, now)
    return Answer(body, 409, crowded=True)


def _failed(_: Fault, call: Call, __: datetime) -> Answer:
    root, dtd = ROOTS.get(call.path, ("TICKET_EDIT_OUTPUT", "ticket_edit_output"))
    return Answer(answers.error(root, dtd, "5001", "The request failed & nothing was done"))


def _refused(_: Fault, call: Call, now: datetime) -> Answer:
    return Answer(answers.generic(call.path, "2000", "Bad Login/Password", now), 401)


_INSTEAD: dict[str, Callable[[Fault, Call, datetime], Answer]] = {
    "http_500": lambda *_: Answer("", 500),
    "http_503": lambda *_: Answer(answers.HTML, 503, kind="text/html"),
    "html_200": lambda *_: Answer(answers.HTML, kind="text/html"),
    "error_200": _failed,
    "conflict_wait": _blocked,
    "conflict_running": _crowded,
    "hostile_xml": lambda *_: Answer(answers.BILLION_LAUGHS),
    "bad_credentials": _refused,
}
