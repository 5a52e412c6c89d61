"""What an edit would do to a ticket, and what reading tells about an edit that was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.domain.operations import Outcome, Record, Result, Reversal
from handlers.qualys.ticket_parameters import TARGETS
from integrations.qualys.models import Ticket

# The conditions of a ticket (vendors/qualys.md 4) in the document's words.
CONDITIONS = {
    "OPEN": "Open",
    "REOPENED": "Open/Reopened",
    "RESOLVED": "Resolved",
    "FIXED": "Closed/Fixed",
    "IGNORED": "Closed/Ignored",
}
# document, `change_state`: "OPEN = Open and Open/Reopened".
REACHED = {
    "OPEN": ("Open", "Open/Reopened"),
    "RESOLVED": ("Resolved",),
    "IGNORED": ("Closed/Ignored",),
}
NEVER_RESOLVED = "a Closed/Fixed or Closed/Ignored ticket cannot be changed to Resolved"
NOT_IGNORED = "`reopen_ignored_days` is only for a ticket that is or becomes Closed/Ignored"
SO_ALREADY = "is so already"


def state_of(ticket: Ticket, *, with_due: bool) -> dict[str, str]:
    """The present state in the terms of `Record.state`."""
    return as_state(ticket.condition, ticket.assignee_login, ticket.due, with_due=with_due)


def as_state(
    condition: str, assignee: str, due: datetime | None, *, with_due: bool
) -> dict[str, str]:
    """The same from what it depends on."""
    found = {"state": CONDITIONS[condition], "assignee": assignee}
    return found | {"due": due.date().isoformat() if due else ""} if with_due else found


def forbidden(state: Mapping[str, str], changes: Mapping[str, str]) -> str:
    """The rule that keeps these changes from a ticket in this state, "" if none does."""
    target = changes.get("change_state", "")
    # document, `change_state`: "A ticket that is currently Closed/Fixed or Closed/Ignored cannot
    # be changed to Resolved."
    if target == "RESOLVED" and state["state"] in ("Closed/Fixed", "Closed/Ignored"):
        return NEVER_RESOLVED
    # document, `reopen_ignored_days`: "Used to reopen Closed/Ignored tickets".
    ends_as = TARGETS.get(target, state["state"])
    if "reopen_ignored_days" in changes and ends_as != "Closed/Ignored":
        return NOT_IGNORED
    return ""


def after(state: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """The fields that will change. A comment changes no field."""
    found: dict[str, str] = {}
    target = changes.get("change_state")
    if target is not None and state["state"] not in REACHED[target]:
        found["state"] = TARGETS[target]
    assignee = changes.get("change_assignee")
    if assignee is not None and assignee != state["assignee"]:
        found["assignee"] = assignee
    if days := changes.get("reopen_ignored_days"):
        # document: "N is a number of days from today", which is the day on which the edit is sent.
        found["due"] = f"{days} {'day' if days == '1' else 'days'} after the edit"
    return found


# How a changed ticket gets its earlier state back; only a scan closes one as fixed.
RETURNS = {
    "Open": "OPEN",
    "Open/Reopened": "OPEN",
    "Resolved": "RESOLVED",
    "Closed/Ignored": "IGNORED",
}


def back(record: Record) -> Reversal:
    """How an edited ticket goes back to what it was, and what cannot: comments always stay."""
    changes: dict[str, str] = {}
    fields: dict[str, str] = {}
    lost = ["a due date stays"] if "due" in record.after else []
    if "assignee" in record.after:
        changes["change_assignee"] = fields["assignee"] = record.state["assignee"]
    if "state" in record.after:
        before, now = record.state["state"], record.after["state"]
        target = RETURNS.get(before, "")
        stuck = not target or (target == "RESOLVED" and now.startswith("Closed"))
        if stuck:
            lost.append(f"a {now} ticket cannot become {before} again")
        else:
            changes["change_state"], fields["state"] = target, TARGETS[target]
    if not record.after:
        lost.append("a comment stays")
    return Reversal(changes, fields, "; ".join(lost))


@dataclass(frozen=True)
class Sent:
    """A call that went out at `at` with these changes."""

    changes: Mapping[str, str]
    at: datetime

    def outcome(self, record: Record, ticket: Ticket) -> Outcome | None:
        """What reading `ticket` proves about `record`; None where it proves nothing.

        `REFUSED` means that nothing which can be seen has changed.
        """
        done, missed = self._fields(record, state_of(ticket, with_due=True))
        if done:
            words = f"Qualys left as it was: {', '.join(missed)}" if missed else "read back"
            return Outcome(record.id, Result.CHANGED, words)
        if self._commented(ticket):
            return Outcome(record.id, Result.CHANGED, "read back: the comment is in the history")
        if missed:
            return Outcome(record.id, Result.REFUSED, "Qualys left it as it was")
        return None

    def _fields(self, record: Record, now: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """The planned fields that are as wanted now, and those that are not."""
        done: list[str] = []
        missed: list[str] = []
        for name in record.after:
            wanted = self._wanted(name, record.after[name])
            # A field that looked as wanted before the call tells nothing about the call.
            if record.state.get(name, "") not in wanted:
                (done if now[name] in wanted else missed).append(name)
        return done, missed

    def _wanted(self, name: str, value: str) -> tuple[str, ...]:
        if name == "state":
            return REACHED[self.changes["change_state"]]
        if name == "due":
            # The vendor's "today" may be the day before or after ours.
            days = int(self.changes["reopen_ignored_days"])
            due = self.at.astimezone(UTC).date() + timedelta(days=days)
            return tuple((due + timedelta(days=each)).isoformat() for each in (-1, 0, 1))
        return (value,)

    def _commented(self, ticket: Ticket) -> bool:
        comment = _plain(self.changes.get("add_comment", ""))
        # The vendor's times have no fractions of a second.
        since = self.at.replace(microsecond=0)
        return bool(comment) and any(
            _plain(entry.comment) == comment and entry.at is not None and entry.at >= since
            for entry in ticket.history
        )


def _plain(words: str) -> str:
    """Text without regard to how blanks and line ends are written."""
    return " ".join(words.split())
