"""What failed between a plan, or an end, and its telling is made up for; what was told is told once."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ServerDisconnectedError
from sqlalchemy.exc import OperationalError

from bot.db.fence import LeaseLost
from bot.db.ledger import Ledger
from bot.jobs import trouble
from bot.jobs.runner import FOLLOW_LATE, Runner
from bot.pipeline import Pipeline
from bot.slack.outgoing.voice import SlackVoice
from tests.e2e.conftest import MARA, World, text_of, until

REVIEWED = "/qualys 23456,23457 change_state=RESOLVED"
DIRECT = "/qualys 23456 change_state=RESOLVED"
AWAY = OperationalError("SELECT 1", {}, Exception("the server closed the connection"))


class Fails:
    """A method of a class that fails at its first calls, as long as `when` holds."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        kind: type,
        name: str,
        error: Exception,
        *,
        times: int = 1,
        when: Callable[..., bool] = lambda *_: True,
    ) -> None:
        self.calls = 0
        method = getattr(kind, name)

        async def replaced(this: Any, *args: Any, **more: Any) -> Any:
            if when(*args):
                self.calls += 1
                if self.calls <= times:
                    raise error
            return await method(this, *args, **more)

        monkeypatch.setattr(kind, name, replaced)


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "PAUSES", (0.0,))
    monkeypatch.setattr("bot.jobs.upkeep.SWEEP", 0.0)


async def taken_up(world: World, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await world.bot.upkeep.take_up()
            await asyncio.sleep(0.1)


async def some_sweeps(world: World) -> None:
    for _ in range(5):
        await world.bot.upkeep.take_up()
        await asyncio.sleep(0.1)


async def test_a_review_that_slack_did_not_take_is_shown_again_and_only_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Fails(monkeypatch, SlackVoice, "planned", ServerDisconnectedError())
    await world.type(MARA, REVIEWED)
    await taken_up(world, lambda: world.view(MARA).get("callback_id") == "review")
    await some_sweeps(world)
    assert shown.calls == 2


async def test_a_direct_edit_whose_plan_stood_when_the_database_failed_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fails(monkeypatch, Pipeline, "facts", AWAY)
    await world.type(MARA, DIRECT)
    await taken_up(world, lambda: world.payload()["state"] == "succeeded")
    assert len(world.edits()) == 1


async def test_a_no_that_slack_did_not_take_is_said_again_and_only_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Fails(monkeypatch, SlackVoice, "refused", ServerDisconnectedError(), times=2)
    await world.type(MARA, "/qualys 99999999 change_state=RESOLVED")
    await taken_up(world, lambda: said.calls == 3)
    await some_sweeps(world)
    assert said.calls == 3
    assert any("99999999" in each or "no ticket" in each for each in world.private(MARA))


async def test_who_can_never_be_told_is_left_in_peace(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Fails(monkeypatch, SlackVoice, "refused", ServerDisconnectedError(), times=10_000)
    await world.type(MARA, "/qualys 99999999 change_state=RESOLVED")
    await taken_up(world, lambda: said.calls >= 2 * trouble.TRIES)
    await some_sweeps(world)
    assert said.calls == 2 * trouble.TRIES


async def test_that_a_request_was_given_up_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fails(monkeypatch, SlackVoice, "planned", ValueError("a fault of our own"), times=10_000)
    await world.type(MARA, REVIEWED)

    def told() -> int:
        return sum("given up" in each for each in [*world.private(MARA), str(world.view(MARA))])

    await taken_up(world, lambda: told() > 0)
    await some_sweeps(world)
    assert told() == 1


async def test_a_receipt_that_the_database_kept_from_being_wanted_is_posted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fails(monkeypatch, SlackVoice, "show", AWAY, when=lambda _id, *beside: "reply" in beside)
    await world.type(MARA, DIRECT)
    await taken_up(world, lambda: bool(world.cards()) and len(world.thread()) > 0)
    assert (await world.settled())["state"] == "succeeded"
    assert len(world.edits()) == 1


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        (Runner, "follow_up", AWAY),
        (Runner, "follow_up", LeaseLost("R")),
        (Ledger, "silent", AWAY),
        (Ledger, "silent", ValueError("a fault of our own")),
    ],
    ids=["database", "lease", "database within", "fault"],
)
async def test_a_look_at_what_the_vendor_does_by_itself_that_fails_ends_no_following(
    kind: type, name: str, error: Exception, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sandbox.ccs.verifies_in = 3600.0
    world.bot.work.runner.follow_every = 0.2
    before = itertools.count()
    looks = Fails(monkeypatch, kind, name, error, times=2, when=lambda *_: next(before) > 1)
    await world.type(MARA, "/ccs INCA0000004 TicketState=2")
    await world.settled()
    await until(lambda: looks.calls > 2)
    world.sandbox.ccs.tickets["INCA0000004"].due = time.monotonic()
    await until(lambda: any("verification passed" in text_of(each) for each in world.thread()))


async def test_a_following_that_fails_for_good_ends_by_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = world.bot.work.runner
    runner.follow_every = 0.2
    Fails(monkeypatch, Ledger, "silent", ValueError("a fault of our own"), times=10_000)
    await world.type(MARA, "/ccs INCA0000004 TicketState=2")
    request_id = (await world.settled())["request_id"]
    assert await runner.follow_up(request_id) == 0.2
    await world.bot.store.set_fields(request_id, follow_until=time.time() - FOLLOW_LATE - 1)
    assert await runner.follow_up(request_id) is None
