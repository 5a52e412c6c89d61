"""The time as a ZStack server's own clock shows it, which access keys are signed with.

By default the server compares the wall clock of a call with its own and ignores the zone that is
written beside it (`checkTimeZone` off, facts C.3): 15 minutes off is `requestTimeTooSkewed`, HTTP 403,
before anything else is looked at. So the *server's local* time has to be sent.
"""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

AUTO = "auto"
NEAR = 600.0  # seconds; a server allows 15 minutes, and a call takes its time
QUARTER = 900.0
# Hours of the zones that are in use, ZStack's own home first.
ZONES = (8.0, 0.0, 1.0, 2.0, -5.0, -4.0, 9.0, 5.5, 7.0, 3.0, -6.0, -7.0, -8.0, 4.0, 5.0, 6.0, 10.0)
RARE = (-3.0, 11.0, 12.0, 13.0, -9.0, -10.0, -11.0, -12.0, -2.0, -1.0, 14.0, 3.5, 4.5, 5.75, 6.5)
ODD = (9.5, 10.5, -3.5, -2.5, -9.5, 8.75, 12.75, 13.75)


class WallClock:
    """`zone` is an IANA name, or `auto`: learned from the server. `now` gives epoch seconds."""

    def __init__(self, zone: str, now: Callable[[], float]) -> None:
        self._zone = None if zone == AUTO else ZoneInfo(zone)
        self._now = now
        self._shift = 0.0

    @property
    def learns(self) -> bool:
        return self._zone is None

    @property
    def shift(self) -> float:
        """Seconds by which the server's wall clock is ahead of UTC here."""
        if self._zone is None:
            return self._shift
        offset = datetime.fromtimestamp(self._now(), UTC).astimezone(self._zone).utcoffset()
        return (offset or timedelta()).total_seconds()

    @shift.setter
    def shift(self, seconds: float) -> None:
        self._shift = seconds

    def date(self) -> str:
        """The `Date` header, as `EEE, dd MMM yyyy HH:mm:ss z`: true also where zones are compared."""
        written = email.utils.formatdate(self._now() + self.shift, usegmt=True)
        zone = round(self.shift / QUARTER) * QUARTER
        if not zone:
            return written
        hours, minutes = divmod(abs(int(zone)) // 60, 60)
        return f"{written}{'-' if zone < 0 else '+'}{hours:02}:{minutes:02}"

    def guesses(self, told: str) -> Iterator[float]:
        """Shifts to try after a skewed time, likely ones first; `told` is the answer's `Date`."""
        apart = self._apart(told)
        if abs(apart) > NEAR:
            yield apart
        for hours in (*ZONES, *RARE, *ODD):
            yield apart + hours * 3600

    def _apart(self, told: str) -> float:
        """How far the clock of the answer is ahead of ours; 0 where it tells none."""
        try:
            theirs = email.utils.parsedate_to_datetime(told).replace(tzinfo=UTC)
        except (TypeError, ValueError):
            return 0.0
        return theirs.timestamp() - self._now()
