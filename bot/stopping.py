"""The end of the process: one budget of time for everything, whatever hangs."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

import structlog

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

STOP_WITHIN = 8.0  # seconds for all that is to end; who sent the signal waits for ten
AT_LAST = 9.0  # seconds after the signal in which the process is gone


class Budget:
    """So many seconds from now on, shared by what ends one after the other."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    async def end(
        self, part: str, ending: Coroutine[Any, Any, object], most: float | None = None
    ) -> None:
        """Let a part end, for `most` seconds of what is left; one that hangs is left behind."""
        left = max(0.0, self._until - time.monotonic())
        task = asyncio.ensure_future(ending)
        done, _ = await asyncio.wait({task}, timeout=left if most is None else min(left, most))
        if not done:
            task.cancel()
            log.warning("part_not_ended", part=part)
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.warning("part_ended_badly", part=part, error=type(error).__name__)


class Unwaited(ThreadPoolExecutor):
    """For a command that is over when it has said all: a thread a call, which nobody waits for.

    A resolver that finds nobody holds its thread for half a minute, and cannot be cancelled.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = Future[T]()
        work = partial(_work, future, partial(fn, *args, **kwargs))
        threading.Thread(target=work, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing: what is not done by now is of no use any more."""


def _work(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:  # whoever waits for it gets it
        future.set_exception(error)


def exit_at_last(seconds: float = AT_LAST) -> None:
    """End the process with 0 after so many seconds, whatever still hangs in it.

    A thread that waits for a database that is gone would otherwise be waited for at the very end. To
    what is under way it is a kill, after which everything goes on as it does after any.
    """
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
