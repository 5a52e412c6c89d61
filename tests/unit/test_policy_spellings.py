"""A rule of the policy is met by a value in whatever spelling it was typed, or sent back by an undo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bot.bootstrap import entries, policy_names
from bot.domain.operations import Operation
from bot.domain.parameters import given, read, takes
from bot.domain.policy import Policy
from integrations.ccs import config as ccs
from integrations.xpanse import config as xpanse

NUMBER = "INCA0000009"
UUID = "f4483251fdfd48cdae0dbb966a2652c9"
EXCEPTION = {"exception_numbers": "1", "status": "Approved", "end_date": "2027-03-31"}
EXCEPTION |= {"comments": "reviewed"}
WISH = {
    "policy_id": "1",
    "control_id": "1",
    "host_id": "1",
    "technology_id": "1",
    "assignee_id": "1",
    "comments": "because",
}
# operation → what else a request needs; then parameter → spellings of one and the same value.
REST: dict[str, Mapping[str, str]] = {
    "qualys.edit_tickets": {"ticket_numbers": "23456", "add_comment": "checked"},
    "qualys.request_exception": WISH,
    "qualys.decide_exception": EXCEPTION,
    "ccs.update_ticket": {"TicketNumber": NUMBER, "TicketDescription": "patched"},
    "xpanse.update_incident": {"incident_id": "71", "comment": "seen"},
    "zstack.change_ticket_status": {"uuid": UUID, "statusEvent": "approve"},
}
SPELLINGS: dict[str, dict[str, list[str]]] = {
    "qualys.edit_tickets": {
        "change_state": ["RESOLVED", "resolved", " Resolved "],
        "reopen_ignored_days": ["30", "030", "+30"],
        "states": ["OPEN", "open"],
        "ticket_numbers": ["215555", "00215555"],
        "ips": ["10.0.0.1-10.0.0.9", "10.0.0.1 - 10.0.0.9", "10.0.0.1 – 10.0.0.9"],
        "change_assignee": ["acme_ac", "ACME_AC"],
    },
    "qualys.request_exception": {
        "assignee_id": ["7", "007"],
        "reopen_on_evidence_change": ["1", "Yes"],
    },
    "qualys.decide_exception": {
        "status": ["Approved", "APPROVED"],
        "end_date": ["2027-03-31", "03/31/2027", "3/31/2027"],
    },
    "ccs.update_ticket": {
        "TicketState": ["2", "Remediation Performed", "remediation performed"],
        "Priority": ["3", "3.0", "03", "High", "HIGH", " high "],
    },
    "xpanse.update_incident": {
        "status": ["under_investigation", "UNDER_INVESTIGATION", "Under investigation"],
        "manual_severity": ["high", "HIGH"],
        "assigned_user_mail": ["ann@acme.example", "Ann@ACME.example"],
    },
    "zstack.change_ticket_status": {
        "statusEvent": ["approve", "APPROVE"],
        "uuid": [UUID, UUID.upper(), "f4483251-fdfd-48cd-ae0d-bb966a2652c9"],
    },
}
CASES = [
    (name, parameter, typed, ruled)
    for name, parameters in SPELLINGS.items()
    for parameter, spellings in parameters.items()
    for typed in spellings
    for ruled in spellings
]


@pytest.fixture(autouse=True)
def _site(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CCS_PRIORITIES", "1=Low, 2=Medium, 3=High")
    ccs.priorities.cache_clear()
    xpanse.statuses.cache_clear()
    yield
    monkeypatch.undo()
    ccs.priorities.cache_clear()


def operations() -> dict[str, type[Operation]]:
    return {each.name: each for entry in entries() for each in entry.operations}


def rule(name: str, parameter: str, value: str) -> Policy:
    text = f"""
[approvals]
defaults = false
[[approvals.rules]]
operations = ["{name}"]
where = {{ {parameter} = ['{value}'] }}
"""
    return Policy.load(text, *policy_names(entries()))


@pytest.mark.parametrize(("name", "parameter", "typed", "ruled"), CASES)
def test_no_spelling_goes_past_a_rule(name: str, parameter: str, typed: str, ruled: str) -> None:
    found = operations()[name]
    values: dict[str, Any] = {**REST[name], parameter: typed}
    if parameter == "reopen_ignored_days":
        values["change_state"] = "IGNORED"
    asked = given(read(found.parameters, values))
    assert len(rule(name, parameter, ruled).demands(name, asked, 1)) == 1


@pytest.mark.parametrize(("name", "parameter", "typed", "ruled"), CASES)
def test_nor_do_the_values_that_an_undo_sends(
    name: str, parameter: str, typed: str, ruled: str
) -> None:
    sent = operations()[name].as_read({parameter: typed.strip()})
    assert len(rule(name, parameter, ruled).demands(name, sent, 1)) == 1


@pytest.mark.parametrize("other", ["Low", "2", "13", "Highest"])
def test_another_value_meets_no_rule(other: str) -> None:
    found = operations()["ccs.update_ticket"]
    asked = given(read(found.parameters, {"TicketNumber": NUMBER, "Priority": other}))
    assert rule(found.name, "Priority", "High").demands(found.name, asked, 1) == ()


def test_every_choice_that_has_words_of_its_own_is_the_same_by_them() -> None:
    for name, found in operations().items():
        for parameter, spec in found.params().items():
            for value, words in spec.choices.items():
                if not takes(found.parameters, parameter, words):
                    continue
                both = [found.as_read({parameter: each}) for each in (value, words)]
                assert both[0] == both[1], (name, parameter, value)


def test_without_a_sites_numbers_a_number_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CCS_PRIORITIES")
    ccs.priorities.cache_clear()
    found = operations()["ccs.update_ticket"]
    asked = read(found.parameters, {"TicketNumber": NUMBER, "Priority": "3"})
    assert given(asked)["Priority"] == "3"
