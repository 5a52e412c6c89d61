"""The policy: what loads, what is refused and on which line, and what a rule demands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator

from bot.domain.errors import AmendError
from bot.domain.operations import Reach
from bot.domain.parameters import Kind, Param, Parameters, choice, declared, number, text
from bot.domain.policy import Demand, Policy, PolicyError, Quiet, combined

STATES = {"OPEN": "Open", "RESOLVED": "Resolved", "IGNORED": "Ignored"}
CCS_STATES = {"1": "Open", "4": "Closed"}


def _change(title: str, **more: Any) -> Param:
    return Param(Kind.CHANGE, title, **more)


def _mail(value: str) -> str:
    return value.strip()


class Tickets(Parameters):
    ticket_numbers: Annotated[str, *text("ticket_numbers", _change("Tickets")).__metadata__]
    states: Annotated[str, *choice("states", _change("States", choices=STATES)).__metadata__]
    change_state: Annotated[
        str, *choice("change_state", _change("State", choices=STATES)).__metadata__
    ]
    reopen_ignored_days: Annotated[
        int, *number("reopen_ignored_days", _change("Days", least=1, most=730)).__metadata__
    ]
    change_assignee: Annotated[str, *text("change_assignee", _change("Assignee")).__metadata__]


class Ccs(Parameters):
    TicketState: Annotated[
        str, *choice("TicketState", _change("State", choices=CCS_STATES)).__metadata__
    ]


class Xpanse(Parameters):
    status: Annotated[str, _change("Status")]
    assigned_user_mail: Annotated[
        str, _change("Mail", empty_means="unassign"), BeforeValidator(_mail)
    ]


KNOWN: dict[str, Mapping[str, object]] = {
    "qualys.edit_tickets": declared(Tickets),
    "qualys.request_exception": {"control_id": "", "comments": ""},
    "qualys.decide_exception": {"status": "", "end_date": "", "comments": ""},
    "ccs.update_ticket": declared(Ccs),
    "xpanse.update_incident": declared(Xpanse),
    "zstack.change_ticket_status": {"uuid": "", "statusEvent": ""},
}
ROLES = {
    "qualys": frozenset({"Manager", "Unit Manager", "Auditor", "Reader"}),
    "ccs": None,
    "xpanse": None,
    "zstack": frozenset({"admin", "approver", "owner"}),
}
TICKETS = "qualys.edit_tickets"


def load(text: str) -> Policy:
    return Policy.load(text, KNOWN, ROLES)


def rule(lines: str, defaults: bool = False) -> Policy:
    switch = "true" if defaults else "false"
    return load(f"[approvals]\ndefaults = {switch}\n[[approvals.rules]]\n{lines}")


def test_the_example_loads() -> None:
    text = (Path(__file__).parents[2] / "deploy" / "policy.example.toml").read_text("utf-8")
    policy = load(text)
    assert policy.approvals.channel == "C0APPROVALS"
    assert (policy.approvals.expires_after, policy.approvals.remind_after) == (28800, 900)
    assert policy.approvals.defaults
    (only,) = policy.rules
    assert only.operations == ("qualys.edit_tickets", "zstack.*")
    assert (only.over_records, only.approvers) == (500, 2)
    assert policy.demands(TICKETS, {"change_state": "IGNORED"}, 501)[2] == Demand(
        2, ("S0ONCALL",), ("U0LEAD",), ("Manager",), only.why
    )
    assert policy.quiet == policy.quiet_windows("qualys")
    assert policy.quiet == (Quiet("qualys", (5, 6), dt.time(22), dt.time(5), "Europe/Berlin"),)
    assert policy.roles_of("xpanse", {"Responder": Reach.ALL}) == {
        "Instance Administrator": Reach.ALL,
        "Account Admin": Reach.ALL,
    }
    assert Policy.load(text, KNOWN).rules == policy.rules


@pytest.mark.parametrize("text", ["", "# nothing\n", "[approvals]\n"])
def test_nothing_said_is_the_default(text: str) -> None:
    assert load(text) == Policy.default()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("45s", 45), ("15m", 900), ("8h", 28800), ("2d", 172800), ("1h30m", 5400)],
)
def test_times(written: str, seconds: int) -> None:
    assert load(f'approvals.expires_after = "{written}"').approvals.expires_after == seconds


# --- demands -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "records", "many"),
    [
        ({}, 500, 0),
        ({}, 501, 1),
        ({"change_state": "IGNORED"}, 1, 1),
        ({"change_state": "ignored"}, 1, 1),
        ({"change_state": "RESOLVED"}, 1, 0),
        ({"states": ("IGNORED",)}, 1, 0),
        ({"change_state": "IGNORED"}, 501, 2),
    ],
)
def test_default_rules(values: dict[str, str], records: int, many: int) -> None:
    demands = Policy.default().demands(TICKETS, values, records)
    assert len(demands) == many
    assert combined(demands) == min(many, 1)
    assert all(demand.why.endswith(".") for demand in demands)
    none = load("[approvals]\ndefaults = false\n")
    assert none.demands(TICKETS, values, records) == ()


@pytest.mark.parametrize(
    ("where", "values", "matches"),
    [
        ('change_state = ["IGNORED"]', {"change_state": "IGNORED"}, True),
        ('change_state = ["ignored"]', {"change_state": "IGNORED"}, True),
        ('change_state = ["Resolved", "Ignored"]', {"change_state": "RESOLVED"}, True),
        ('change_state = ["IGNORED"]', {"change_state": "OPEN"}, False),
        ('change_state = ["IGNORED"]', {}, False),
        ('states = ["OPEN", "IGNORED"]', {"states": ("RESOLVED", "IGNORED")}, True),
        ('states = ["OPEN"]', {"states": ("RESOLVED", "IGNORED")}, False),
        ("reopen_ignored_days = [30]", {"reopen_ignored_days": 30}, True),
        ('reopen_ignored_days = ["030"]', {"reopen_ignored_days": 30}, True),
        ("reopen_ignored_days = [30]", {"reopen_ignored_days": 3}, False),
        ('change_assignee = [" Acme_JD "]', {"change_assignee": "acme_jd"}, True),
        (
            'change_state = ["IGNORED"], change_assignee = ["x"]',
            {"change_state": "IGNORED", "change_assignee": "x"},
            True,
        ),
        ('change_state = ["IGNORED"], change_assignee = ["x"]', {"change_state": "IGNORED"}, False),
    ],
)
def test_where(where: str, values: dict[str, str | int | tuple[str, ...]], matches: bool) -> None:
    policy = rule(f'operations = ["qualys.edit_tickets"]\nwhere = {{ {where} }}')
    assert bool(policy.demands(TICKETS, values, 1)) is matches


def test_a_value_is_read_as_the_operation_reads_it() -> None:
    policy = rule('operations = ["ccs.*"]\nwhere.TicketState = ["closed"]')
    assert policy.demands("ccs.update_ticket", {"TicketState": "4"}, 1)
    assert not policy.demands("ccs.update_ticket", {"TicketState": "1"}, 1)
    empty = rule('operations = ["xpanse.*"]\nwhere.assigned_user_mail = [""]')
    assert empty.demands("xpanse.update_incident", {"assigned_user_mail": ""}, 1)
    assert not empty.demands("xpanse.update_incident", {}, 1)


def test_a_parameter_that_one_of_the_operations_lacks_does_not_match_there() -> None:
    policy = rule('operations = ["qualys.*", "zstack.*"]\nwhere.change_state = ["IGNORED"]')
    assert policy.demands(TICKETS, {"change_state": "IGNORED"}, 1)
    assert not policy.demands("zstack.change_ticket_status", {"statusEvent": "approve"}, 1)


def test_what_can_make_a_difference_is_known() -> None:
    narrow = rule('operations = ["qualys.*"]\nwhere = { change_assignee = ["qualys_ac"] }')
    assert narrow.looks_at(TICKETS) == {"change_assignee"}
    assert narrow.looks_at("ccs.update_ticket") == frozenset()
    both = rule(
        'operations = ["qualys.*"]\nwhere = { change_assignee = ["qualys_ac"] }', defaults=True
    )
    assert both.looks_at(TICKETS) == {"change_assignee", "change_state"}


def test_every_matching_rule_counts_and_the_largest_number_wins() -> None:
    policy = load(
        '[[approvals.rules]]\noperations = ["qualys.*"]\napprovers = 3\n'
        '[[approvals.rules]]\noperations = ["*"]\nover_records = 2\ngroups = ["S0ONCALL"]\n'
        '[[approvals.rules]]\noperations = ["zstack.*"]\napprovers = 9\n'
    )
    demands = policy.demands(TICKETS, {"change_state": "IGNORED"}, 3)
    assert [demand.approvers for demand in demands] == [1, 3, 1]
    assert combined(demands) == 3
    assert "rule 1 of the policy asks 3 approvers" in demands[1].why
    assert "more than 2 records" in demands[2].why
    assert len(policy.demands(TICKETS, {}, 2)) == 1
    assert combined(()) == 0


# --- channels and roles ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "operation", "allowed"),
    [
        ("C0OPS", "qualys.edit_tickets", True),
        ("C0OPS", "qualys.request_exception", True),
        ("C0OPS", "xpanse.update_incident", True),
        ("C0OPS", "ccs.update_ticket", False),
        ("C0NONE", "qualys.edit_tickets", False),
        ("C0OTHER", "ccs.update_ticket", True),
        ("D0DIRECT", "ccs.update_ticket", True),
    ],
)
def test_guardrails(channel: str, operation: str, allowed: bool) -> None:
    policy = load(
        '[[channels]]\nid = "C0OPS"\nallow = ["qualys.*", "xpanse.update_incident"]\n'
        '[[channels]]\nid = "C0NONE"\nallow = []\n'
    )
    assert policy.channel_allows(channel, operation) is allowed
    assert Policy.default().channel_allows(channel, operation)


def test_a_role_list_narrows_unless_the_sites_define_the_roles() -> None:
    text = '[qualys]\nroles = ["Manager", "Reader"]\n[ccs]\nroles = ["Patch Crew"]\n'
    policy = load(text)
    roles = {"Manager": Reach.ALL, "Unit Manager": Reach.SCOPE}
    assert policy.roles_of("qualys", roles) == {"Manager": Reach.ALL}
    assert policy.roles_of("zstack", roles) == roles
    assert policy.roles_of("ccs", {"Remediation Administrator": Reach.ALL}) == {
        "Patch Crew": Reach.ALL
    }
    untold = Policy.load(text, KNOWN)
    assert untold.roles_of("ccs", {"Remediation Administrator": Reach.ALL}) == {}


# --- what stops the start ----------------------------------------------------------------------

RULE = '[[approvals.rules]]\noperations = ["qualys.edit_tickets"]\n'
WINDOW = '[[quiet]]\nvendor = "qualys"\n'

BAD = [
    ("approvals = 3\n", 1, "must be a table"),
    ("\n\n[aprovals]\n", 3, "Did you mean `approvals`"),
    ("[approvals]\nchanel = 'C1'\n", 2, "Did you mean `channel`"),
    ('[approvals]\nchannel = "#ops"\n', 2, "not `#ops`"),
    ("[approvals]\nchannel = 5\n", 2, "not `5`"),
    ('[approvals]\n# channel\nexpires_after = "8 hours"\n', 3, "`expires_after` must be"),
    ('[approvals]\nexpires_after = "0h"\n', 2, "more than 0"),
    ('[approvals]\nremind_after = "999d"\n', 2, "at most 365d"),
    ("[approvals]\nremind_after = 900\n", 2, "not `900`"),
    ('[approvals]\ndefaults = "no"\n', 2, "true or false"),
    ("[approvals]\nrules = 3\n", 2, "[[approvals.rules]]"),
    ("[approvals.rules]\napprovers = 3\n", 1, "[[approvals.rules]]"),
    ("\n[[approvals.rules]]\napprovers = 2\n", 2, "needs `operations`"),
    (f"{RULE}{RULE}approvers = 0\n", 5, "at least 1, not `0`"),
    (f"{RULE}approvers = true\n", 3, "not `true`"),
    (f"{RULE}approvers = '2'\n", 3, "not `2`"),
    (f"{RULE}over_records = -1\n", 3, "at least 0"),
    (f"{RULE}over_records = 1.5\n", 3, "at least 0"),
    (f"{RULE}over = 1\n", 3, "or `over_records`"),
    (f'{RULE}groups = "S0ONCALL"\n', 3, "must be a list"),
    (f'{RULE}groups = ["oncall"]\n', 3, "not `oncall`"),
    (f'{RULE}people = [\n  "U0LEAD",\n  "@lead",\n]\n', 5, "not `@lead`"),
    (f"{RULE}people = []\n", 3, "is empty"),
    (f'{RULE}roles = ["manager"]\n', 3, "Did you mean `Manager`"),
    (f'{RULE}roles = ["admin"]\n', 3, "not a role there"),
    ('[[approvals.rules]]\noperations = ["qualys.edit"]\n', 2, "qualys.edit_tickets"),
    ('[[approvals.rules]]\noperations = ["qualys.*", "jira.*"]\n', 2, "`jira.*` matches no"),
    ("[[approvals.rules]]\noperations = []\n", 2, "is empty"),
    (f"{RULE}where = {{ }}\n", 3, "is empty"),
    (f"{RULE}where = 3\n", 3, "must be a table"),
    (f'{RULE}where = {{ chnge_state = ["IGNORED"] }}\n', 3, "Did you mean `change_state`"),
    (f'{RULE}\n[approvals.rules.where]\n\nstatus = ["new"]\n', 6, "not a parameter of these"),
    (f'{RULE}where.change_state = ["IGNORE"]\n', 3, "Did you mean `IGNORED`"),
    (f'{RULE}where.change_state = "IGNORED"\n', 3, "list of values"),
    (f"{RULE}where.change_state = []\n", 3, "list of values"),
    (f"{RULE}where.change_assignee = [true]\n", 3, "texts or whole numbers"),
    (f'{RULE}where.reopen_ignored_days = ["soon"]\n', 3, "not a value of"),
    ("channels = 1\n", 1, "[[channels]]"),
    ('[[channels]]\nid = "C0OPS"\n', 1, "needs `allow`"),
    ('[[channels]]\nid = "ops"\nallow = []\n', 2, "not `ops`"),
    ('[[channels]]\nid = "C0OPS"\nallow = ["qualys.tickets"]\n', 3, "matches no operation"),
    ('[[channels]]\nid="C1"\nallow=[]\n[[channels]]\nid="C1"\nallow=[]\n', 5, "listed twice"),
    ('[[channels]]\nid = "C0OPS"\nallow = []\ndeny = []\n', 4, "`deny` is not known"),
    ('[jira]\nroles = ["x"]\n', 1, "`jira` is not known"),
    ("[xpanse]\n", 1, "needs `roles`"),
    ("[xpanse]\nroles = [1]\n", 2, "must hold names"),
    ("[xpanse]\nrole = []\n", 2, "Did you mean `roles`"),
    ('[qualys]\nroles = ["Manger"]\n', 2, "Did you mean `Manager`"),
    ("[[quiet]]\n", 1, "needs `vendor`"),
    ('[[quiet]]\nvendor = "jira"\nfrom = "22:00"\nto = "05:00"\n', 2, "not a vendor"),
    (f'{WINDOW}from = "24:00"\nto = "05:00"\n', 3, "not `24:00`"),
    (f'{WINDOW}from = "22:00"\nto = 05:00:00\n', 4, "`to` must be"),
    (f'{WINDOW}from = "22:00"\nto = "22:00"\n', 4, "must not end when it begins"),
    (f'{WINDOW}days = ["caturday"]\nfrom = "22:00"\nto = "05:00"\n', 3, "not `caturday`"),
    (f'{WINDOW}from = "22:00"\nto = "05:00"\ntimezone = "Mars/Base"\n', 5, "not a time zone"),
    (f'{WINDOW}from = "22:00"\nto = "05:00"\ntimezone = "../x"\n', 5, "not a time zone"),
    ("[approvals]\ndefaults = maybe\n", 2, "Invalid value"),
    ("[approvals]\ndefaults = true\ndefaults = true\n", 3, "overwrite"),
    ('[approvals]\nchannel = "C1', 2, "Unterminated"),
    ('[approvals]\nchannel = """\n\n', 2, "Unterminated"),
]


@pytest.mark.parametrize(("text", "line", "words"), BAD)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, words: str, ends: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(text.replace("\n", ends))
    assert isinstance(caught.value, AmendError)
    assert str(caught.value).startswith(f"Policy, line {line}: ")
    assert caught.value.line == line
    assert words in str(caught.value)


def test_the_line_is_that_of_the_right_table() -> None:
    text = (
        '# approvers = 0\n[approvals]\nchannel = "C1" # approvers\n'
        '[[approvals.rules]]\noperations = [\n  "qualys.*",\n]\napprovers = 1\n'
        '[[approvals.rules]]\n"operations" = ["zstack.*"]\n\n"approvers" = 0\n'
    )
    with pytest.raises(PolicyError, match="line 12: `approvers`"):
        load(text)


@given(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["#", "# approvers = 0", ""]))
def test_lines_before_and_after_do_not_confuse(before: int, after: int, filler: str) -> None:
    text = f"{filler}\n" * before + "[[approvals.rules]]\noperations = ['*']\napprovers = 0\n"
    with pytest.raises(PolicyError) as caught:
        load(text + f"{filler}\n" * after)
    assert caught.value.line == before + 3
