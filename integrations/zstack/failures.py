"""What ZStack's errors mean: by their code, which is the same in every language (facts C.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.errors import (
    BadCredentials,
    NoAnswer,
    Rejected,
    Temporary,
    UnknownOutcome,
    VendorError,
)
from integrations.http import GAVE_UP, Reply
from integrations.json import said, tolerant

VENDOR = "ZStack"
NOT_THE_ACCOUNT = frozenset({"ID.1000", "ID.1005", "ID.2000", "ID.2001", "ID.2002", "ID.2003"})
# "Too many sessions": nothing is wrong with the account, and the oldest sessions end by themselves.
TOO_MANY_SESSIONS = "ID.1006"
SESSIONS_END = 60.0  # seconds until it is tried again
LOCKED = "LOGIN_CONTROL."
# "A message or a operation timeout": whoever waited gave up; what was asked may still happen.
TIMED_OUT = "SYS.1001"
# RestServer's words for a key that it does not know, which it compares with case (facts C.1): "the
# body doesn't contain action mapping to the URL[…]". Nothing was executed then.
NO_ACTION = "action mapping"
DUPLICATE = "Duplicate job uuid"
SKEWED = "requesttimetooskewed"
DEEPEST = 5  # causes within causes that are shown


class NoSuchAction(Rejected):
    """The server knows the action under another spelling; nothing was executed (facts C.1)."""


class NotBegun(Temporary):
    """ZStack itself says that it began nothing; a job with this answer is used up all the same."""


class SessionGone(NotBegun):
    """The session has expired or was ended; a new one may do. It says nothing against the account."""


class NodeGone(Temporary):
    """The management node is unavailable. As the answer to a call it was not taken; as the result of a
    job, the node may have gone in the middle of it."""


# conf/errorCodes: "Session is invalid", "Management server is not ready to serve", "The message can not
# be delivered", "The management node is unavailable".
NOT_NOW = {
    "ID.1001": SessionGone,
    "SYS.1010": NotBegun,
    "SYS.1011": NotBegun,
    "SYS.1012": NodeGone,
}


def is_skewed(reply: Reply) -> bool:
    """True where the server finds the time of the call too far from its own clock."""
    return reply.status == 403 and SKEWED in _text(reply).lower()


def knows_no_such_key(reply: Reply) -> bool:
    return reply.status == 400 and NO_ACTION in _text(reply)


def is_known(reply: Reply) -> bool:
    """True where the server has this job already: it refuses to run it twice (facts C.5)."""
    return reply.status == 400 and DUPLICATE.lower() in _text(reply).lower()


def _text(reply: Reply) -> str:
    return reply.body.decode("utf-8", "replace")


def failure(reply: Reply, *, writes: bool) -> VendorError:
    """The error that an answer stands for. 503 is a business answer here (facts C.4)."""
    found = tolerant(reply)
    error = found.get("error") if isinstance(found, Mapping) else None
    if isinstance(error, Mapping):
        return business(error, writes=writes)
    words = found if isinstance(found, str) and not found.lstrip().startswith("<") else ""
    shown = words or f"HTTP {reply.status}"
    if knows_no_such_key(reply):
        return NoSuchAction(VENDOR, shown, code="400")
    if reply.status == 503:
        # No error object: a gateway in front of it, so nothing was taken.
        return Temporary(VENDOR, shown)
    if reply.status in (400, 403, 404, 405):
        return Rejected(VENDOR, shown, code=str(reply.status))
    if writes:
        return (NoAnswer if reply.status in GAVE_UP else UnknownOutcome)(VENDOR, shown)
    return Temporary(VENDOR, shown)


def business(error: Mapping[str, Any], *, writes: bool) -> VendorError:
    """By its code; its words may be in any language, and are shown."""
    code, words = said(error.get("code")), words_of(error)
    if code in NOT_THE_ACCOUNT or code.startswith(LOCKED):
        return BadCredentials(VENDOR, words)
    if code == TOO_MANY_SESSIONS:
        return Temporary(VENDOR, words, wait=SESSIONS_END)
    if code in NOT_NOW:
        return NOT_NOW[code](VENDOR, words)
    if code == TIMED_OUT:
        return (NoAnswer if writes else Temporary)(VENDOR, words)
    return Rejected(VENDOR, words, code=code or None)


def words_of(error: Mapping[str, Any], depth: int = 0) -> str:
    """An error's details, its elaboration, and what caused it, each once."""
    details = said(error.get("details")) or said(error.get("description"))
    own = [details or said(error.get("code")), said(error.get("elaboration"))]
    causes = error.get("causes")
    inner = [error.get("cause"), *(causes if isinstance(causes, list) else ())]
    if depth < DEEPEST:
        own += [words_of(each, depth + 1) for each in inner if isinstance(each, Mapping)]
    told: list[str] = []
    for each in own:
        if each and not any(each in known for known in told):
            told.append(each.rstrip("."))
    return "; ".join(told)
