"""One question for all who wait for the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Shared(Generic[T]):
    """Questions under way, by what they are about."""

    _asking: dict[str, asyncio.Task[T]] = field(default_factory=dict)

    async def once(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, or error, of the question that is under way, or else of `ask`.

        Who stops waiting does not end it for the others.
        """
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.ensure_future(_answer(ask))
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    def _ended(self, key: str, done: asyncio.Task[T]) -> None:
        self._asking.pop(key, None)
        if not done.cancelled():
            done.exception()  # nobody may be waiting for it any more


async def _answer(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()
