"""Each vendor role at each operation, asked for through Slack: run, or told why not."""

from __future__ import annotations

import pytest

from bot.domain.people import Account
from handlers.qualys.vendor import ENTRY
from tests.e2e.conftest import SAMI, World, until

EDIT = "/qualys 23456 add_comment=checked-{n}"
ASK = "/exception control_id=1113 host_id=28595192824 policy_id=801459496 technology_id=45"
ASK += " assignee_id=2449482824 comments=please-{n}"
MAY = {
    EDIT: {"Manager", "Unit Manager"},
    ASK: {"Manager", "Auditor", "Unit Manager", "Scanner", "Reader"},
}
ALL = sorted(ENTRY.roles or ())


@pytest.mark.parametrize("typed", [EDIT, ASK])
@pytest.mark.parametrize("role", ALL)
@pytest.mark.parametrize("inside", [True, False])
async def test_a_role_may_what_the_table_says(
    world: World, typed: str, role: str, inside: bool
) -> None:
    scope = ("10.0.0.0/8",) if inside else ("203.0.113.0/24",)
    account = Account("qualys", "sito", role, scope)
    await world.bot.store.map_person(world.bot.team, SAMI, account, "test")
    everywhere = {"Manager"} if typed == EDIT else {"Manager", "Auditor"}
    may = role in MAY[typed] and (inside or role in everywhere)
    await world.type(SAMI, typed.format(n=1))
    if may:
        assert (await world.settled())["state"] == "succeeded"
    else:
        await until(lambda: any(said(each) for each in world.private(SAMI)), "a private no")
        assert world.cards() == []
    done = len(world.edits()) + len(world.qualys.compliance.requests)
    assert done == int(may)


def said(text: str) -> bool:
    return any(words in text for words in ("Not allowed", "scope"))
