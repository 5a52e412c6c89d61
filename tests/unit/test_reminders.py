"""When an end is told of: each stage once, and only the nearest after a downtime."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.reminders import let_go, reminder

END = date(2027, 6, 30)


@pytest.mark.parametrize(
    ("left", "within", "stage"),
    [
        (31, 30, None),
        (30, 30, 30),
        (8, 30, 30),
        (7, 30, 7),
        (2, 30, 7),
        (1, 30, 1),
        (0, 30, 1),
        (-1, 30, None),
        (5, 5, 5),
        (7, 5, None),
        (1, 1, 1),
        (365, 365, 365),
    ],
)
def test_the_nearest_stage_is_due(left: int, within: int, stage: int | None) -> None:
    found = reminder(END, END - timedelta(days=left), within)
    assert (found.stage if found else None) == stage


def told(days: list[int], within: int, remembered: str = "") -> list[int]:
    """The stages that somebody hears of who looks at so many days before the end."""
    heard = []
    for left in days:
        found = reminder(END, END - timedelta(days=left), within)
        if found and found.is_due(remembered):
            heard.append(found.stage)
            remembered = found.key
    return heard


def test_looked_at_daily_each_stage_is_told_once() -> None:
    assert told(list(range(60, -3, -1)), 30) == [30, 7, 1]


def test_after_a_downtime_only_the_nearest_is_told() -> None:
    assert told([40, 3, 2], 30) == [7]
    assert told([40, 0], 30) == [1]


def test_what_is_let_go_is_told_no_more_and_another_end_is() -> None:
    assert told([20, 7, 1], 30, let_go(END.isoformat())) == []
    assert told([20, 7, 1], 30, let_go("2027-01-01")) == [30, 7, 1]


@given(
    st.lists(st.integers(-400, 400), max_size=60),
    st.integers(1, 365),
)
def test_however_often_it_is_looked_at_nothing_is_told_twice(days: list[int], within: int) -> None:
    heard = told(days, within)
    assert len(set(heard)) == len(heard)
    assert heard == sorted(heard, reverse=True)
    assert set(heard) <= {within, 7, 1}
