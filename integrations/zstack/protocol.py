"""The wire form of ZStack: values to requests, and replies to tickets or errors. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

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
from integrations.secrets import spellings
from integrations.zstack.config import ZstackSettings

VENDOR = "ZStack"
ROOT = "/zstack"
PAGE = 100
JSON = "application/json;charset=UTF-8"  # document, "Request Example"

# facts C.2: the ticket's states, and the events that lead on from each.
EVENTS = {"approve": "Approve", "reject": "Reject", "cancel": "Cancel", "reopen": "Reopen"}
LEADS_ON = {
    "Pending": ("approve", "reject", "cancel"),
    "IntermediateApproved": ("approve", "reject", "cancel"),
    "Rejected": ("reopen",),
    "Cancelled": ("reopen",),
    "FinalApproved": (),
}
SESSION_GONE = "ID.1001"
NOT_THE_ACCOUNT = frozenset(
    {"ID.1000", "ID.1005", "ID.1006", "ID.2000", "ID.2001", "ID.2002", "ID.2003"}
)
LOCKED = "LOGIN_CONTROL."
BUSY = frozenset({"SYS.1012"})  # management node unavailable: nothing was taken
# RestServer's words for a key that it does not know, which it compares with case (facts C.1): "the
# body doesn't contain action mapping to the URL[…]". Nothing was executed then.
NO_ACTION = "action mapping"
DUPLICATE = "Duplicate job uuid"


@dataclass(frozen=True)
class Step:
    """A request that a ticket stores: what the last approval executes."""

    name: str
    api: str
    times: int = 1


@dataclass(frozen=True)
class Ticket:
    """A ticket; `flow` is the uuid of the flow (level) that it waits at."""

    uuid: str
    name: str
    status: str
    flow: str = ""
    collection: str = ""
    owner: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Flow:
    """A level of a flow collection: who approves, and after which level it comes."""

    uuid: str
    collection: str
    approver: str
    title: str
    parent: str = ""


@dataclass(frozen=True)
class Change:
    """An entry of a ticket's history; `sequence` grows by itself."""

    sequence: int
    ticket: str
    before: str
    after: str
    comment: str = ""
    operator: str = ""
    results: tuple[str, ...] = ()


class SessionGone(BadCredentials):
    """The session has expired or was ended; a new one may do."""


class NoSuchAction(Rejected):
    """The server knows the action under another spelling; nothing was executed (facts C.1)."""


# --- signing in ----------------------------------------------------------------------------------


def login_request(settings: ZstackSettings) -> Request:
    """Sign in; the password goes as the hex SHA-512 of itself (facts C.3)."""
    secret = hashlib.sha512(settings.password.get_secret_value().encode()).hexdigest()
    if settings.login == "virtual-id":
        body = {"loginIAM2VirtualID": {"name": settings.account, "password": secret}}
        path = "/v1/iam2/virtual-ids/login"
    else:
        body = {"logInByAccount": {"accountName": settings.account, "password": secret}}
        path = "/v1/accounts/login"
    return Request("PUT", f"{settings.url}{ROOT}{path}", {"Content-Type": JSON}, encoded(body))


def logout_request(settings: ZstackSettings, session: str) -> Request:
    path = f"/v1/accounts/sessions/{session}"
    return Request("DELETE", f"{settings.url}{ROOT}{path}", {"Authorization": f"OAuth {session}"})


def read_session(reply: Reply) -> str:
    found = _result(reply, writes=False).get("inventory")
    session = said(found.get("uuid")) if isinstance(found, Mapping) else ""
    if not session:
        raise Unreadable(VENDOR, "the answer to the sign-in holds no session")
    return session


def require_session(reply: Reply) -> None:
    """Raises `SessionGone` where the answer says that the session holds no more."""
    if reply.status == 503:
        error = failure(reply, writes=False)
        if isinstance(error, SessionGone):
            raise error


def refusal(reply: Reply) -> BadCredentials | None:
    """The error of an answer that refuses the account itself; None for any other answer."""
    if reply.status in (200, 202):
        return None
    error = failure(reply, writes=False)
    gone = isinstance(error, SessionGone)
    return error if isinstance(error, BadCredentials) and not gone else None


def secrets_of(settings: ZstackSettings) -> frozenset[bytes]:
    """What no answer may show: the password and its hash, which signs in as well, and the key."""
    password = settings.password.get_secret_value()
    hashed = hashlib.sha512(password.encode()).hexdigest() if password else ""
    key = settings.access_key_secret.get_secret_value()
    return frozenset().union(
        *(spellings(each, settings.account) for each in (password, hashed, key))
    )


def signed(settings: ZstackSettings, method: str, path: str, date: str) -> dict[str, str]:
    """Access key headers; the path is signed without `/zstack` and without the query (C.3)."""
    text = f"{method}\n{date}\n{path}"
    secret = settings.access_key_secret.get_secret_value().encode()
    mac = hmac.new(secret, text.encode(), hashlib.sha1).digest()
    code = base64.b64encode(mac).decode()
    return {"Authorization": f"ZStack {settings.access_key_id}:{code}", "Date": date}


# --- tickets ---------------------------------------------------------------------------------------


def change_request(
    settings: ZstackSettings,
    action_key: str,
    ticket: str,
    changes: Mapping[str, str],
    job: str,
) -> Request:
    """The edit, as the document's example; `job` makes a repeat harmless (facts C.5)."""
    action = {name: changes[name] for name in ("statusEvent", "comment") if name in changes}
    body: dict[str, Any] = {action_key: action}
    for name in ("systemTags", "userTags"):
        if name in changes:
            body[name] = changes[name].split(",")
    return Request(
        "PUT",
        f"{settings.url}{ROOT}/v1/tickets/{ticket}/actions",
        {"Content-Type": JSON, "X-Job-UUID": job},
        encoded(body),
    )


def job_request(settings: ZstackSettings, job: str) -> Request:
    """The job by its uuid, on our own base: the location may name another host (facts C.4)."""
    return Request("GET", f"{settings.url}{ROOT}/v1/api-jobs/{job}")


def query_request(settings: ZstackSettings, path: str, query: Sequence[tuple[str, str]]) -> Request:
    """A query; `q` conditions are joined with "and" (facts C.6)."""
    return Request("GET", f"{settings.url}{ROOT}{path}?{urlencode(query)}")


def read_change(reply: Reply) -> Ticket | None:
    """The changed ticket; None where the server works on it still (202)."""
    if reply.status == 202:
        return None
    found = _result(reply, writes=True).get("inventory")
    if not isinstance(found, Mapping):
        raise Unreadable(VENDOR, "the answer holds no ticket")
    return _ticket(found)


def read_tickets(reply: Reply) -> list[Ticket]:
    return [_ticket(each) for each in _inventories(reply)]


def read_flows(reply: Reply) -> list[Flow]:
    return [
        Flow(
            uuid=said(each.get("uuid")),
            collection=said(each.get("collectionUuid")),
            approver=said(each.get("approverUuid")),
            title=said(each.get("approverTitle")),
            parent=said(each.get("parentFlowUuid")),
        )
        for each in _inventories(reply)
    ]


def read_history(reply: Reply) -> list[Change]:
    return [
        Change(
            sequence=int(float(said(each.get("sequence")) or 0)),
            ticket=said(each.get("ticketUuid")),
            before=said(each.get("fromStatus")),
            after=said(each.get("toStatus")),
            comment=said(each.get("comment")),
            operator=said(each.get("operatorUuid")),
            results=_results(each.get("operationContext")),
        )
        for each in _inventories(reply)
    ]


def _results(context: Any) -> tuple[str, ...]:
    """What the execution of the stored requests came to, in words (facts C.6)."""
    found = context.get("requestResults") if isinstance(context, Mapping) else None
    if not isinstance(found, list):
        return ()
    return tuple(_executed(each) for each in found if isinstance(each, Mapping))


def _executed(record: Mapping[str, Any]) -> str:
    done, failed = (
        int(float(said(record.get(name)) or 0)) for name in ("successTimes", "failureTimes")
    )
    return f"{said(record.get('requestName'))}: {done} done, {failed} failed"


def _inventories(reply: Reply) -> list[Mapping[str, Any]]:
    found = _result(reply, writes=False).get("inventories")
    if not isinstance(found, list):
        raise Unreadable(VENDOR, "the answer holds no list")
    return [each for each in found if isinstance(each, Mapping)]


def _ticket(record: Mapping[str, Any]) -> Ticket:
    # document: the schema says an object, the sample shows a string.
    status = record.get("status")
    owner = record.get("accountSystemContext")
    steps = record.get("request")
    return Ticket(
        uuid=said(record.get("uuid")),
        name=said(record.get("name")),
        status=said(status.get("name")) if isinstance(status, Mapping) else said(status),
        flow=said(record.get("currentFlowUuid")),
        collection=said(record.get("flowCollectionUuid")),
        owner=said(owner.get("virtualIDUuid")) if isinstance(owner, Mapping) else "",
        steps=tuple(_step(each) for each in steps if isinstance(each, Mapping))
        if isinstance(steps, list)
        else (),
    )


def _step(record: Mapping[str, Any]) -> Step:
    """Without its body: that may hold the secrets of what it makes (facts C.1)."""
    api = said(record.get("apiName")).rpartition(".")[2]
    times = said(record.get("executeTimes")) or "1"
    return Step(said(record.get("requestName")), api, int(float(times)))


# --- errors ------------------------------------------------------------------------------------------


def _result(reply: Reply, *, writes: bool) -> Mapping[str, Any]:
    if reply.status not in (200, 202):
        raise failure(reply, writes=writes)
    found = parsed(VENDOR, reply)
    if not isinstance(found, Mapping):
        raise Unreadable(VENDOR, "the answer is no JSON object")
    if isinstance(found.get("error"), Mapping):
        raise _business(found["error"])
    return found


def failure(reply: Reply, *, writes: bool) -> VendorError:
    """The error that an answer stands for. 503 is a business answer here (facts C.4)."""
    found = tolerant(reply)
    error = found.get("error") if isinstance(found, Mapping) else None
    if isinstance(error, Mapping):
        return _business(error)
    words = found if isinstance(found, str) and not found.lstrip().startswith("<") else ""
    shown = words or f"HTTP {reply.status}"
    if reply.status == 400 and NO_ACTION in words:
        return NoSuchAction(VENDOR, shown, code="400")
    if reply.status == 503:
        # No error object: a gateway in front of it, so nothing was taken.
        return Temporary(VENDOR, shown)
    if reply.status in (400, 403, 404, 405):
        return Rejected(VENDOR, shown, code=str(reply.status))
    if writes:
        return (NoAnswer if reply.status in GAVE_UP else UnknownOutcome)(VENDOR, shown)
    return Temporary(VENDOR, shown)


def _business(error: Mapping[str, Any]) -> VendorError:
    """By its code; `details` may be in any language, and is shown (facts C.4)."""
    code = said(error.get("code"))
    words = said(error.get("details")) or said(error.get("description")) or code
    if code == SESSION_GONE:
        return SessionGone(VENDOR, words)
    if code in NOT_THE_ACCOUNT or code.startswith(LOCKED):
        return BadCredentials(VENDOR, words)
    if code in BUSY:
        return Temporary(VENDOR, words)
    return Rejected(VENDOR, words, code=code or None)
