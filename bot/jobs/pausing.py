"""A request that cannot go on now waits as `scheduled`, and goes on by itself: nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.db.store import Store
from bot.db.tables import Request
from bot.domain.clocks import APART
from bot.domain.plans import State
from bot.domain.policy import Quiet
from bot.domain.quiet import next_window
from bot.pipeline.parts import AT_MOST, GIVEN_UP_AFTER, Parts
from integrations.errors import BadCredentials, Temporary, VendorError

SOON = 61.0  # seconds; also what an account is left in peace for that the vendor refused
CLOSED = "The quiet window is closed."


@dataclass(frozen=True)
class Pause:
    """Why a request waits, for how many seconds, and what is to be said meanwhile."""

    why: str
    wait: float
    meanwhile: str = ""


def pause_for(request: Request, error: VendorError, now: float) -> Pause:
    """The vendor's own wait; else a minute at first, and longer the longer it lasts.

    So an account that the vendor refuses is tried once a minute at most, and never locked out.
    """
    if isinstance(error, Temporary) and error.wait is not None:
        return Pause(str(error), min(error.wait, AT_MOST))
    mend = " Mend its credentials; the run then goes on by itself."
    meanwhile = mend if isinstance(error, BadCredentials) else ""
    return Pause(str(error), longer(request, now), meanwhile)


def longer(request: Request, now: float) -> float:
    """Seconds until the next try: a tenth of what it has lasted, within the bounds."""
    return min(AT_MOST, max(SOON, (now - due(request)) / 10))


def due(request: Request) -> float:
    """When it was to run at first (epoch seconds); not before everybody had said yes to it."""
    released = request.released_at or request.planned_at or request.created_at
    return max(request.started_at or released, request.wished_at or 0)


def too_long(request: Request, now: float) -> bool:
    """True where it has waited for more than a day beyond its time, and for as long as policy lets
    it wait for people."""
    return now > max(due(request) + GIVEN_UP_AFTER, request.expires_at or 0.0)


async def put_off(store: Store, request_id: str, pause: Pause, **fields: Any) -> float:
    """It is scheduled from here on; the seconds until it goes on, 0 where it is to stop anyway."""
    if await store.stopping(request_id):
        return 0.0
    words = f"{pause.why}{pause.meanwhile}"
    await store.move(
        request_id,
        (State.RUNNING, State.SCHEDULED),
        State.SCHEDULED,
        actor="amend",
        action="request:scheduled",
        facts={"reason": words, "seconds": pause.wait},
        words=words,
        run_at=store.clock() + pause.wait,
        **fields,
    )
    return pause.wait


@dataclass(frozen=True)
class Windows:
    """The quiet windows of policy: what asked for one goes out inside of one, and never beside it."""

    parts: Parts

    def gone(self, request: Request) -> str:
        """Why it can never run: policy has no window for its vendor any more; else ""."""
        if not request.in_quiet or self._of(request):
            return ""
        return "Policy has no quiet window for this vendor any more. Ask again for another time."

    def closed_for(self, request: Request) -> float:
        """Seconds until the window opens that it has to wait for; 0 where it may run now."""
        now = self.parts.store.clock()
        span = next_window(self._of(request), now) if request.in_quiet else None
        return max(0.0, span[0] - now) if span else 0.0

    def runs_at(self, request: Request) -> float:
        """When what waits goes on (epoch seconds); now, where it waits for longer than anything may."""
        now, at = self.parts.store.clock(), request.run_at or 0.0
        asked = now + self.closed_for(request) if request.in_quiet else request.wished_at or 0.0
        return at if at <= max(now + AT_MOST, asked + SOON) + APART else now

    async def wait(self, request: Request) -> float:
        """Put it off where its window is closed; the seconds until the next one, else 0.

        Time counts from that window on: a run may have to wait for a week.
        """
        wait = self.closed_for(request)
        if not wait:
            return 0.0
        opens = self.parts.store.clock() + wait
        waits = await put_off(self.parts.store, request.id, Pause(CLOSED, wait), wished_at=opens)
        await self.parts.voice.show(request.id)
        return waits

    def _of(self, request: Request) -> tuple[Quiet, ...]:
        return self.parts.policy.quiet_windows(request.operation.partition(".")[0])
