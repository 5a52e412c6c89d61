"""What people type elsewhere than in an edit: watches, questions, mentions, a register's filters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.conftest import MARA, ONCA, OPS, UMAR, World, text_of
from tests.e2e.test_register import stand
from tests.e2e.test_requests import button, confirmed, has, state_is

ASKED = (
    "control_id=1113 host_id=28595192824 policy_id=801459496 technology_id=45"
    ' instance_string=os comments="Legacy host"'
)


async def thread(world: World) -> str:
    """Somebody's message, under which the others of these tests stand."""
    await world.type(UMAR, "Who looks after this?")
    (asked,) = [each for each in world.messages() if "Who looks after this?" in each["text"]]
    return str(asked["ts"])


async def offered(world: World, user: str, words: str, name: str) -> dict[str, Any]:
    """Press the button of the private answer that holds these words."""
    await world.told(user, words)
    shown = next(each for each in world.seen_by(user) if words in text_of(each) and has(each, name))
    return await world.act(user, "press", channel=OPS, ts=shown["ts"], **button(shown, name))


def initial(view: dict[str, Any]) -> dict[str, Any]:
    """What stands in the inputs of a form, by their blocks."""
    found = {}
    for block in view["blocks"]:
        element = block.get("element") or {}
        options = element.get("initial_options") or []
        one = element.get("initial_value") or (element.get("initial_option") or {}).get("value")
        if held := one or [each["value"] for each in options]:
            found[block["block_id"]] = held
    return found


# --- watches --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "login"),
    [
        ("ticket_assignee=me", "mlindqvist"),
        (f"ticket_assignee=<@{ONCA}|onca>", "oreyes"),
        ('ticket_assignee="Onca Reyes"', "oreyes"),
        ("ticket_assignee:me", "mlindqvist"),
    ],
)
async def test_a_watch_takes_a_person_for_their_account(
    world: World, typed: str, login: str
) -> None:
    await world.type(MARA, f"/amend watch qualys {typed}")
    await world.told(MARA, "is told from now on")
    (row,) = await world.bot.watching.watches.listed()
    assert row.selection["ticket_assignee"] == login


async def test_a_watch_of_nobody_is_refused(world: World) -> None:
    await world.type(MARA, "/amend watch qualys ticket_assignee=@nobody")
    await world.told(MARA, "Choose `@nobody` from Slack's list")
    assert await world.bot.watching.watches.listed() == []


async def test_a_watch_is_read_as_leniently_as_an_edit(world: World) -> None:
    await world.type(MARA, "/amend watch qualys states:open, resolved --Mode hourly")
    await world.told(MARA, "is told from now on")
    (row,) = await world.bot.watching.watches.listed()
    assert row.selection["states"] == ["OPEN", "RESOLVED"]
    assert row.mode == "hourly"


async def test_what_is_wrong_with_a_watch_is_corrected_in_its_form(world: World) -> None:
    await world.type(MARA, "/amend watch qualys states=OPEN quiet=22:00-06:00 colour=red")
    await offered(world, MARA, "colour", "watch_form")
    view = await world.view_is(MARA, "watch")
    assert initial(view) == {"states": ["OPEN"], "mode": "now", "quiet": "22:00-06:00"}


# --- mentions -------------------------------------------------------------------------------------


async def test_a_request_is_stopped_from_a_thread_by_who_asked(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await state_is(world, "pending_approval")
    request = world.payload()["request_id"]
    there = await thread(world)
    await world.type(ONCA, f"@Amend cancel {request}", thread_ts=there)
    await world.told(ONCA, "Only the person who asked")
    assert world.payload()["state"] == "pending_approval"
    await world.type(MARA, f"@Amend cancel {request.lower()}", thread_ts=there)
    await world.told(MARA, f"Request {request} is cancelled.")
    await state_is(world, "cancelled")
    assert world.edits() == []


async def test_a_typed_stop_is_answered_by_what_came_of_it(world: World) -> None:
    await world.type(MARA, "/amend cancel RNOPE99")
    await world.told(MARA, "There is no request `RNOPE99`")
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await state_is(world, "pending_approval")
    request = world.payload()["request_id"]
    await world.type(ONCA, f"/amend cancel {request}")
    await world.told(ONCA, "Only the person who asked")
    await world.type(MARA, f"/amend cancel {request}")
    await world.told(MARA, f"Request {request} is cancelled.")
    await world.type(MARA, f"/amend cancel {request}")
    await world.told(MARA, f"Request {request} is cancelled by <@{MARA}>.")
    assert not any("Stopping" in each for each in world.private(MARA) + world.private(ONCA))


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("exceptions ends_within=365", "exceptions"),
        ("watch qualys states=OPEN", "is told from now on"),
        ("unwatch qualys", "Which one?"),
        ("watches", "watch"),
        ("stop", "/amend cancel REQUEST"),
        ("history #23456", "23456"),
        ("watch help", "/amend watch VENDOR"),
        ("qualys\n?", "How to use /qualys"),
    ],
)
async def test_what_needs_no_form_is_answered_in_a_thread(
    world: World, words: str, answer: str
) -> None:
    stand(world, 3)
    await world.type(MARA, f"@Amend {words}", thread_ts=await thread(world))
    await world.told(MARA, answer)


@pytest.mark.parametrize(
    ("words", "view"), [("link qualys", "link"), ("watch qualys", "watch"), ("undo {}", "review")]
)
async def test_what_has_a_form_is_opened_by_a_button_in_a_thread(
    world: World, words: str, view: str
) -> None:
    await world.type(MARA, "/qualys 23456 change_state=RESOLVED")
    request = (await world.settled())["request_id"]
    await world.type(MARA, f"@Amend {words.format(request)}", thread_ts=await thread(world))
    await offered(world, MARA, "a button opens it", "topic")
    await world.view_is(MARA, view)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("help", "/qualys"),
        ("qualys 23456,23457 change_state=RESOLVED", "please review"),
        ("qualys 23456 change_stat=RESOLVED", "Correct it in the form"),
    ],
)
async def test_what_only_one_person_sees_is_seen_where_there_is_no_thread_yet(
    world: World, words: str, answer: str
) -> None:
    """Slack shows nobody an ephemeral message in a thread that has no replies."""
    await world.type(MARA, f"@Amend {words}")
    await world.told(MARA, answer)


# --- questions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dress", ["#23456", "ticket 23456", "23456;", "TICKET-23456"])
async def test_a_record_s_story_is_found_in_any_dress(world: World, dress: str) -> None:
    await world.type(MARA, "/qualys 23456 change_state=RESOLVED")
    request = (await world.settled())["request_id"]
    await world.type(MARA, f"/amend history {dress}")
    await world.told(MARA, request)


async def test_a_story_is_one_record_s(world: World) -> None:
    await world.type(MARA, "/amend history 23456, 23457")
    await world.told(MARA, "name one")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/amend watch qualys help", "/amend watch VENDOR"),
        ("/amend link qualys --help", "/amend link VENDOR"),
        ("/amend report qualys ?", "/amend report"),
        ("/amend qualys\n?", "How to use /qualys"),
    ],
)
async def test_a_help_word_behind_anything_gives_help(world: World, typed: str, words: str) -> None:
    await world.type(MARA, typed)
    await world.told(MARA, words)
    assert world.view(MARA) == {}


async def test_a_line_break_behind_a_command_is_a_blank(world: World) -> None:
    await world.type(MARA, "/amend qualys\n23456\tchange_state=RESOLVED")
    await world.settled()
    assert world.edits() == [{"ticket_numbers": "23456", "change_state": "RESOLVED"}]


@pytest.mark.parametrize(
    "words", ["Status=approved", "status:Approved", "--status Approved", "state=Approved, Pending"]
)
async def test_a_register_s_filters_are_read_as_leniently(world: World, words: str) -> None:
    exceptions = world.qualys.compliance.exceptions
    for each, known in list(exceptions.items()):
        exceptions[each] = replace(known, status="Rejected")
    (number,) = stand(world, 3)
    await world.type(MARA, f"/amend exceptions {words}")
    await world.told(MARA, f"*{number}*")


async def test_a_filter_without_a_name_is_named(world: World) -> None:
    await world.type(MARA, "/amend exceptions soon")
    said = await world.told(MARA, "`soon` has no name")
    assert "`status`" in said


# --- an exception's assignee is a number, and people have names -----------------------------------


@pytest.mark.parametrize(("typed", "number"), [("me", 500101), ('"Onca Reyes"', 500104)])
async def test_a_person_stands_for_the_number_that_exceptions_take(
    world: World, typed: str, number: int
) -> None:
    await world.type(MARA, f"/exception {ASKED} assignee_id={typed}")
    view = await world.view_is(MARA, "review")
    assert f"assignee_id={number}" in text_of(view)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("/amend link bogus", "Those that take your own credentials: `"),
        ("/amend unlink bogus", "Those that take your own credentials: `"),
        ("/amend report bogus", "Of which vendor? Try"),
        ("/amend watch bogus", "What shall be watched?"),
    ],
)
async def test_a_word_that_names_nothing_is_no_denial(
    world: World, typed: str, answer: str
) -> None:
    await world.type(MARA, typed)
    assert "Not allowed" not in await world.told(MARA, answer)
