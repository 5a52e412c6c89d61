"""What people type at a console or to a colleague, and where it ends: in a review, never in a write."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import MARA, ONCA, SAMI, World, text_of, until

SENT = {"ticket_numbers": "23456", "change_state": "RESOLVED"}


async def reviewed(world: World, text: str, user: str = MARA) -> dict[str, Any]:
    """Type it; its review, with nothing sent so far."""
    await world.type(user, text)
    view = await world.view_is(user, "review")
    assert world.edits() == []
    return view


@pytest.mark.parametrize(
    "typed",
    ["/qualys resolve 23456", "/amend qualys ticket #23456 change_state:RESOLVED"],
)
async def test_a_lenient_reading_is_shown_as_a_command_and_sent_after_its_review(
    world: World, typed: str
) -> None:
    view = await reviewed(world, typed)
    assert "/qualys ticket_numbers=23456 change_state=RESOLVED" in text_of(view)
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await world.settled()
    assert world.edits() == [SENT]


async def test_what_is_not_understood_names_the_word_and_offers_the_form(world: World) -> None:
    await world.type(MARA, "/qualys do not resolve 23456")
    said = await world.told(MARA, "`not`")
    assert said.startswith("Correct it in the form")
    assert world.edits() == []
    assert world.lists() == []


@pytest.mark.parametrize(
    ("typed", "login"),
    [
        ("23456 change_assignee=me", "mlindqvist"),
        (f"23456 change_assignee=<@{ONCA}|onca>", "oreyes"),
        ("23456 change_assignee=@onca", "oreyes"),
        ('23456 change_assignee="Onca Reyes"', "oreyes"),
    ],
)
async def test_a_person_stands_for_their_account_at_the_vendor(
    world: World, typed: str, login: str
) -> None:
    view = await reviewed(world, f"/qualys {typed}")
    assert f"change_assignee={login}" in text_of(view)


async def test_an_address_stands_for_the_account_of_who_has_it(world: World) -> None:
    address = world.slack.core.workspace.person(ONCA).email
    view = await reviewed(world, f"/qualys 23456 change_assignee={address}")
    assert "change_assignee=oreyes" in text_of(view)


async def test_who_is_mapped_to_nothing_is_named(world: World) -> None:
    await world.type(MARA, "/qualys 23456 change_assignee=@nobody")
    await world.told(MARA, "Choose `@nobody` from Slack's list")
    assert world.edits() == []


async def test_a_mention_without_a_label_stands_in_the_record_as_a_name(world: World) -> None:
    await world.type(MARA, '@Amend qualys 23456 add_comment="seen by @onca"')
    await world.settled()
    (edit,) = world.edits()
    assert edit["add_comment"] == "seen by @Onca Reyes"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/qualys help", "How to use /qualys"),
        ("/qualys ?", "How to use /qualys"),
        ("/amend qualys --help", "How to use /qualys"),
        ("/amend watch help", "/amend watch VENDOR"),
        ("/amend ?", "/qualys"),
        ("/amend status", "/amend requests"),
        ("/amend approve R1234567", "/amend show R1234567"),
        ("/amend resolve 23456", "/qualys resolve"),
        (f"/amend can <@{MARA}|mara> qualys", "Yes"),
        (f"/amend can <@{SAMI}|sami> qualys", "No"),
        ("/amend watch qualys ticket_numbers=23456", "This channel is told from now on"),
        ("/amend watch qualys 23456,23457", "This channel is told from now on"),
        ("/amend watch ccs INCA0000009", "has no name before it"),
        ("/ccs INCA0000009 TicketState=Verifed", "`3` (`Verified`)"),
    ],
)
async def test_every_question_is_answered_with_what_helps(
    world: World, typed: str, words: str
) -> None:
    await world.type(MARA, typed)
    await world.told(MARA, words)
    assert world.edits() == []


async def test_whose_role_may_not_is_told_no_first(world: World) -> None:
    await world.type(SAMI, "/qualys 23456 change_state=RESOLVED")
    await world.told(SAMI, "Not allowed")
    assert not any("Reading" in each for each in world.private(SAMI))
    await world.type(SAMI, "/qualys resolve 23456")
    await until(lambda: sum("Not allowed" in each for each in world.private(SAMI)) == 2)
    assert world.view(SAMI) == {}
    assert world.lists() == []


async def test_both_examples_of_the_exceptions_document_are_taken_as_they_stand(
    world: World,
) -> None:
    await world.type(
        MARA,
        "/exception action=request&amp;control_id=16832&amp;host_id=3753479&amp;policy_id=1366063"
        "&amp;technology_id=390&amp;assignee_id=996765&amp;reopen_on_evidence_change=0"
        "&amp;comments=comment&amp;instance_string=MSSQL 2022:1:1433:MSSQLSERVER:master",
    )
    await until(lambda: bool(world.cards()) or bool(world.private(MARA)))
    assert not any("runs on into" in each for each in world.private(MARA))
