"""A stand-in for Cortex Xpanse on loopback: keys of both kinds, incidents, users, every error shape.

Written from the document ("Update an Incident"), the vendor's REST guide and what its own SDK has
recorded. What these leave open is a switch, an attribute of the stand-in.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from deploy.sandbox.vendors.base import Answer, Call, JsonStandIn

STATUSES = ("new", "under_investigation", "resolved")
SEVERITIES = ("low", "medium", "high", "critical")
FINDINGS = (
    "RDP Server at {ip}:3389",
    "Expired certificate at www{n}.northwind.example",
    "Insecure OpenSSH at {ip}:22",
    "Unencrypted FTP Server at {ip}:21",
    "Exposed Kubernetes API at {ip}:6443",
)
USERS = (
    ("mara.lindqvist@northwind.example", "Mara", "Lindqvist", "Instance Administrator"),
    ("umar.haddad@northwind.example", "Umar", "Haddad", "Responder"),
    ("onca.reyes@northwind.example", "Onca", "Reyes", "Investigator"),
    ("sami.ito@northwind.example", "Sami", "Ito", "Viewer"),
)
# REST guide, "sort": fields that a list may be sorted by.
SORTS: dict[str, Callable[[StandInIncident], Any]] = {
    "modification_time": lambda each: each.modified,
    "creation_time": lambda each: (CREATED, each.id),
    "severity": lambda each: SEVERITIES.index(each.severity) if each.severity else -1,
}
CREATED = 1_700_000_000_000
SOURCE = "ASM"
INVALID_JSON = "Bad Request. Got an invalid JSON."
# REST guide, "filters": the operators of each field, and what of an incident they are held against.
# `incident_id` and `starred` are allowed too, but with which operator the guide does not say.
FILTERS: dict[str, tuple[tuple[str, ...], Callable[[StandInIncident], Any]]] = {
    "incident_id_list": (("in",), lambda each: each.id),
    "alert_sources": (("in",), lambda _: SOURCE),
    "cloud_management_status": (("in",), lambda _: "Not Applicable"),
    "integration_source": (("in",), lambda _: None),
    "description": (("in", "contains"), lambda each: each.shown()["description"]),
    "modification_time": (("gte", "lte"), lambda each: each.modified),
    "creation_time": (("gte", "lte"), lambda _: CREATED),
    "status": (("eq", "neq"), lambda each: each.status),
}
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "in": lambda held, value: held in (value if isinstance(value, list) else [value]),
    "contains": lambda held, value: str(value) in held,
    "eq": lambda held, value: held == value,
    "neq": lambda held, value: held != value,
    "gte": lambda held, value: held >= value,
    "lte": lambda held, value: held <= value,
}
FIELDS = frozenset(
    {
        "status",
        "assigned_user_mail",
        "assigned_user_pretty_name",
        "manual_severity",
        "resolve_comment",
        "comment",
    }
)
TEXTS = ("assigned_user_pretty_name", "resolve_comment")


@dataclass
class StandInIncident:
    """An incident; `comments` are what the API cannot list and a test can count."""

    id: str
    name: str
    status: str
    severity: str
    assignee: str
    modified: int
    assignee_name: str = ""
    resolve_comment: str = ""
    comments: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {
            "incident_id": self.id,
            "incident_name": self.name,
            "description": f"{self.name} detected",
            "creation_time": CREATED,
            "modification_time": self.modified,
            "status": self.status,
            "severity": "medium",
            "manual_severity": self.severity or None,
            "assigned_user_mail": self.assignee or None,
            "assigned_user_pretty_name": self.assignee_name or None,
            "resolve_comment": self.resolve_comment or None,
            "incident_sources": [SOURCE],
            "xdr_url": f"https://northwind.xpanse.example/incident-view?caseId={self.id}",
        }


def seed(many: int = 500) -> dict[str, StandInIncident]:
    begun = 1_760_000_000_000
    found = {}
    for number in range(1, many + 1):
        name = FINDINGS[number % len(FINDINGS)].format(ip=f"203.0.113.{number % 250 + 1}", n=number)
        status = STATUSES[0] if number % 4 else STATUSES[number % 3]
        assignee = USERS[number % 3][0] if number % 5 == 0 else ""
        severity = SEVERITIES[number % 4] if number % 7 == 0 else ""
        found[str(number)] = StandInIncident(
            str(number), name, status, severity, assignee, begun + number * 60_000
        )
    return found


class XpanseStandIn(JsonStandIn):
    """`kind` is how keys are presented; a person's own key is `sandbox-key-N` with the id N.

    Switches: `statuses`, those of this tenant; `page_size`, the most incidents in one answer;
    `empties`, the values that unassign ("", "none", None); `shows_names`, whether an assignee's full
    name and the resolve comment are told.
    """

    name = "xpanse"
    people: ClassVar[Sequence[str]] = (
        "U0MARA,xpanse,mara.lindqvist@northwind.example,Instance Administrator,",
        "U0ONCA,xpanse,onca.reyes@northwind.example,Investigator,",
        "U0UMAR,xpanse,umar.haddad@northwind.example,Responder,",
        "U0SAMI,xpanse,sami.ito@northwind.example,Viewer,",
    )
    api_key = "sandbox-key-not-a-secret"
    api_key_id = "7"
    more_faults: ClassVar[Mapping[str, str]] = {
        "reply_false": "HTTP 200 with reply false and a warning",
        "warnings": "does it, and warns",
        "empty_401": "HTTP 401 with an empty body",
        "licence_402": "HTTP 402: licence missing",
        "forbidden_403": "HTTP 403: the key's role may not",
        "missing_404": "HTTP 404",
        "invalid_400": "HTTP 400: invalid JSON",
        "unprocessable_422": "HTTP 422 with code, status and message",
        "rate_429": "HTTP 429: rate limit exceeded",
        "error_500": "HTTP 500 with err_code and err_msg",
    }

    def __init__(
        self,
        *,
        kind: str = "standard",
        port: int = 0,
        delay: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(port=port, delay=delay)
        self.kind = kind
        self.incidents = seed()
        self.statuses: tuple[str, ...] = STATUSES
        self.page_size = 100
        self.empties: tuple[str | None, ...] = ("", "none")
        self.shows_names = True
        self._now = now

    def settings(self) -> dict[str, str]:
        return {
            "XPANSE_URL": self.url,
            "XPANSE_API_KEY": self.api_key,
            "XPANSE_API_KEY_ID": self.api_key_id,
            "XPANSE_AUTH": self.kind,
        }

    def change(self, incident: str, **values: str) -> None:
        """Change an incident by hand, as in the vendor's console."""
        for name, value in values.items():
            setattr(self.incidents[incident], name, value)
        self.incidents[incident].modified = int(self._now() * 1000)

    def answer(self, call: Call) -> Answer:
        if not self._signed(call):
            return self.refused()
        plain = {
            "/api_keys/validate/": True,
            "/public_api/v1/rbac/get_users/": {"reply": _users()},
        }
        asking: dict[str, Callable[[Mapping[str, Any]], Answer]] = {
            "/public_api/v1/incidents/update_incident/": self._update,
            "/public_api/v1/incidents/get_incidents/": self._list,
        }
        if call.path not in {*plain, *asking} or call.method != "POST":
            return error(404, "Requested resource not found while processing XDR public API")
        if call.json is None and call.body:
            return error(400, INVALID_JSON)
        if call.path in plain:
            return Answer(200, plain[call.path])
        asked = _request_data(call)
        return error(400, INVALID_JSON) if asked is None else asking[call.path](asked)

    def refused(self) -> Answer:
        if self.kind == "standard":
            return Answer(401, text="")
        return error(401, "Public API request unauthorized")

    def broken(self, fault: str, call: Call) -> Answer | None:
        if fault == "reply_false":
            return Answer(200, {"reply": False, "warnings": ["The incident is locked"]})
        if fault == "warnings":
            done = self.answer(call)
            return Answer(done.status, {**done.value, "warnings": ["The name was ignored"]})
        if fault == "unprocessable_422":
            told = {"code": 422, "status": "Unprocessable", "message": "Bad field", "errors": {}}
            return Answer(422, told)
        shapes = {
            "empty_401": Answer(401, text=""),
            "licence_402": error(402, "License required: Cortex Xpanse Expander"),
            "forbidden_403": error(403, "The key lacks the required RBAC permission"),
            "missing_404": error(404, "Requested resource not found"),
            "invalid_400": error(400, INVALID_JSON),
            "rate_429": error(429, "Rate limit exceeded"),
            "error_500": error(500, "An error occurred while processing XDR public API"),
        }
        return shapes.get(fault)

    def _signed(self, call: Call) -> bool:
        key_id, given = call.headers.get("x-xdr-auth-id", ""), call.headers.get("authorization", "")
        if not key_id:
            return False
        known = {self.api_key_id: self.api_key}
        key = known.get(key_id, f"sandbox-key-{key_id}")
        if self.kind == "standard":
            return given == key
        nonce = call.headers.get("x-xdr-nonce", "")
        stamp = call.headers.get("x-xdr-timestamp", "")
        expected = hashlib.sha256(f"{key}{nonce}{stamp}".encode()).hexdigest()
        if given != expected or len(nonce) != 64 or not stamp.isdecimal():
            return False
        return abs(int(stamp) / 1000 - self._now()) < 300

    def _list(self, asked: Mapping[str, Any]) -> Answer:
        problem = _list_problem(asked)
        if problem:
            return error(400, problem)
        start, end = asked.get("search_from", 0), asked.get("search_to", 100)
        found = [each for each in self.incidents.values() if _matches(each, asked)]
        sort = asked.get("sort") or {}
        found.sort(
            key=lambda each: (SORTS[sort.get("field", "modification_time")](each), int(each.id)),
            reverse=_keyword(sort) == "desc",
        )
        page = [self._shown(each) for each in found[start : min(end, start + self.page_size)]]
        told = {"total_count": min(len(found), 9999), "result_count": len(page), "incidents": page}
        return Answer(200, {"reply": told})

    def _shown(self, incident: StandInIncident) -> dict[str, Any]:
        hidden = (
            {}
            if self.shows_names
            else {
                "assigned_user_pretty_name": None,
                "resolve_comment": None,
            }
        )
        return {**incident.shown(), **hidden}

    def _update(self, asked: Mapping[str, Any]) -> Answer:
        given = asked.get("update_data")
        members = given if isinstance(given, Mapping) else {}
        # The document allows free-form members beside those that it names: they say nothing here.
        update = {name: value for name, value in members.items() if name in FIELDS}
        incident = self.incidents.get(str(asked.get("incident_id", "")))
        if incident is None:
            return error(500, "An error occurred while processing XDR public API")
        problem = self._problem(update)
        if problem:
            return error(400, problem)
        self._change(incident, update)
        return Answer(200, {"reply": True})

    def _problem(self, update: Mapping[str, Any]) -> str:
        mail = update.get("assigned_user_mail")
        severity = update.get("manual_severity", self.empties[0])
        comment = update.get("comment", {"value": "x"})
        checks = (
            (not update, "update_data is empty"),
            (update.get("status", "new") not in self.statuses, "status is not valid"),
            (severity not in (*self.empties, *SEVERITIES), "manual_severity is not valid"),
            (
                "assigned_user_mail" in update and mail not in (*self.empties, *_mails()),
                "assigned_user_mail is no user here",
            ),
            ("assigned_user_pretty_name" in update and not mail, "pretty name without mail"),
            (not _is_comment(comment), "comment is not valid"),
            (
                not all(isinstance(update.get(name, ""), str) for name in TEXTS),
                f"{' and '.join(TEXTS)} are strings",
            ),
        )
        return next((words for wrong, words in checks if wrong), "")

    def _change(self, incident: StandInIncident, update: Mapping[str, Any]) -> None:
        incident.status = update.get("status", incident.status)
        incident.severity = _cleared(update.get("manual_severity", incident.severity))
        incident.assignee = _cleared(update.get("assigned_user_mail", incident.assignee))
        incident.assignee_name = _cleared(
            update.get("assigned_user_pretty_name", incident.assignee_name)
        )
        if not incident.assignee:
            incident.assignee_name = ""
        incident.resolve_comment = update.get("resolve_comment", incident.resolve_comment)
        if "comment" in update:
            incident.comments.append(update["comment"]["value"])
        incident.modified = int(self._now() * 1000)


def error(status: int, words: str) -> Answer:
    """The document's error object; real servers send the code as a number."""
    told = {"err_code": status, "err_msg": words, "err_extra": None}
    return Answer(status, {"reply": told})


def _cleared(value: str | None) -> str:
    return "" if value in (None, "none") else str(value)


def _mails() -> list[str]:
    return [mail for mail, *_ in USERS]


def _users() -> list[dict[str, Any]]:
    return [
        {
            "user_email": mail,
            "user_first_name": first,
            "user_last_name": last,
            "role_name": role,
            "last_logged_in": CREATED,
            "user_type": "SSO",
            "groups": [],
            "scope": [],
        }
        for mail, first, last, role in USERS
    ]


def _request_data(call: Call) -> Mapping[str, Any] | None:
    """What a call asks for, nothing in particular without a body; None where that is no object."""
    if not call.body:
        return {}
    asked = call.json.get("request_data", {}) if isinstance(call.json, Mapping) else None
    return asked if isinstance(asked, Mapping) else None


def _is_comment(comment: Any) -> bool:
    if not isinstance(comment, Mapping) or comment.get("comment_action", "add") != "add":
        return False
    value = comment.get("value")
    return isinstance(value, str) and bool(value)


def _keyword(sort: Mapping[str, Any]) -> str:
    """A sort's direction; the guide's own examples write it in either case."""
    return str(sort.get("keyword", "asc")).lower()


def _list_problem(asked: Mapping[str, Any]) -> str:
    start, end = asked.get("search_from", 0), asked.get("search_to", 100)
    if not isinstance(start, int) or not isinstance(end, int):
        return "search_from and search_to are integers"
    if end - start > 100:
        return "search_to: more than 100 incidents"
    sort = asked.get("sort") or {}
    if sort.get("field", "modification_time") not in SORTS or _keyword(sort) not in ("asc", "desc"):
        return "sort is not valid"
    return next((words for words in map(_filter_problem, _filters(asked)) if words), "")


def _filter_problem(each: Mapping[str, Any]) -> str:
    name, operator, value = each.get("field"), each.get("operator"), each.get("value")
    operators, _ = FILTERS.get(str(name), ((), None))
    if operator not in operators:
        return f"filters: {name} is not compared by {operator}"
    if operator in ("gte", "lte") and not isinstance(value, int):
        return f"filters: {name} is an integer, in milliseconds"
    return ""


def _filters(asked: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return asked.get("filters") or []


def _matches(incident: StandInIncident, asked: Mapping[str, Any]) -> bool:
    return all(
        COMPARED[each["operator"]](FILTERS[each["field"]][1](incident), each.get("value"))
        for each in _filters(asked)
    )
