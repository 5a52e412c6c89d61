"""Forms hold what they are filled with exactly, or are not offered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bot.bootstrap import entries
from bot.domain.errors import InvalidInput, Problem
from bot.domain.operations import Operation, canonical
from bot.domain.parameters import Param, Widget, read
from bot.domain.people import Account
from bot.domain.reading import read_text
from bot.slack.views import forms, peopleforms
from bot.slack.views.cards import problem_reply
from bot.slack.views.review import command_line
from deploy.sandbox.slack.block_rules import problems

OPERATIONS = [
    made for entry in entries() for each in entry.operations if (made := each.__new__(each))
]
BY_NAME = {each.name: each for each in OPERATIONS}


def submitted(view: Mapping[str, Any]) -> dict[str, Any]:
    """What Slack sends as `state.values` when a view is submitted as it was opened."""
    state: dict[str, Any] = {}
    for block in view["blocks"]:
        if block["type"] != "input":
            continue
        element = block["element"]
        now = {"type": element["type"]}
        now |= {
            name: element[f"initial_{name.removeprefix('selected_')}"]
            for name in ("value", "selected_option", "selected_options", "selected_date")
            if f"initial_{name.removeprefix('selected_')}" in element
        }
        state[block["block_id"]] = {element["action_id"]: now}
    return state


def read_back(operation: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
    view = forms.form_view(operation, values, draft="D1")
    return canonical(read(operation.parameters, forms.read_form(operation, submitted(view))))


# --- what values look like, by parameter; the vendors' documents say so --------------------------

NUMBERS = st.lists(st.integers(100, 999_999_999).map(str), min_size=1, max_size=900)
IDS = st.integers(1, 10**12).map(str)
LOGINS = st.from_regex(r"[a-z_0-9]{1,200}", fullmatch=True)
TITLES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ]{0,160}[a-z]", fullmatch=True)
BY_PARAMETER: dict[str, st.SearchStrategy[Any]] = {
    "ticket_numbers": NUMBERS,
    "since_ticket_number": IDS,
    "until_ticket_number": IDS,
    "qids": st.lists(IDS.map(lambda each: each[:10]), min_size=1, max_size=10),
    "ips": st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=300),
    "asset_groups": st.lists(TITLES, min_size=1, max_size=120),
    "change_assignee": LOGINS,
    "ticket_assignee": LOGINS,
    "TicketNumber": st.lists(
        st.integers(1, 9_999_999).map("INCA{:07}".format), min_size=1, max_size=400
    ),
    "incident_id": st.lists(IDS, min_size=1, max_size=600),
    "assigned_user_mail": st.just("") | LOGINS.map("{}@example.com".format),
    "uuid": st.lists(st.uuids().map(lambda each: each.hex), min_size=1, max_size=120),
    "exception_numbers": st.lists(IDS, min_size=1, max_size=150),
    "systemTags": st.lists(TITLES, min_size=1, max_size=30),
    "userTags": st.lists(TITLES, min_size=1, max_size=30),
}
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\n"), min_size=1)
WORDS = TEXT | TEXT.map(lambda each: (each * 4000)[:3500])


def values_of(name: str, spec: Param) -> st.SearchStrategy[Any]:
    if name in BY_PARAMETER:
        return BY_PARAMETER[name]
    if spec.widget is Widget.MULTI_SELECT:
        return st.lists(st.sampled_from(list(spec.choices)), min_size=1, unique=True)
    if spec.choices:
        return st.sampled_from(list(spec.choices))
    if spec.widget is Widget.NUMBER:
        return st.integers(spec.least or 0, spec.most or 1000)
    if spec.widget is Widget.DATE:
        return st.dates().map(str) | st.just("2018-01-01T10:00:00Z")
    return IDS if name.endswith("_id") else WORDS


def legal(operation: Operation) -> st.SearchStrategy[dict[str, Any]]:
    params = operation.params()
    needed = {name for name in params if operation.parameters.model_fields[name].is_required()}
    needed.add(operation.records_in)
    wanted = {name: values_of(name, params[name]) for name in sorted(needed)}
    rest = {name: values_of(name, spec) for name, spec in params.items() if name not in needed}
    return st.fixed_dictionaries(wanted, optional=rest)


def legal_part(operation: Operation, values: dict[str, Any]) -> dict[str, Any]:
    """The values without those that a rule is broken by, until none is broken."""
    while values:
        try:
            return canonical(read(operation.parameters, values))
        except InvalidInput as error:
            wrong = {each.name for each in error.problems}
            if not wrong & set(values):
                return {}
            values = {name: each for name, each in values.items() if name not in wrong}
    return {}


# Rules between parameters (one of two, an end with an approval) let few draws through.
FEW_FIT = hypothesis_settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@pytest.mark.parametrize("name", sorted(BY_NAME))
@FEW_FIT
@given(data=st.data())
def test_a_form_holds_legal_values_exactly_or_is_not_offered(name: str, data: Any) -> None:
    operation = BY_NAME[name]
    values = data.draw(legal(operation))
    wanted = legal_part(operation, values)
    assume(wanted)
    shown = forms.form_or_review(operation, wanted, draft="D1")
    assert problems("modal", shown) == []
    if forms.holds(operation, wanted):
        assert read_back(operation, wanted) == wanted
    else:
        assert [each for each in shown["blocks"] if each["type"] == "input"] == []
        assert shown["blocks"][-1]["elements"][0]["action_id"] == "review"


@pytest.mark.parametrize("name", sorted(each.name for each in OPERATIONS if each.command))
@FEW_FIT
@given(data=st.data())
def test_the_command_that_a_review_shows_asks_for_exactly_that(name: str, data: Any) -> None:
    """So the form, the typed text and the mention put the same on the wire, and nothing besides."""
    operation = BY_NAME[name]
    wanted = legal_part(operation, data.draw(legal(operation)))
    assume(wanted)
    shown = command_line(operation, wanted).removeprefix(f"{operation.typed_as()} ")
    # The grammar has no way to say a backslash in front of a quote.
    assume(not any(re.search(r"\\(?:[\"'“”„‘’«»]|\Z)", str(each)) for each in wanted.values()))
    found = read_text(operation, shown)
    # What stands in quotes of its own is the same value, and reviewed once more.
    in_quotes = re.compile(r"[\"'“”„‘’‚«»].*[\"'“”„‘’«»]", re.DOTALL)
    assert not found.guessed or any(in_quotes.fullmatch(str(each)) for each in wanted.values())
    assert canonical(read(operation.parameters, found.values)) == wanted


def test_six_hundred_numbers_are_held_by_no_form_and_offered_for_review() -> None:
    operation = BY_NAME["qualys.edit_tickets"]
    values = {
        "ticket_numbers": ",".join(str(23000 + n) for n in range(600)),
        "change_state": "OPEN",
    }
    reply = problem_reply(operation, [Problem("", "Wrong.")], values, "D1")
    actions = [
        each["action_id"]
        for block in reply["blocks"]
        for each in block.get("elements", [])
        if each.get("type") == "button"
    ]
    assert actions == ["review"]
    assert "600 tickets were understood" in str(reply["blocks"])


def test_numbers_alone_are_no_request_so_fewer_are_asked_for() -> None:
    operation = BY_NAME["qualys.edit_tickets"]
    values = {"ticket_numbers": ",".join(str(23000 + n) for n in range(600))}
    shown = forms.form_or_review(operation, values, draft="D1")
    assert [each["type"] for each in shown["blocks"]] == ["section"]
    assert "Name fewer" in str(shown)
    assert "600 tickets" in str(shown)


def test_what_is_not_legal_is_kept_as_it_was_typed() -> None:
    operation = BY_NAME["qualys.edit_tickets"]
    values = {
        "reopen_ignored_days": "999",
        "add_comment": "x" * 2500,
        "modified_since_datetime": "2018-13-40",
    }
    view = forms.form_view(operation, values, draft="D1")
    back = forms.read_form(operation, submitted(view))
    assert back == values
    assert problems("modal", view) == []


def test_choices_that_do_not_hold_what_was_chosen_narrow_nothing() -> None:
    operation = BY_NAME["qualys.request_exception"]
    values = {"technology_id": "45"}
    many = {str(each): f"technology {each}" for each in range(101)}
    for choices in ({"46": "other"}, many):
        view = forms.form_view(operation, values, draft="D1", choices={"technology_id": choices})
        assert forms.read_form(operation, submitted(view)) == values


SCOPES = st.lists(st.integers(0, 255).map("10.{}.0.0/16".format), max_size=400)


@given(SCOPES)
def test_an_entry_of_a_person_is_held_whole_or_not_offered(scope: list[str]) -> None:
    entry = Account("qualys", "acme_um", "Unit Manager", tuple(scope))
    if not peopleforms.fits_entry(entry):
        assert len("; ".join(scope)) > 3000
        return
    vendors: list[Any] = []
    view = peopleforms.entry_view(vendors, "U1", entry)
    cells = submitted(view)
    assert (cells["scope"]["scope"].get("value") or "") == "; ".join(scope)
