"""Quiet windows: when the next one begins and ends, in the window's own time zone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.domain.policy import Quiet


def next_window(windows: Iterable[Quiet], now: float) -> tuple[float, float] | None:
    """The window that is open at `now`, else the next to open, as (begin, end) in epoch seconds."""
    ahead = [span for window in windows for span in _spans(window, now) if span[1] > now]
    return min(ahead, default=None)


def _spans(window: Quiet, now: float) -> Iterator[tuple[float, float]]:
    """The spans that begin on the days around `now`; a week ahead holds each weekday once."""
    zone = ZoneInfo(window.timezone)
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    for days in range(-1, 8):
        day = today + timedelta(days=days)
        if day.weekday() in window.days:
            after = timedelta(days=int(window.ends <= window.begins))
            yield (
                _moment(day.isoformat(), window.begins, zone),
                _moment((day + after).isoformat(), window.ends, zone),
            )


def _moment(day: str, at: time, zone: ZoneInfo) -> float:
    return datetime.fromisoformat(f"{day}T{at.isoformat()}").replace(tzinfo=zone).timestamp()
