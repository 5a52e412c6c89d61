"""However a request ends, and whatever fails as that is told, its messages come to say so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.domain.errors import Denied
from bot.domain.plans import State
from bot.jobs import trouble
from bot.jobs.runner import Runner
from bot.pipeline.planning import Planner
from bot.slack.incoming import deeds
from bot.slack.outgoing.voice import SlackVoice
from integrations.errors import Temporary
from tests.e2e.conftest import APPROVALS, MARA, ONCA, World, text_of, until
from tests.e2e.test_requests import at, confirmed, has, press, state_is
from tests.e2e.test_told_again import AWAY, Fails

ONE, SEVERAL = "/qualys 23456 change_state=IGNORED", "/qualys 23456,23457 add_comment=later"


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "PAUSES", (0.0,))
    monkeypatch.setattr(deeds, "PAUSES", (0.0,) * 4)
    monkeypatch.setattr("bot.jobs.upkeep.SWEEP", 0.0)


def request_id(world: World) -> str:
    return str(world.payload()["request_id"])


async def chores(world: World) -> None:
    """What goes on by itself, as often as it may take."""
    upkeep = world.bot.upkeep
    for each in (upkeep.start_due, upkeep.take_up, upkeep.wait_on_approvals):
        await each()
    await world.bot.deeds.take_up()


async def comes_true(world: World, condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await chores(world)
            await asyncio.sleep(0.1)
    assert condition(), what


# --- where each request stands before its end -------------------------------------------------------


async def pending(world: World, **inputs: Any) -> None:
    await confirmed(world, MARA, ONE, **inputs)
    await until(lambda: bool(world.cards(APPROVALS)) and bool(world.cards()))


async def wished_for_later(world: World) -> None:
    await pending(world, **at(3600))


async def scheduled(world: World) -> None:
    await confirmed(world, MARA, SEVERAL, **at(3600))
    await state_is(world, "scheduled")


async def half_done(world: World) -> None:
    await scheduled(world)
    await world.bot.store.set_fields(request_id(world), started_at=time.time())


async def put_off(world: World) -> None:
    await world.type(MARA, "/qualys 23456 add_comment=later")
    await state_is(world, "scheduled")


# --- what ends it, or moves it on -------------------------------------------------------------------


async def approve(world: World) -> None:
    await press(world, ONCA, "approve", APPROVALS)


async def reject(world: World) -> None:
    await press(world, ONCA, "reject", APPROVALS)
    view = await world.view_is(ONCA, "reject")
    why = {"reason": {"reason": {"type": "plain_text_input", "value": "no"}}}
    await world.act(ONCA, "submit", view_id=view["id"], values=why)


async def cancel(world: World) -> None:
    await press(world, MARA, "cancel")


async def time_is_over(world: World) -> None:
    await world.bot.store.set_fields(request_id(world), expires_at=time.time() - 1)


async def time_is_over_at_a_click(world: World) -> None:
    await time_is_over(world)
    await approve(world)


async def its_time_comes(world: World) -> None:
    await world.bot.store.set_fields(request_id(world), run_at=time.time(), wished_at=time.time())


Step = Callable[[World], Awaitable[None]]
WAYS: dict[str, tuple[Step, Step, str]] = {
    "rejected": (pending, reject, "rejected"),
    "expired": (pending, time_is_over, "expired"),
    "expired at a click": (pending, time_is_over_at_a_click, "expired"),
    "cancelled while pending": (pending, cancel, "cancelled"),
    "cancelled while scheduled": (scheduled, cancel, "cancelled"),
    "cancelled half done": (half_done, cancel, "cancelled"),
    "denied": (put_off, its_time_comes, "denied"),
    "failed before it began": (scheduled, its_time_comes, "failed"),
    "approved for later": (wished_for_later, approve, "scheduled"),
}


class Once:
    """Telling fails once after `armed` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.armed = False
        self._fails = Fails(monkeypatch, SlackVoice, "show", AWAY, when=lambda *_: self.armed)

    @property
    def failed(self) -> bool:
        return self._fails.calls > 0


@pytest.mark.parametrize("way", WAYS)
async def test_an_end_whose_telling_failed_once_is_shown(
    way: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, act, state = WAYS[way]
    once = Once(monkeypatch)
    plan = Planner.plan

    async def planned(this: Planner, request: Any) -> None:
        if before is not put_off:
            await plan(this, request)
        elif once.armed:
            raise Denied(["You may not any more."])
        else:
            raise Temporary("Qualys", "asks for a pause", wait=300.0)

    async def forbidden(this: Runner, request: Any) -> str:
        return "not any more"

    monkeypatch.setattr(Planner, "plan", planned)
    monkeypatch.setattr(Runner, "_forbidden", forbidden)
    await before(world)
    once.armed = True
    await act(world)
    await comes_true(world, lambda: world.payload()["state"] == state, f"the card says {state}")
    assert once.failed
    if world.cards(APPROVALS):
        asks = world.cards(APPROVALS)
        await comes_true(world, lambda: not has(asks_now(world), "approve"), "nobody is asked")
        assert len(world.cards(APPROVALS)) == len(asks)
    if way in ("cancelled half done", "failed before it began"):
        await comes_true(world, lambda: len(world.thread()) == 1, "its receipt")
    if way == "denied":
        await world.told(MARA, "You may not any more.")


def asks_now(world: World) -> dict[str, Any]:
    return world.cards(APPROVALS)[-1]


@pytest.mark.parametrize("typed", [SEVERAL, "/qualys 23456 add_comment=later"], ids=["", "direct"])
async def test_a_run_that_a_killed_process_stopped_before_it_began_is_told(
    typed: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine runs the step again that was not noted as done, and what was ended stands."""
    asleep = asyncio.Event()
    begin = Runner.begin

    async def forbidden(this: Runner, request: Any) -> str:
        return "not any more"

    async def killed(this: Runner, request: str) -> bool:
        if asleep.is_set():
            return await begin(this, request)
        await this._close(await this.store.request(request), "not any more")
        await this.store.move(
            request, (State.RUNNING,), State.FAILED, actor="amend", action="request:failed"
        )
        asleep.set()
        raise AWAY

    monkeypatch.setattr(Runner, "_forbidden", forbidden)
    monkeypatch.setattr(Runner, "begin", killed)
    await (world.type(MARA, typed) if typed != SEVERAL else confirmed(world, MARA, typed))
    await asyncio.wait_for(asleep.wait(), 120)
    await comes_true(world, lambda: bool(world.cards()) and len(world.thread()) == 1, "a receipt")
    assert "not any more" in text_of(world.thread()[0])
    assert world.payload()["state"] == "failed"
