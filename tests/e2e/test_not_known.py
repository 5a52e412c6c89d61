"""What cannot be known now is neither yes nor no: an approved run waits, and goes on by itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bot.domain.people import Account
from tests.e2e.conftest import APPROVALS, MARA, ONCA, Make, World, text_of, until
from tests.e2e.test_exceptions import press
from tests.e2e.test_requests import at, confirmed, state_is

POLICY = """
[[approvals.rules]]
operations = ["qualys.edit_tickets"]
approvers = 1
groups = ["S0ONCALL"]
"""


@pytest.mark.parametrize("fault", ["rate_limited", "server_error"])
async def test_a_click_is_told_to_come_again_and_counts_against_nobody(
    make: Make, tmp_path: Path, fault: str
) -> None:
    world = await asked(make, tmp_path)
    silent(world, fault)
    await press(world, ONCA, "approve")
    await world.told(ONCA, "Not now, please try again", APPROVALS)
    assert world.payload()["state"] == "pending_approval"
    world.slack.core.fault.set(None, None, None)
    await press(world, ONCA, "approve")
    assert (await world.settled())["state"] == "succeeded"
    assert len(world.edits()) == 1


@pytest.mark.parametrize("fault", ["rate_limited", "server_error"])
async def test_an_approved_run_waits_and_goes_on_by_itself(
    make: Make, tmp_path: Path, fault: str
) -> None:
    world = await asked(make, tmp_path, run_in=600)
    await press(world, ONCA, "approve")
    await state_is(world, "scheduled")
    silent(world, fault)
    await due_now(world)
    await until(lambda: "Slack" in text_of(world.cards()[-1]), "it says what it waits for")
    assert world.payload()["state"] == "scheduled"
    assert world.edits() == []
    world.slack.core.fault.set(None, None, None)
    await due_now(world)
    assert (await world.settled())["state"] == "succeeded"
    assert len(world.edits()) == 1


async def asked(make: Make, tmp_path: Path, run_in: int = 0) -> World:
    """A request that waits for somebody of the on-call group."""
    (tmp_path / "policy.toml").write_text(POLICY, "utf-8")
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"), AMEND_ATTRIBUTION="off")
    later = at(run_in) if run_in else {}
    await confirmed(world, MARA, "/qualys 23456,23457 add_comment=reviewed", **later)
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    return world


def silent(world: World, fault: str) -> None:
    """Slack answers anything but who is in a group, and what it said before is forgotten."""
    world.slack.core.fault.set(fault, None, None, only="usergroups.users.list")
    world.bot.pipeline.parts.directory._groups.clear()


async def due_now(world: World) -> None:
    request_id = world.payload()["request_id"]
    await world.bot.store.set_fields(request_id, run_at=time.time())
    await world.bot.upkeep.start_due()


@pytest.mark.parametrize("at_its_click", [True, False])
async def test_whose_time_to_be_decided_on_is_over_never_runs(
    make: Make, tmp_path: Path, at_its_click: bool
) -> None:
    """Neither by a click that comes before the sweep, nor by votes that could not be counted."""
    world = await asked(make, tmp_path)
    request = world.payload()["request_id"]
    if not at_its_click:
        account = Account("qualys", "oreyes", "Manager")
        digest = world.payload()["digest"]
        assert await world.bot.store.vote(request, ONCA, digest, account) == [ONCA]
    await world.bot.store.set_fields(request, expires_at=time.time() - 3600)
    if at_its_click:
        await press(world, ONCA, "approve")
    else:
        await world.bot.upkeep.wait_on_approvals()
    await state_is(world, "expired")
    assert world.edits() == []
