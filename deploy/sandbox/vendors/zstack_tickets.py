"""The tickets of the ZStack stand-in: who they belong to, which level they wait at, what moves them.

Written from the document, the server's public messages (conf/i18n: who may do what, in which state)
and the public SDK's field names; the ticket module itself is closed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COLLECTION = "872c04e82fee40509447b9ec90fc5aa1"
FIRST = "11111111111111111111111111111111"
LAST = "22222222222222222222222222222222"
OWNER = "1470a380fe454b4298ba178245aa499c"
LEAD, OPERATOR = "a" * 32, "b" * 32
FLOWS = (
    {
        "uuid": FIRST,
        "collectionUuid": COLLECTION,
        "name": "Team lead",
        "approverUuid": LEAD,
        "flowContextType": "iam2",
    },
    {
        "uuid": LAST,
        "collectionUuid": COLLECTION,
        "name": "SystemAdmin",
        "approverUuid": OPERATOR,
        "flowContextType": "iam2",
        "parentFlowUuid": FIRST,
    },
)
ASKED = (
    ("create vm", "org.zstack.header.vm.APICreateVmInstanceMsg"),
    ("resize vm", "org.zstack.header.vm.APIUpdateVmInstanceMsg"),
    ("create volume", "org.zstack.header.volume.APICreateDataVolumeMsg"),
)
TAKES = {
    "Pending": {"approve", "reject", "cancel"},
    "IntermediateApproved": {"approve", "reject", "cancel"},
    "Rejected": {"reopen"},
    "Cancelled": {"reopen"},
    "FinalApproved": set(),
}
DATE = "Nov 27, 2026 {hour}:{minute:02}:00 AM"


class Denied(Exception):
    """A business failure: code and words, as the server's messages have them."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code, words)
        self.code, self.words = code, words


@dataclass
class StandInTicket:
    """A ticket; `events` are those that were executed, for a test to count."""

    uuid: str
    name: str
    status: str
    flow: str
    asked: tuple[str, str]
    moved: int = 0
    events: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """Numbers as floats, as the document's sample has them."""
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
            "accountSystemContext": {"projectUuid": "c" * 32, "virtualIDUuid": OWNER},
            "createDate": DATE.format(hour=1, minute=0),
            "lastOpDate": DATE.format(hour=1 + self.moved // 60 % 11, minute=self.moved % 60),
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


class Desk:
    """Tickets, flows and history; `fire` is what ChangeTicketStatus does once it runs.

    `by_person`: only the approver of a level decides there, and only the submitter's virtual id
    cancels and reopens. Without it the sandbox's shared account may do both, for everybody.
    """

    def __init__(self, many: int) -> None:
        self.tickets = seed(many)
        self.flows: list[dict[str, Any]] = [dict(each) for each in FLOWS]
        self.history: list[dict[str, Any]] = []
        self.by_person = False
        self._sequence = itertools.count(1)

    def fire(self, uuid: str, action: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Fire an event; the ticket as shown then. Raises `Denied`."""
        ticket = self.tickets.get(uuid)
        event = str(action.get("statusEvent") or "")
        if ticket is None:
            raise Denied("SYS.1003", f"ticket[{uuid}] does not exist")
        if event not in {"open", "approve", "reject", "reopen", "cancel"}:
            words = (
                "invalid field[statusEvent], valid values are [open,approve,reject,reopen,cancel]"
            )
            raise Denied("SYS.1007", words)
        if event not in TAKES.get(ticket.status, ()):
            words = f"operation denied. the ticket is in status of {ticket.status}"
            raise Denied("SYS.1006", f"{words}, cannot do the operation[{event}]")
        if self.by_person:
            self._person(ticket, event, who)
        before = ticket.status
        self._move(ticket, event)
        ticket.events.append(event)
        ticket.comments.append(str(action.get("comment") or ""))
        self._note(ticket, before, ticket.comments[-1], who)
        if ticket.status == "FinalApproved":
            results = [{"requestName": ticket.asked[0], "successTimes": 1.0, "failureTimes": 0.0}]
            self._note(ticket, ticket.status, "", who, results)
        return ticket.shown()

    def _person(self, ticket: StandInTicket, event: str, who: str) -> None:
        if event in ("cancel", "reopen"):
            if who != OWNER:
                raise Denied("SYS.1006", "the virtual ID is not the owner of the ticket")
            return
        flow = next((each for each in self.flows if each["uuid"] == ticket.flow), {})
        if who != flow.get("approverUuid"):
            words = "operation denied. the operator needs to be done by virtual ID"
            raise Denied("SYS.1006", f"{words}[{flow.get('approverUuid')}]")

    def _move(self, ticket: StandInTicket, event: str) -> None:
        ticket.moved += 1
        if event == "approve":
            following = next(
                (each for each in self.flows if each.get("parentFlowUuid") == ticket.flow), None
            )
            ticket.status = "IntermediateApproved" if following else "FinalApproved"
            ticket.flow = following["uuid"] if following else ticket.flow
        elif event == "reopen":
            ticket.status = "Pending"
            ticket.flow = next(each["uuid"] for each in self.flows if "parentFlowUuid" not in each)
        else:
            ticket.status = {"reject": "Rejected", "cancel": "Cancelled"}[event]

    def _note(
        self, ticket: StandInTicket, before: str, comment: str, who: str, results: Any = None
    ) -> None:
        entry = {
            "sequence": next(self._sequence),
            "ticketUuid": ticket.uuid,
            "fromStatus": before,
            "toStatus": ticket.status,
            "comment": comment,
            "operatorUuid": who,
            "operatorType": "virtualID",
            "operationContextType": "StatusChanged",
        }
        if results:
            entry["operationContext"] = {"requestResults": results}
        self.history.append(entry)
