"""A stand-in for ZStack Cloud on loopback: sessions, access keys, asynchronous jobs, queries.

Written from the document and from RestServer, the server's public front: its order of checks, its
status codes and its sentences. What sources leave open is a switch, an attribute of the stand-in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from deploy.sandbox.vendors.base import Answer, Call, JsonStandIn
from deploy.sandbox.vendors.zstack_query import Query
from deploy.sandbox.vendors.zstack_tickets import LEAD, OPERATOR, OWNER, Denied, Desk

SERVICE = "e" * 32
SKEW = timedelta(minutes=15)
# Accounts and virtual ids: name → (uuid, kind). Everybody's password is `sandbox-NAME`.
IDENTITIES = {
    "amend": (SERVICE, "account"),
    "mara": (OPERATOR, "virtual-id"),
    "onca": (LEAD, "virtual-id"),
    "umar": (OWNER, "virtual-id"),
}


@dataclass
class _Job:
    """What a job does is done when it is first asked for after `ready`, unless it is done already."""

    ready: float
    work: Callable[[], Answer]
    answer: Answer | None = None

    def shown(self) -> Answer:
        if time.monotonic() < self.ready:
            return Answer(202, {})
        self.answer = self.answer or self.work()
        return self.answer


class ZstackStandIn(JsonStandIn):
    """`takes` is how long a job runs, in seconds.

    Switches: `action_key`, the only spelling it knows; `time_zone`, in which its clock shows the time
    that access keys are checked against, and `checks_zone`, whether it minds the zone of a call;
    `synchronous`, the document's 200 instead of the 202 of real servers; `desk.by_person`;
    `status_as_object`, the document's schema instead of its sample; `not_ready`, how many of the next
    jobs end with SYS.1010 before they began; `own_jobs`, whether calls get job uuids of the server's
    own, as behind a proxy that takes X- headers away; `late`, whether a job does its work when it ends;
    `unique_session`, whether a sign-in ends the account's other sessions.
    """

    name = "zstack"
    people: ClassVar[Sequence[str]] = (
        "U0MARA,zstack,mara,admin,",
        "U0ONCA,zstack,onca,approver,",
        "U0UMAR,zstack,umar,owner,",
    )
    account = "amend"
    password = "sandbox-not-a-secret"  # noqa: S105 - a sandbox has nothing to hide
    access_key = ("sandbox-key-id", "sandbox-key-not-a-secret")
    more_faults: ClassVar[Mapping[str, str]] = {
        "session_gone": "HTTP 503, ID.1001: the session holds no more",
        "too_many_sessions": "HTTP 503, ID.1006: the account has too many sessions",
        "denied": "HTTP 503, ID.1002: permission denied",
        "wrong_person": "HTTP 503, SYS.1006: another person has to do it",
        "busy": "HTTP 503, SYS.1012: the management node is unavailable",
        "not_ready": "HTTP 503, SYS.1010: the management server is not ready to serve",
        "timed_out": "does what was asked, and says SYS.1001: it timed out",
    }

    def __init__(
        self,
        *,
        tickets: int = 500,
        takes: float = 0.05,
        action_key: str = "changeTicketStatus",
        port: int = 0,
        delay: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(port=port, delay=delay)
        self.desk = Desk(tickets)
        self.takes = takes
        self.action_key = action_key
        self.time_zone = "Asia/Shanghai"
        self.checks_zone = False
        self.synchronous = False
        self.status_as_object = False
        self.not_ready = 0
        self.own_jobs = False
        self.unique_session = False
        self.late = False
        self.logins: list[str] = []
        self._now = now
        self._sessions: dict[str, str] = {}
        self._jobs: dict[str, _Job] = {}

    @property
    def tickets(self) -> dict[str, Any]:
        return self.desk.tickets

    def settings(self) -> dict[str, str]:
        return {
            "ZSTACK_URL": self.url,
            "ZSTACK_ACCOUNT": self.account,
            "ZSTACK_PASSWORD": self.password,
        }

    def end_sessions(self) -> None:
        """Another login with the same account ended them (`enable.unique.session`)."""
        self._sessions.clear()

    def by_hand(self, ticket: str, event: str) -> None:
        """Fire an event in the vendor's console."""
        self.desk.fire(ticket, {"statusEvent": event}, OPERATOR)

    def answer(self, call: Call) -> Answer:
        path = call.path.removeprefix("/zstack")
        if path.endswith("/login"):
            return self._login(call, path)
        if path.startswith("/v1/api-jobs/"):
            return self._job(call, path.rpartition("/")[2])
        who, refused = self._who(call, path)
        if refused is not None:
            return refused
        if path.startswith("/v1/accounts/sessions/") and call.method == "DELETE":
            self._sessions.pop(path.rpartition("/")[2], None)
            return Answer(200, {})
        parts = path.split("/")
        if call.method == "PUT" and parts[2:3] == ["tickets"] and parts[4:] == ["actions"]:
            return self._act(call, parts[3], who)
        if call.method != "GET":
            return text(404, f"no api mapping to URL[{path}]")
        return self._query(path, call) if who else error("ID.1001", "Session expired")

    def refused(self) -> Answer:
        return error("ID.1000", "wrong account or password")

    def broken(self, fault: str, call: Call) -> Answer | None:
        if fault == "timed_out":
            self.answer(call)
            return error("SYS.1001", "the operation timed out", cause="no answer from the agent")
        shapes = {
            "session_gone": error("ID.1001", f"Session expired[{_session(call)}]"),
            "too_many_sessions": error("ID.1006", "too many sessions"),
            "denied": error("ID.1002", "permission denied"),
            "wrong_person": error(
                "SYS.1006", "operation denied. the operator needs to be done by account[uuid]"
            ),
            "busy": error("SYS.1012", "the management node is unavailable"),
            "not_ready": error("SYS.1010", "the management server is not ready to serve"),
        }
        return shapes.get(fault)

    def masked(self, call: Call) -> Any:
        return "(signing in)" if call.path.endswith("/login") else super().masked(call)

    # --- who calls -------------------------------------------------------------------------------

    def _login(self, call: Call, path: str) -> Answer:
        shapes = {
            "/v1/accounts/login": ("logInByAccount", "accountName", "account"),
            "/v1/iam2/virtual-ids/login": ("loginIAM2VirtualID", "name", "virtual-id"),
        }
        key, field, kind = shapes.get(path, ("", "", ""))
        body = call.json if isinstance(call.json, Mapping) else {}
        asked = body.get(key)
        if call.method != "PUT" or not isinstance(asked, Mapping):
            return text(400, no_action(path))
        name = str(asked.get(field) or "")
        known = self.password if name == self.account else f"sandbox-{name}"
        if asked.get("password") != hashlib.sha512(known.encode()).hexdigest():
            return self.refused()
        whose, own = IDENTITIES.get(name, (SERVICE, kind))
        if own != kind:
            return self.refused()
        if self.unique_session:
            self.end_sessions()
        session = uuid.uuid4().hex
        self._sessions[session] = whose
        self.logins.append(name)
        return Answer(200, {"inventory": {"uuid": session, "accountUuid": whose}})

    def _who(self, call: Call, path: str) -> tuple[str, Answer | None]:
        """(the identity, "" where the session is none; an answer that refuses the call)."""
        auth = call.headers.get("authorization", "").strip()
        if not auth:
            return "", text(400, "missing header 'Authorization'")
        if auth.startswith("OAuth"):
            return self._sessions.get(_session(call), ""), None
        if not auth.startswith("ZStack"):
            return "", text(400, "Authorization type must be 'OAuth'")
        date = call.headers.get("date", "")
        if refused := self._time(date):
            return "", refused
        key, _, given = auth.removeprefix("ZStack").strip().partition(":")
        signed = f"{call.method}\n{date}\n{path}".encode()
        mac = hmac.new(self.access_key[1].encode(), signed, hashlib.sha1).digest()
        if (key, given) != (self.access_key[0], base64.b64encode(mac).decode()):
            return "", error("ID.1000", "access key signature does not match")
        return SERVICE, None

    def _time(self, date: str) -> Answer | None:
        """RestServer.checkTime: the wall clock is compared, its zone only where it is told to."""
        if not date:
            return text(400, "'Date' must be incuded in request header")
        wall, _, zone = date.rpartition(" ")
        try:
            sent = datetime.strptime(wall, "%a, %d %b %Y %H:%M:%S").replace(tzinfo=UTC)
            offset = _offset(zone)
        except ValueError:
            words = "'Date' format error, correct format is 'EEE, dd MMM yyyy HH:mm:ss z'"
            return text(400, words)
        here = datetime.fromtimestamp(self._now(), UTC)
        if self.checks_zone:
            sent -= offset
        else:
            here += here.astimezone(ZoneInfo(self.time_zone)).utcoffset() or timedelta()
        return text(403, "requestTimeTooSkewed") if abs(sent - here) > SKEW else None

    # --- events ------------------------------------------------------------------------------------

    def _act(self, call: Call, ticket: str, who: str) -> Answer:
        body = call.json if isinstance(call.json, Mapping) else {}
        action = body.get(self.action_key)
        if action is None:
            return text(400, no_action(f"/v1/tickets/{ticket}/actions"))
        given = "" if self.own_jobs else call.headers.get("x-job-uuid")
        job = given or uuid.uuid4().hex
        if len(job) != 32:
            words = "Invalid header[X-Job-UUID], it must be a UUID with '-' stripped"
            return text(400, words)
        if job in self._jobs:
            return text(400, f"Duplicate job uuid[{job}]")
        begun = _Job(time.monotonic() + self.takes, lambda: self._fired(ticket, action, who))
        if not self.late or self.synchronous:
            begun.answer = begun.work()
        if self.synchronous and begun.answer:
            return begun.answer
        self._jobs[job] = begun
        # The host is one that only the server's own network knows.
        return Answer(202, {"location": f"http://10.0.0.9:8080/zstack/v1/api-jobs/{job}"})

    def _fired(self, ticket: str, action: Mapping[str, Any], who: str) -> Answer:
        if not who:  # a session is looked at by the job, not by the call
            return error("ID.1001", "Session expired")
        if self.not_ready:
            self.not_ready -= 1
            return error("SYS.1010", "the management server is not ready to serve")
        try:
            return Answer(200, {"inventory": self._shown(self.desk.fire(ticket, action, who))})
        except Denied as denied:
            return error(denied.code, denied.words)

    def _shown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        status = row["status"]
        return (
            {**row, "status": {"name": status, "ordinal": 1.0}}
            if self.status_as_object
            else {**row}
        )

    def _job(self, call: Call, job: str) -> Answer:
        if call.method != "GET":
            return text(405, "only GET method is allowed for querying job status")
        found = self._jobs.get(job)
        if found is None:
            return text(404, "the job has been expired")
        return found.shown()

    # --- queries -----------------------------------------------------------------------------------

    def _query(self, path: str, call: Call) -> Answer:
        tables: dict[str, Callable[[], list[Any]]] = {
            "/v1/tickets": lambda: [each.shown() for each in self.desk.tickets.values()],
            "/v1/tickets/histories": lambda: self.desk.history,
            "/v1/tickets/flow": lambda: self.desk.flows,
            "/v1/iam2/virtual-ids": lambda: _people("virtual-id"),
            "/v1/accounts": lambda: _people("account"),
        }
        if path.startswith("/v1/tickets/") and path not in tables:
            rows = [each for each in tables["/v1/tickets"]() if each["uuid"] == path[12:]]
            return Answer(200, {"inventories": [self._shown(each) for each in rows]})
        if path not in tables:
            return text(404, f"no api mapping to URL[{path}]")
        found, total = Query.of(call.query).on(tables[path]())
        if path == "/v1/tickets":
            found = [self._shown(each) for each in found]
        told: dict[str, Any] = {"inventories": found}
        return Answer(200, told if total is None else {**told, "total": total})


def _session(call: Call) -> str:
    return call.headers.get("authorization", "").removeprefix("OAuth").strip()


def _offset(zone: str) -> timedelta:
    """How far a written zone is ahead of UTC. Raises ValueError for one that is not understood."""
    if zone in ("GMT", "UTC", "Z"):
        return timedelta()
    if zone[:3] in ("GMT", "UTC") and zone[3:4] in ("+", "-"):
        sign = 1 if zone[3] == "+" else -1
        hours, _, minutes = zone[4:].partition(":")
        return sign * timedelta(hours=int(hours), minutes=int(minutes or 0))
    try:
        return datetime.now(ZoneInfo(zone)).utcoffset() or timedelta()
    except (LookupError, OSError):
        raise ValueError(zone) from None


def _people(kind: str) -> list[dict[str, Any]]:
    return [
        {"uuid": whose, "name": name, "state": "Enabled"}
        for name, (whose, own) in IDENTITIES.items()
        if own == kind
    ]


def no_action(path: str) -> str:
    """RestServer: the key is the API class' name with its first letter lowered, compared with case."""
    return f"the body doesn't contain action mapping to the URL[{path}]"


def text(status: int, words: str) -> Answer:
    """Malformed calls are answered in plain text."""
    return Answer(status, text=words, kind="text/plain")


def error(code: str, details: str, cause: str = "") -> Answer:
    """A business failure: always 503; nulls are left out."""
    told: dict[str, Any] = {
        "code": code,
        "description": DESCRIBED.get(code, ""),
        "details": details,
    }
    if cause:
        told["cause"] = {"code": "SYS.1006", "description": "An operation failed", "details": cause}
    return Answer(503, {"error": told})


# conf/errorCodes
DESCRIBED = {
    "SYS.1001": "A message or a operation timeout",
    "SYS.1003": "A resource can not be found",
    "SYS.1006": "An operation failed",
    "SYS.1007": "One or more API argument is invalid",
    "SYS.1010": "Management server is not ready to serve",
    "SYS.1012": "The management node is unavailable",
}
