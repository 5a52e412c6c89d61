"""The wire form of Cortex Xpanse: values to requests, and replies to incidents or errors. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.errors import (
    BadCredentials,
    NoAnswer,
    Rejected,
    Temporary,
    UnknownOutcome,
    Unreadable,
    VendorError,
)
from integrations.http import GAVE_UP, Reply, Request
from integrations.json import encoded, parsed, said, tolerant
from integrations.xpanse.config import XpanseSettings

VENDOR = "Cortex Xpanse"
API = "/public_api/v1"
PAGE = 100  # facts B.4: most incidents in one answer
LONGEST_NUMBER = 14  # digits; the year 5138 in ms, and no count of incidents
MOST_COUNTED = 9_999  # facts B.4: `total_count` stops here

# document, "Allowed values"
SEVERITIES = {"low": "Low", "medium": "Medium", "high": "High", "critical": "Critical"}


@dataclass(frozen=True)
class Incident:
    """An incident; empty strings are what Xpanse shows as null. `modified` is in epoch ms."""

    id: str
    status: str
    name: str = ""
    severity: str = ""
    assignee: str = ""
    assignee_name: str = ""
    resolve_comment: str = ""
    modified: int = 0
    url: str = ""


@dataclass(frozen=True)
class Page:
    """Incidents, and how many there are of this selection, as far as Xpanse counts (9,999)."""

    incidents: Sequence[Incident]
    total: int | None = None


@dataclass(frozen=True)
class User:
    """A user of the tenant."""

    email: str
    name: str
    role: str


def headers(settings: XpanseSettings, nonce: str, now_ms: int) -> dict[str, str]:
    """Standard: the key itself. Advanced: SHA-256 over key, nonce and time stamp (facts B.2)."""
    key = settings.api_key.get_secret_value()
    common = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "x-xdr-auth-id": settings.api_key_id,
    }
    if settings.auth == "standard":
        return {**common, "authorization": key}
    signed = hashlib.sha256(f"{key}{nonce}{now_ms}".encode()).hexdigest()
    stamp = {"x-xdr-nonce": nonce, "x-xdr-timestamp": str(now_ms)}
    return {**common, "authorization": signed, **stamp}


def request(settings: XpanseSettings, path: str, body: Any, signed: Mapping[str, str]) -> Request:
    """A POST below the public API; every call of it is one."""
    call = path.rstrip("/").rpartition("/")[2]
    return Request("POST", f"{settings.url}{path}", signed, encoded(body), call=call)


def update_body(settings: XpanseSettings, incident: str, changes: Mapping[str, str]) -> Any:
    """The edit: only the fields that change (document: "Missing fields are ignored")."""
    update: dict[str, Any] = {}
    for name, value in changes.items():
        if name == "comment":
            update[name] = {"comment_action": "add", "value": value}
        else:
            # An empty string is a command: unassign, clear the severity (document).
            update[name] = value or ("none" if settings.unassign == "none" else "")
    return {"request_data": {"incident_id": incident, "update_data": update}}


def search_body(filters: Sequence[Mapping[str, Any]], start: int) -> Any:
    """A page of `PAGE` incidents from `start` on, oldest change first (facts B.4)."""
    return {
        "request_data": {
            "filters": list(filters),
            "search_from": start,
            "search_to": start + PAGE,
            "sort": {"field": "modification_time", "keyword": "asc"},
        }
    }


def read_update(reply: Reply) -> tuple[bool, list[str]]:
    """(`reply`, `warnings`) of an edit; anything but true is not done (facts B.1)."""
    found = _ok(reply, writes=True)
    warnings = found.get("warnings") or []
    words = [said(each) for each in warnings if said(each)] if isinstance(warnings, list) else []
    return found.get("reply") is True, words


def read_incidents(reply: Reply) -> Page:
    found = _ok(reply, writes=False).get("reply")
    records = found.get("incidents") if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or not isinstance(records, list):
        raise Unreadable(VENDOR, "the answer holds no list of incidents")
    incidents = [_incident(each) for each in records if isinstance(each, Mapping)]
    return Page(incidents, _whole(said(found.get("total_count"))))


def _incident(record: Mapping[str, Any]) -> Incident:
    modified = said(record.get("modification_time")).partition(".")[0]
    return Incident(
        id=said(record.get("incident_id")),
        status=said(record.get("status")),
        name=said(record.get("incident_name")) or said(record.get("description")),
        severity=said(record.get("manual_severity")),
        assignee=said(record.get("assigned_user_mail")),
        assignee_name=said(record.get("assigned_user_pretty_name")),
        resolve_comment=said(record.get("resolve_comment")),
        modified=_whole(modified) or 0,
        url=said(record.get("xdr_url")),
    )


def read_users(reply: Reply) -> list[User]:
    found = _ok(reply, writes=False).get("reply")
    if not isinstance(found, list):
        raise Unreadable(VENDOR, "the answer holds no list of users")
    return [_user(each) for each in found if isinstance(each, Mapping)]


def _user(record: Mapping[str, Any]) -> User:
    names = (said(record.get("user_first_name")), said(record.get("user_last_name")))
    name = " ".join(each for each in names if each)
    return User(said(record.get("user_email")), name, said(record.get("role_name")))


def read_validated(reply: Reply) -> None:
    """The key check answers with a bare `true` (facts B.2)."""
    if reply.status != 200:
        raise failure(reply, writes=False)
    found = parsed(VENDOR, reply)
    if _error_in(found) is not None:
        raise failure(reply, writes=False)
    if found is not True:
        raise BadCredentials(VENDOR, "the API key is not valid")


def _whole(text: str) -> int | None:
    """A whole number, up to the last day that has a date (in ms); None for anything else."""
    return int(text) if text.isdecimal() and len(text) <= LONGEST_NUMBER else None


def _ok(reply: Reply, *, writes: bool) -> Mapping[str, Any]:
    if reply.status != 200:
        raise failure(reply, writes=writes)
    found = parsed(VENDOR, reply)
    if not isinstance(found, Mapping):
        raise Unreadable(VENDOR, "the answer is no JSON object")
    if _error_in(found) is not None:
        raise failure(reply, writes=writes)
    return found


# --- errors --------------------------------------------------------------------------------------

PLAIN = {
    400: "Xpanse could not read the request",
    401: "the API key, its id or the way it is presented is not right",
    402: "the tenant's licence does not cover this API",
    403: "the API key's role may not do this",
    422: "Xpanse could not process the request",
}
# 4xx that say "not now"; any other of them is a refusal.
NOT_NOW = frozenset({408, 429})


def failure(reply: Reply, *, writes: bool) -> VendorError:
    """The error that an answer stands for (document, "Responses"; facts B.1, B.3)."""
    words, status = words_of(tolerant(reply)), told_status(reply)
    plain = _plain(status, writes=writes)
    shown = f"{plain}: {words}" if words and words.lower() not in plain.lower() else plain
    if status == 429 or "rate limit exceeded" in words.lower():
        return Temporary(VENDOR, words or "too many calls", wait=_wait(reply))
    if status == 401:
        return BadCredentials(VENDOR, shown)
    if 400 <= status < 500 and status not in NOT_NOW:
        return Rejected(VENDOR, shown, code=str(status))
    if writes:
        # "API communication type errors": nobody says whether the edit was done.
        return (NoAnswer if status in GAVE_UP else UnknownOutcome)(VENDOR, shown)
    return Temporary(VENDOR, shown, wait=_wait(reply))


def told_status(reply: Reply) -> int:
    """The answer's HTTP status, or the one that an error inside a 200 names."""
    error = _error_in(tolerant(reply)) if reply.status == 200 else None
    code = said(error.get("err_code")) or said(error.get("errorCode")) if error else ""
    return int(code) if re.fullmatch(r"[1-5][0-9][0-9]", code) else reply.status


def _error_in(found: Any) -> Mapping[str, Any] | None:
    """The error object of an answer, in any of the envelopes that are met; None where there is none."""
    if not isinstance(found, Mapping):
        return None
    for inner in (found.get("reply"), found.get("data")):
        if isinstance(inner, Mapping) and inner.keys() & {"err_code", "err_msg"}:
            return inner
    return found if said(found.get("err_code")) or said(found.get("errorCode")) else None


def _plain(status: int, *, writes: bool) -> str:
    if status == 404:
        return (
            "Xpanse knows no such incident" if writes else "Xpanse has no such call at XPANSE_URL"
        )
    return PLAIN.get(status, f"HTTP {status}")


def _wait(reply: Reply) -> float | None:
    told = _whole(reply.headers.get("retry-after", ""))
    return None if told is None else float(told)


def words_of(found: Any) -> str:
    """The vendor's own words, out of any of the shapes that are met (facts B.1)."""
    if isinstance(found, str):
        return "" if found.lstrip().startswith("<") else found
    if not isinstance(found, Mapping):
        return ""
    for inner in (found.get("reply"), found.get("data")):
        if isinstance(inner, Mapping) and (words := words_of(inner)):
            return words
    first = next((said(found[name]) for name in _WORDS if said(found.get(name))), "")
    more = found.get("err_extra") or found.get("errors") or found.get("details")
    extra = "; ".join(_reasons(more))
    return f"{first} ({extra})" if first and extra else first or extra


_WORDS = ("err_msg", "message", "status")
DEEPEST = 10  # levels of an error's reasons that are shown


def _reasons(value: Any, path: tuple[str, ...] = (), deep: int = 0) -> Iterator[str]:
    """Each reason as `path: text`; one that names its place itself (`loc`, `msg`) by that."""
    if isinstance(value, Mapping) and "msg" in value:
        place = value.get("loc")
        parts = map(said, place) if isinstance(place, list) else (said(place),)
        yield from _reasons(said(value["msg"]), (*path, *filter(None, parts)))
    elif isinstance(value, Mapping | list):
        inner = value.items() if isinstance(value, Mapping) else (("", each) for each in value)
        for name, each in inner if deep < DEEPEST else ():
            yield from _reasons(each, (*path, name) if name else path, deep + 1)
    elif said(value):
        yield f"{'.'.join(path)}: {said(value)}" if path else said(value)
