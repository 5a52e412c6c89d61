"""The last look before a write: the connection stands, and not one byte of the request is sent.

Getting a connection takes its time, and a process may be paused meanwhile for hours. Whoever makes a
call leaves here what to ask at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_LOOK: ContextVar[Callable[[], None] | None] = ContextVar("last_look", default=None)

FIRST_BYTE = "http11.send_request_headers.started"  # httpcore's name of the moment


@contextmanager
def last_look(look: Callable[[], None]) -> Iterator[None]:
    """Writes that begin in the block go out unless `look` raises; what it raises, their caller gets."""
    token = _LOOK.set(look)
    try:
        yield
    finally:
        _LOOK.reset(token)


def traced(*, writes: bool) -> Mapping[str, Any]:
    """The extension of a request by which httpcore asks."""
    look = _LOOK.get()
    if look is None or not writes:
        return {}

    async def ask(moment: str, _: Mapping[str, Any]) -> None:
        if moment == FIRST_BYTE:
            look()

    return {"trace": ask}
