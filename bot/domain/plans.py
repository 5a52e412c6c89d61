"""A plan and the life of a request: digest, counts, states and what a run adds up to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol

from bot.domain.operations import Record, Result


class State(StrEnum):
    """The life of a request, drawn in ARCHITECTURE.md; `RECEIVED`, `DENIED` never reach a card."""

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


WAITING = frozenset({State.PENDING_APPROVAL, State.SCHEDULED})
OVER = frozenset(
    {
        State.SUCCEEDED,
        State.PARTIAL,
        State.FAILED,
        State.UNKNOWN,
        State.CANCELLED,
        State.REJECTED,
        State.EXPIRED,
        State.DENIED,
    }
)


@dataclass(frozen=True)
class Counts:
    """How many records of a request ended how; the rest of `records` is still to do."""

    records: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    unknown: int = 0
    not_sent: int = 0

    @property
    def ended(self) -> int:
        return self.changed + self.unchanged + self.refused + self.unknown + self.not_sent

    def public(self) -> dict[str, int]:
        """The counts that a card's metadata carries."""
        names = ("records", "changed", "unchanged", "refused", "unknown")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, by_result: Mapping[str, int]) -> Counts:
        """Counts from a tally of `Result` values; what is not an end counts as a record only."""
        ends = {each.name: by_result.get(each.name, 0) for each in fields(cls)[1:]}
        return cls(records=sum(by_result.values()), **ends)


def outcome(counts: Counts, left_out: int, cancelled: bool) -> State:
    """The state that a finished run ends in. `left_out`: how many of the `not_sent` the plan left."""
    if cancelled:
        return State.CANCELLED
    missed = counts.refused + counts.not_sent - left_out
    done = counts.changed + counts.unchanged
    if counts.unknown:
        return State.PARTIAL if counts.changed else State.UNKNOWN
    if missed:
        return State.PARTIAL if counts.changed else State.FAILED
    return State.SUCCEEDED if done else State.FAILED


class Digest:
    """SHA-256 over operation, parameters, and each record with its state, fed record by record."""

    def __init__(self, operation: str, parameters: Mapping[str, Any]) -> None:
        self._hash = hashlib.sha256(_line([operation, dict(parameters)]))

    def add(self, record: Record) -> None:
        """The line of `[id, state, after, left_out]`, put together from texts that recur."""
        state, after = as_json(record.state), as_json(record.after)
        told = f"[{_text(record.id)},{state},{after},{_text(record.left_out)}]\n"
        self._hash.update(told.encode())

    def note(self, text: str) -> None:
        self._hash.update(_line(text))

    def hex(self) -> str:
        return self._hash.hexdigest()


_text = json.encoder.encode_basestring_ascii
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode


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

    `missed` records were to be sent and were refused or held back; `decided_upon` is the state of
    the request that decided on what this one made, "" while none did; `asked_by` is who asked for
    what this one decides on.
    """

    id: str
    operation: str
    state: State
    requester: str
    parameters: Mapping[str, Any]
    digest: str = ""
    counts: Counts = field(default_factory=Counts)
    sample: Sequence[Record] = ()
    left_out: Sequence[tuple[str, int, Sequence[str]]] = ()
    left_out_many: int = 0
    missed: int = 0
    words: str = ""
    reply: str = ""
    sent_comment: str = ""
    approvers: str = ""
    approvals_needed: int = 0
    approved_by: Sequence[str] = ()
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
