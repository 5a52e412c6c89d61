"""Lanes: one bulk run at a time under a vendor account, in turns; short ones go at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dbos import DBOS, SetWorkflowID

from bot.jobs import engine, runner
from bot.slack.outgoing.voice import SlackVoice
from tests.e2e.conftest import MARA, ONCA, OPS, Make, World, text_of, until
from tests.e2e.test_requests import button, confirmed, patched

EACH, A_SLICE = 60, 20


@DBOS.workflow(name="lines_up_in_a_test")
async def lines_up(name: str) -> None:
    await engine._line_up(name, "one lane", 1)


async def two_bulk_runs(make: Make, monkeypatch: pytest.MonkeyPatch) -> World:
    """Mara's run of 60 tickets is under way, and Onca's of 60 others stands in line."""
    monkeypatch.setattr(runner, "SLICE", A_SLICE)
    monkeypatch.setattr(runner, "WAVES", 1)
    world = await make(AMEND_ATTRIBUTION="off")
    numbers = sorted(world.sandbox.ccs.tickets)
    first, second = numbers[:EACH], numbers[EACH : 2 * EACH]
    # Both are planned before anything is slow: an account's reads and edits share its connections.
    await world.type(MARA, f"/ccs {','.join(first)} TicketDescription=first")
    await world.type(ONCA, f"/ccs {','.join(second)} TicketDescription=second")
    reviews = {user: await world.view_is(user, "review") for user in (MARA, ONCA)}
    slow(world, 12.0)  # time enough to see who waits, on a busy machine too
    await world.act(MARA, "submit", view_id=reviews[MARA]["id"], values={})
    await until(lambda: bool(words_sent(world)), "the first run")
    await world.act(ONCA, "submit", view_id=reviews[ONCA]["id"], values={})
    await until(lambda: len(world.cards()) == 2, "the second card")
    return world


async def test_a_review_that_is_submitted_at_once_lines_up_too(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan's workflow is still under way then, and must not run it past the line."""
    monkeypatch.setattr(runner, "SLICE", A_SLICE)
    world, planned = await make(AMEND_ATTRIBUTION="off"), SlackVoice.planned

    async def submitted(self: SlackVoice, request: Any, facts: Any) -> None:
        await planned(self, request, facts)
        await world.bot.pipeline.submit(request.id, request.digest, request.requester)

    monkeypatch.setattr(SlackVoice, "planned", submitted)
    numbers = sorted(world.sandbox.ccs.tickets)[:EACH]
    await world.type(MARA, f"/ccs {','.join(numbers)} TicketDescription=quick")
    assert (await world.settled())["changed"] == EACH
    queues = {each.queue_name for each in await DBOS.list_workflows_async()}
    assert engine.BULK in queues


def second_card(world: World) -> dict[str, Any]:
    """Onca's; which of two cards is posted first is not said."""
    return next(each for each in world.cards() if f"<@{ONCA}>" in text_of(each))


def told(card: dict[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = card["metadata"]["event_payload"]
    return payload


def slow(world: World, seconds: float) -> None:
    """Edits take so long, and reading does not: the run ahead keeps its lane while one is planned."""
    world.sandbox.ccs.set_fault("slow", {"seconds": seconds, "only": "RemediationTickets/"})


def words_sent(world: World) -> list[str]:
    """Whose tickets were edited, in the order of the calls."""
    return [
        str(each.json["ticketDescription"])
        for each in world.sandbox.ccs.requests
        if each.method == "PATCH"
    ]


def turns(words: list[str]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for each in words:
        if found and found[-1][0] == each:
            found[-1] = (each, found[-1][1] + 1)
        else:
            found.append((each, 1))
    return found


async def all_over(world: World) -> None:
    def over() -> bool:
        states = [each["metadata"]["event_payload"]["state"] for each in world.cards()]
        return set(states) <= {"succeeded", "cancelled"}

    await until(over, "both ends")


async def test_bulk_runs_under_one_account_take_turns(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await two_bulk_runs(make, monkeypatch)
    await until(lambda: "In line" in text_of(second_card(world)), "who waits")
    slow(world, 0.2)
    await all_over(world)
    sent = words_sent(world)
    assert sorted(sent) == ["first"] * EACH + ["second"] * EACH
    taken = turns(sent)
    assert len(taken) >= 4, "the second run does not wait for the end of the first"
    # Before the second was in line, and after its end, the first had the lane for itself.
    assert max(many for _, many in taken[1:-1]) <= A_SLICE, taken
    assert "In line" not in text_of(second_card(world))


async def test_of_two_that_line_up_in_one_second_the_first_goes_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their names are: SQLite keeps when a run lined up in whole seconds."""
    went: list[str] = []

    async def begin(name: str) -> bool:
        went.append(name)
        return False

    monkeypatch.setattr(world.bot.work, "begin", begin)
    names = ["R9", "R1", "R5", "R3"]
    for name in names:
        with SetWorkflowID(f"carry_out:{name}:1"):
            await DBOS.start_workflow_async(lines_up, name)
        await asyncio.sleep(0.11)
    await until(lambda: len(went) == len(names), "all had their turn")
    assert went == names


async def test_who_cancels_in_line_stops_at_once_and_nothing_was_sent(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await two_bulk_runs(make, monkeypatch)
    card = second_card(world)
    await world.act(ONCA, "press", channel=OPS, ts=card["ts"], **button(card, "cancel"))
    await until(lambda: told(second_card(world))["state"] == "cancelled", "it is cancelled")
    slow(world, 0.1)
    await all_over(world)
    assert "second" not in words_sent(world)
    request = told(second_card(world))["request_id"]
    counts = await world.bot.pipeline.parts.ledger.counts(request)
    assert counts.not_sent == counts.records == EACH


async def test_a_short_run_does_not_wait_for_a_long_one(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await two_bulk_runs(make, monkeypatch)
    last = sorted(world.sandbox.ccs.tickets)[-1]
    await world.type(MARA, f"/ccs {last} TicketDescription=short")
    await until(lambda: "short" in words_sent(world), "the short run")
    assert len(words_sent(world)) < 2 * EACH
    slow(world, 0.1)
    await all_over(world)


async def test_a_restart_goes_on_with_both(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await two_bulk_runs(make, monkeypatch)
    request = told(second_card(world))["request_id"]
    slow(world, 0.2)
    await world.bot.engine.close()
    await world.bot.engine.launch(world.bot.work)
    await all_over(world)
    counts = await world.bot.pipeline.parts.ledger.counts(request)
    assert counts.changed == EACH
    assert len(set(patched(world))) == 2 * EACH


async def test_edits_keep_to_the_budget_of_the_account(make: Make) -> None:
    world = await make(ZSTACK_EDITS_PER_SECOND="5")
    world.sandbox.zstack.action_key = "changeticketstatus"  # the one that is tried first
    pending = [
        each.uuid for each in world.sandbox.zstack.tickets.values() if each.status == "Pending"
    ]
    times: list[float] = []
    loop = asyncio.get_running_loop()

    def note(entry: dict[str, Any]) -> None:
        if entry["what"].startswith("PUT") and "/tickets/" in entry["what"]:
            times.append(loop.time())

    world.sandbox.zstack.on_traffic = note
    await confirmed(world, MARA, f"/zstack {','.join(pending[:18])} statusEvent=reject")
    await until(lambda: bool(world.cards()), "the card")
    payload = await world.settled()
    assert payload["changed"] == 18
    assert len(times) == 18
    # An answer takes longer at one time than at another, so a call may seem to come early.
    assert max(sum(at <= each < at + 0.8 for each in times) for at in times) <= 6
