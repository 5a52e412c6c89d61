"""A look back's buckets and its weekly moments, over time zones and their changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import InvalidInput
from bot.domain.lookback import LookBack, next_weekly

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31))  # noqa: DTZ001 - made aware below


@given(
    MOMENTS, st.sampled_from(ZONES), st.sampled_from(["mon", "Sunday", "fri"]), st.integers(0, 23)
)
def test_the_next_moment_lies_ahead_within_a_week_and_on_its_day(
    moment: datetime, zone: str, day: str, hour: int
) -> None:
    after = moment.replace(tzinfo=UTC).timestamp()
    found = next_weekly(f"{day}@{hour}:30", zone, after)
    local = datetime.fromtimestamp(found, UTC).astimezone(ZoneInfo(zone))
    assert after < found <= after + timedelta(days=7, hours=2).total_seconds()
    assert local.strftime("%a").lower() == day[:3].lower()
    gap = timedelta(hours=1)  # a clock that is put forward has no such half hour
    assert (
        abs(timedelta(hours=local.hour, minutes=local.minute) - timedelta(hours=hour, minutes=30))
        <= gap
    )


@pytest.mark.parametrize(
    "words", ["", "mon", "monday 9", "xyz@09:00", "mon@24:00", "mon@09:60", "09:00"]
)
def test_what_is_no_weekly_moment_says_what_is(words: str) -> None:
    with pytest.raises(InvalidInput, match="mon@09:00"):
        next_weekly(words, "UTC", 0.0)


def test_up_to_two_weeks_are_told_by_day_and_more_by_week() -> None:
    since = datetime(2026, 11, 2, 12, tzinfo=UTC).timestamp()
    fortnight = LookBack(since, 14, "UTC", ours={date(2026, 11, 3): 2}).buckets()
    assert [each[0] for each in fortnight[:2]] == [date(2026, 11, 2), date(2026, 11, 3)]
    assert fortnight[1][1] == 2
    assert len(fortnight) == 15
    month = LookBack(
        since,
        30,
        "UTC",
        ours={date(2026, 11, 3): 2, date(2026, 11, 8): 1},
        elsewhere={date(2026, 11, 9): 4},
    ).buckets()
    assert month[:2] == [(date(2026, 11, 2), 3, 0), (date(2026, 11, 9), 0, 4)]


@given(st.integers(7, 90), st.integers(1_700_000_000, 1_900_000_000), st.sampled_from(ZONES))
def test_every_day_has_its_bucket_and_a_chart_holds_them(days: int, since: int, zone: str) -> None:
    days_seen = {date.fromtimestamp(since + at * 86400): 1 for at in range(1, days)}  # noqa: DTZ012
    look = LookBack(float(since), days, zone, ours=days_seen)
    buckets = look.buckets()
    assert sum(ours for _, ours, _ in buckets) == len(days_seen)
    assert 2 <= len(buckets) <= 20
