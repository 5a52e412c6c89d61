"""Slack's tables and charts: legal over whatever stands in them, and sayable without them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.views.tables import (
    Moment,
    Person,
    bars,
    data_table,
    fallback,
    older,
    pie,
    room,
    rows_of,
)
from deploy.sandbox.slack.block_rules import problems

# Names of up to 500 letters in any script, with what has a meaning to Slack and to JSON.
NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=500) | st.sampled_from(
    ["<!channel>", "<@U0MARA>", "x" * 500, "王" * 500, "👩‍🚒" * 100, "", " ", "\x00", '"\\' * 100]
)
CELLS = NAMES | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6, allow_nan=False)


def head(text: str = "head") -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


@given(st.data(), st.integers(1, 25), st.integers(1, 60))
def test_a_table_is_legal_whatever_stands_in_it(data: st.DataObject, wide: int, long: int) -> None:
    columns = data.draw(st.lists(NAMES, min_size=wide, max_size=wide))
    row = data.draw(st.lists(CELLS, min_size=wide, max_size=wide))
    block = data_table(data.draw(NAMES), columns, [row] * long)
    assert problems("message", [head(), block]) == []
    assert 1 <= rows_of(block) <= long


@pytest.mark.parametrize("many", [1, 2, 20, 100, 101, 5_000])
@pytest.mark.parametrize("name", ["a", "x" * 500, "王" * 500, "\U0001f469" * 500])
def test_many_rows_with_long_names_stay_legal(many: int, name: str) -> None:
    rows = [(str(at), name, name, at, Person("U0MARA"), Moment(1.7e9)) for at in range(many)]
    block = data_table(name, ("Number", "A", "B", "Count", "By", "When"), rows)
    assert problems("message", [head(), block]) == []
    assert block["rows"][1][3] == {"type": "raw_number", "value": 0, "text": "0"}
    assert block["row_header_column_index"] == 0


def test_twenty_records_with_names_of_any_length_all_stand() -> None:
    rows = [(str(at), "王" * 500, "refused", "x" * 500) for at in range(20)]
    assert rows_of(data_table("t", ("Number", "What", "Result", "Words"), rows)) == 20


def test_a_table_leaves_room_for_what_is_beside_it() -> None:
    beside = [head("x" * 2_900), head("y" * 2_900)]
    block = data_table("t", ("A", "B"), [("x" * 300, "y" * 300)] * 20, most=room(beside))
    assert problems("message", [*beside, block]) == []


@given(st.dictionaries(NAMES, st.integers(0, 10**6), min_size=1, max_size=40))
def test_a_pie_is_legal_and_loses_nothing(parts: dict[str, int]) -> None:
    if not any(parts.values()):
        return
    block = pie("Open records", parts)
    assert problems("message", [head(), block]) == []
    drawn = sum(each["value"] for each in block["chart"]["segments"])
    assert drawn == sum(parts.values())


@given(
    st.lists(NAMES, min_size=1, max_size=30), st.lists(NAMES, min_size=1, max_size=8, unique=True)
)
def test_bars_are_legal(categories: list[str], names: list[str]) -> None:
    series = {name: [3] * len(categories) for name in names}
    block = bars("Changes by day", categories, series, x="Day", y="Changes")
    assert problems("message", [head(), block]) == []


def test_two_charts_and_a_table_go_into_one_message() -> None:
    days = [f"Nov {day}" for day in range(1, 21)]
    two = {"Amend": list(range(20)), "Elsewhere": list(range(20))}
    charts = [bars("By day", days, two, x="Day", y="Changes"), pie("By state", {"Open": 3})]
    rows = [(f"operation {at}", at, at, at, at, "3 min") for at in range(8)]
    table = data_table("t", ("Operation", "A", "B", "C", "D", "E"), rows, most=room(charts))
    assert problems("message", [head(), *charts, table]) == []


def test_without_them_the_same_is_said_in_older_blocks_and_in_the_fallback() -> None:
    table = data_table(
        "Exceptions <now>",
        ("Number", "Host", "Days", "By", "Note"),
        [("23", "10.0.0.1", 4, Person("U0MARA"), "<!channel> & co"), ("24", "", 5, "x", "")],
    )
    chart = bars("By day", ["Mon", "Tue"], {"Amend": [2, 0], "Else": [1, 0]}, x="Day", y="Changes")
    shares = pie("By state", {"OPEN": 7, "FIXED": 3})
    blocks = [head(), table, chart, shares]
    plainer = older(blocks)
    assert {each["type"] for each in plainer} == {"section"}
    assert problems("message", plainer) == []
    said = json.dumps(plainer, ensure_ascii=False)
    for words in (
        "*23* · Host: 10.0.0.1 · Days: 4 · By: <@U0MARA> · Note: &lt;!channel&gt; &amp; co",
        "*24* · Days: 5 · By: x",
        "Exceptions &lt;now&gt;",
        "Mon: 2 Amend, 1 Else",
        "OPEN: 7",
        "FIXED: 3",
    ):
        assert words in said
        assert words in fallback("head", blocks)
    assert "Tue" not in said


@given(st.integers(1, 5_000), NAMES)
def test_the_fallback_is_bounded_and_cuts_between_lines(many: int, name: str) -> None:
    table = data_table("t", ("Number", "What"), [(str(at), name) for at in range(many)])
    text = fallback("head", [table])
    assert len(text) <= 3_100
    assert problems("message", older([table])) == []
