"""What Qualys tells about tickets and users, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

# Qualys API facts, section 4 (ticket state machine): condition → value of the `states` filter.
FILTER_STATES = {
    "OPEN": "OPEN",
    "REOPENED": "OPEN",
    "RESOLVED": "RESOLVED",
    "FIXED": "CLOSED",
    "IGNORED": "IGNORED",
}


class HistoryEntry(NamedTuple):
    """One entry of a ticket's history; `old` and `new` are states, "" where none is named."""

    at: datetime | None
    actor: str
    comment: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """A remediation ticket as `ticket_list.php` gives it.

    `state` and `status` are the vendor's own words; `severity` is 1 to 5 (0: not told); `modified`
    is the newest time in the history (there is no element of its own); `history` is in the
    vendor's order, newest first.
    """

    number: int
    state: str
    status: str = ""
    invalid: bool = False
    assignee_login: str = ""
    assignee_name: str = ""
    ip: str = ""
    dns: str = ""
    netbios: str = ""
    qid: int = 0
    title: str = ""
    severity: int = 0
    due: datetime | None = None
    modified: datetime | None = None
    history: tuple[HistoryEntry, ...] = ()

    @property
    def condition(self) -> str:
        """OPEN, REOPENED, RESOLVED, FIXED or IGNORED."""
        if self.state == "CLOSED":
            return "IGNORED" if self.status == "IGNORED" else "FIXED"
        return "REOPENED" if (self.state, self.status) == ("OPEN", "REOPENED") else self.state

    @property
    def filter_state(self) -> str:
        """The value of the `states` filter that selects it: OPEN, RESOLVED, CLOSED or IGNORED."""
        return FILTER_STATES[self.condition]


@dataclass(frozen=True, slots=True)
class EditReply:
    """What `ticket_edit.php` confirmed: numbers changed, reasons by number skipped, free text."""

    changed: tuple[int, ...]
    skipped: Mapping[int, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A user of the subscription; tickets take `login`, exceptions the numeric `id`."""

    login: str
    id: int
    name: str = ""
    email: str = ""
    role: str = ""
    status: str = ""
    business_unit: str = ""
    asset_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a ticket list; `last` is the number to go on from, None on the last page."""

    tickets: tuple[Ticket, ...]
    last: int | None
