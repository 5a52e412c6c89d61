"""A look back: what is counted, how it is bucketed, and when it is repeated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from bot.domain.errors import invalid
from bot.domain.operations import Result

DAYS, LEAST_DAYS, MOST_DAYS = 30, 7, 90
BY_DAY = 14  # days up to which each is told apart; beyond them weeks are
ENDS_SOON = 30  # days
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY = re.compile(r"([a-z]{3})[a-z]*\s*@\s*([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Line:
    """One operation's requests, and what became of their records."""

    operation: str
    requests: int
    ended: Mapping[Result, int]


@dataclass(frozen=True)
class LookBack:
    """What Amend recorded and the watches saw of some vendors from `since` on (epoch seconds).

    `ours` and `elsewhere` are changes by day; `waits` seconds for each approval that was given;
    `open_records` by kind and state; `ending` exceptions that end soon, None where no watch looks.
    """

    since: float
    days: int
    zone: str
    lines: Sequence[Line] = ()
    ours: Mapping[date, int] = field(default_factory=dict)
    elsewhere: Mapping[date, int] = field(default_factory=dict)
    waits: Sequence[float] = ()
    open_records: Mapping[tuple[str, str], int] = field(default_factory=dict)
    ending: int | None = None

    @property
    def requests(self) -> int:
        return sum(each.requests for each in self.lines)

    def records(self, result: Result) -> int:
        return sum(each.ended.get(result, 0) for each in self.lines)

    @property
    def wait(self) -> float | None:
        """The median wait for an approval in seconds; None where none was given."""
        return median(self.waits) if self.waits else None

    @property
    def by_day(self) -> bool:
        return self.days <= BY_DAY

    def buckets(self) -> list[tuple[date, int, int]]:
        """(first day, through Amend, elsewhere) of each day, or of each week that begins on Monday."""
        first, last = (day_of(at, self.zone) for at in (self.since, self.since + self.days * 86400))
        step = timedelta(days=1 if self.by_day else 7)
        at = first if self.by_day else _monday(first)
        ours, elsewhere = self._in_buckets(self.ours), self._in_buckets(self.elsewhere)
        found = []
        while at <= last:
            found.append((at, ours[at], elsewhere[at]))
            at += step
        return found

    def _in_buckets(self, days: Mapping[date, int]) -> Counter[date]:
        found: Counter[date] = Counter()
        for day, many in days.items():
            found[day if self.by_day else _monday(day)] += many
        return found


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def day_of(at: float, zone: str) -> date:
    """The day on which a time lies for somebody in this zone."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone)).date()


def weekly(words: str) -> tuple[int, time]:
    """(weekday, 0 for Monday; time of day) of `mon@09:00`. Raises `InvalidInput`."""
    found = _EVERY.fullmatch(words.strip().lower())
    if found is None or found[1] not in WEEKDAYS:
        message = f"`every` takes a weekday and a time such as `mon@09:00`, not `{words}`."
        raise invalid(message, "every")
    return WEEKDAYS.index(found[1]), time(int(found[2]), int(found[3]))


def next_weekly(words: str, zone: str, after: float) -> float:
    """The next such moment after `after`, in epoch seconds. Raises `InvalidInput`."""
    weekday, at = weekly(words)
    place = ZoneInfo(zone)
    day = day_of(after, zone)
    day += timedelta(days=(weekday - day.weekday()) % 7)
    found = datetime.combine(day, at, place)
    if found.timestamp() <= after:
        found = datetime.combine(day + timedelta(days=7), at, place)
    return found.timestamp()
