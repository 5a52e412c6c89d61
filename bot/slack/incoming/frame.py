"""The frame of every listener: acknowledge once, record in time, let no exception out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from bot import tracing
from bot.courtesy import Courtesy
from bot.db.store import Store
from bot.metrics import ACK_SECONDS, RECENT_ACKS
from bot.pipeline import Origin, bounds
from bot.slack.link.directory import outsider
from integrations.text import whole_values

log = structlog.get_logger(__name__)

NOT_ACCEPTED = "Amend could not record this in time, so it was *not accepted* and nothing will run."
BUSY = (
    "Amend is busy: too many things are waiting for an answer, so this was *not accepted* and nothing"
    " will run. Please try again in a moment."
)
AT_ONCE = 32  # answers that are worked on at the same time; the others wait in their order
MOST = 500  # what may be acknowledged and not answered yet; some ten seconds' work
TRY_AGAIN = f"{NOT_ACCEPTED} Please try again in a moment."
MAYBE_ACCEPTED = (
    "The database went away as this was recorded, so it may run or not. Please look at"
    " `/amend requests` in a moment, before you try again."
)

Message = Mapping[str, Any]
Body = dict[str, Any]
Listener = Callable[["Ack", Body], Awaitable[None]]


class Ack:
    """Bolt's `ack`, given at most once, with its time measured."""

    def __init__(self, ack: Any, began: float) -> None:
        self._ack, self._began = ack, began
        self.given = False

    async def __call__(self, answer: Any = None) -> None:
        if self.given:
            return
        self.given = True
        took = time.monotonic() - self._began
        ACK_SECONDS.observe(took)
        RECENT_ACKS.append(took)
        if answer is None:
            await self._ack()
        else:
            await self._ack(**answer)


@dataclass
class Frame:
    """Guards listeners, holds the tasks that go on after an acknowledgement.

    `most` bounds those tasks; `busy` says that it is reached, before anything is recorded.
    """

    store: Store
    team: str
    enterprise: str = ""
    most: int = MOST
    courtesy: Courtesy = field(default_factory=Courtesy)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def busy(self) -> bool:
        """True where nothing more may be taken on."""
        return len(self._tasks) >= self.most

    def guarded(self, listener: Listener) -> Callable[..., Awaitable[None]]:
        """No exception may leave a listener: Bolt would take back an acknowledgement just given."""
        name = getattr(listener, "__name__", "listener")

        async def run(ack: Any, body: Body) -> None:
            acked = Ack(ack, time.monotonic())
            tracing.comes_in()
            with self.courtesy.served():
                try:
                    if outsider(body, self.team, self.enterprise):
                        await acked()
                        return
                    await listener(acked, whole_values(body))
                except Exception:
                    log.exception("listener_failed", listener=name)
                finally:
                    if not acked.given:
                        await acked()

        return _with_arguments(run)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work after the acknowledgement, at once: what opens a form must use its trigger."""
        self._hold(_safely(work))

    def in_turn(self, work: Coroutine[Any, Any, None]) -> None:
        """The same, first come, first served: a burst neither slows down whoever came before it,
        nor has everybody wait as long as the last."""

        async def waits() -> None:
            async with self._turns, self.courtesy.in_turn():
                await _safely(work)

        self._hold(waits())

    def _hold(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Let running tasks end, for at most `seconds`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def take(self, key: str, kind: str, payload: Body) -> bool | None:
        """Record a delivery: True the first time, False for a repeat, None where it failed."""
        try:
            async with asyncio.timeout(2 * bounds.ACCEPT_WITHIN):
                deadline = time.monotonic() + bounds.ACCEPT_WITHIN
                return await self.store.take(key, kind, payload, deadline)
        except Exception as error:
            log.warning("not_recorded", kind=kind, error=type(error).__name__)
            return None


async def _safely(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("task_failed")


def _with_arguments(run: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Bolt injects arguments by name: exactly these two."""

    async def listener(ack: Any, body: Body) -> None:
        await run(ack, body)

    return listener


def private(text: str) -> Body:
    """A command's answer that only the caller sees."""
    return {"response_type": "ephemeral", "text": text}


def user_of(body: Mapping[str, Any]) -> str:
    user = body.get("user")
    return str(user["id"]) if isinstance(user, Mapping) else str(body.get("user_id") or "")


def channel_of(body: Mapping[str, Any]) -> str:
    channel = body.get("channel")
    if isinstance(channel, Mapping):
        return str(channel.get("id") or "")
    container = body.get("container") or {}
    return str(body.get("channel_id") or container.get("channel_id") or "")


def response_url_of(body: Mapping[str, Any]) -> str:
    return str(body.get("response_url") or "")


def origin_of(body: Mapping[str, Any], key: str) -> Origin:
    return Origin(
        key=key,
        user=user_of(body),
        channel=channel_of(body),
        response_url=response_url_of(body),
    )


def first_word(text: str) -> tuple[str, str]:
    """The first word, in lower case, and the rest; what is pasted has line breaks for blanks."""
    head, rest = (*text.split(None, 1), "", "")[:2]
    return head.lower(), rest.strip()
