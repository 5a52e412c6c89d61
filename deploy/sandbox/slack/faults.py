"""Faults that can be switched on, here and in the vendors' stand-ins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

# socket_* act on the connections at once; channel_pace enforces one message per second and channel.
SLACK_FAULTS = {
    "rate_limited": "answers the bot's next call with 429 and a time to wait",
    "server_error": "answers the bot's next call with HTTP 500",
    "slow": "answers the bot's calls only after some seconds",
    "slow_answer": "does what the bot's calls ask at once, and answers only after some seconds",
    "slow_follow": "follows the bot's acknowledgement of a form only after a second",
    "channel_pace": "holds the bot to one message a second in each channel",
    "older_workspace": "plays a workspace that does not know Slack's own tables and charts yet",
    "socket_drop": "cuts the bot's connection without a word",
    "socket_refresh": "asks the bot to connect again, as Slack does now and then",
    "socket_silent": "leaves the bot's connection open and sends nothing over it",
}

ERROR = "error:"  # and one of the errors that Slack's reference lists for a method


@dataclass
class Switch:
    """The fault of one target that is on, if any; `only` is the one call that it strikes."""

    name: str | None = None
    times: int | None = None
    until: float | None = None
    only: str | None = None

    def set(
        self, name: str | None, times: int | None, seconds: float | None, only: str | None = None
    ) -> None:
        """Switches one fault on in place of another, or all off."""
        self.name, self.times, self.only = name, times, only
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

    def named(self, call: str) -> str:
        """The error of Slack's own (`error:NAME`) that strikes this call, "" for none."""
        active = self.active()
        name = str(active["fault"]) if active else ""
        return name[len(ERROR) :] if name.startswith(ERROR) and self.take(name, call) else ""

    def take(self, name: str, call: str = "") -> bool:
        """Whether this one is on and strikes this call; uses up one of its times."""
        if not self.is_on(name) or self.only not in (None, call):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Vendor:
    """A vendor's stand-in, as the page shows it."""

    name: str
    url: str
    # Each fault with a sentence that says what it does.
    faults: Mapping[str, str]
    set_fault: Callable[[str | None, Json], None]
    # A stand-in knows best when its fault is used up; without this the switch below decides.
    current: Callable[[], Json | None] | None
    switch: Switch

    def page(self) -> Json:
        """Its part of the state."""
        active = self.current() if self.current else self.switch.active()
        faults = {"available": list(self.faults), "says": dict(self.faults), "active": active}
        return {"name": self.name, "url": self.url, "faults": faults}

    def switch_fault(
        self, name: str | None, times: int | None, seconds: float | None, only: str | None = None
    ) -> None:
        """Tells the stand-in, and remembers; `only` is a part of the path of the calls it hits."""
        self.switch.set(name, times, seconds)
        wanted = {"times": times, "seconds": seconds, "only": only}
        self.set_fault(name, {key: one for key, one in wanted.items() if one is not None})
