"""Faults that can be switched on, here and in the vendors' stand-ins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

# socket_* act on the connections at once; channel_pace enforces one message per second and channel.
SLACK_FAULTS = (
    "rate_limited",
    "server_error",
    "slow",
    "channel_pace",
    "socket_drop",
    "socket_refresh",
    "socket_silent",
)


@dataclass
class Switch:
    """The fault of one target that is on, if any."""

    name: str | None = None
    times: int | None = None
    until: float | None = None

    def set(self, name: str | None, times: int | None, seconds: float | None) -> None:
        """Switches one fault on in place of another, or all off."""
        self.name, self.times = name, times
        self.until = None if seconds is None else time.monotonic() + seconds

    def active(self) -> Json | None:
        """What is on now."""
        over = self.until is not None and time.monotonic() >= self.until
        if self.name is None or over or self.times == 0:
            return None
        return {"fault": self.name, "times": self.times}

    def is_on(self, name: str) -> bool:
        """Whether this one is on, without using it up."""
        active = self.active()
        return active is not None and active["fault"] == name

    def take(self, name: str) -> bool:
        """Whether this one is on; uses up one of its times."""
        if not self.is_on(name):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Vendor:
    """A vendor's stand-in, as the page shows it."""

    name: str
    url: str
    fault_names: Sequence[str]
    set_fault: Callable[[str | None, Json], None]
    # A stand-in knows best when its fault is used up; without this the switch below decides.
    current: Callable[[], Json | None] | None
    switch: Switch

    def page(self) -> Json:
        """Its part of the state."""
        active = self.current() if self.current else self.switch.active()
        faults = {"available": list(self.fault_names), "active": active}
        return {"name": self.name, "url": self.url, "faults": faults}

    def switch_fault(self, name: str | None, times: int | None, seconds: float | None) -> None:
        """Tells the stand-in, and remembers."""
        self.switch.set(name, times, seconds)
        wanted = {"times": times, "seconds": seconds}
        self.set_fault(name, {key: one for key, one in wanted.items() if one is not None})
