"""Bad days at the vendor: each failure is told in plain words, and nothing runs twice."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from bot.domain.operations import Result
from bot.domain.plans import State
from tests.e2e.conftest import MARA, World, read_for_marks, start_bot, text_of, until
from tests.e2e.test_requests import confirmed

COMMENT = '/qualys 23456 add_comment="Host patched"'


def comments(world: World) -> int:
    ticket = world.qualys.tickets[23456]
    return sum("Host patched" in str(entry) for entry in ticket.history)


@pytest.mark.parametrize(
    ("fault", "states", "sent"),
    [
        ("reset_after_edit", {"succeeded"}, 1),
        ("truncated_xml", {"succeeded"}, 1),
        ("reset", {"unknown"}, 0),
        ("http_500", {"unknown"}, 0),
        ("html_200", {"unknown"}, 0),
        ("hostile_xml", {"unknown"}, 0),
        ("error_200", {"failed"}, 0),
        ("conflict_running", {"succeeded"}, 1),
    ],
)
async def test_an_edit_that_goes_wrong_is_sent_once_and_told_as_it_is(
    world: World, fault: str, states: set[str], sent: int
) -> None:
    world.qualys.set_fault(fault, {"times": 1, "only": "ticket_edit"})
    await world.type(MARA, COMMENT)
    payload = await world.settled()
    assert payload["state"] in states
    assert comments(world) == sent
    await until(lambda: bool(world.thread()), "the reply")
    assert len(text_of(world.thread()[0])) > 20


async def test_a_refused_account_stops_the_run_at_once_and_it_goes_on_once_that_is_mended(
    world: World,
) -> None:
    """Trying on would lock the account at the vendor."""
    world.qualys.set_fault("bad_credentials", {"only": "ticket_edit"})
    await world.type(MARA, COMMENT)
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "scheduled")
    tried = len(world.edits())
    assert tried == 1
    assert "Mend its credentials" in text_of(world.cards()[-1])
    request = await world.bot.store.request(world.payload()["request_id"])
    assert request is not None
    assert request.run_at is not None
    assert request.run_at > world.bot.store.clock() + 50, "one try a minute at most"
    world.qualys.set_fault(None)
    world.bot.registry.vendors[1].operations[0]._client._breaker.accepted()
    await world.bot.store.set_fields(request.id, run_at=world.bot.store.clock())
    assert (await world.settled())["state"] == "succeeded"
    assert comments(world) == 1


async def test_a_wait_of_seconds_is_waited_and_the_edit_runs_once(world: World) -> None:
    world.qualys.set_fault("conflict_wait", {"times": 1, "seconds": 1, "only": "ticket_edit"})
    await world.type(MARA, COMMENT)
    assert (await world.settled())["state"] == "succeeded"
    assert comments(world) == 1


async def test_a_wait_of_minutes_is_scheduled_with_the_time(world: World) -> None:
    world.qualys.set_fault("conflict_wait", {"times": 1, "seconds": 300, "only": "ticket_edit"})
    await world.type(MARA, COMMENT)
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "scheduled")
    assert "goes on" in text_of(world.cards()[-1])
    assert comments(world) == 0


def forget_the_pause(world: World) -> None:
    """As in another process; in this one the client knows for itself how long to wait."""
    client = world.bot.registry.vendors[1].operations[0]._client  # type: ignore[attr-defined]
    client._paces.clear()


async def test_a_plan_that_the_vendor_put_off_is_carried_on_by_nobody_until_its_time_comes(
    world: World,
) -> None:
    world.qualys.set_fault("conflict_wait", {"times": 1, "seconds": 300, "only": "ticket_list"})
    await world.type(MARA, COMMENT)
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "scheduled")
    await asyncio.sleep(1)
    assert not await world.bot.engine.under_way(), "nobody sleeps on it"
    forget_the_pause(world)
    asked = len(world.lists())
    await world.bot.upkeep.start_due()
    await asyncio.sleep(0.5)
    assert len(world.lists()) == asked, "not before its time"
    request_id = world.payload()["request_id"]
    await world.bot.store.set_fields(request_id, run_at=time.time() + 2)
    await world.bot.upkeep.start_due()
    await asyncio.sleep(0.5)
    assert len(world.lists()) == asked, "nor when its time has only nearly come"
    assert (await world.settled())["state"] == "succeeded"
    assert comments(world) == 1


async def test_a_plan_that_a_vendor_puts_off_again_and_again_is_given_up_after_a_day(
    world: World,
) -> None:
    world.qualys.set_fault("conflict_wait", {"times": 1, "seconds": 300, "only": "ticket_list"})
    await world.type(MARA, COMMENT)
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "scheduled")
    day_ago, request_id = time.time() - 25 * 3600, world.payload()["request_id"]
    await world.bot.store.set_fields(request_id, created_at=day_ago, run_at=time.time())
    await world.bot.upkeep.start_due()
    await world.told(MARA, "Nothing was sent")
    assert (await world.settled())["state"] == "failed", "the card that said when says so too"


async def test_what_waits_for_longer_than_anything_may_goes_on_now(world: World) -> None:
    """As where the clock was three hours ahead when the vendor put it off."""
    world.qualys.set_fault("conflict_wait", {"times": 1, "seconds": 300, "only": "ticket_edit"})
    await world.type(MARA, COMMENT)
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "scheduled")
    forget_the_pause(world)
    await world.bot.store.set_fields(world.payload()["request_id"], run_at=time.time() + 3 * 3600)
    await world.bot.upkeep.start_due()
    assert (await world.settled())["state"] == "succeeded"
    assert comments(world) == 1


@pytest.mark.parametrize("many", [2, 150])
async def test_what_the_vendor_put_off_goes_on_when_its_time_comes(world: World, many: int) -> None:
    found = [n for n, each in world.qualys.tickets.items() if each.condition == "OPEN"][:many]
    world.qualys.set_fault("conflict_running", {"only": "ticket_edit"})
    await confirmed(world, MARA, f"/qualys {','.join(map(str, found))} add_comment=later")
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "scheduled")
    request_id = world.payload()["request_id"]
    request = await world.bot.store.request(request_id)
    assert request is not None
    assert (request.run_at or 0.0) - time.time() > 30
    world.qualys.set_fault(None)
    await world.bot.store.set_fields(request_id, run_at=time.time() + 0.5)
    await world.bot.upkeep.start_due()
    payload = await world.settled()
    assert (payload["state"], payload["changed"]) == ("succeeded", many)
    comments = [e.comment for n in found for e in world.qualys.tickets[n].history]
    assert comments.count("later") == many


@pytest.mark.parametrize("fault", ["reset", "http_503", "html_200", "error_200", "hostile_xml"])
async def test_a_vendor_that_cannot_be_read_is_told_privately(world: World, fault: str) -> None:
    world.qualys.set_fault(fault, {"times": 9, "only": "ticket_list"})
    await world.type(MARA, COMMENT)
    await world.told(MARA, "Nothing was sent")
    assert world.edits() == []


async def test_what_changed_between_review_and_submission_is_held_back(world: World) -> None:
    await world.type(MARA, "/qualys 23456,23458 change_state=RESOLVED add_comment=done")
    review = await world.view_is(MARA, "review")
    world.qualys.tickets[23456].condition = "IGNORED"
    await world.act(MARA, "submit", view_id=review["id"], values={})
    await world.settled()
    numbers = {each for edit in world.edits() for each in edit["ticket_numbers"].split(",")}
    assert "23456" not in numbers
    await until(lambda: bool(world.thread()), "the reply")
    assert "changed since the plan" in text_of(world.thread()[0])


async def test_what_changes_in_the_vendors_pause_is_held_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.jobs.calls.FRESH_FOR", 0.5)
    world.qualys.set_fault("conflict_wait", {"times": 1, "seconds": 1, "only": "ticket_edit"})
    await confirmed(world, MARA, "/qualys 23456,23458 change_state=RESOLVED add_comment=done")
    await until(lambda: any("ticket_edit" in each.path for each in world.qualys.requests))
    (request,) = await world.bot.store.requests_in([State.RUNNING])
    for _ in range(50):
        await asyncio.sleep(0.01)
        rows = await world.bot.pipeline.parts.ledger.records(request.id, [Result.TO_SEND], 9)
        if len(rows) == 2:
            break
    assert len(rows) == 2, "a kill in the pause finds nothing that may have been sent"
    world.qualys.tickets[23456].condition = "IGNORED"
    assert (await world.settled())["state"] == "partial"
    assert [edit.changed for edit in world.qualys.edits] == [(23458,)]
    await until(lambda: bool(world.thread()), "the receipt")
    assert "changed since the plan" in text_of(world.thread()[0])


async def test_words_of_people_never_mention_or_link(world: World) -> None:
    await world.type(MARA, '/qualys 23456 add_comment="see <!channel> &lt;!here&gt; done"')
    await world.settled()
    everything = "".join(map(read_for_marks, world.messages()))
    assert "<!channel>" not in everything.replace("/qualys", "")
    assert "<!here>" not in everything
    assert "see <!channel> &lt;!here&gt; done" in text_of(world.cards()[-1]), "as it went out"


async def test_a_read_that_fails_for_a_moment_holds_nothing_back(world: World) -> None:
    numbers = sorted(world.sandbox.ccs.tickets)[:30]
    await world.type(MARA, f"/ccs {','.join(numbers)} TicketDescription=patched")
    view = await world.view_is(MARA, "review")
    world.sandbox.ccs.set_fault("http_503", {"times": 1, "only": "RemediationTickets"})
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: bool(world.cards()), "the card")
    payload = await world.settled()
    assert (payload["state"], payload["changed"]) == ("succeeded", 30)


async def test_who_cancels_in_the_vendors_pause_gets_a_receipt(world: World) -> None:
    world.qualys.set_fault("conflict_wait", {"times": 1, "seconds": 300, "only": "ticket_edit"})
    await confirmed(world, MARA, "/qualys 23456,23458 add_comment=later")
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "scheduled")
    await world.type(MARA, f"/amend cancel {world.payload()['request_id']}")
    payload = await world.settled()
    assert payload["state"] == "cancelled"
    await until(lambda: any("2 not sent" in text_of(each) for each in world.thread()), "receipt")
    counts = await world.bot.pipeline.parts.ledger.counts(payload["request_id"])
    assert counts.not_sent == counts.records == 2


async def test_a_stop_while_a_vendor_hangs_leaves_nothing_running_and_the_call_is_read_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.bootstrap.STOP_WITHIN", 0.2)
    world.qualys.set_fault("slow", {"times": 1, "seconds": 1, "only": "ticket_edit"})
    await world.type(MARA, COMMENT)
    await until(lambda: any("ticket_edit" in each.path for each in world.qualys.requests))
    await world.bot.stop()
    left = [each for each in asyncio.all_tasks() if "workflow" in repr(each.get_coro())]
    assert left == [], "what outlives the bot would still write to its database"
    world.bot = await start_bot(world.sandbox, tmp_path, monkeypatch, AMEND_ATTRIBUTION="off")
    assert (await world.settled())["state"] in ("succeeded", "unknown")
    assert sum("ticket_edit" in each.path for each in world.qualys.requests) == 1
