"""What the two exception operations take.

"document" is the vendor's page on requesting an exception; facts are vendors/qualys.md by section.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Annotated, Any, Self

from pydantic import model_validator

from bot.domain.parameters import Kind, Param, Parameters, Widget, broken, choice, items, text

YES_NO = {"1": "Yes", "0": "No"}
STATUSES = {"Approved": "Approved", "Rejected": "Rejected"}
MOST_DECIDED = 200  # ours: what one decision may name
COMMENT_LIMIT = 4_000  # ours: the vendor states none


def _digits(name: str, example: str, value: str) -> str:
    found = value.strip()
    if not re.fullmatch(r"[0-9]{1,18}", found) or int(found) == 0:
        raise broken(f"`{name}` is a whole number such as `{example}`, not `{value}`.")
    return str(int(found))  # Qualys lists no leading zeros


def _id(name: str, spec: Param) -> tuple[Any, ...]:
    found: tuple[Any, ...] = text(name, spec, partial(_digits, name, spec.example)).__metadata__
    return found


def _list(name: str, spec: Param, rule: Callable[[str], str]) -> tuple[Any, ...]:
    found: tuple[Any, ...] = items(name, spec, rule).__metadata__
    return found


def _day(value: str) -> str:
    """A day as ISO; the vendor's own mm/dd/yyyy is taken too."""
    found = value.strip()
    american = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", found)
    if american:
        found = f"{american[3]}-{int(american[1]):02d}-{int(american[2]):02d}"
    try:
        return date.fromisoformat(found).isoformat()
    except ValueError:
        message = f"`end_date` is a day such as `2027-03-31`, not `{value}`."
        raise broken(message) from None


def _picked(title: str, about: str, lookup: str, example: str, *aliases: str) -> Param:
    return Param(
        Kind.SELECTION,
        title,
        about,
        widget=Widget.LOOKUP,
        lookup=lookup,
        example=example,
        aliases=aliases,
    )


POLICY = _picked("Policy", "The policy that holds the control", "policies", "801459496", "policy")
CONTROL = _picked("Control", "The control that fails", "controls", "1113", "control")
HOST = _picked("Host", "The host it fails on", "hosts", "28595192824", "host")
TECHNOLOGY = _picked(
    "Technology", "What the control was checked on", "technologies", "45", "technology"
)
INSTANCE = _picked(
    "Instance",
    "Needed where the technology has instances (a database, say)",
    "instances",
    "oracle10:1:1521:ora10204u",
    "instance",
)
ASSIGNEE = Param(
    Kind.CHANGE,
    "Assignee",
    "A Qualys user with access to the host",
    widget=Widget.LOOKUP,
    lookup="people",
    example="2449482824",
    aliases=("assignee",),
    account=True,
)
WHY = Param(
    Kind.CHANGE,
    "Why",
    "Goes into the exception's history",
    widget=Widget.LINES,
    most=COMMENT_LIMIT,
    example='"Legacy host, isolated until March"',
    aliases=("comment", "reason"),
)
REOPEN = Param(
    Kind.CHANGE,
    "Reopen on evidence change",
    "Once approved: reopen when a scan finds another value that still fails",
    widget=Widget.SELECT,
    choices=YES_NO,
    aliases=("reopen",),
)
NUMBERS = Param(
    Kind.SELECTION,
    "Exceptions",
    "Numbers, separated by commas",
    example="59",
    aliases=("exceptions", "exception"),
)
STATUS = Param(Kind.CHANGE, "Decision", widget=Widget.SELECT, choices=STATUSES)
END = Param(
    Kind.CHANGE,
    "Ends on",
    "Required on approval: without it the exception would end on the day it was made",
    widget=Widget.DATE,
    example="2027-03-31",
)
REASSIGN = Param(
    Kind.CHANGE,
    "Reassign to",
    "A Qualys user with access to the host",
    widget=Widget.LOOKUP,
    lookup="people",
    example="500101",
    advanced=True,
    account=True,
)

NEW_END = Param(
    Kind.CHANGE,
    "Ends on",
    "A day after its present end; whether Qualys counts that day in UTC, it does not say",
    widget=Widget.DATE,
    example="2027-03-31",
    aliases=("end", "until"),
)

Text = str | None


def _not_too_many(numbers: tuple[str, ...]) -> None:
    if len(numbers) > MOST_DECIDED:
        message = f"`exception_numbers` takes at most {MOST_DECIDED} numbers in one decision."
        raise broken(message, "exception_numbers")


class ExceptionRequest(Parameters):
    """The document's parameters under their own names; all but two are required."""

    policy_id: Annotated[str, *_id("policy_id", POLICY)]
    control_id: Annotated[str, *_id("control_id", CONTROL)]
    host_id: Annotated[str, *_id("host_id", HOST)]
    technology_id: Annotated[str, *_id("technology_id", TECHNOLOGY)]
    instance_string: Annotated[Text, *text("instance_string", INSTANCE).__metadata__] = None
    assignee_id: Annotated[str, *_id("assignee_id", ASSIGNEE)]
    comments: Annotated[str, *text("comments", WHY).__metadata__]
    reopen_on_evidence_change: Annotated[
        Text, *choice("reopen_on_evidence_change", REOPEN).__metadata__
    ] = None


class ExceptionRenewal(Parameters):
    """Facts 5.3: every update has comments; `end_date` is the day on which it ends from now on."""

    exception_numbers: Annotated[
        tuple[str, ...],
        *_list("exception_numbers", NUMBERS, partial(_digits, "exception_numbers", "59")),
    ]
    end_date: Annotated[str, *text("end_date", NEW_END, _day).__metadata__]
    comments: Annotated[str, *text("comments", WHY).__metadata__]

    @model_validator(mode="after")
    def _rules(self) -> Self:
        _not_too_many(self.exception_numbers)
        return self


class ExceptionDecision(Parameters):
    """Facts 5.3: every update has comments. Approval has an end date (facts 0.7)."""

    exception_numbers: Annotated[
        tuple[str, ...],
        *_list("exception_numbers", NUMBERS, partial(_digits, "exception_numbers", "59")),
    ]
    status: Annotated[Text, *choice("status", STATUS).__metadata__] = None
    end_date: Annotated[Text, *text("end_date", END, _day).__metadata__] = None
    comments: Annotated[str, *text("comments", WHY).__metadata__]
    reassign_to: Annotated[Text, *_id("reassign_to", REASSIGN)] = None
    reopen_on_evidence_change: Annotated[
        Text, *choice("reopen_on_evidence_change", REOPEN).__metadata__
    ] = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        _not_too_many(self.exception_numbers)
        if self.status is None and self.reassign_to is None:
            raise broken("Choose a `status` (Approved or Rejected) or a `reassign_to`.", "status")
        if self.status == "Approved" and self.end_date is None:
            message = "`end_date` is required on approval: the day on which the exception ends."
            raise broken(message, "end_date")
        if self.status != "Approved" and self.end_date is not None:
            message = "`end_date` only goes with `status=Approved`; leave it out."
            raise broken(message, "end_date")
        return self
