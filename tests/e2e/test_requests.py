"""A request's life beyond the plain run: bulk, cancel, retry, undo, schedule, and looking back at it."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from typing import Any

from bot.db import audit
from bot.db.tables import News
from bot.domain.people import Account
from bot.domain.plans import State
from tests.e2e.conftest import (
    APPROVALS,
    MARA,
    ONCA,
    OPS,
    SAMI,
    UMAR,
    World,
    read_for_marks,
    text_of,
    until,
)

BULK = "/qualys states=OPEN change_state=RESOLVED add_comment=patched"


def button(message: dict[str, Any], action_id: str) -> dict[str, str]:
    for block in message["blocks"]:
        elements = [*(block.get("elements") or []), block.get("accessory") or {}]
        for element in elements:
            if str(element.get("action_id", "")).partition(":")[0] == action_id:
                return {"block_id": block.get("block_id", ""), "action_id": element["action_id"]}
    raise AssertionError(f"no button {action_id}")


def has(message: dict[str, Any], action_id: str) -> bool:
    try:
        button(message, action_id)
    except AssertionError:
        return False
    return True


async def press(world: World, user: str, action_id: str, channel: str = OPS) -> dict[str, Any]:
    card = world.cards(channel)[-1]
    return await world.act(user, "press", channel=channel, ts=card["ts"], **button(card, action_id))


async def confirmed(world: World, user: str, typed: str, **inputs: Any) -> dict[str, Any]:
    """Type it and submit its review; the review as it was shown."""
    await world.type(user, typed)
    view = await world.view_is(user, "review")
    await world.act(user, "submit", view_id=view["id"], values=inputs)
    return view


async def state_is(world: World, state: str) -> None:
    await until(lambda: bool(world.cards()) and world.payload()["state"] == state, state)


def file_of(world: World) -> list[dict[str, str]]:
    (held,) = [each for each in world.slack.core.files.values() if each.name.endswith(".csv")]
    return list(csv.DictReader(io.StringIO(held.content.decode())))


# --- bulk -----------------------------------------------------------------------------------------


async def test_a_bulk_edit_is_reviewed_then_run_and_every_record_stands_in_the_file(
    make: Any,
) -> None:
    world = await make(AMEND_ATTRIBUTION="off", AMEND_POLICY="")
    view = await confirmed(world, MARA, f"{BULK} vuln_severities=5")
    shown = text_of({"blocks": view["blocks"]})
    payload = await world.settled()
    assert payload["state"] in ("succeeded", "partial"), payload
    assert f"{payload['records']:,}" in shown
    numbers = [each for edit in world.edits() for each in edit["ticket_numbers"].split(",")]
    assert len(numbers) == len(set(numbers)) == payload["changed"] > 20
    await until(world.files_there, "the file")
    rows = file_of(world)
    assert len(rows) == payload["records"]
    assert {row["result"] for row in rows} >= {"changed"}


async def test_cells_of_the_file_are_no_formulas(world: World) -> None:
    for number in list(world.qualys.tickets)[:40]:
        world.qualys.tickets[number].title = '=HYPERLINK("http://evil.example")'
    numbers = ",".join(str(each) for each in list(world.qualys.tickets)[:40])
    await confirmed(world, MARA, f"/qualys {numbers} add_comment=checked")
    await world.settled()
    await until(world.files_there, "the file")
    (held,) = world.slack.core.files.values()
    assert '"=HYPERLINK' not in held.content.decode()
    assert ",=HYPERLINK" not in held.content.decode()


def told_at(world: World, channel: str) -> dict[str, Any]:
    """What the newest card of a channel tells a program."""
    payload: dict[str, Any] = world.cards(channel)[-1]["metadata"]["event_payload"]
    return payload


async def test_more_than_500_records_need_somebody_else(world: World) -> None:
    view = await confirmed(world, MARA, "/qualys states=OPEN add_comment=checked")
    assert "one approval" in text_of({"blocks": view["blocks"]})
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    assert world.edits() == []
    await press(world, ONCA, "approve", APPROVALS)
    payload = await world.settled()
    assert payload["records"] > 500
    assert payload["changed"] == sum(len(e["ticket_numbers"].split(",")) for e in world.edits())
    await until(
        lambda: told_at(world, APPROVALS)["state"] == payload["state"],
        "the approvers see how it ended",
    )


async def test_a_review_that_nobody_submits_is_forgotten_after_a_day(world: World) -> None:
    await world.type(MARA, "/qualys 23456,23457 add_comment=left")
    await world.view_is(MARA, "review")
    (left,) = await world.bot.store.requests_in((State.PLANNED,))
    await world.bot.store.set_fields(left.id, planned_at=time.time() - 25 * 3600)
    await world.bot.upkeep.forget_reviews()
    request = await world.bot.store.request(left.id)
    assert request is not None
    assert request.state == "expired"
    assert (await world.bot.pipeline.parts.ledger.counts(left.id)).records == 0
    await world.act(MARA, "submit", view_id=world.view(MARA)["id"], values={})
    await world.told(MARA, "left for more than a day")
    await world.type(MARA, "/amend requests")
    await world.told(MARA, "None yet")
    assert world.cards() == []
    assert world.edits() == []


async def test_what_is_so_already_hides_nothing_that_was_missed(world: World) -> None:
    tickets = sorted(world.qualys.tickets.values(), key=lambda each: each.number)[:8]
    for at, each in enumerate(tickets):
        each.condition = "RESOLVED" if at < 5 else "OPEN"
    numbers = ",".join(str(each.number) for each in tickets)
    await world.type(MARA, f"/qualys {numbers} change_state=RESOLVED")
    view = await world.view_is(MARA, "review")
    for each in tickets[5:]:
        each.condition = "IGNORED"
    await world.act(MARA, "submit", view_id=view["id"], values={})
    payload = await world.settled()
    assert payload["state"] == "failed"
    assert world.edits() == []
    await until(lambda: has(world.cards()[-1], "retry"), "its Retry")


# --- cancel ---------------------------------------------------------------------------------------


async def test_cancel_stops_after_the_calls_under_way_and_tells_what_was_done(world: World) -> None:
    numbers = sorted(world.sandbox.ccs.tickets)[:200]
    slow = {"seconds": 0.4, "times": 5000, "only": "RemediationTickets"}
    world.sandbox.ccs.set_fault("slow", slow)
    await confirmed(world, MARA, f"/ccs {','.join(map(str, numbers))} Priority=High")
    await until(lambda: bool(patched(world)), "the first call")
    # From here on it takes long, so that no machine is at its end before somebody cancels.
    world.sandbox.ccs.set_fault("slow", {**slow, "seconds": 3})
    await state_is(world, "running")
    await until(lambda: world.payload()["changed"] > 0, "some progress")
    await press(world, MARA, "cancel")
    payload = await world.settled()
    assert payload["state"] == "cancelled"
    assert 0 < payload["changed"] < 200 - payload["unchanged"]
    assert payload["changed"] == len(patched(world))
    await until(lambda: any("not sent" in text_of(each) for each in world.thread()))
    assert has(world.cards()[-1], "retry")
    world.sandbox.ccs.set_fault(None)
    await press(world, MARA, "retry")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: len(world.cards()) == 2, "the second card")
    second = await world.settled()
    assert second["state"] == "succeeded"
    assert payload["changed"] + second["changed"] + payload["unchanged"] == 200
    assert len(patched(world)) == len(set(patched(world))) == 200 - payload["unchanged"]


def patched(world: World) -> list[str]:
    return [
        str(each.json["TicketNumber"])
        for each in world.sandbox.ccs.requests
        if each.method == "PATCH"
    ]


async def test_somebody_else_cannot_cancel(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await state_is(world, "pending_approval")
    await press(world, ONCA, "cancel")
    await world.told(ONCA, "Only the person who asked")
    assert world.payload()["state"] == "pending_approval"
    await world.type(MARA, f"/amend cancel {world.payload()['request_id']}")
    await state_is(world, "cancelled")
    await until(lambda: not has(world.cards(APPROVALS)[-1], "approve"), "the buttons are gone")


# --- undo -----------------------------------------------------------------------------------------


async def test_undo_brings_back_what_can_go_back_and_says_what_cannot(world: World) -> None:
    ticket = world.qualys.tickets[23456]
    before = ticket.assignee
    await world.type(MARA, "/qualys 23456 change_assignee=oreyes add_comment=yours")
    await world.settled()
    assert ticket.assignee == "oreyes"
    await press(world, MARA, "undo")
    view = await world.view_is(MARA, "review")
    assert "comment" in text_of({"blocks": view["blocks"]})
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: ticket.assignee == before, "the assignee of before")
    await until(lambda: len(world.cards()) == 2)
    assert (await world.settled())["state"] == "succeeded"
    assert "undoes" in text_of(world.cards()[-1])
    await world.type(MARA, f"/amend undo {world.payload()['request_id']}")
    await until(lambda: "cannot" in str(world.view(MARA)) or "nothing" in str(world.view(MARA)))


async def test_an_undo_that_missed_a_record_is_tried_again_as_an_undo(world: World) -> None:
    tickets = [world.qualys.tickets[23456], world.qualys.tickets[23457]]
    tickets[0].assignee, tickets[1].assignee = before = "qualys_tb", "acme_ac"
    await confirmed(world, MARA, "/qualys 23456,23457 change_assignee=oreyes")
    assert (await world.settled())["changed"] == 2
    first = world.payload()["request_id"]
    await press(world, MARA, "undo")
    view = await world.view_is(MARA, "review")
    tickets[1].assignee = "uhaddad"  # somebody takes it between the review and its submission
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: len(world.cards()) == 2, "the undo's card")
    assert (await world.settled())["state"] == "partial"
    tickets[1].assignee = "oreyes"
    await press(world, MARA, "retry")
    view = await world.view_is(MARA, "review")
    assert "is back already" in text_of({"blocks": view["blocks"]})
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: len(world.cards()) == 3, "the second undo's card")
    payload = await world.settled()
    assert (payload["changed"], payload["unchanged"]) == (1, 1)
    assert f"undoes {first}" in text_of(world.cards()[-1])
    assert tuple(each.assignee for each in tickets) == before


# --- schedule -------------------------------------------------------------------------------------


def at(seconds: float) -> dict[str, Any]:
    when = int(time.time() + seconds)
    return {"run_at": {"run_at": {"type": "datetimepicker", "selected_date_time": when}}}


async def test_a_run_can_wait_for_its_time_and_be_cancelled(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456,23457 add_comment=later", **at(3600))
    await state_is(world, "scheduled")
    assert world.edits() == []
    answer = await world.type(MARA, "/amend requests running")
    assert answer["ok"]
    await world.told(MARA, world.payload()["request_id"])
    await press(world, MARA, "cancel")
    await state_is(world, "cancelled")
    assert world.edits() == []


async def test_when_its_time_comes_it_is_checked_again_and_runs_once(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456,23458 add_comment=later", **at(4))
    await state_is(world, "scheduled")
    world.qualys.tickets[23458].condition = "IGNORED"
    payload = await world.settled()
    assert payload["changed"] == 1
    assert [each["ticket_numbers"] for each in world.edits()] == ["23456"]


async def test_rights_that_are_lost_meanwhile_stop_a_scheduled_run(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456,23458 add_comment=later", **at(4))
    await state_is(world, "scheduled")
    await world.bot.store.unmap_person(world.bot.team, MARA, "qualys", "test")
    payload = await world.settled()
    assert payload["state"] == "failed"
    assert world.edits() == []


async def test_a_time_that_has_passed_is_said_on_its_input(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456,23458 add_comment=later", **at(-7200))
    assert "run_at" in world.view(MARA)["errors"]
    assert world.cards() == []


QUIET = """
[[quiet]]
vendor = "qualys"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "{begins}"
to = "{ends}"
timezone = "UTC"
"""


IN_QUIET = {
    "when": {
        "when": {
            "type": "static_select",
            "selected_option": {"text": {"type": "plain_text", "text": "x"}, "value": "quiet"},
        }
    }
}


async def test_the_quiet_window_of_policy_can_be_chosen(make: Any, tmp_path: Any) -> None:
    begins = time.strftime("%H:%M", time.gmtime(time.time() + 7200))
    ends = time.strftime("%H:%M", time.gmtime(time.time() + 10800))
    (tmp_path / "policy.toml").write_text(QUIET.format(begins=begins, ends=ends))
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"))
    await confirmed(world, MARA, "/qualys 23456,23458 add_comment=later", **IN_QUIET)
    await state_is(world, "scheduled")
    request = await world.bot.store.request(world.payload()["request_id"])
    assert request is not None
    assert request.run_at is not None
    assert 7000 < request.run_at - time.time() < 7300


async def test_a_window_that_passed_while_somebody_had_to_approve_is_the_next_one(
    make: Any, tmp_path: Any
) -> None:
    begins = time.strftime("%H:%M", time.gmtime(time.time() - 3600))
    ends = time.strftime("%H:%M", time.gmtime(time.time() + 7200))
    (tmp_path / "policy.toml").write_text(QUIET.format(begins=begins, ends=ends))
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"))
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED", **IN_QUIET)
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    parts = world.bot.pipeline.parts
    parts.clock = lambda: time.time() + 3 * 3600  # it is open now, and closed when the vote comes
    await press(world, ONCA, "approve", APPROVALS)
    await state_is(world, "scheduled")
    request = await world.bot.store.request(world.payload()["request_id"])
    assert request is not None
    assert 22 * 3600 < (request.run_at or 0.0) - time.time() < 24 * 3600
    assert world.edits() == []


# --- looking back ---------------------------------------------------------------------------------


async def test_a_request_can_be_shown_again_and_a_record_has_its_story(world: World) -> None:
    await world.type(MARA, '/qualys 23456 change_state=RESOLVED add_comment="Host patched"')
    request_id = (await world.settled())["request_id"]
    await world.type(MARA, f"/amend show {request_id.lower()}")
    await world.told(MARA, "1 changed")
    await world.type(MARA, "/amend history 23456")
    story = await world.told(MARA, "Open → Resolved")
    assert request_id in story
    await world.type(MARA, "/amend history")
    await world.told(MARA, "Requests in this channel")
    await world.type(MARA, "/amend show R0NOSUCH")
    await world.told(MARA, "There is no request")


async def test_requests_are_paged(world: World) -> None:
    found = [each.number for each in world.qualys.tickets.values() if each.condition == "OPEN"]
    for number in found[:10]:
        await world.type(MARA, f"/qualys {number} add_comment=checked")
        await asyncio.sleep(0)
    await until(lambda: len(world.cards()) == 10, "ten cards")
    await world.type(MARA, "/amend requests")
    await world.told(MARA, "Your requests")
    (shown,) = [each for each in world.seen_by(MARA) if "Your requests" in text_of(each)]
    older = button(shown, "older")
    await world.act(MARA, "press", channel=OPS, ts=shown["ts"], **older)
    await until(lambda: any("Older" not in t and "Your requests" in t for t in world.private(MARA)))


async def test_who_may_not_do_it_is_not_shown_it(world: World) -> None:
    await world.type(MARA, '/qualys 23456 add_comment="Host patched"')
    request_id = (await world.settled())["request_id"]
    await world.type(SAMI, f"/amend show {request_id}")
    await world.told(SAMI, "Scanner")
    await world.type(SAMI, "/amend history 23456")
    await world.told(SAMI, "has not touched")


def apart(world: World) -> tuple[int, int]:
    """An open ticket within Umar's scope (10.10.10.0/24), and one outside of it."""
    open_ones = [each for each in world.qualys.tickets.values() if each.condition == "OPEN"]
    near = next(each for each in open_ones if str(each.host.ip).startswith("10.10.10."))
    far = next(each for each in open_ones if not str(each.host.ip).startswith("10.10.10."))
    return near.number, far.number


async def test_what_lies_outside_somebodys_scope_is_not_shown_to_them(world: World) -> None:
    near, far = apart(world)
    await confirmed(world, MARA, f"/qualys {near},{far} add_comment=secretwords")
    both = (await world.settled())["request_id"]
    await world.type(MARA, f"/qualys {near} add_comment=nearwords")
    await until(lambda: len(world.cards()) == 2, "the second card")
    inside = (await world.settled())["request_id"]

    for many, word in enumerate(("show", "evidence"), 1):
        await world.type(UMAR, f"/amend {word} {both}")
        await until(lambda many=many: len(world.private(UMAR)) == many, word)
        refusal = world.private(UMAR)[-1]
        assert "outside your scope (10.10.10.0/24)" in refusal
        assert MARA in refusal, "who may see it"
        assert str(far) not in refusal
    assert not world.files_there(), "no bundle of it"
    await world.type(UMAR, f"/amend show {inside}")
    await world.told(UMAR, "nearwords")

    await world.type(UMAR, f"/amend history {far}")
    await world.told(UMAR, "has not touched")
    await world.type(UMAR, f"/amend history {near}")
    story = await world.told(UMAR, f"The story of {near}")
    assert inside in story
    assert both in story, "a row within the scope is shown whatever else its request was about"
    assert str(far) not in story
    denials = [line async for _, line in audit.lines(world.bot.store.engine)]
    assert sum(b"access:denied" in each for each in denials) == 2


async def test_what_was_asked_for_by_oneself_stays_to_be_seen(world: World) -> None:
    near, far = apart(world)
    await confirmed(world, UMAR, f"/qualys {near},{far} add_comment=mine")
    request_id = (await world.settled())["request_id"]
    await world.type(UMAR, f"/amend show {request_id}")
    await world.told(UMAR, "1 changed")


async def noticed(world: World, number: int) -> None:
    """A watch saw a ticket being resolved in the vendor's console."""
    ticket = world.qualys.tickets[number]
    news = News(
        watch_id="W1",
        seq=number,
        vendor="qualys",
        record_id=str(number),
        label=f"{ticket.host.ip} · {ticket.vulnerability.title}",
        from_state="OPEN",
        to_state="RESOLVED",
        at="2026-01-02T03:04:05+00:00",
        by="somebody.else",
        noticed_at=time.time(),
    )
    async with world.bot.store.transaction() as session:
        session.add(news)


async def test_what_a_watch_saw_is_shown_where_it_is_known_to_lie_within_the_scope(
    world: World,
) -> None:
    near, far = apart(world)
    for number in (near, far):
        await noticed(world, number)
    story = world.bot.pipeline.looking.story
    assert len((await story(str(far), MARA)).news) == 1
    assert not (await story(str(near), UMAR)).news, "nothing says yet where it lies"
    await confirmed(world, MARA, f"/qualys {near},{far} add_comment=checked")
    await world.settled()
    assert len((await story(str(near), UMAR)).news) == 1
    assert not (await story(str(far), UMAR)).news
    assert not (await story(str(far), SAMI)).edits


async def test_a_scoped_person_takes_back_what_they_changed(world: World) -> None:
    near, _ = apart(world)
    await world.type(UMAR, f"/qualys {near} change_state=RESOLVED")
    await world.settled()
    await press(world, UMAR, "undo")
    view = await world.view_is(UMAR, "review")
    await world.act(UMAR, "submit", view_id=view["id"], values={})
    await until(lambda: len(world.cards()) == 2, "the undo's card")
    assert (await world.settled())["state"] == "succeeded"
    assert world.payload()["changed"] == 1


async def test_details_are_shown_within_the_scope_only(world: World) -> None:
    near, far = apart(world)
    await confirmed(world, MARA, f"/qualys {near},{far} add_comment=checked")
    await world.settled()
    await press(world, UMAR, "details")
    await until(lambda: "Not allowed" in str(world.view(UMAR)), "a no")
    assert str(far) not in str(world.view(UMAR))


async def test_a_request_without_records_is_within_nobodys_scope(world: World) -> None:
    """Its parameters tell of a vendor's data, and nothing says where they lie."""
    await world.type(MARA, "/qualys 23456,23457 add_comment=checked")
    await world.view_is(MARA, "review")
    (left,) = await world.bot.store.requests_in((State.PLANNED,))
    await world.bot.store.set_fields(left.id, planned_at=time.time() - 25 * 3600)
    await world.bot.upkeep.forget_reviews()
    await world.type(UMAR, f"/amend show {left.id}")
    await world.told(UMAR, "within your scope")


async def test_where_the_vendor_does_not_say_what_lies_in_a_scope_it_is_neither_yes_nor_no(
    world: World,
) -> None:
    near, far = apart(world)
    await confirmed(world, MARA, f"/qualys {near},{far} add_comment=checked")
    request_id = (await world.settled())["request_id"]
    scoped = Account("qualys", "uhaddad", "Unit Manager", ("Web servers",))
    await world.bot.store.map_person(world.bot.team, UMAR, scoped, "test")
    world.qualys.set_fault("http_500", {"times": 50})
    for many, words in enumerate((f"show {request_id}", f"history {far}"), 1):
        await world.type(UMAR, f"/amend {words}")
        await until(lambda many=many: len(world.private(UMAR)) == many, words)
    assert all("try again" in each for each in world.private(UMAR)), world.private(UMAR)
    lines = [line async for _, line in audit.lines(world.bot.store.engine)]
    assert not any(b"access:denied" in each for each in lines)


async def test_details_open_in_a_modal(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456,23458 add_comment=checked")
    await world.settled()
    await press(world, MARA, "details")
    await until(lambda: "23458" in str(world.view(MARA)), "the records")


# --- approvals ------------------------------------------------------------------------------------


async def test_a_rejection_has_a_reason_that_the_card_shows(world: World) -> None:
    reason = {"reason": {"reason": {"type": "plain_text_input", "value": "audit next week"}}}
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED", **reason)
    await until(lambda: bool(world.cards(APPROVALS)))
    assert "audit next week" in text_of(world.cards(APPROVALS)[-1])
    await press(world, ONCA, "reject", APPROVALS)
    view = await world.view_is(ONCA, "reject")
    why = {"reason": {"reason": {"type": "plain_text_input", "value": "<!here> not yet"}}}
    await world.act(ONCA, "submit", view_id=view["id"], values=why)
    await state_is(world, "rejected")
    await until(lambda: "not yet" in text_of(world.cards()[-1]))
    assert "<!here>" not in read_for_marks(world.cards()[-1])
    await until(lambda: not has(world.cards(APPROVALS)[-1], "approve"))
    assert ONCA in text_of(world.cards(APPROVALS)[-1])
    assert world.edits() == []


async def test_two_clicks_in_the_same_moment_have_one_winner(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await until(lambda: bool(world.cards(APPROVALS)))
    await asyncio.gather(*(press(world, ONCA, "approve", APPROVALS) for _ in range(5)))
    assert (await world.settled())["state"] == "succeeded"
    await world.bot.listeners.drain(3)
    assert len(world.edits()) == 1


async def test_what_waits_is_reminded_of_and_expires(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await until(lambda: bool(world.cards() and world.cards(APPROVALS)), "both cards")
    said = len(world.messages(APPROVALS))
    request_id, past = world.payload()["request_id"], time.time() - 1
    await world.bot.store.set_fields(request_id, remind_at=past)
    await world.bot.upkeep.wait_on_approvals()
    await until(lambda: len(world.messages(APPROVALS)) > said, "a reminder")
    request = await world.bot.store.request(request_id)
    assert request is not None
    assert (request.remind_at or 0) - past > 1700, "the gap has doubled"
    await world.bot.store.set_fields(request_id, expires_at=past)
    await world.bot.upkeep.wait_on_approvals()
    await state_is(world, "expired")
    await until(lambda: not has(world.cards(APPROVALS)[-1], "approve"))


# --- the button of the way back -------------------------------------------------------------------


async def test_undo_goes_once_all_of_it_is_undone(world: World) -> None:
    await world.type(MARA, "/qualys 23003 change_state=RESOLVED")
    await world.settled()
    card = world.cards()[-1]

    def offered() -> bool:
        stands = next(each for each in world.cards() if each["ts"] == card["ts"])
        return has(stands, "undo")

    await until(offered, "the button")
    await press(world, MARA, "undo")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: not offered(), "the button is gone")
    source = card["metadata"]["event_payload"]["request_id"]
    await world.type(MARA, f"/amend undo {source}")
    await until(lambda: "can still be taken back" in str(world.slack.state(MARA)), "told")


async def test_undo_is_not_offered_where_nothing_can_go_back(world: World) -> None:
    await world.type(MARA, "/qualys 23003 add_comment=checked")
    await world.settled()
    assert has(world.cards()[-1], "details")
    assert not has(world.cards()[-1], "undo")
