"""Who is told no because of their rights stands in the trail, whichever way they came."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bot.db import audit
from bot.slack.incoming.commands import Commands
from deploy.sandbox.vendors.zstack_tickets import ticket_uuid
from tests.e2e.conftest import GUEST, MARA, ONCA, OPS, SAMI, UMAR, World, until
from tests.e2e.test_exceptions import FIRST as EXCEPTION
from tests.e2e.test_requests import apart

CHANGE = "change_state=RESOLVED"


async def denials(world: World) -> list[dict[str, Any]]:
    found = [json.loads(line) async for _, line in audit.lines(world.bot.store.engine)]
    return [each for each in found if each["action"].endswith(":denied")]


async def denied(world: World, user: str, asked: str) -> dict[str, Any]:
    """Wait for the entry that this person was told no on `asked`."""
    for _ in range(600):
        for each in await denials(world):
            if each["actor"] == user and each["facts"].get("asked") == asked:
                assert each["facts"]["reasons"], each
                return each
        await asyncio.sleep(0.1)
    raise AssertionError(f"{user} was told no on {asked}, and the trail does not say so")


async def test_a_topic_a_form_and_a_watch_that_somebody_may_not(world: World) -> None:
    await world.type(UMAR, "/amend people")
    entry = await denied(world, UMAR, "people")
    assert "administrators" in " ".join(entry["facts"]["reasons"])
    assert entry["via"] == "slack"
    await world.type(SAMI, "/xpanse")
    await denied(world, SAMI, "xpanse.update_incident")
    await world.type(GUEST, "/amend whoami")
    await denied(world, GUEST, "whoami")
    await world.type(SAMI, "/amend watch ccs")
    await denied(world, SAMI, "watch")


async def test_somebody_elses_request(world: World) -> None:
    await world.type(MARA, f"/qualys 23456 {CHANGE}")
    request = (await world.settled())["request_id"]
    await world.type(SAMI, f"/amend undo {request}")
    entry = await denied(world, SAMI, "undo")
    assert entry["request_id"] == request
    await world.type(UMAR, f"/amend cancel {request}")
    assert (await denied(world, UMAR, "cancel"))["request_id"] == request


async def test_what_was_typed_wrongly_is_no_denial(world: World) -> None:
    await world.type(MARA, "/amend watch qualyss")
    await world.type(MARA, "/amend show")
    await world.type(MARA, "/qualys 23456 change_state=NONSENSE")
    await until(lambda: len(world.private(MARA, OPS)) >= 3, "three answers")
    assert await denials(world) == []


# Who asks, what, why they may not, and who may.
BEYOND = [
    (UMAR, f"/qualys {{far}} {CHANGE}", "outside your scope (10.10.10.0/24)", (MARA, ONCA)),
    (SAMI, EXCEPTION, "outside your scope (10.10.10.0/24)", (MARA, ONCA)),
    (UMAR, f"/zstack {ticket_uuid(0)} statusEvent=approve", "the role owner may not", (MARA, ONCA)),
]


@pytest.mark.parametrize(("user", "typed", "why", "able"), BEYOND)
async def test_what_lies_beyond_somebodys_rights_is_a_denial_that_says_who_may(
    world: World, user: str, typed: str, why: str, able: tuple[str, ...]
) -> None:
    await world.type(user, typed.replace("{far}", str(apart(world)[1])))

    def said() -> str:
        return "\n".join([*world.private(user), str(world.view(user))])

    await until(lambda: why in said(), why)
    assert "Not allowed" in said()
    assert "Correct it" not in said()
    who = said()[said().index(why) :]
    assert [each in who for each in able] == [True] * len(able)
    assert "may do it." in who
    assert world.cards() == []


MISTYPED = [
    ("watch", "/amend watch qualys"),
    ("watch qualyss", "/amend watch qualys`"),
    ("watch foo", "`foo`"),
    ("report foo", "Of which vendor?"),
    ("link foo", "Which vendor?"),
    ("unlink foo", "Which vendor?"),
    ("history 23456 23460", "one record's"),
]


@pytest.mark.parametrize(("words", "told"), MISTYPED)
async def test_what_was_mistyped_is_not_called_forbidden(
    world: World, words: str, told: str
) -> None:
    await world.type(MARA, f"/amend {words}")
    assert "Not allowed" not in await world.told(MARA, told)
    assert await denials(world) == []


async def test_a_refusal_that_holds_no_longer_skips_no_review(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody is given the right between the look at the door and the plan."""

    async def was_denied(*_: Any) -> bool:
        return True

    monkeypatch.setattr(Commands, "_is_denied", was_denied)
    await world.type(MARA, f"/qualys 23456,23460 {CHANGE}")
    await until(lambda: "review" in str(world.seen_by(MARA)), "the way to its review")
    assert world.cards() == []
    assert world.edits() == []
