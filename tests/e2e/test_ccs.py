"""CCS through Slack: the document's requests on the wire, its errors in the thread."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from deploy.sandbox.vendors.ccs import Site
from tests.e2e.conftest import MARA, OPS, SAMI, UMAR, World, text_of, until


def patches(world: World) -> list[dict[str, Any]]:
    return [each.json for each in world.sandbox.ccs.requests if each.method == "PATCH"]


# document, "Sample HTTPS request" and "Sample Python script": typed → body.
SAMPLES = [
    (
        'INCA0000009 TicketState=2 TicketDescription="Description text" Priority=Medium'
        ' AssignedTo="example domain\\sysadmin"',
        {
            "TicketNumber": "INCA0000009",
            "TicketState": "2",
            "ticketDescription": "Description text",
            "Priority": "Medium",
            "AssignedTo": "example domain\\sysadmin",
        },
    ),
    (
        'INCA0000001 TicketDescription="Description updated" Priority=Low AssignedTo=AzadRai'
        " TicketState=Failed",
        {
            "TicketNumber": "INCA0000001",
            "TicketState": "4",
            "ticketDescription": "Description updated",
            "Priority": "Low",
            "AssignedTo": "AzadRai",
        },
    ),
]


@pytest.mark.parametrize(("typed", "body"), SAMPLES)
async def test_the_documents_samples_arrive_as_printed(
    world: World, typed: str, body: dict[str, Any]
) -> None:
    await world.type(MARA, f"/ccs {typed}")
    assert (await world.settled())["state"] == "succeeded"
    assert patches(world) == [body]
    sent = next(each for each in world.sandbox.ccs.requests if each.method == "PATCH")
    assert sent.path == "/ccs/api/v1/RemediationTickets/"
    assert sent.headers["content-type"] == "application/json"


async def test_many_tickets_are_reviewed_and_fanned_out(world: World) -> None:
    await world.type(MARA, "/ccs INCA0000001,INCA0000002,INCA9999999 Priority=Low")
    view = await world.view_is(MARA, "review")
    assert "CCS does not list this ticket" in str(view)
    await world.act(MARA, "submit", view_id=view["id"], values={})
    payload = await world.settled()
    assert (payload["records"], payload["changed"], payload["unchanged"]) == (3, 2, 0)
    assert [each["TicketNumber"] for each in patches(world)] == ["INCA0000001", "INCA0000002"]


async def test_the_verification_is_followed(world: World) -> None:
    world.sandbox.ccs.verifies_in = 0.2
    world.bot.work.runner.follow_every = 0.2
    await world.type(MARA, "/ccs INCA0000004 TicketState=2")
    await world.settled()
    await until(lambda: any("verification passed" in text_of(each) for each in world.thread()))


async def test_an_edit_that_starts_no_verification_is_not_followed(world: World) -> None:
    world.bot.work.runner.follow_every = 0.1
    await world.type(MARA, "/ccs INCA0000004 Priority=High")
    request = await world.bot.store.request((await world.settled())["request_id"])
    assert request is not None
    assert request.follow_until is None
    await until(lambda: len(world.thread()) == 1)
    await asyncio.sleep(0.5)
    assert len(world.thread()) == 1, "no message without words"


async def test_of_many_each_has_its_turn_to_be_followed(world: World) -> None:
    world.sandbox.ccs.verifies_in = 1.5
    world.bot.work.runner.follow_every = 0.2
    numbers = sorted(world.sandbox.ccs.tickets)[:130]
    await world.type(MARA, f"/ccs {','.join(numbers)} TicketState=2")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: bool(world.cards()), "the card")
    payload = await world.settled()
    ledger = world.bot.pipeline.parts.ledger
    end = time.monotonic() + 120
    while await ledger.silent(payload["request_id"]):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    _, many = await ledger.followed(payload["request_id"], 1)
    assert many == payload["changed"] > 100


@pytest.mark.parametrize("status", [404, 405])
async def test_a_site_that_shows_no_tickets_is_edited_all_the_same(
    world: World, status: int
) -> None:
    world.sandbox.ccs.site = Site(reads=status)
    await world.type(MARA, "/ccs INCA0000001,INCA0000002 TicketState=4")
    view = await world.view_is(MARA, "review")
    assert "the present state cannot be read" in str(view)
    await world.act(MARA, "submit", view_id=view["id"], values={})
    payload = await world.settled()
    assert (payload["state"], payload["changed"]) == ("succeeded", 2)


REFUSALS = [
    ("forbidden", "You are not authorized to perform this task. Access is denied"),
    ("http_500", "HTTP 500"),
]


@pytest.mark.parametrize(("fault", "words"), REFUSALS)
async def test_refusals_are_told_in_the_vendors_words(world: World, fault: str, words: str) -> None:
    world.sandbox.ccs.set_fault(fault, {"only": "Tickets/"})
    await world.type(MARA, "/ccs INCA0000001 Priority=High")
    payload = await world.settled()
    assert payload["changed"] == 0
    await until(lambda: any(words in text_of(each) for each in world.thread()))


async def test_a_priority_that_the_site_does_not_know(world: World) -> None:
    await world.type(MARA, "/ccs INCA0000001 Priority=Urgent")
    assert (await world.settled())["state"] == "failed"
    words = "Provide valid ticket details"
    await until(lambda: any(words in text_of(each) for each in world.thread()))


async def test_a_dead_token_is_renewed_once(world: World) -> None:
    await world.type(MARA, "/ccs INCA0000001 Priority=High")
    await world.settled()
    world.sandbox.ccs.forget_tokens()
    await world.type(MARA, "/ccs INCA0000002 Priority=Low")
    await until(lambda: len(patches(world)) >= 2)
    assert world.sandbox.ccs.grants == ["password", "refresh_token"]


async def test_a_broken_connection_is_read_back(world: World) -> None:
    world.sandbox.ccs.set_fault("reset_after_edit", {"times": 1, "only": "Tickets/"})
    await world.type(MARA, "/ccs INCA0000001 TicketState=5")
    assert (await world.settled())["state"] == "succeeded"
    assert len(patches(world)) == 1


RULES = [
    ("INCA0000001", "Say what to change"),
    ("TicketState=2", "`TicketNumber` is required"),
    ("INCA0000001 TicketState=Fixed", "`TicketState` must be one of"),
    ("INCA0000001 Prioriti=Low", "Did you mean `Priority`?"),
]


@pytest.mark.parametrize(("typed", "words"), RULES)
async def test_each_rule_has_its_sentence(world: World, typed: str, words: str) -> None:
    answer = await world.type(MARA, f"/ccs {typed}")
    assert words in str(answer["ack"]["body"])
    assert patches(world) == []


@pytest.mark.parametrize("user", [UMAR, SAMI])
async def test_only_the_remediation_administrator_may(world: World, user: str) -> None:
    await world.type(user, "/ccs INCA0000001 Priority=Low")
    await world.told(user, "Not allowed")
    assert patches(world) == []


async def test_undo_brings_the_earlier_values_back(world: World) -> None:
    await world.type(MARA, "/ccs INCA0000001 Priority=Low TicketState=5")
    payload = await world.settled()
    before = dict(world.sandbox.ccs.tickets["INCA0000001"].shown())
    card = world.cards()[-1]
    await world.act(
        MARA,
        "press",
        channel=OPS,
        ts=card["ts"],
        block_id=f"request:{payload['request_id']}",
        action_id="undo",
    )
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: len(patches(world)) == 2)
    assert (await world.settled())["changed"] == 1
    after = world.sandbox.ccs.tickets["INCA0000001"].shown()
    assert before["TicketState"] == 5
    assert after["TicketState"] == 1
    assert after["Priority"] == "Medium"
