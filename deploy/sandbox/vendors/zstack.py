"""A stand-in for ZStack Cloud on loopback: sessions, tickets with levels, history, asynchronous jobs."""

from __future__ import annotations

import hashlib
import itertools
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from deploy.sandbox.vendors.base import Answer, Call, JsonStandIn

COLLECTION = "872c04e82fee40509447b9ec90fc5aa1"
FIRST = "11111111111111111111111111111111"
LAST = "22222222222222222222222222222222"
FLOWS = (
    {
        "uuid": FIRST,
        "collectionUuid": COLLECTION,
        "approverUuid": "a" * 32,
        "approverTitle": "Team lead",
        "valid": True,
    },
    {
        "uuid": LAST,
        "collectionUuid": COLLECTION,
        "approverUuid": "b" * 32,
        "approverTitle": "SystemAdmin",
        "parentFlowUuid": FIRST,
        "valid": True,
    },
)
ASKED = (
    ("create vm", "org.zstack.header.vm.APICreateVmInstanceMsg"),
    ("resize vm", "org.zstack.header.vm.APIUpdateVmInstanceMsg"),
    ("create volume", "org.zstack.header.volume.APICreateDataVolumeMsg"),
)
LEADS_ON = {
    "Pending": {"approve", "reject", "cancel"},
    "IntermediateApproved": {"approve", "reject", "cancel"},
    "Rejected": {"reopen"},
    "Cancelled": {"reopen"},
    "FinalApproved": set(),
}
# RestServer.java: the key is the API class' name with its first letter lowered, compared with case.
NO_ACTION = "the body doesn't contain action mapping to the URL[/v1/tickets/{uuid}/actions]"


@dataclass
class StandInTicket:
    """A ticket; `events` are those that were executed, for a test to count."""

    uuid: str
    name: str
    status: str
    flow: str
    asked: tuple[str, str]
    events: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        name, api = self.asked
        body = {"name": f"{self.name}-vm", "rootPassword": "a secret of the requested machine"}
        step = {"requestName": name, "apiName": api, "executeTimes": 1.0, "apiBody": body}
        return {
            "uuid": self.uuid,
            "name": self.name,
            "description": f"{name} for {self.name}",
            "status": self.status,
            "currentFlowUuid": self.flow,
            "flowCollectionUuid": COLLECTION,
            "accountSystemType": "iam2",
            "ticketTypeUuid": "3b933e9aaf2d49b9a3dcf0c92867790f",
            "accountSystemContext": {"projectUuid": "c" * 32, "virtualIDUuid": "d" * 32},
            "request": [step],
        }


def ticket_uuid(number: int) -> str:
    """The uuid of a seeded ticket; number 0 is the one in the document's example."""
    if number == 0:
        return "f4483251fdfd48cdae0dbb966a2652c9"
    return hashlib.sha256(f"ticket {number}".encode()).hexdigest()[:32]


def seed(many: int = 500) -> dict[str, StandInTicket]:
    teams = ("payments", "checkout", "search", "mobile", "data")
    found = {}
    for number in range(many):
        last = number % 2 == 1
        status = "IntermediateApproved" if last else "Pending"
        if number % 10 == 9:
            status = ("Rejected", "Cancelled", "FinalApproved")[number % 3]
        name = f"{teams[number % len(teams)]}-{number:03}"
        key = ticket_uuid(number)
        flow = LAST if last else FIRST
        found[key] = StandInTicket(key, name, status, flow, ASKED[number % len(ASKED)])
    return found


@dataclass
class _Job:
    ready: float
    answer: Answer


class ZstackStandIn(JsonStandIn):
    """`takes` is how long a job runs, in seconds; `action_key` the only spelling it knows.

    Beside the service account, everybody may sign in with the password `sandbox-LOGIN`.
    """

    name = "zstack"
    account = "amend"
    password = "sandbox-not-a-secret"  # noqa: S105 - a sandbox has nothing to hide
    more_faults: ClassVar[Mapping[str, str]] = {
        "session_gone": "HTTP 503, ID.1001: the session holds no more",
        "denied": "HTTP 503, ID.1002: permission denied",
        "wrong_person": "HTTP 503, SYS.1006: another person has to do it",
        "busy": "HTTP 503, SYS.1012: the management node is unavailable",
    }

    def __init__(
        self,
        *,
        tickets: int = 500,
        takes: float = 0.05,
        action_key: str = "changeTicketStatus",
        port: int = 0,
        delay: float = 0.0,
    ) -> None:
        super().__init__(port=port, delay=delay)
        self.tickets = seed(tickets)
        self.history: list[dict[str, Any]] = []
        self.takes = takes
        self.action_key = action_key
        self.logins: list[str] = []
        self._sessions: set[str] = set()
        self._jobs: dict[str, _Job] = {}
        self._sequence = itertools.count(1)

    def settings(self) -> dict[str, str]:
        return {
            "ZSTACK_URL": self.url,
            "ZSTACK_ACCOUNT": self.account,
            "ZSTACK_PASSWORD": self.password,
        }

    def end_sessions(self) -> None:
        """Another login with the same account ended them (facts C.3)."""
        self._sessions.clear()

    def answer(self, call: Call) -> Answer:
        path = call.path.removeprefix("/zstack")
        if path.endswith("/login"):
            return self._login(call)
        if path.startswith("/v1/api-jobs/"):
            return self._job(path.rpartition("/")[2])
        session = call.headers.get("authorization", "").removeprefix("OAuth ")
        if not call.headers.get("authorization"):
            return Answer(400, text="missing header 'Authorization'", kind="text/plain")
        if path.startswith("/v1/accounts/sessions/"):
            self._sessions.discard(session)
            return Answer(200, {})
        action = re.fullmatch(r"/v1/tickets/([0-9a-f]{32})/actions", path)
        if action and call.method == "PUT":
            return self._act(call, action[1], session)
        if session not in self._sessions:
            return error("ID.1001", "session expired")
        return self._query(path, call)

    def refused(self) -> Answer:
        return error("ID.1000", "wrong account or password")

    def broken(self, fault: str, call: Call) -> Answer | None:
        shapes = {
            "session_gone": error("ID.1001", "session expired"),
            "denied": error("ID.1002", "permission denied"),
            "wrong_person": error(
                "SYS.1006", "operation denied. the operator needs to be done by account[uuid]"
            ),
            "busy": error("SYS.1012", "the management node is unavailable"),
        }
        return shapes.get(fault)

    def masked(self, call: Call) -> Any:
        return "(signing in)" if call.path.endswith("/login") else super().masked(call)

    # --- signing in ------------------------------------------------------------------------------

    def _login(self, call: Call) -> Answer:
        body = call.json if isinstance(call.json, Mapping) else {}
        asked = body.get("logInByAccount") or body.get("loginIAM2VirtualID") or {}
        name = str(asked.get("accountName") or asked.get("name") or "")
        known = {self.account: self.password}.get(name, f"sandbox-{name}")
        if asked.get("password") != hashlib.sha512(known.encode()).hexdigest():
            return self.refused()
        session = uuid.uuid4().hex
        self._sessions.add(session)
        self.logins.append(name)
        return Answer(200, {"inventory": {"uuid": session, "accountUuid": "e" * 32}})

    # --- events ------------------------------------------------------------------------------------

    def _act(self, call: Call, ticket: str, session: str) -> Answer:
        job = call.headers.get("x-job-uuid") or uuid.uuid4().hex
        if len(job) != 32:
            return Answer(400, text=f"Invalid job uuid[{job}]", kind="text/plain")
        if job in self._jobs:
            return Answer(400, text=f"Duplicate job uuid[{job}]", kind="text/plain")
        body = call.json if isinstance(call.json, Mapping) else {}
        action = body.get(self.action_key)
        if action is None:
            return Answer(400, text=NO_ACTION, kind="text/plain")
        # The session is looked at by the job, not by the call (facts C.4).
        known = session in self._sessions or session.startswith("ZStack ")
        told = self._fire(ticket, action) if known else error("ID.1001", "session expired")
        self._jobs[job] = _Job(time.monotonic() + self.takes, told)
        # The host is one that only the server's own network knows (facts C.4).
        return Answer(202, {"location": f"http://10.0.0.9:8080/zstack/v1/api-jobs/{job}"})

    def _job(self, job: str) -> Answer:
        found = self._jobs.get(job)
        if found is None:
            return Answer(404, text=f"unable to find the job[{job}]", kind="text/plain")
        return found.answer if time.monotonic() >= found.ready else Answer(202, {})

    def _fire(self, ticket_uuid: str, action: Mapping[str, Any]) -> Answer:
        ticket = self.tickets.get(ticket_uuid)
        event = str(action.get("statusEvent", ""))
        if ticket is None:
            return error("SYS.1003", f"ticket[{ticket_uuid}] does not exist")
        if event not in LEADS_ON.get(ticket.status, ()):
            words = f"operation denied. the ticket is in status of {ticket.status}"
            return error("SYS.1006", f"{words}, cannot do the operation[{event}]")
        before = ticket.status
        self._move(ticket, event)
        comment = str(action.get("comment") or "")
        ticket.events.append(event)
        ticket.comments.append(comment)
        self._note(ticket, before, comment)
        if ticket.status == "FinalApproved":
            results = [{"requestName": ticket.asked[0], "successTimes": 1.0, "failureTimes": 0.0}]
            self._note(ticket, ticket.status, "", results)
        return Answer(200, {"inventory": ticket.shown()})

    def _move(self, ticket: StandInTicket, event: str) -> None:
        if event == "approve":
            ticket.status = "FinalApproved" if ticket.flow == LAST else "IntermediateApproved"
            ticket.flow = LAST
        elif event == "reopen":
            ticket.status, ticket.flow = "Pending", FIRST
        else:
            ticket.status = {"reject": "Rejected", "cancel": "Cancelled"}[event]

    def _note(self, ticket: StandInTicket, before: str, comment: str, results: Any = None) -> None:
        entry = {
            "sequence": next(self._sequence),
            "ticketUuid": ticket.uuid,
            "fromStatus": before,
            "toStatus": ticket.status,
            "comment": comment,
            "operatorUuid": "e" * 32,
            "operationContextType": "StatusChanged",
        }
        if results:
            entry["operationContext"] = {"requestResults": results}
        self.history.append(entry)

    def by_hand(self, ticket: str, event: str) -> None:
        """Fire an event in the vendor's console."""
        self._fire(ticket, {"statusEvent": event})

    # --- queries -----------------------------------------------------------------------------------

    def _query(self, path: str, call: Call) -> Answer:
        params = call.params
        if path == "/v1/tickets/flow":
            return Answer(200, {"inventories": list(FLOWS)})
        if path == "/v1/tickets/histories":
            rows = list(self.history)
        elif path == "/v1/tickets":
            rows = [each.shown() for each in self.tickets.values()]
        else:
            return Answer(404, text="no such API", kind="text/plain")
        rows = [each for each in rows if _matches(each, params.get("q", ""))]
        sort = params.get("sort", "")
        if sort:
            rows.sort(key=lambda each: each[sort[1:]], reverse=sort.startswith("-"))
        start, limit = int(params.get("start", 0)), int(params.get("limit", 1000))
        return Answer(200, {"inventories": rows[start : start + limit]})


def _matches(row: Mapping[str, Any], condition: str) -> bool:
    found = re.fullmatch(r"(\w+?)(\?=|>|=)(.*)", condition)
    if found is None:
        return True
    name, operator, value = found.groups()
    if operator == "?=":
        return row.get(name) in value.split(",")
    if operator == ">":
        return int(row.get(name, 0)) > int(value)
    return str(row.get(name)) == value


def error(code: str, details: str) -> Answer:
    """A business failure: always 503 (facts C.4)."""
    return Answer(503, {"error": {"code": code, "description": "failed", "details": details}})
