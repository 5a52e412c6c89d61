"""The wire form of ZStack: values to requests, and replies to tickets or errors. Pure."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from integrations.errors import BadCredentials, Unreadable, VendorError
from integrations.http import Reply, Request
from integrations.json import encoded, parsed, said, tolerant
from integrations.secrets import spellings
from integrations.zstack.config import ZstackSettings
from integrations.zstack.failures import VENDOR, SessionGone, business, failure

ROOT = "/zstack"
PAGE = 100  # rows of an answer; as many uuids also keep an address below 8 KB, which servers take
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
_JOB = re.compile(r"[^?#]*/api-jobs/([0-9A-Za-z-]{1,64})/?(?:[?#].*)?")


@dataclass(frozen=True)
class Step:
    """A request that a ticket stores: what the last approval executes."""

    name: str
    api: str
    times: int = 1


@dataclass(frozen=True)
class Ticket:
    """A ticket; `flow` is the uuid of the flow (level) that it waits at, `moved` when it last did."""

    uuid: str
    name: str
    status: str
    flow: str = ""
    collection: str = ""
    owner: str = ""
    moved: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Flow:
    """A level of a flow collection: who approves, and after which level it comes.

    `approver` is the uuid of an account or virtual id, `title` its role in words, where told.
    """

    uuid: str
    collection: str
    approver: str
    title: str = ""
    parent: str = ""
    name: str = ""


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
    return Request(
        "PUT", f"{settings.url}{ROOT}{path}", {"Content-Type": JSON}, encoded(body), call="sign_in"
    )


def logout_request(settings: ZstackSettings, session: str) -> Request:
    path = f"/v1/accounts/sessions/{session}"
    return Request(
        "DELETE",
        f"{settings.url}{ROOT}{path}",
        {"Authorization": f"OAuth {session}"},
        call="sign_out",
    )


def read_session(reply: Reply) -> str:
    found = _result(reply, writes=False).get("inventory")
    session = said(found.get("uuid")) if isinstance(found, Mapping) else ""
    if not session:
        raise Unreadable(VENDOR, "the answer to the sign-in holds no session")
    return session


def says_session_gone(reply: Reply) -> bool:
    """True where the answer says that the session holds no more."""
    return isinstance(_error_of(reply), SessionGone)


def refusal(reply: Reply) -> BadCredentials | None:
    """The error of an answer that refuses the account itself; None for any other answer."""
    error = _error_of(reply)
    return error if isinstance(error, BadCredentials) else None


def _error_of(reply: Reply) -> VendorError | None:
    """The error of an answer, also in a 200 (document: "If not null, the operation fails")."""
    if reply.status not in (200, 202):
        return failure(reply, writes=False)
    found = tolerant(reply)
    error = found.get("error") if isinstance(found, Mapping) else None
    return business(error, writes=False) if isinstance(error, Mapping) else None


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


def read_tags(text: str) -> list[str]:
    """Tags out of one line, separated by commas; one in double quotes may hold commas itself."""
    return [each for row in csv.reader([text], skipinitialspace=True) for each in row]


def tags_text(tags: Sequence[str]) -> str:
    """The line that `read_tags` reads back as `tags`."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(tags)
    return line.getvalue()


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
            body[name] = read_tags(changes[name])
    return Request(
        "PUT",
        f"{settings.url}{ROOT}/v1/tickets/{ticket}/actions",
        {"Content-Type": JSON, "X-Job-UUID": job},
        encoded(body),
        call="edit",
    )


def job_request(settings: ZstackSettings, job: str) -> Request:
    """The job by its uuid, on our own base: the location may name another host (facts C.4)."""
    return Request("GET", f"{settings.url}{ROOT}/v1/api-jobs/{job}", call="job")


def query_request(settings: ZstackSettings, path: str, query: Sequence[tuple[str, str]]) -> Request:
    """A query; `q` conditions are joined with "and" (facts C.6)."""
    return Request("GET", f"{settings.url}{ROOT}{path}?{urlencode(query)}", call="query")


def read_job(reply: Reply) -> str:
    """The uuid of the job that a 202 names, "" where it names none.

    Only that is read of the location: its host may be one of the server's own network, and a
    session goes to no other host than ours (facts C.4).
    """
    found = tolerant(reply)
    location = said(found.get("location")) if isinstance(found, Mapping) else ""
    named = _JOB.fullmatch(location)
    return named[1] if named else ""


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
            name=said(each.get("name")),
        )
        for each in _inventories(reply)
    ]


def read_names(reply: Reply) -> dict[str, str]:
    """Names by uuid, out of a list of accounts or virtual ids."""
    return {said(each.get("uuid")): said(each.get("name")) for each in _inventories(reply)}


def read_history(reply: Reply) -> list[Change]:
    return [
        Change(
            sequence=_whole(each.get("sequence"), 0),
            ticket=said(each.get("ticketUuid")),
            before=_status(each.get("fromStatus")),
            after=_status(each.get("toStatus")),
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
    done, failed = (_whole(record.get(name), 0) for name in ("successTimes", "failureTimes"))
    return f"{said(record.get('requestName'))}: {done} done, {failed} failed"


def _inventories(reply: Reply) -> list[Mapping[str, Any]]:
    found = _result(reply, writes=False).get("inventories")
    if not isinstance(found, list):
        raise Unreadable(VENDOR, "the answer holds no list")
    return [each for each in found if isinstance(each, Mapping)]


def _ticket(record: Mapping[str, Any]) -> Ticket:
    owner = record.get("accountSystemContext")
    steps = record.get("request")
    return Ticket(
        uuid=said(record.get("uuid")),
        name=said(record.get("name")),
        status=_status(record.get("status")),
        flow=said(record.get("currentFlowUuid")),
        collection=said(record.get("flowCollectionUuid")),
        owner=said(owner.get("virtualIDUuid")) if isinstance(owner, Mapping) else "",
        moved=said(record.get("lastOpDate")),
        steps=tuple(_step(each) for each in steps if isinstance(each, Mapping))
        if isinstance(steps, list)
        else (),
    )


def _status(value: Any) -> str:
    """The document's schema says an object, its sample shows a string."""
    return said(value.get("name")) if isinstance(value, Mapping) else said(value)


def _step(record: Mapping[str, Any]) -> Step:
    """Without its body: that may hold the secrets of what it makes (facts C.1)."""
    api = said(record.get("apiName")).rpartition(".")[2]
    return Step(said(record.get("requestName")), api, _whole(record.get("executeTimes"), 1))


def _whole(value: Any, none: int) -> int:
    """A whole number; `none` where there is none. The document's sample has them as floats (`1.0`)."""
    text = said(value)
    try:
        # Not by way of a float where it can be helped: that holds 16 digits.
        return int(text) if text.isdecimal() and len(text) < 19 else int(float(text or none))
    except (ValueError, OverflowError):
        raise Unreadable(VENDOR, f"`{text[:50]}` is no whole number") from None


# --- answers --------------------------------------------------------------------------------------


def _result(reply: Reply, *, writes: bool) -> Mapping[str, Any]:
    if reply.status not in (200, 202):
        raise failure(reply, writes=writes)
    found = parsed(VENDOR, reply)
    if not isinstance(found, Mapping):
        raise Unreadable(VENDOR, "the answer is no JSON object")
    if isinstance(found.get("error"), Mapping):
        raise business(found["error"], writes=writes)
    return found
