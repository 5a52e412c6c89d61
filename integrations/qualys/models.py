"""What Qualys tells about tickets and users, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from integrations.qualys.reading import moment

# Qualys API facts, section 4 (ticket state machine): condition → value of the `states` filter.
FILTER_STATES = {
    "OPEN": "OPEN",
    "REOPENED": "OPEN",
    "RESOLVED": "RESOLVED",
    "FIXED": "CLOSED",
    "IGNORED": "IGNORED",
}


class HistoryEntry(NamedTuple):
    """One entry of a ticket's history."""

    at: datetime | None
    actor: str
    comment: str


class Ticket(NamedTuple):
    """A remediation ticket as `ticket_list.php` gives it.

    `state` and `status` are the vendor's own words, and so are `due_at` and `created_at`; `entries`
    holds time, actor and comment of each entry of the history in turn, in the vendor's order, each
    with a line end behind it. They are only read where somebody asks, for a plan has 100,000 tickets
    and asks for few of them.
    """

    number: int
    state: str
    status: str = ""
    assignee_login: str = ""
    ip: str = ""
    title: str = ""
    due_at: str = ""
    created_at: str = ""
    entries: str = ""

    @property
    def due(self) -> datetime | None:
        return moment(self.due_at)

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        *cells, _ = self.entries.split("\n")
        return tuple(map(HistoryEntry, map(moment, cells[::3]), cells[1::3], cells[2::3]))

    @property
    def modified(self) -> datetime | None:
        """The newest time in the history: there is no element of its own."""
        times = [each.at for each in self.history if each.at]
        return max(times) if times else moment(self.created_at)

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


class Page(NamedTuple):
    """One page of a ticket list; `last` is the number to go on from, None on the last page."""

    tickets: Sequence[Ticket]
    last: int | None
