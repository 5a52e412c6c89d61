"""Two approvals: the card counts those that hold, and says whose does not any more, and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain.people import Account
from tests.e2e.conftest import APPROVALS, MARA, ONCA, SAMI, UMAR, World, text_of, until
from tests.e2e.test_requests import confirmed, press, state_is

POLICY = """[approvals]
defaults = false
[[approvals.rules]]
operations = ["xpanse.*"]
approvers = 2
"""
ASKED = "/xpanse 1 status=under_investigation"
Loses = Callable[[World], Awaitable[None]]


async def maps(world: World, user: str, account: str, role: str) -> None:
    row = (user, Account("xpanse", account, role))
    await world.bot.store.import_people(world.bot.team, [row], replace=False, actor="test")


async def role(world: World) -> None:
    await maps(world, UMAR, "umar.haddad@northwind.example", "Viewer")


async def everything(world: World) -> None:
    people = world.slack.core.workspace.people
    people[UMAR] = replace(people[UMAR], is_deactivated=True)
    world.bot.directory.forget(UMAR)


async def account(world: World) -> None:
    """Both act through one account by now, which has one vote."""
    await maps(world, UMAR, "Onca.Reyes@northwind.example", "Responder")


def asks(world: World) -> str:
    return text_of(world.cards(APPROVALS)[-1])


@pytest.mark.parametrize(
    ("loses", "whose", "why"),
    [
        (role, UMAR, "The Cortex Xpanse role `Viewer` may not do `xpanse.update_incident`"),
        (everything, UMAR, f"<@{UMAR}> may do nothing here"),
        (account, ONCA, f"<@{UMAR}> has approved through that account"),
    ],
)
async def test_a_vote_that_holds_no_more_is_not_counted_and_named(
    make: Any, tmp_path: Path, loses: Loses, whose: str, why: str
) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    world = await make(AMEND_ATTRIBUTION="off", AMEND_POLICY=str(tmp_path / "policy.toml"))
    await maps(world, ONCA, "onca.reyes@northwind.example", "Investigator")
    await confirmed(world, MARA, ASKED)
    await until(lambda: bool(world.cards(APPROVALS)), "it is asked")
    await press(world, UMAR, "approve", APPROVALS)
    await until(lambda: "1 of 2 given" in asks(world), "one vote")
    await loses(world)
    await press(world, ONCA, "approve", APPROVALS)
    gone = f"The approval of <@{whose}> does not count any more: {why}"
    await world.told(ONCA, gone, APPROVALS)
    await until(lambda: gone in asks(world), "whose does not count")
    assert "1 of 2 given" in asks(world)
    assert world.payload()["state"] == "pending_approval"
    await maps(world, SAMI, "sami.ito@northwind.example", "Investigator")
    await press(world, SAMI, "approve", APPROVALS)
    await state_is(world, "succeeded")
    held = UMAR if whose == ONCA else ONCA
    await until(lambda: f"Approved by <@{held}> and <@{SAMI}>." in asks(world), "who approved")


async def test_a_failure_of_a_run_names_people_and_mentions_nobody(make: Any) -> None:
    """Its words stand where a vendor's would, as plain text."""
    world = await make(AMEND_ATTRIBUTION="off")
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await until(lambda: bool(world.cards(APPROVALS)), "it is asked")
    people = world.slack.core.workspace.people
    people[MARA] = replace(people[MARA], is_deactivated=True)
    world.bot.directory.forget(MARA)
    await press(world, ONCA, "approve", APPROVALS)
    payload = await world.settled()
    assert payload["state"] == "failed"
    shown = text_of(world.cards()[-1])
    assert "may do nothing here" in shown
    assert "&lt;@" not in shown
