"""A quiet window is kept: nothing goes out while it is closed, whatever held the run up before."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bot.db.tables import Request
from bot.domain.plans import State
from bot.domain.policy import Policy
from bot.jobs import runner
from tests.e2e.conftest import MARA, ONCA, Make, World, until
from tests.e2e.test_lanes import EACH, slow
from tests.e2e.test_requests import IN_QUIET, confirmed, patched, state_is

QUIET = """
[[quiet]]
vendor = "{vendor}"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "{begins}"
to = "{ends}"
timezone = "UTC"
"""


def window(vendor: str, begins: float, ends: float) -> str:
    """A window of every day, in seconds from now."""
    now = time.time()
    begin, end = (time.strftime("%H:%M", time.gmtime(now + each)) for each in (begins, ends))
    return QUIET.format(vendor=vendor, begins=begin, ends=end)


OPEN, CLOSED = (-3600, 7200), (7200, 10800)


def set_windows(world: World, text: str) -> None:
    """As if the time had gone on: the windows lie elsewhere from here on."""
    parts = world.bot.pipeline.parts
    quiet = Policy.load(text, {"qualys.edit": (), "ccs.edit": ()}).quiet
    parts.policy = replace(parts.policy, quiet=quiet)


async def newest(world: World) -> Request:
    request = await world.bot.store.request(world.payload()["request_id"])
    assert request is not None
    return request


def waits_for_the_next(request: Request) -> bool:
    return 7000 < (request.run_at or 0.0) - time.time() < 7300


async def test_down_through_its_window_it_waits_for_the_next(make: Make, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(window("qualys", *CLOSED))
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"))
    await confirmed(world, MARA, "/qualys 23456,23458 add_comment=later", **IN_QUIET)
    await state_is(world, "scheduled")
    request = await newest(world)
    store = world.bot.store
    await store.set_fields(request.id, run_at=time.time() - 3 * 3600)  # we were away
    end = time.monotonic() + 120
    while not waits_for_the_next(await newest(world)):
        assert time.monotonic() < end
        assert world.edits() == []
        await asyncio.sleep(0.1)
    assert (await newest(world)).state == "scheduled"
    set_windows(world, window("qualys", *OPEN))
    await store.set_fields(request.id, run_at=time.time())
    assert (await world.settled())["changed"] == 2


async def test_whatever_held_it_up_it_begins_only_in_its_window(make: Make, tmp_path: Path) -> None:
    """As after a wait in line: it was to run, and its turn comes when the window is closed."""
    (tmp_path / "policy.toml").write_text(window("qualys", *CLOSED))
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"))
    await confirmed(world, MARA, "/qualys 23456,23458 add_comment=later", **IN_QUIET)
    await state_is(world, "scheduled")
    request = await newest(world)
    moved = await world.bot.store.move(
        request.id, (State.SCHEDULED,), State.RUNNING, actor="test", action="test", run_at=None
    )
    assert moved
    assert not await world.bot.work.begin(request.id)
    request = await newest(world)
    assert request.state == "scheduled"
    assert waits_for_the_next(request)
    assert world.edits() == []


async def test_a_run_ends_with_its_window_and_goes_on_in_the_next(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runner, "SLICE", 20)
    monkeypatch.setattr(runner, "WAVES", 1)
    (tmp_path / "policy.toml").write_text(window("ccs", *OPEN))
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"), AMEND_ATTRIBUTION="off")
    slow(world, 0.4)
    numbers = ",".join(sorted(world.sandbox.ccs.tickets)[:EACH])
    await confirmed(world, ONCA, f"/ccs {numbers} TicketDescription=quiet", **IN_QUIET)
    await until(lambda: len(patched(world)) >= 4, "some calls")
    set_windows(world, window("ccs", *CLOSED))
    await state_is(world, "scheduled")
    request, so_far = await newest(world), len(patched(world))
    assert waits_for_the_next(request)
    assert so_far < EACH, "not to the end of the run"
    slow(world, 0.0)
    set_windows(world, window("ccs", *OPEN))
    await world.bot.store.set_fields(request.id, run_at=time.time())
    assert (await world.settled())["changed"] == EACH
    assert len(patched(world)) == len(set(patched(world))) == EACH


async def test_a_window_that_policy_no_longer_has_ends_the_wait(make: Make, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(window("qualys", *CLOSED))
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"))
    await confirmed(world, MARA, "/qualys 23456,23458 add_comment=later", **IN_QUIET)
    await state_is(world, "scheduled")
    set_windows(world, "")
    await world.bot.store.set_fields((await newest(world)).id, run_at=time.time())
    payload = await world.settled()
    assert payload["state"] == "failed"
    assert world.edits() == []
    assert "quiet window" in (await newest(world)).words
