"""A plan and the life of a request: digest, counts, states and what a run adds up to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol

from bot.domain.operations import Record, Result


class State(StrEnum):
    """The life of a request, drawn in ARCHITECTURE.md; `RECEIVED`, `DENIED` never reach a channel."""

    RECEIVED = "received"
    DENIED = "denied"
    PLANNED = "planned"
    PENDING_APPROVAL = "pending_approval"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


# What a request may become, state by state: the store lets no other step through.
NEXT: Mapping[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.PLANNED, State.SCHEDULED, State.DENIED, State.FAILED}),
    State.PLANNED: frozenset(
        {
            State.PENDING_APPROVAL,
            State.SCHEDULED,
            State.RUNNING,
            State.DENIED,
            State.FAILED,
            State.EXPIRED,
            State.CANCELLED,
        }
    ),
    State.PENDING_APPROVAL: frozenset(
        {State.SCHEDULED, State.RUNNING, State.REJECTED, State.EXPIRED, State.CANCELLED}
    ),
    # To `planned`, and `denied`, where what waited was the plan: the vendor could not be read.
    State.SCHEDULED: frozenset(
        {
            State.SCHEDULED,
            State.RUNNING,
            State.PLANNED,
            State.DENIED,
            State.FAILED,
            State.CANCELLED,
        }
    ),
    State.RUNNING: frozenset(
        {
            State.SCHEDULED,
            State.SUCCEEDED,
            State.PARTIAL,
            State.FAILED,
            State.UNKNOWN,
            State.CANCELLED,
        }
    ),
}

WAITING = frozenset({State.PENDING_APPROVAL, State.SCHEDULED})
OVER = frozenset(each for each in State if each not in NEXT)


def steps(before: Collection[State], to: State) -> Collection[State]:
    """`before`, where each of them may become `to`. Raises `ValueError` for a step that is none."""
    wrong = [each.value for each in before if to not in NEXT.get(State(each), frozenset())]
    if wrong:
        message = f"a request that is {' or '.join(wrong)} never becomes {to.value}"
        raise ValueError(message)
    return before


@dataclass(frozen=True)
class Counts:
    """How many records of a request ended how; the rest of `records` is still to do.

    `held` of the `not_sent` were never to be sent: the plan left them out.
    """

    records: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    unknown: int = 0
    not_sent: int = 0
    held: int = 0

    @property
    def ended(self) -> int:
        return self.changed + self.unchanged + self.refused + self.unknown + self.not_sent

    @property
    def missed(self) -> int:
        """Those that were to be sent and were refused, or not sent."""
        return self.refused + self.not_sent - self.held

    def public(self) -> dict[str, int]:
        """The counts that a card's metadata carries."""
        names = ("records", "changed", "unchanged", "refused", "unknown")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, by_result: Mapping[str, int], held: int = 0) -> Counts:
        """Counts from a tally of `Result` values; what is not an end counts as a record only."""
        ends = {each.name: by_result.get(each.name, 0) for each in fields(cls)[1:-1]}
        return cls(records=sum(by_result.values()), **ends, held=held)


def outcome(counts: Counts, cancelling: bool) -> State:
    """The state that a finished run ends in. `cancelling`: somebody stopped it, maybe too late."""
    if cancelling and counts.not_sent > counts.held:
        return State.CANCELLED
    done = counts.changed + counts.unchanged
    if counts.unknown:
        return State.PARTIAL if counts.changed else State.UNKNOWN
    if counts.missed:
        return State.PARTIAL if counts.changed else State.FAILED
    return State.SUCCEEDED if done else State.FAILED


class Digest:
    """SHA-256 over the lines of a plan: what approvals name, and what `plan.jsonl` hashes to."""

    def __init__(self, head: bytes) -> None:
        self._hash = hashlib.sha256(head)

    def add(self, line: bytes) -> None:
        """One more line, with its line end."""
        self._hash.update(line)

    def hex(self) -> str:
        return self._hash.hexdigest()


@dataclass(frozen=True)
class Intent:
    """What a plan says of all its records: the first line.

    `comment` is the comment as it will be sent; `account` is whose credentials it goes out under,
    `own_account` whether they are the requester's own.
    """

    operation: str
    parameters: Mapping[str, Any]
    comment: str
    account: str
    own_account: bool

    def line(self) -> bytes:
        return _line(
            {
                "account": self.account,
                "comment": self.comment,
                "operation": self.operation,
                "own_account": self.own_account,
                "parameters": dict(self.parameters),
            }
        )


def record_line(record: Record, changes: Mapping[str, str] | None) -> bytes:
    """A record's line, put together from texts that recur, in the order of RFC 8785.

    `changes` are wire values of its own, None where the request's are sent.
    """
    state, after = as_json(record.state), as_json(record.after)
    own = "" if changes is None else f'"changes":{as_json(changes)},'
    told = (
        f'{{"after":{after},{own}"id":{_text(record.id)},"left_out":{_text(record.left_out)},'
        f'"state":{state}}}\n'
    )
    return told.encode()


def notes_line(notes: Sequence[str]) -> bytes:
    """The last line, where the vendor will do more than the records show; nothing without notes."""
    return _line({"notes": list(notes)}) if notes else b""


# RFC 8785 for what a plan holds, texts and whole numbers: the names of fields are ASCII, so that
# their order is the same in UTF-16. The library for any value takes ten times as long.
_text = json.encoder.encode_basestring
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def as_json(values: Mapping[str, str]) -> str:
    """The canonical JSON of a state. Plans repeat few states many times, so texts are kept."""
    return _remembered(tuple(values.items()))


@lru_cache(maxsize=1024)
def _remembered(pairs: tuple[tuple[str, str], ...]) -> str:
    return _canonical(dict(pairs))


def _line(value: Any) -> bytes:
    return _canonical(value).encode() + b"\n"


class Drifted(Protocol):
    """A planned record, as far as drift is concerned."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> Mapping[str, str]: ...


def drift(record: Drifted, now: Mapping[str, str] | None) -> str:
    """Why a record may no longer be changed as planned; "" where nothing moved."""
    if now is None:
        return "is no longer listed by the vendor"
    moved = [
        f"{name} was {was or 'empty'}, is {now.get(name, '') or 'empty'}"
        for name, was in record.state.items()
        if now.get(name, "") != was
    ]
    return f"changed since the plan: {'; '.join(moved)}" if moved else ""


@dataclass(frozen=True)
class RequestFacts:
    """What cards, reviews and receipts show of a request; times are epoch seconds, UTC.

    `account` is whose credentials the plan goes out under ("" where its vendor names none), and
    `own_account` whether they are the requester's own and not the shared ones;
    `unsigned` is a comment under the shared account that has no room for a name;
    `approved_by` are those whose votes counted when they were last counted, and `lapsed` says of the
    others why theirs did not;
    `missed` records were to be sent and were refused or held back; `decided_upon` is the state of
    the request that decided on what this one made, "" while none did; `program` is the token by which
    a program asked for this, "" where a person did; `asked_by` is who asked for
    what this one decides on.
    """

    id: str
    operation: str
    state: State
    requester: str
    parameters: Mapping[str, Any]
    digest: str = ""
    account: str = ""
    own_account: bool = False
    counts: Counts = field(default_factory=Counts)
    sample: Sequence[Record] = ()
    left_out: Sequence[tuple[str, int, Sequence[str]]] = ()
    left_out_many: int = 0
    missed: int = 0
    words: str = ""
    reply: str = ""
    sent_comment: str = ""
    unsigned: bool = False
    approvers: str = ""
    approvals_needed: int = 0
    approved_by: Sequence[str] = ()
    lapsed: str = ""
    decided_by: str = ""
    decided_why: str = ""
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    run_at: float | None = None
    wished: float | None = None
    notes: Sequence[str] = ()
    source: str = ""
    asked_by: str = ""
    relation: str = ""
    reason: str = ""
    cancelling: bool = False
    undoable: bool = False
    decided_upon: str = ""
    decision_by: str = ""
    decision_words: str = ""
    decision_after: Mapping[str, str] = field(default_factory=dict)
    program: str = ""
    quiet_from: float | None = None

    @property
    def to_send(self) -> int:
        """How many records the plan sends: all but those left out."""
        return self.counts.records - self.left_out_many

    @property
    def in_line(self) -> bool:
        """True while a run waits until others under the same vendor account have had their turn."""
        return self.state is State.RUNNING and self.started is None and bool(self.words)


# What a reader of a receipt looks for first.
BY_CONCERN = (
    (Result.UNKNOWN, Result.REFUSED),
    (Result.NOT_SENT, Result.SENDING, Result.TO_SEND),
    (Result.CHANGED, Result.UNCHANGED),
)

RESULT_WORDS = {
    Result.CHANGED: "changed",
    Result.UNCHANGED: "was so already",
    Result.REFUSED: "refused",
    Result.UNKNOWN: "unknown",
    Result.NOT_SENT: "not sent",
    Result.TO_SEND: "to do",
    Result.SENDING: "being sent",
}
