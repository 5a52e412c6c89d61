"""The wire form of CCS: values to requests, and replies to tickets or errors. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote, urlencode

from integrations.ccs.config import CcsSettings
from integrations.errors import BadCredentials, Rejected, Temporary, Unreadable, VendorError
from integrations.http import Reply, Request, is_web_page
from integrations.json import encoded, folded, parsed, said, tolerant
from integrations.secrets import spellings
from integrations.xml import Element, name_of, parse
from integrations.xml import words_of as xml_text

VENDOR = "CCS"
API = "/ccs/api/v1"

# document, "Control Compliance Suite ticket statuses"
STATES = {
    "1": "Open",
    "2": "Remediation Performed",
    "3": "Verified",
    "4": "Failed",
    "5": "Not Applicable",
}

# document, "HTTPS response codes": the four 400 texts differ by their words alone.
REFUSALS = {
    "Ticket number is invalid or empty": "ticket-number",
    "Provide valid ticket state": "ticket-state",
    "Provide ticket details to update": "no-details",
    "Provide valid ticket details": "ticket-details",
}


# Where errors of ASP.NET (`HttpError`, RFC 7807) and of OAuth say what is wrong, in small letters: the
# first of these that an error has, and whatever it has of those.
LEADS = ("message", "error_description", "error", "errormessage", "title")
DETAILS = ("detail", "messagedetail", "exceptionmessage", "modelstate", "errors")


@dataclass(frozen=True)
class Token:
    """An access token and the one that renews it."""

    access: str
    refresh: str

    def __repr__(self) -> str:
        return "Token(…)"


# --- signing in ----------------------------------------------------------------------------------


def password_grant(settings: CcsSettings) -> Request:
    """Sign in (facts A.2): a form body under a JSON content type, as the document's script does."""
    secret = settings.password.get_secret_value()
    if settings.password_encoding == "base64":  # noqa: S105 - no secret
        secret = base64.b64encode(secret.encode()).decode()
    values = {"grant_type": "password", "username": settings.username, "password": secret}
    return _grant(settings, values)


def secrets_of(settings: CcsSettings) -> frozenset[bytes]:
    """What no answer may show: the password, as it is and as it goes over the wire."""
    return spellings(settings.password.get_secret_value(), settings.username)


def refresh_grant(settings: CcsSettings, token: Token) -> Request:
    """Renew within the refresh token's 90 minutes (facts A.2)."""
    values = {"grant_type": "refresh_token", "refresh_token": token.refresh}
    return _grant(settings, values)


def _grant(settings: CcsSettings, values: Mapping[str, str]) -> Request:
    return Request(
        "POST",
        f"{settings.url}{API}/oauth/tokens",
        headers={"Content-Type": "application/json", "Accept": "application/json"},
        # Percent-encoded, because a password with & or + would break the form.
        body=urlencode(values, quote_via=quote).encode(),
        call="sign_in",
    )


def read_token(reply: Reply) -> Token:
    """Raises `BadCredentials` where CCS signs nobody in, else what `failure` says."""
    if reply.status in (400, 401, 403):
        words = words_of(reply) or f"HTTP {reply.status}"
        raise BadCredentials(VENDOR, words)
    if reply.status != 200:
        raise failure(reply)
    found = parsed(VENDOR, reply)
    token = folded(found) if isinstance(found, Mapping) else {}
    if not said(token.get("access_token")):
        words = "the answer to the sign-in holds no access token"
        raise Unreadable(VENDOR, words)
    return Token(said(token["access_token"]), said(token.get("refresh_token")))


# --- tickets ---------------------------------------------------------------------------------------


def _headers(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.access}", "Accept": "application/json"}


def ticket_request(settings: CcsSettings, token: Token, number: str) -> Request:
    """One ticket by its number (facts A.4)."""
    query = urlencode({"TicketNumber": number}, quote_via=quote)
    return Request(
        "GET", f"{settings.url}{API}/RemediationTickets?{query}", _headers(token), call="read"
    )


def search_request(
    settings: CcsSettings, token: Token, fields: Mapping[str, str], page: int, size: int
) -> Request:
    """A page of tickets, counted from 0; `Fields` is mandatory, and a comma means "and" (A.4)."""
    chosen = ",".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    where = f"Fields=({chosen})&Page={page}&PageSize={size}"
    return Request(
        "GET", f"{settings.url}{API}/RemediationTickets?{where}", _headers(token), call="list"
    )


def update_request(
    settings: CcsSettings, token: Token, number: str, changes: Mapping[str, str]
) -> Request:
    """The edit: one ticket, the fields that change and no others, as the document's samples."""
    body: dict[str, Any] = {"TicketNumber": number}
    for name, value in changes.items():
        if name == "TicketState":
            body[name] = _state(settings, value)
        elif name == "Priority":
            body[name] = _priority(settings, value)
        elif name == "TicketDescription":
            body[settings.description_key] = value
        else:
            body[name] = value
    return Request(
        "PATCH",
        f"{settings.url}{API}/RemediationTickets/",
        {**_headers(token), "Content-Type": "application/json"},
        encoded(body),
        call="edit",
    )


def _state(settings: CcsSettings, number: str) -> str | int:
    if settings.state_type == "name":
        return STATES.get(number, number)
    return int(number) if settings.state_type == "number" else number


def _priority(settings: CcsSettings, value: str) -> str | int:
    """As the samples send it, a name; as the table has it, a number, where that is set."""
    if settings.priority_type == "name":
        return settings.priority_name(value)
    number = settings.priority_number(value)
    return int(number) if number.isdecimal() else number


def read_updated(reply: Reply) -> None:
    """204 with nothing is the only yes (document, "Response body")."""
    if reply.status != 204:
        raise failure(reply)


# --- errors ------------------------------------------------------------------------------------------


def failure(reply: Reply) -> VendorError:
    """The error that an answer stands for (document, "HTTPS response codes")."""
    words = words_of(reply)
    if reply.status == 401:
        return BadCredentials(VENDOR, words or "HTTP 401")
    if reply.status in (400, 403, 404):
        code = next((code for text, code in REFUSALS.items() if text in words), None)
        return Rejected(VENDOR, words or f"HTTP {reply.status}", code=code or str(reply.status))
    if reply.status in (408, 429, 502, 503, 504):
        return Temporary(VENDOR, words or f"HTTP {reply.status}", wait=_wait(reply))
    return Unreadable(VENDOR, words or f"HTTP {reply.status}")


def _wait(reply: Reply) -> float | None:
    told = reply.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else None


def words_of(reply: Reply) -> str:
    """CCS' own words: plain text, or inside JSON or XML (facts A.1: its envelope is in no source)."""
    found = tolerant(reply)
    if isinstance(found, str) and found.lstrip("\ufeff").startswith("<"):
        found = _of_xml(reply)
        return words_in(found) or f"HTTP {reply.status} with a web page"
    return words_in(found)


def words_in(found: Any) -> str:
    """What an error as JSON says, each text once: ASP.NET tells that something is wrong, then what."""
    try:
        texts = _told(folded(found)) if isinstance(found, Mapping) else _texts(found)
        return "; ".join(dict.fromkeys(texts))
    except RecursionError:  # no error of theirs is nested so deeply
        return ""


def _texts(value: Any) -> list[str]:
    """The texts of an error's value: of an object those that tell what is wrong, else all of them."""
    if isinstance(value, Mapping):
        return _told(folded(value)) or _all(value.values())
    if isinstance(value, list):
        return _all(value)
    return [text] if (text := said(value)) else []


def _told(record: Mapping[str, Any]) -> list[str]:
    lead = next((texts for name in LEADS if (texts := _texts(record.get(name)))), [])
    details = [record.get(name) for name in DETAILS]
    # By field: no name in there means what it means around it.
    fields = [each.values() if isinstance(each, Mapping) else [each] for each in details]
    return lead + _all(chain.from_iterable(fields))


def _all(values: Iterable[Any]) -> list[str]:
    return [text for each in values for text in _texts(each)]


def _of_xml(reply: Reply) -> Any:
    """What JSON would have said in place of this XML; None for a web page, and what cannot be read."""
    try:
        return None if is_web_page(reply.body) else _tree(parse(reply.body, VENDOR))
    except Unreadable:
        return None


def _tree(element: Element) -> Any:
    if not len(element):
        return xml_text(element)
    found: dict[str, list[Any]] = {}
    for each in element:
        found.setdefault(name_of(each).rpartition("}")[2], []).append(_tree(each))
    return {name: each[0] if len(each) == 1 else each for name, each in found.items()}
