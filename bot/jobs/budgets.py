"""Budgets: how many edits a second a vendor account may have, whoever makes them.

One process keeps a sliding window. Replicas, which share a database, stand in one line there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate, SingleBucketFactory

from bot.db.budgets import Line
from bot.db.store import Store


class Turns(Protocol):
    """The edits of one account."""

    async def take(self) -> None:
        """Wait until another edit may go out."""


@dataclass
class Budgets:
    """A window for each vendor account and rate; with `shared` a line in that database."""

    shared: Store | None = None
    _windows: dict[tuple[str, int], Window] = field(default_factory=dict)

    def turns(self, account: str, per_second: int) -> Turns:
        """Those of an account; 0 edits a second means that it has no limit."""
        if self.shared is not None and per_second:
            return Line(self.shared, account, per_second)
        return self._windows.setdefault((account, per_second), Window(per_second))


class Window:
    """At most `per_second` edits in any second; as many as one likes for 0."""

    def __init__(self, per_second: int) -> None:
        self._bucket = InMemoryBucket([Rate(per_second, Duration.SECOND)]) if per_second else None
        if self._bucket:
            # What has left the window is dropped below, so that no thread need look after it.
            self._limiter = Limiter(SingleBucketFactory(self._bucket, schedule_leak=False))

    async def take(self) -> None:
        """Wait until another edit may go out."""
        if self._bucket is None:
            return
        self._bucket.leak(int(self._bucket.now()))  # type: ignore[no-untyped-call]
        await self._limiter.try_acquire_async("edit")
