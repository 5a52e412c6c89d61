"""A stand-in for Symantec CCS on loopback: tokens, tickets, and a verification job that takes time.

Written from the document ("Update Remediation Ticket Details"), the vendor's REST guide (tokens) and
its public samples (search, get). What these leave open or contradict is a switch in `Site`.
"""

from __future__ import annotations

import base64
import itertools
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs

from deploy.sandbox.vendors.base import Answer, Call, JsonStandIn

STATES = range(1, 6)
STATE_NAMES = ("Open", "Remediation Performed", "Verified", "Failed", "Not Applicable")
PRIORITIES = ("Low", "Medium", "High")
PRIORITY_NUMBERS = {str(number): name for number, name in enumerate(PRIORITIES, start=1)}
ASSETS = ("lon-web-01", "lon-db-02", "nyc-app-03", "nyc-pay-04", "sto-ad-05", "sto-file-06")
STANDARDS = ("CIS Windows Server 2022", "CIS RHEL 9", "PCI DSS 4.0")
FINDINGS = (
    "Ensure 'Minimum password length' is set to 14 or more",
    "Ensure SMB v1 client driver is disabled",
    "Ensure SSH root login is disabled",
    "Ensure audit log storage size is configured",
)
PEOPLE = (r"northwind\mlindqvist", r"northwind\uhaddad", r"northwind\oreyes", "AzadRai")
ACCESS_FOR, REFRESH_FOR = 3600.0, 5400.0
ROLE = "Remediation Administrator"
FORBIDDEN = "You are not authorized to perform this task. Access is denied."
BROKEN = (
    "Server encountered an error while serving request. "
    "Please contact administrator if problem persists."
)


@dataclass
class StandInTicket:
    """A remediation ticket; `due` is when the verification job decides (monotonic), 0 for never."""

    number: str
    state: int
    description: str
    priority: str
    assignee: str
    asset: str
    standard: str
    due: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {
            "TicketNumber": self.number,
            "TicketState": self.state,
            "TicketDescription": self.description,
            "Priority": self.priority,
            "AssignedTo": self.assignee,
            "AssetName": self.asset,
            "StandardName": self.standard,
            "TicketProviderType": 2,
        }


@dataclass(frozen=True)
class Token:
    """Whose an access or refresh token is, and until when it is taken (monotonic)."""

    login: str
    until: float


@dataclass
class Site:
    """What the sources leave open; the defaults are what the document's samples suggest.

    `reads`: "tickets", or the status with which this site answers a GET (405, 404). `domain` is put in
    front of users when they are shown; `priority_numbers` shows priorities as numbers, `state_names`
    states as names; `keys` renames keys of what is shown. `page_size` is the most in one page, and
    `counts_pages` whether `TotalPages` is told. `error_in_200` answers a look-up with an error object.
    `hides` are tickets on whose standard or assets the account has no permission, and `takes` is how a
    number must look ("" for any).
    Strictness on writing: `state_as` and `priority_as` ("text", "number" or "any"), `description_key`
    ("" for any case), `needs_priority` (the table's "Mandatory"), `base64_password`.
    """

    reads: str | int = "tickets"
    domain: str = ""
    priority_numbers: bool = False
    state_names: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    page_size: int = 1000
    counts_pages: bool = True
    hides: Collection[str] = ()
    takes: str = ""
    error_in_200: bool = False
    state_as: str = "any"
    priority_as: str = "any"
    description_key: str = ""
    needs_priority: bool = False
    base64_password: bool = False

    def shown(self, ticket: StandInTicket) -> dict[str, Any]:
        """A ticket in this site's own form."""
        found = ticket.shown()
        user = ticket.assignee.rpartition("\\")[2]
        if self.domain:
            found["AssignedTo"] = f"{self.domain}\\{user}"
        if self.priority_numbers:
            found["Priority"] = PRIORITIES.index(ticket.priority) + 1
        if self.state_names:
            found["TicketState"] = STATE_NAMES[ticket.state - 1]
        return {self.keys.get(name, name): value for name, value in found.items()}


def seed(many: int = 500) -> dict[str, StandInTicket]:
    found = {}
    for number in range(1, many + 1):
        name = f"INCA{number:07}"
        found[name] = StandInTicket(
            name,
            1 if number % 3 or number < 20 else 4,
            FINDINGS[number % len(FINDINGS)],
            PRIORITIES[number % len(PRIORITIES)],
            PEOPLE[number % len(PEOPLE)],
            ASSETS[number % len(ASSETS)],
            STANDARDS[number % len(STANDARDS)],
        )
    return found


class CcsStandIn(JsonStandIn):
    """Beside the service account, everybody may sign in with the password `sandbox-LOGIN`.

    Who has another role in `people` may not see or edit tickets; all others may.

    `verifies_in` is how long the verification job takes, in seconds; tickets whose number ends with
    an even digit pass it.
    """

    name = "ccs"
    people: ClassVar[Sequence[str]] = (
        r"U0MARA,ccs,northwind\mlindqvist,Remediation Administrator,",
        r"U0ONCA,ccs,northwind\oreyes,Remediation Administrator,",
        r"U0UMAR,ccs,northwind\uhaddad,Standard User,",
    )
    username = r"northwind\amend"
    password = "sandbox-not-a-secret"  # noqa: S105 - a sandbox has nothing to hide
    more_faults: ClassVar[Mapping[str, str]] = {
        "expired": "does not take tokens that it gave",
        "forbidden": "HTTP 403: the role or a permission is missing",
        "error_500": "HTTP 500 in the document's words",
    }

    def __init__(
        self,
        *,
        tickets: int = 500,
        verifies_in: float = 5.0,
        port: int = 0,
        delay: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(port=port, delay=delay)
        self.tickets = seed(tickets)
        self.verifies_in = verifies_in
        self.site = Site()
        self.grants: list[str] = []
        self._tokens: dict[str, Token] = {}
        self._refresh: dict[str, Token] = {}
        self._numbers = itertools.count(1)
        self._roles = {_login(user): role for _, _, user, role, _ in _rows(self.people)}
        self._now = now

    def settings(self) -> dict[str, str]:
        return {
            "CCS_URL": self.url,
            "CCS_USERNAME": self.username,
            "CCS_PASSWORD": self.password,
        }

    def forget_tokens(self) -> None:
        """The Application Server restarted: access tokens are dead, refresh tokens live on."""
        self._tokens.clear()

    def answer(self, call: Call) -> Answer:
        path = call.path.lower().rstrip("/")
        if path == "/ccs/api/v1/oauth/tokens" and call.method == "POST":
            return self._grant(call)
        if path != "/ccs/api/v1/remediationtickets":
            return Answer(404, "No such resource.")
        token = self._bearer(call)
        if token is None:
            return Answer(401, "Authorization has been denied for this request.")
        if self._roles.get(token.login, ROLE) != ROLE:
            return Answer(403, FORBIDDEN)
        if call.method == "PATCH":
            return self._update(call)
        if call.method == "GET" and isinstance(self.site.reads, int):
            return Answer(self.site.reads, {"Message": "No HTTP resource was found."})
        return self._list(call) if call.method == "GET" else Answer(405, "Method not allowed.")

    def broken(self, fault: str, call: Call) -> Answer | None:
        if _signs_in(call):
            return None
        return {
            "forbidden": Answer(403, FORBIDDEN),
            "expired": Answer(401, "Authorization has been denied for this request."),
            "error_500": Answer(500, BROKEN),
        }.get(fault)

    def refused(self) -> Answer:
        return Answer(401, {"error": "invalid_grant", "error_description": "Wrong user name."})

    def masked(self, call: Call) -> Any:
        return "(signing in)" if _signs_in(call) else super().masked(call)

    # --- signing in --------------------------------------------------------------------------------

    def _grant(self, call: Call) -> Answer:
        form = {name: values[0] for name, values in parse_qs(call.body).items()}
        kind, now = form.get("grant_type", ""), self._now()
        self.grants.append(kind)
        login = _login(form.get("username", ""))
        if kind == "refresh_token":
            given = self._refresh.pop(form.get("refresh_token", ""), None)
            if given is None or given.until < now:
                return self.refused()
            login = given.login
        elif kind != "password" or not self._known(form):
            return self.refused()
        number = next(self._numbers)
        access, refresh = f"sandbox-access-{number}", f"sandbox-refresh-{number}"
        self._tokens[access] = Token(login, now + ACCESS_FOR)
        self._refresh[refresh] = Token(login, now + REFRESH_FOR)
        told = {"access_token": access, "token_type": "bearer", "expires_in": int(ACCESS_FOR)}
        return Answer(200, {**told, "refresh_token": refresh})

    def _known(self, form: Mapping[str, str]) -> bool:
        user, password = form.get("username", ""), form.get("password", "")
        own = f"sandbox-{user.rpartition(chr(92))[2]}"
        if self.site.base64_password:
            password = _decoded(password)
        return (user, password) == (self.username, self.password) or password == own

    def _bearer(self, call: Call) -> Token | None:
        """The token that a call brings, if it is (still) taken."""
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        token = self._tokens.get(value) if scheme.lower() == "bearer" else None
        return token if token is not None and token.until >= self._now() else None

    # --- tickets -----------------------------------------------------------------------------------

    def _list(self, call: Call) -> Answer:
        self._verify()
        # The document spells them `Page` and `PageSize`, the vendor's samples `page` and `pagesize`.
        params = {name.lower(): value for name, value in call.params.items()}
        number = params.get("ticketnumber")
        if self.site.error_in_200:
            return Answer(200, {"Message": "The evaluation store is not available."})
        if number is None:
            return self._search(params)
        if problem := self._unread(number):
            return problem
        ticket = self._ticket(number)
        if ticket is None:
            return Answer(404, "Ticket not found. Provide valid ticket number.")
        return Answer(200, self.site.shown(ticket))

    def _unread(self, number: str) -> Answer | None:
        """Why this site does not even look for a ticket."""
        if not re.fullmatch(self.site.takes or ".+", number):
            return Answer(400, "Ticket number is invalid or empty.")
        return Answer(403, FORBIDDEN) if number.upper() in self.site.hides else None

    def _search(self, params: Mapping[str, str]) -> Answer:
        fields = re.fullmatch(r"\((.*)\)", params.get("fields", ""))
        if fields is None:
            return Answer(400, "Provide valid ticket details.")
        wanted = [each.partition("=")[::2] for each in fields[1].split(",") if each]
        found = [
            self.site.shown(ticket)
            for ticket in self.tickets.values()
            if all(str(ticket.shown().get(name.strip())) == value.strip() for name, value in wanted)
        ]
        page, asked = int(params.get("page", 0)), int(params.get("pagesize", 20))
        size = min(asked, self.site.page_size)
        told: dict[str, Any] = {"TicketDataList": found[page * size : (page + 1) * size]}
        if self.site.counts_pages:
            told["TotalPages"] = -(-len(found) // size)
        return Answer(200, told)

    def _ticket(self, number: str) -> StandInTicket | None:
        return self.tickets.get(number.upper())

    def _verify(self) -> None:
        """The verification job's verdicts that are due."""
        now = self._now()
        for ticket in self.tickets.values():
            if ticket.due and ticket.due <= now:
                ticket.due = 0.0
                ticket.state = 3 if int(ticket.number[-1]) % 2 == 0 else 4

    def _update(self, call: Call) -> Answer:
        body = call.json if isinstance(call.json, Mapping) else {}
        values = {str(name).lower(): value for name, value in body.items()}
        number = values.pop("ticketnumber", None)
        if not isinstance(number, str) or not number.strip():
            return Answer(400, "Ticket number is invalid or empty.")
        ticket = self._ticket(number)
        if ticket is None:
            return Answer(404, "Ticket not found. Provide valid ticket number.")
        problem = self._problem(values) or self._strict(body)
        if problem:
            return Answer(400, problem)
        self._change(ticket, values)
        return Answer(204)

    def _problem(self, values: Mapping[str, Any]) -> str:
        known = {"ticketstate", "ticketdescription", "priority", "assignedto"}
        if not values:
            return "Provide ticket details to update."
        state = values.get("ticketstate")
        if state is not None and str(state) not in map(str, STATES):
            return "Provide valid ticket state."
        if set(values) - known or any(value in (None, "") for value in values.values()):
            return "Provide valid ticket details."
        texts = (values.get(name, "") for name in ("ticketdescription", "assignedto"))
        if not all(isinstance(each, str) for each in texts):
            return "Provide valid ticket details."
        priority = values.get("priority", "Low")
        if priority not in PRIORITIES and str(priority) not in PRIORITY_NUMBERS:
            return "Provide valid ticket details."
        return ""

    def _strict(self, body: Mapping[str, Any]) -> str:
        """Where this site takes one of the document's contradicting forms alone."""
        site, kinds = self.site, {"text": str, "number": int, "any": str | int}
        if not isinstance(body.get("TicketState", "1"), kinds[site.state_as]):
            return "Provide valid ticket state." if "TicketState" in body else ""
        priority = body.get("Priority")
        if priority is None and site.needs_priority:
            return "Provide valid ticket details."
        if priority is not None and not isinstance(priority, kinds[site.priority_as]):
            return "Provide valid ticket details."
        named = [each for each in body if each.lower() == "ticketdescription"]
        if site.description_key and named not in ([], [site.description_key]):
            return "Provide ticket details to update."
        return ""

    def _change(self, ticket: StandInTicket, values: Mapping[str, Any]) -> None:
        ticket.history.append(dict(values))
        if "ticketstate" in values:
            ticket.state = int(values["ticketstate"])
            ticket.due = self._now() + self.verifies_in if ticket.state == 2 else 0.0
        ticket.description = values.get("ticketdescription", ticket.description)
        priority = str(values.get("priority", ticket.priority))
        ticket.priority = PRIORITY_NUMBERS.get(priority, priority)
        ticket.assignee = values.get("assignedto", ticket.assignee)


def _rows(people: Sequence[str]) -> list[list[str]]:
    return [each.split(",") for each in people]


def _login(user: str) -> str:
    """A user's name without the domain; Windows does not tell names apart by case."""
    return user.rpartition("\\")[2].lower()


def _signs_in(call: Call) -> bool:
    return "tokens" in call.path.lower()


def _decoded(password: str) -> str:
    """The clear text of a Base64 password; "" where it is none."""
    try:
        return base64.b64decode(password, validate=True).decode()
    except ValueError:
        return ""
