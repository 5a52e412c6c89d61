"""How the Qualys stand-in edits tickets: the rules of the document on ticket_edit.php."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta

from deploy.sandbox.vendors.qualys_selection import Refused
from deploy.sandbox.vendors.seed import (
    BUSINESS_UNITS,
    MEMBERS,
    Entry,
    Member,
    StandInTicket,
    in_group,
)

CHANGES = frozenset({"change_assignee", "change_state", "add_comment", "reopen_ignored_days"})
TARGETS = ("OPEN", "RESOLVED", "IGNORED")
SHOWN = {
    "OPEN": "Open",
    "REOPENED": "Open/Reopened",
    "RESOLVED": "Resolved",
    "FIXED": "Closed/Fixed",
    "IGNORED": "Closed/Ignored",
}
LONGEST_COMMENT = 2_000
MOST_TICKETS = 20_000


def check_changes(changes: Mapping[str, str]) -> None:
    """Raises `Refused` where a value breaks a rule of the document."""
    if not changes:
        raise Refused("1922", f"at least one of these is required: {', '.join(sorted(CHANGES))}")
    for name, value in changes.items():
        if not value:
            raise Refused("1905", f"parameter {name} has invalid value: (empty)")
    state = changes.get("change_state", "OPEN")
    if state not in TARGETS:
        raise Refused("1905", f"parameter change_state has invalid value: {state}")
    comment = changes.get("add_comment", "")
    if len(comment) > LONGEST_COMMENT or not comment.isascii():
        raise Refused("1905", "parameter add_comment takes at most 2000 ASCII characters")
    days = changes.get("reopen_ignored_days", "1")
    if not (days.isascii() and days.isdigit() and 1 <= int(days) <= 730):
        raise Refused("1905", f"parameter reopen_ignored_days has invalid value: {days}")
    if "change_assignee" in changes:
        _assignable(changes["change_assignee"])


def edit(
    tickets: Sequence[StandInTicket], changes: Mapping[str, str], caller: str, now: datetime
) -> tuple[list[int], dict[int, str]]:
    """Edit the tickets; the numbers that were changed, and those skipped with the reason."""
    if len(tickets) > MOST_TICKETS:
        raise Refused("1905", f"{len(tickets)} tickets are selected, more than {MOST_TICKETS}")
    changed: list[int] = []
    skipped: dict[int, str] = {}
    for ticket in tickets:
        reason = _reason_against(ticket, changes)
        if reason:
            skipped[ticket.number] = reason
        else:
            _apply(ticket, changes, caller, now)
            changed.append(ticket.number)
    return changed, skipped


def reopen_ignored(tickets: Iterable[StandInTicket], fixed: Set[int], now: datetime) -> None:
    """What the service does on the due date of an ignored ticket: reopen it, which leaves it
    overdue, or close it as fixed where the issue was resolved in the meantime (`fixed`)."""
    for ticket in tickets:
        due = ticket.reopen_on
        if due is None or due >= now or ticket.condition != "IGNORED":
            continue
        ticket.condition = "FIXED" if ticket.number in fixed else "REOPENED"
        ticket.due, ticket.reopen_on = due, None
        ticket.history.append(Entry(due, "Scanner", old="IGNORED", new=ticket.condition))


def member(login: str) -> Member | None:
    """The user with this login."""
    return next((each for each in MEMBERS if each.login == login), None)


def may_see(user: Member, ticket: StandInTicket) -> bool:
    """Managers: the subscription; Unit Managers: their business unit; others: their groups."""
    if user.role == "Manager":
        return True
    groups = BUSINESS_UNITS.get(user.business_unit, user.groups)
    return any(in_group(ticket.host, group) for group in groups)


def _assignable(login: str) -> None:
    user = member(login)
    if user is None or user.status != "Active" or user.role == "Contact":
        raise Refused("1905", f"parameter change_assignee has invalid value: {login}")


def _reason_against(ticket: StandInTicket, changes: Mapping[str, str]) -> str:
    target = changes.get("change_state")
    if target == "RESOLVED" and ticket.condition in ("FIXED", "IGNORED"):
        return f"A {SHOWN[ticket.condition]} ticket cannot be changed to Resolved"
    after = _condition_after(ticket, target)
    if "reopen_ignored_days" in changes and after != "IGNORED":
        return "The ticket is not Closed/Ignored"
    user = member(changes.get("change_assignee", ""))
    if user is not None and not may_see(user, ticket):
        return f"The host {ticket.host.ip} is not in the account of {user.login}"
    if set(changes) == {"change_state"} and after == ticket.condition:
        return f"The ticket is {SHOWN[after]} already"
    return ""


def _condition_after(ticket: StandInTicket, target: str | None) -> str:
    if target is None:
        return ticket.condition
    if target == "OPEN":
        return ticket.condition if ticket.condition in ("OPEN", "REOPENED") else "REOPENED"
    return target


def _apply(ticket: StandInTicket, changes: Mapping[str, str], caller: str, now: datetime) -> None:
    before, after = ticket.condition, _condition_after(ticket, changes.get("change_state"))
    ticket.condition = after
    ticket.assignee = changes.get("change_assignee", ticket.assignee)
    if "reopen_ignored_days" in changes:
        ticket.reopen_on = now + timedelta(days=int(changes["reopen_ignored_days"]))
        ticket.due = ticket.reopen_on
    if after != "IGNORED":
        ticket.reopen_on = None
    ticket.history.append(
        Entry(
            at=now,
            actor=caller,
            old=before if after != before else "",
            new=after if after != before else "",
            comment=changes.get("add_comment", ""),
            assignee=changes.get("change_assignee", ""),
        )
    )
