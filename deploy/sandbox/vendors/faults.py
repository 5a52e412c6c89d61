"""Faults that can be switched on at a stand-in, for so many calls or for so many seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """A switched-on fault. `times`: calls it still hits (None: all); `only`: part of the path."""

    name: str
    times: int | None = None
    seconds: float | None = None
    only: str = ""
    began: float = field(default=0.0, repr=False)


class FaultSwitch:
    """The switch of one stand-in.

    `seconds` is how long the fault itself takes where it is about time (`timed`: a delay, a wait),
    and how long the fault stays on for all others.
    """

    def __init__(
        self,
        available: Mapping[str, str],
        timed: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.available = dict(available)
        self._timed = timed
        self._clock = clock
        self._fault: Fault | None = None

    def set(self, name: str | None, options: Mapping[str, Any] | None = None) -> None:
        """Switch `name` on, or everything off with None. Raises ValueError for an unknown name."""
        if name is None:
            self._fault = None
            return
        if name not in self.available:
            raise ValueError(f"no such fault: {name}; there are {', '.join(self.available)}")
        given = options or {}
        times, seconds = given.get("times"), given.get("seconds")
        self._fault = Fault(
            name,
            times=None if times is None else int(times),
            seconds=None if seconds is None else float(seconds),
            only=str(given.get("only") or ""),
            began=self._clock(),
        )

    def take(self, path: str) -> Fault | None:
        """The fault that hits a call to `path`, counted down by it."""
        fault = self._present()
        if fault is None or fault.only not in path:
            return None
        if fault.times is not None:
            fault.times -= 1
        return fault

    def state(self) -> dict[str, Any]:
        """For the sandbox's page: the available faults, and the one that is on."""
        fault = self._present()
        active = fault and {"name": fault.name, "times": fault.times, "seconds": fault.seconds}
        return {"available": list(self.available), "active": active}

    def _present(self) -> Fault | None:
        fault = self._fault
        if fault is None or not self._over(fault):
            return fault
        self._fault = None
        return None

    def _over(self, fault: Fault) -> bool:
        if fault.times is not None and fault.times <= 0:
            return True
        lasts = None if fault.name in self._timed else fault.seconds
        return lasts is not None and self._clock() - fault.began > lasts
