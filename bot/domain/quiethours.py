"""When a watch may speak: quiet hours and digests, in the channel's time zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

HOUR = 3600.0
DIGEST_AT = time(9, 0)  # when a daily digest is posted


def speak_at(mode: str, quiet: Mapping[str, str], last: float, now: float) -> float:
    """When the news that stand now may be posted, in epoch seconds; in the past for "at once".

    `mode` is `now`, `hourly` or `daily`; `last` is when it last spoke.
    """
    zone = ZoneInfo(quiet.get("timezone") or "UTC")
    at = now
    if mode == "hourly":
        at = last + HOUR
    elif mode == "daily":
        at = _next(datetime.fromtimestamp(last, UTC).astimezone(zone), DIGEST_AT)
    return _after_quiet(max(at, last), quiet, zone) if at > now else _after_quiet(now, quiet, zone)


def _next(after: datetime, at: time) -> float:
    found = after.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return (found if found > after else found + timedelta(days=1)).timestamp()


def _after_quiet(at: float, quiet: Mapping[str, str], zone: ZoneInfo) -> float:
    """`at`, or the end of the quiet hours that it falls into."""
    if not quiet.get("from") or not quiet.get("to"):
        return at
    local = datetime.fromtimestamp(at, UTC).astimezone(zone)
    begins, ends = time.fromisoformat(quiet["from"]), time.fromisoformat(quiet["to"])
    now = local.time()
    inside = begins <= now < ends if begins < ends else now >= begins or now < ends
    return _next(local, ends) if inside else at
