"""The account is part of what was reviewed: nothing goes out under another one."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from tests.e2e.conftest import MARA, Make, World, text_of, until
from tests.e2e.test_people import credentials
from tests.e2e.test_requests import confirmed

LOGINS = {"qualys": "mlindqvist", "ccs": "northwind\\mlindqvist"}
EDIT = "/qualys 23456,23457 change_state=RESOLVED add_comment=done"


async def link(world: World, vendor: str) -> None:
    await world.type(MARA, f"/amend link {vendor}")
    view = await world.view_is(MARA, "link")
    values = credentials(username=LOGINS[vendor], password="sandbox-mlindqvist")
    await world.act(MARA, "submit", view_id=view["id"], values=values)
    await until(lambda: "white_check_mark" in str(world.view(MARA)), "it is kept")
    await world.act(MARA, "close", view_id=world.view(MARA)["id"])


async def unlink(world: World, vendor: str) -> None:
    await world.type(MARA, f"/amend unlink {vendor}")
    await world.told(MARA, "are removed")


async def test_the_review_and_the_card_name_the_account(world: World) -> None:
    view = await confirmed(world, MARA, EDIT)
    assert "Goes out under the shared account `amend_api`." in text_of(view)
    await world.settled()
    assert "the shared account `amend_api`" in text_of(world.cards()[-1])
    await link(world, "qualys")
    await world.type(MARA, "/qualys 23458,23459 add_comment=seen")
    view = await world.view_is(MARA, "review")
    assert "Goes out under your own account `mlindqvist`." in text_of(view)


async def test_unlinked_between_review_and_run_nothing_goes_out(world: World) -> None:
    await link(world, "qualys")
    await world.type(MARA, EDIT)
    view = await world.view_is(MARA, "review")
    await unlink(world, "qualys")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    assert (await world.settled())["state"] == "failed"
    assert world.edits() == []
    assert "reviewed under" in text_of(world.cards()[-1])


async def test_linked_between_review_and_run_nothing_goes_out(world: World) -> None:
    await world.type(MARA, EDIT)
    view = await world.view_is(MARA, "review")
    metadata, view_id = view["private_metadata"], view["id"]
    assert metadata
    await world.act(MARA, "close", view_id=view_id)
    await link(world, "qualys")
    request = str(json.loads(metadata)["request"])
    planned = await world.bot.store.request(request)
    assert planned is not None
    moved = await world.bot.pipeline.submit(request, planned.digest, MARA)
    assert moved is not None
    await world.bot.pipeline.follow(request)
    await world.settled()
    assert world.edits() == []


async def test_unlinked_in_the_middle_of_a_run_no_further_call_goes_out(make: Make) -> None:
    world = await make(AMEND_ATTRIBUTION="off", AMEND_POLICY="")
    await link(world, "ccs")
    ccs = world.sandbox.ccs
    ccs.delay = 0.2
    numbers = ",".join(f"INCA{n:07}" for n in range(1, 161))
    await confirmed(world, MARA, f"/ccs {numbers} Priority=Low")

    def patches() -> int:
        return sum(each.method == "PATCH" for each in ccs.requests)

    await until(lambda: patches() >= 4, "the run is under way")
    await unlink(world, "ccs")
    gone = patches()
    payload = await world.settled()
    assert payload["state"] == "partial"
    assert payload["unknown"] == 0, "what was under way is finished"
    assert patches() <= gone + 16, "and nothing more begun"
    assert payload["changed"] == patches()
    assert "reviewed under" in text_of(world.cards()[-1])


async def refused(world: World) -> None:
    """The vendor takes the credentials no more, and says so to the next request."""
    world.qualys.set_fault("bad_credentials", {"only": "ticket_list"})
    await world.type(MARA, '/qualys 23457 add_comment="by link"')
    await world.told(MARA, "did not accept the account")
    world.qualys.set_fault(None)


async def unlinked(world: World) -> None:
    await unlink(world, "qualys")


@pytest.mark.parametrize("how", [unlinked, refused])
async def test_a_right_that_came_from_linked_credentials_ends_with_them(
    world: World, how: Callable[[World], Awaitable[None]]
) -> None:
    store = world.bot.store
    await store.import_people(world.bot.team, [], replace=True, actor="test")
    await link(world, "qualys")
    await world.type(MARA, '/qualys 23456 add_comment="by link"')
    await world.settled()
    assert len(world.edits()) == 1
    await how(world)
    await world.type(MARA, '/qualys 23457 add_comment="by link"')
    await world.told(MARA, "Not allowed")
    assert len(world.edits()) == 1
