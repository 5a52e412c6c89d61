"""A request that cannot go on now waits as `scheduled`, and goes on by itself: nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass

from bot.db.store import Store
from bot.db.tables import Request
from bot.domain.plans import State
from integrations.errors import BadCredentials, Temporary, VendorError

SOON = 61.0  # seconds; also what an account is left in peace for that the vendor refused
AT_MOST = 3600.0  # seconds between two tries
GIVEN_UP_AFTER = 24 * 3600.0  # seconds beyond the time that it was to run at


@dataclass(frozen=True)
class Pause:
    """Why a request waits, and for how many seconds."""

    why: str
    wait: float


def pause_for(request: Request, error: VendorError, now: float) -> Pause:
    """The vendor's own wait; else a minute at first, and longer the longer it lasts.

    So an account that the vendor refuses is tried once a minute at most, and never locked out.
    """
    if isinstance(error, Temporary) and error.wait is not None:
        return Pause(str(error), error.wait)
    mend = " Mend its credentials; the run then goes on by itself."
    return Pause(
        f"{error}{mend if isinstance(error, BadCredentials) else ''}", longer(request, now)
    )


def longer(request: Request, now: float) -> float:
    """Seconds until the next try: a tenth of what it has lasted, within the bounds."""
    return min(AT_MOST, max(SOON, (now - due(request)) / 10))


def due(request: Request) -> float:
    """When it was to run at first (epoch seconds)."""
    return max(
        request.started_at or request.planned_at or request.created_at, request.wished_at or 0
    )


def too_long(request: Request, now: float) -> bool:
    """True where it has waited for more than a day beyond its time."""
    return now - due(request) > GIVEN_UP_AFTER


async def put_off(store: Store, request_id: str, pause: Pause) -> float:
    """From running to scheduled; the seconds until it goes on, 0 where it is to stop anyway."""
    if await store.stopping(request_id):
        return 0.0
    await store.move(
        request_id,
        (State.RUNNING,),
        State.SCHEDULED,
        actor="amend",
        action="request:scheduled",
        facts={"reason": pause.why, "seconds": pause.wait},
        words=pause.why,
        run_at=store.clock() + pause.wait,
    )
    return pause.wait
