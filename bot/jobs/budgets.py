"""Budgets: how many edits a second a vendor account may have, kept by a sliding window.

A bulk run has its account to itself (see `engine`), so one process's window is the account's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate, SingleBucketFactory


@dataclass
class Budgets:
    """A window for each vendor account and rate, made when it is first asked for."""

    _windows: dict[tuple[str, int], Window] = field(default_factory=dict)

    def window(self, account: str, per_second: int) -> Window:
        """The window of an account; 0 edits a second means that it has no limit."""
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
