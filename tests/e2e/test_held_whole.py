"""What was typed is carried whole: more than a form holds, up to what one edit takes."""

from __future__ import annotations

from typing import Any

from bot.domain.people import Account
from tests.e2e.conftest import MARA, OPS, UMAR, Make, World, text_of, until
from tests.e2e.test_requests import button, has

SIX_HUNDRED = ",".join(str(100_000 + each) for each in range(600))


def _answer(world: World) -> dict[str, Any]:
    private = [each for each in world.seen_by(MARA) if each.get("ephemeral")]
    return private[-1] if private else {}


async def test_a_form_that_cannot_hold_600_numbers_is_not_offered_but_their_review_is(
    world: World,
) -> None:
    await world.type(MARA, f"/qualys {SIX_HUNDRED} 23456 change_state=RESOLVED ad_comment=x")
    await world.told(MARA, "601 tickets were understood")
    answer = _answer(world)
    assert not has(answer, "form")
    pressed = button(answer, "review")
    await world.act(MARA, "press", channel=OPS, ts=answer["ts"], **pressed)
    view = await world.view_is(MARA, "review")
    assert "Left out" in text_of(view)
    assert "600" in text_of(view)
    await world.act(MARA, "submit", view_id=view["id"], values={})
    assert (await world.settled())["state"] == "succeeded"
    assert [each["ticket_numbers"] for each in world.edits()] == ["23456"]


async def test_a_command_of_20000_numbers_is_reviewed(world: World) -> None:
    numbers = ",".join(str(10_000 + each) for each in range(20_000))
    await world.type(MARA, f"/qualys {numbers} change_state=RESOLVED")
    await until(lambda: world.view(MARA).get("callback_id") == "review", "a review")
    asked = [each["ticket_numbers"] for each in world.lists()]
    assert {n for each in asked for n in each.split(",")} == set(numbers.split(","))


async def test_a_scope_that_is_longer_than_a_form_is_left_as_it_is(make: Make) -> None:
    world = await make(AMEND_ADMINS=MARA)
    scope = tuple(f"10.132.{each}.0/24" for each in range(256))
    before = Account("qualys", "uhaddad", "Unit Manager", scope)
    await world.bot.store.map_person(world.bot.team, UMAR, before, MARA)
    await world.type(MARA, "/amend people")
    view = await world.view_is(MARA, "people")
    press = {"block_id": "", "action_id": f"people_edit:{UMAR}:qualys:"}
    press["block_id"] = next(
        each["block_id"]
        for each in world.view(MARA)["blocks"]
        if (each.get("accessory") or {}).get("action_id") == press["action_id"]
    )
    await world.act(MARA, "press_view", view_id=view["id"], **press)
    await until(lambda: "longer than a form can hold" in str(world.view(MARA)))
    assert (await world.bot.store.accounts(world.bot.team, UMAR))["qualys"] == before
