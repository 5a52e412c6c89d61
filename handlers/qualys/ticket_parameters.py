"""What `qualys.edit_tickets` takes: which tickets, and what to change in them.

"document" is the vendor's page of `/msp/ticket_edit.php`. It links to its table of selection
parameters without showing it, so those rules come from vendors/qualys.md 1.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Self

from pydantic import model_validator

from bot.domain.parameters import (
    Kind,
    Param,
    Parameters,
    Widget,
    ascii_text,
    broken,
    choice,
    choices,
    given,
    items,
    number,
    specs,
    text,
)
from handlers.qualys import ticket_rules as rules

# Wire value → words, for the `states` filter and `change_state` (document, table of parameters).
# CLOSED (Closed/Fixed) can be selected and not asked for: only a scan closes a ticket as fixed.
STATES = {
    "OPEN": "Open",
    "RESOLVED": "Resolved",
    "CLOSED": "Closed/Fixed",
    "IGNORED": "Closed/Ignored",
}
TARGETS = {name: STATES[name] for name in ("OPEN", "RESOLVED", "IGNORED")}

SEVERITIES = {
    "1": "1 Minimal",
    "2": "2 Medium",
    "3": "3 Serious",
    "4": "4 Critical",
    "5": "5 Urgent",
}

# The vendor's own spellings of one filter; the document's example has the short one, its siblings
# the long one (vendors/qualys.md 0, point 4). Which is typed goes out.
SPELLINGS = (
    ("modified_since_datetime", "modified_since"),
    ("unmodified_since_datetime", "unmodified_since"),
)


def _said(declared: Any) -> tuple[Any, ...]:
    """What a constructor declares, for a field whose type is written out for the type checker."""
    found: tuple[Any, ...] = declared.__metadata__
    return found


def _word(name: str, spec: Param, rule: Callable[[str, str], str]) -> tuple[Any, ...]:
    return _said(text(name, spec, partial(rule, name)))


def _list(name: str, spec: Param, rule: Callable[[str, str], str]) -> tuple[Any, ...]:
    return _said(items(name, spec, partial(rule, name)))


def _select(title: str, about: str = "", **more: Any) -> Param:
    return Param(Kind.SELECTION, title, about, **more)


def _change(title: str, about: str = "", **more: Any) -> Param:
    return Param(Kind.CHANGE, title, about, **more)


def _since(name: str, title: str, about: str, *, hidden: bool = False) -> tuple[Any, ...]:
    spec = _select(
        title, about, widget=Widget.DATE, example="2018-01-01", advanced=True, hidden=hidden
    )
    return _word(name, spec, rules.moment)


def _contains(name: str, title: str, about: str) -> tuple[Any, ...]:
    # vendors/qualys.md 1.2: at most 100 characters, ASCII.
    return _said(ascii_text(name, _select(title, about, most=100, advanced=True)))


_ASSIGNEE_IS = "The user who has the tickets now"
_MODIFIED = "Modified on or after this day (UTC)"
_UNMODIFIED = "Not modified on or after this day (UTC)"

Text = str | None
Texts = tuple[str, ...] | None

TICKET_NUMBERS = _select(
    "Ticket numbers",
    "Numbers and ranges, separated by commas",
    aliases=("tickets", "ticket"),
    example="23456,23460-23470",
)
CHANGE_STATE = _change(
    "New state",
    "A Closed ticket cannot become Resolved",
    widget=Widget.SELECT,
    choices=TARGETS,
    aliases=("new_state",),
    example="RESOLVED",
    verbs={
        "resolve": "RESOLVED",
        "ignore": "IGNORED",
        "open": "OPEN",
        "reopen": "OPEN",
    },
)
ADD_COMMENT = _change(
    "Comment",
    "Goes into each ticket's history; ASCII",
    widget=Widget.LINES,
    most=2000,
    aliases=("comment",),
    example='"Host patched, ready for re-scan"',
)
CHANGE_ASSIGNEE = _change(
    "New assignee",
    "A user login; not a Contact",
    widget=Widget.LOOKUP,
    lookup="people",
    aliases=("assign_to",),
    account=True,
    example="acme_ac",
)
REOPEN = _change(
    "Reopen ignored tickets after … days",
    "Only for tickets that are or become Closed/Ignored",
    widget=Widget.NUMBER,
    least=1,
    most=730,
    aliases=("reopen_days",),
    example="7",
)
FILTER_STATES = _select(
    "Present state", "Any of these", widget=Widget.MULTI_SELECT, choices=STATES, example="OPEN"
)
ASSET_GROUPS = _select(
    "Asset groups",
    "Hosts in any of these groups",
    widget=Widget.MULTI_LOOKUP,
    lookup="asset_groups",
    aliases=("groups",),
    example='"New York,London"',
)
IPS = _select(
    "IP addresses",
    "IPv4 addresses and ranges, separated by commas",
    aliases=("ip",),
    example="10.10.10.120",
)
SEVERITY = _select(
    "Severity (confirmed)",
    "Any of these",
    widget=Widget.MULTI_SELECT,
    choices=SEVERITIES,
    aliases=("severities", "severity"),
    example="4,5",
)
POTENTIAL = _select(
    "Severity (potential)",
    "Any of these",
    widget=Widget.MULTI_SELECT,
    choices=SEVERITIES,
    advanced=True,
)
TICKET_ASSIGNEE = _select(
    "Present assignee",
    _ASSIGNEE_IS,
    widget=Widget.LOOKUP,
    lookup="people",
    example="qualys_tb",
    account=True,
)
OVERDUE = _select(
    "Overdue",
    widget=Widget.SELECT,
    choices={"1": "Only overdue", "0": "Only not overdue"},
)
INVALID = _select(
    "Invalid",
    widget=Widget.SELECT,
    choices={"1": "Only invalid", "0": "Only valid"},
    advanced=True,
)
QIDS = _select(
    "QIDs",
    "At most 10, separated by commas",
    most=10,
    aliases=("qid",),
    example="38170",
    advanced=True,
)
HOST_ID = _select("Host id", "Tickets of the host with this asset id", advanced=True)
SINCE_NUMBER = _select(
    "From ticket number", "This number or higher", example="00215555", advanced=True
)
UNTIL_NUMBER = _select("To ticket number", "This number or lower", advanced=True)


class TicketFilters(Parameters):
    """The filters that a watch takes too; they narrow together, the values inside one do not."""

    states: Annotated[Texts, *_said(choices("states", FILTER_STATES))] = None
    asset_groups: Annotated[Texts, *_list("asset_groups", ASSET_GROUPS, rules.title)] = None
    ips: Annotated[Texts, *_list("ips", IPS, rules.addresses)] = None
    # vendors/qualys.md 1.2: severities 1 to 5.
    vuln_severities: Annotated[Texts, *_said(choices("vuln_severities", SEVERITY))] = None
    ticket_assignee: Annotated[Text, *_word("ticket_assignee", TICKET_ASSIGNEE, rules.login)] = None
    potential_vuln_severities: Annotated[
        Texts, *_said(choices("potential_vuln_severities", POTENTIAL))
    ] = None
    # vendors/qualys.md 1.2: at most 10 QIDs.
    qids: Annotated[Texts, *_list("qids", QIDS, rules.qid)] = None
    dns_contains: Annotated[
        Text, *_contains("dns_contains", "DNS name contains", "Part of the host's DNS name")
    ] = None
    netbios_contains: Annotated[
        Text, *_contains("netbios_contains", "NetBIOS name contains", "Part of the NetBIOS name")
    ] = None
    vuln_title_contains: Annotated[
        Text, *_contains("vuln_title_contains", "Title contains", "Part of the finding's title")
    ] = None
    vuln_details_contains: Annotated[
        Text,
        *_contains(
            "vuln_details_contains",
            "Details contain",
            "Part of the threat, impact, solution or result",
        ),
    ] = None
    vendor_ref_contains: Annotated[
        Text,
        *_contains("vendor_ref_contains", "Vendor reference contains", "Part of the reference"),
    ] = None
    # vendors/qualys.md 1.2: one id, in the newer guide.
    host_id: Annotated[Text, *_word("host_id", HOST_ID, rules.digits)] = None


class TicketParameters(TicketFilters):
    """Filters narrow together; the values inside one are alternatives."""

    ticket_numbers: Annotated[Texts, *_list("ticket_numbers", TICKET_NUMBERS, rules.numbers)] = None
    # document: OPEN, RESOLVED or IGNORED.
    change_state: Annotated[Text, *_said(choice("change_state", CHANGE_STATE))] = None
    # document: "a maximum of 2,000 characters (ascii)".
    add_comment: Annotated[Text, *_said(ascii_text("add_comment", ADD_COMMENT))] = None
    change_assignee: Annotated[Text, *_word("change_assignee", CHANGE_ASSIGNEE, rules.login)] = None
    # document: "A valid value is an integer from 1 to 730".
    reopen_ignored_days: Annotated[int | None, *_said(number("reopen_ignored_days", REOPEN))] = None
    # vendors/qualys.md 1.2: 1 only overdue, 0 only not overdue, absent both; `invalid` likewise.
    overdue: Annotated[Text, *_said(choice("overdue", OVERDUE))] = None
    invalid: Annotated[Text, *_said(choice("invalid", INVALID))] = None
    modified_since_datetime: Annotated[
        Text, *_since("modified_since_datetime", "Modified since", _MODIFIED)
    ] = None
    unmodified_since_datetime: Annotated[
        Text, *_since("unmodified_since_datetime", "Not modified since", _UNMODIFIED)
    ] = None
    modified_since: Annotated[
        Text, *_since("modified_since", "Modified since", _MODIFIED, hidden=True)
    ] = None
    unmodified_since: Annotated[
        Text, *_since("unmodified_since", "Not modified since", _UNMODIFIED, hidden=True)
    ] = None
    since_ticket_number: Annotated[
        Text, *_word("since_ticket_number", SINCE_NUMBER, rules.digits)
    ] = None
    until_ticket_number: Annotated[
        Text, *_word("until_ticket_number", UNTIL_NUMBER, rules.digits)
    ] = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        for long, short in SPELLINGS:
            if getattr(self, long) is not None and getattr(self, short) is not None:
                raise broken(f"`{long}` and `{short}` are one filter; give only one.", short)
        self._check_numbers()
        kinds = {specs(type(self))[name].kind for name in given(self)}
        # document: "At least one ticket selection parameter must be specified."
        if Kind.SELECTION not in kinds:
            raise broken(
                "At least one selection is needed, such as `ticket_numbers=23456`.",
                "ticket_numbers",
            )
        # document: "ticket data to be edited. At least one of these parameters must be specified."
        if Kind.CHANGE not in kinds:
            raise broken(
                "At least one change is needed: `change_state`, `add_comment`, `change_assignee`"
                " or `reopen_ignored_days`.",
                "change_state",
            )
        return self

    def _check_numbers(self) -> None:
        since, until = self.since_ticket_number, self.until_ticket_number
        if since is not None and until is not None and int(since) > int(until):
            raise broken(
                "`until_ticket_number` must not be below `since_ticket_number`;"
                f" the nearest is `{since}`.",
                "until_ticket_number",
            )
