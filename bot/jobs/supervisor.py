"""The supervisor of standing work: each chore in a task of its own, none stopped by another's fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NewType, TypeVar

import structlog

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 300.0  # seconds between two tries of a chore that fails

T = TypeVar("T")

# Seconds until a chore wants to be called again. A type of its own, so that a number that a chore counted
# is never taken for them.
Pause = NewType("Pause", float)


@dataclass(frozen=True)
class Chore:
    """Work that is due time and again.

    `do` does what is due by now, and may say in how many seconds it wants to be called again;
    otherwise that is after `every` seconds. `first` is how long the process is left in peace.
    """

    name: str
    do: Callable[[], Awaitable[Pause | None]]
    every: float
    first: float = 0.0


@dataclass
class Supervisor:
    """Calls chores until it is stopped; one that fails is tried again with growing pauses."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, chores: Iterable[Chore]) -> None:
        self._tasks += [
            asyncio.create_task(self._for_ever(each), name=each.name) for each in chores
        ]

    async def stop(self, name: str = "") -> None:
        """End the chores of this name, or all of them."""
        ending = [task for task in self._tasks if name in ("", task.get_name())]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._tasks = [task for task in self._tasks if task not in ending]

    async def _for_ever(self, chore: Chore) -> None:
        await self.sleep(chore.first)
        failures = 0
        while True:
            try:
                pause = await chore.do()
                failures = 0
            except Exception as error:  # a locked database, say, must not end the work
                failures += 1
                pause = Pause(min(chore.every * 2.0 ** min(failures, 10), LONGEST_PAUSE))
                log.warning(
                    "chore_failed", chore=chore.name, error=type(error).__name__, times=failures
                )
            await self.sleep(chore.every if pause is None else pause)


async def each_apart(what: str, items: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
    """`do` for each of the items; one that fails is logged and holds up none of the others."""
    for each in items:
        try:
            await do(each)
        except Exception:
            log.exception("item_failed", work=what, item=str(getattr(each, "id", "")))
