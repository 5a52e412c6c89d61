"""The main job from end to end: typed, by form, by mention and by shortcut."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import (
    APPROVALS,
    GUEST,
    MARA,
    ONCA,
    OPS,
    OUTSIDER,
    SAMI,
    UMAR,
    Make,
    World,
    text_of,
    until,
)

STORY = '23456 change_state=RESOLVED add_comment="Host patched, ready for re-scan"'
SENT = {
    "ticket_numbers": "23456",
    "change_state": "RESOLVED",
    "add_comment": "Host patched, ready for re-scan",
}


async def test_a_typed_command_edits_one_ticket_and_the_reply_stands_in_the_thread(
    world: World,
) -> None:
    done = await world.type(MARA, f"/qualys {STORY}")
    assert done["ok"]
    payload = await world.settled()
    assert payload["state"] == "succeeded"
    assert payload["operation"] == "qualys.edit_tickets"
    assert (payload["records"], payload["changed"]) == (1, 1)
    assert len(payload["digest"]) == 64
    assert world.edits() == [SENT]
    await until(lambda: bool(world.thread()), "the reply")
    receipt = text_of(world.thread()[0])
    assert "Qualys: 1 changed · ticket 23456: Open → Resolved" in receipt.replace("*", "")
    assert "Host patched" not in receipt, "what the card says is not said once more"
    assert world.private(MARA) == [], "no word of reading stands above what came of it"
    assert world.qualys.tickets[23456].condition == "RESOLVED"


async def test_the_same_over_socket_mode_with_the_persons_name_in_the_comment(make: Make) -> None:
    world = await make(mode="socket")
    await until(lambda: world.slack.core.delivery.sockets.connected, "the socket")
    await world.type(MARA, f"/amend qualys {STORY}")
    assert (await world.settled())["state"] == "succeeded"
    assert world.edits()[0]["add_comment"] == (
        "Host patched, ready for re-scan [Mara Lindqvist via Amend]"
    )


@pytest.mark.parametrize(
    ("typed", "selection", "change"),
    [
        (
            "ticket_numbers=23456&add_comment=Host+patched,+ready+for+re-scan",
            {"ticket_numbers": "23456"},
            {"add_comment": "Host patched, ready for re-scan"},
        ),
        (
            "ips=10.10.10.120&reopen_ignored_days=7",
            {"ips": "10.10.10.120"},
            {"reopen_ignored_days": "7"},
        ),
        (
            "states=OPEN&unmodified_since=2018-01-01&ticket_assignee=qualys_tb"
            "&change_assignee=qualys_ac",
            {
                "states": "OPEN",
                "unmodified_since": "2018-01-01",
                "ticket_assignee": "qualys_tb",
            },
            {"change_assignee": "qualys_ac"},
        ),
        (
            "since_ticket_number=00023000&until_ticket_number=23900&invalid=1"
            "&change_assignee=acme_ac",
            {
                "since_ticket_number": "00023000",
                "until_ticket_number": "23900",
                "invalid": "1",
            },
            {"change_assignee": "acme_ac"},
        ),
    ],
)
async def test_the_documents_examples_arrive_parameter_by_parameter(
    world: World, typed: str, selection: dict[str, str], change: dict[str, str]
) -> None:
    await world.type(MARA, f"/qualys {typed}")
    first = await _review_or_run(world)
    listed = {name: value for name, value in first.items() if name in selection}
    assert listed == selection
    if not world.edits() and world.view(MARA).get("submit"):
        await world.act(MARA, "submit", view_id=world.view(MARA)["id"], values={})
        await world.settled()
    for edit in world.edits():
        numbers = edit.pop("ticket_numbers")
        assert all(each.isdigit() for each in numbers.split(","))
        assert edit == change


async def _review_or_run(world: World) -> dict[str, str]:
    def ready() -> bool:
        return bool(world.edits()) or world.view(MARA).get("callback_id") in ("review", "form")

    await until(ready, "a review or a run")
    return world.lists()[0]


async def test_ignoring_needs_another_persons_approval(world: World) -> None:
    await world.type(MARA, "/qualys states=OPEN&asset_groups=New+York,London&change_state=IGNORED")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    assert world.edits() == []
    question = world.cards(APPROVALS)[-1]
    approve = _button(question, "approve")
    await world.act(MARA, "press", channel=APPROVALS, ts=question["ts"], **approve)
    await world.told(MARA, "own", APPROVALS)
    await world.act(SAMI, "press", channel=APPROVALS, ts=question["ts"], **approve)
    assert world.edits() == []
    await world.act(ONCA, "press", channel=APPROVALS, ts=question["ts"], **approve)
    await world.act(ONCA, "press", channel=APPROVALS, ts=question["ts"], **approve)
    payload = await world.settled()
    assert payload["state"] == "succeeded"
    assert len(world.edits()) == 1
    assert world.edits()[0]["change_state"] == "IGNORED"


def _button(message: dict[str, object], action_id: str) -> dict[str, str]:
    for block in message["blocks"]:  # type: ignore[attr-defined]
        for element in block.get("elements", []):
            if element.get("action_id") == action_id:
                return {
                    "block_id": block["block_id"],
                    "action_id": action_id,
                    "value": element["value"],
                }
    raise AssertionError(action_id)


async def test_the_form_leads_through_errors_and_the_review_to_the_run(world: World) -> None:
    await world.type(MARA, "/qualys")
    form = await world.view_is(MARA, "form")
    blocks = {each["block_id"] for each in form["blocks"] if each["type"] == "input"}
    assert {"ticket_numbers", "change_state", "add_comment", "reopen_ignored_days"} <= blocks
    wrong = _typed(ticket_numbers="23x", add_comment="done")
    await world.act(MARA, "submit", view_id=form["id"], values=wrong)
    assert "ticket_numbers" in world.view(MARA)["errors"]
    right = _typed(ticket_numbers="23456", add_comment="Host patched")
    await world.act(MARA, "submit", view_id=form["id"], values=right)
    review = await world.view_is(MARA, "review")
    assert "23456" in text_of({"blocks": review["blocks"]})
    assert world.edits() == []
    await world.act(MARA, "submit", view_id=review["id"], values={})
    assert (await world.settled())["state"] == "succeeded"
    assert world.edits() == [{"ticket_numbers": "23456", "add_comment": "Host patched"}]


def _typed(**values: str) -> dict[str, object]:
    return {
        name: {name: {"type": "plain_text_input", "value": value}} for name, value in values.items()
    }


async def test_a_mention_in_a_thread_is_answered_in_that_thread(world: World) -> None:
    await world.type(SAMI, "Ticket 23456 is done, who closes it?")
    parent = world.messages()[-1]["ts"]
    await world.type(MARA, f"@Amend qualys {STORY}", thread_ts=parent)
    assert (await world.settled())["state"] == "succeeded"
    assert world.cards()[-1]["thread_ts"] == parent
    assert world.edits() == [SENT]


async def test_a_message_shortcut_finds_the_ticket_numbers(world: World) -> None:
    await world.type(SAMI, "Tickets 23456 and 23457 on 10.10.10.120 are done since 2026-11-01")
    ts = world.messages()[-1]["ts"]
    await world.act(MARA, "shortcut", callback_id="amend_edit_here", channel=OPS, ts=ts)
    form = await world.view_is(MARA, "form")
    first = next(each for each in form["blocks"] if each["block_id"] == "ticket_numbers")
    assert first["element"]["initial_value"] == "23456,23457"


@pytest.mark.parametrize(("user", "words"), [(SAMI, "Scanner"), (GUEST, "Guest"), (OUTSIDER, "")])
async def test_who_may_not_changes_nothing_and_is_told_why(
    world: World, user: str, words: str
) -> None:
    await world.type(user, f"/qualys {STORY}")
    if words:
        await world.told(user, words)
    await world.bot.listeners.drain(3)
    assert world.edits() == []
    assert world.cards() == []


async def test_a_unit_manager_reaches_only_the_own_scope(world: World) -> None:
    await world.type(UMAR, "/qualys 23456 add_comment=checked")
    assert (await world.settled())["state"] == "succeeded"
    outside = next(
        each.number
        for each in world.qualys.tickets.values()
        if not str(each.host.ip).startswith("10.10.10.")
    )
    await world.type(UMAR, f"/qualys {outside} add_comment=checked")
    await world.told(UMAR, "scope")
    assert len(world.edits()) == 1


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("23456 chnage_state=RESOLVED", "change_state"),
        ("23456 change_state=CLOSED", "RESOLVED"),
        ('23456 add_comment="Host patched', "quote"),
        ("23456 add_comment=Host patched", "Host patched"),
        ("23456 reopen_ignored_days=731", "730"),
        ("23456", "change"),
        ("change_state=OPEN", "selection"),
        ("23456 add_comment=grün", "ASCII"),
    ],
)
async def test_bad_input_gets_one_clear_sentence_and_nothing_is_sent(
    world: World, typed: str, words: str
) -> None:
    await world.type(MARA, f"/qualys {typed}")
    text = await world.told(MARA, words)
    assert "Open the form" in text
    assert world.qualys.requests == []


async def test_a_delivery_that_comes_three_times_has_one_effect(world: World) -> None:
    await world.type(MARA, f"/qualys {STORY}")
    first = next(each["n"] for each in world.slack.traffic if each["direction"] == "to_bot")
    await world.act(MARA, "redeliver", n=first)
    await world.act(MARA, "redeliver", n=first)
    await world.settled()
    await world.bot.listeners.drain(3)
    assert len(world.edits()) == 1
    assert len(world.cards()) == 1
