"""How fast Slack may be spoken to, channel by channel."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

EVERY = 1.05  # seconds between two new messages in a channel that holds up for long
BURST = 3  # new messages that Slack takes at once from somebody who was quiet before


@dataclass
class Pace:
    """A short burst of new messages a channel, then one a second; and the pauses that Slack asks for.

    Slack: "no more than one message per second per channel, while allowing bursts over that limit
    for short periods of time". Where a burst was too much for it, it answers 429 and a wait.
    """

    clock: Callable[[], float] = time.monotonic
    _full_at: dict[str, float] = field(default_factory=dict)
    _blocked: dict[str, float] = field(default_factory=dict)

    def may_post(self, channel: str) -> bool:
        """May a new message go there now?"""
        room = self.clock() + (BURST - 1) * EVERY
        return self._full_at.get(channel, 0.0) <= room and not self.blocked(channel)

    def posted(self, channel: str) -> None:
        """A new message went there."""
        self._full_at[channel] = max(self._full_at.get(channel, 0.0), self.clock()) + EVERY

    def block(self, channel: str, seconds: float) -> None:
        """Slack asked to be left alone there; afterwards no burst is left."""
        until = self.clock() + seconds
        self._blocked[channel] = until
        self._full_at[channel] = until + (BURST - 1) * EVERY

    def blocked(self, channel: str) -> bool:
        return self._blocked.get(channel, 0.0) > self.clock()

    def slow(self) -> list[str]:
        """The channels that take no new message now. Those that are at rest again are forgotten."""
        now = self.clock()
        self._blocked = {name: until for name, until in self._blocked.items() if until > now}
        self._full_at = {name: full for name, full in self._full_at.items() if full > now}
        return [name for name in self._full_at if not self.may_post(name)]

    def silent(self) -> list[str]:
        """The channels that take nothing at all now, no edit either."""
        return [name for name in self._blocked if self.blocked(name)]
