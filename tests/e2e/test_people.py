"""People: who is mapped, by whom, with what credentials; why not; and to whom a request is handed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bot.db import audit
from bot.domain.people import Account
from deploy.sandbox.vendors.zstack_tickets import OWNER, ticket_uuid
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
from tests.e2e.test_requests import button, confirmed, has, press


def entry(user: str, vendor: str, account: str, role: str, scope: str = "") -> dict[str, Any]:
    option = {"text": {"type": "plain_text", "text": vendor}, "value": vendor}
    return {
        "slack_user": {"slack_user": {"type": "users_select", "selected_user": user}},
        "vendor": {"vendor": {"type": "static_select", "selected_option": option}},
        "account": {"account": {"type": "plain_text_input", "value": account}},
        "role": {"role": {"type": "plain_text_input", "value": role}},
        "scope": {"scope": {"type": "plain_text_input", "value": scope}},
    }


async def press_in(world: World, user: str, view: dict[str, Any], name: str, nth: int = 0) -> None:
    found = [
        (block["block_id"], each)
        for block in view["blocks"]
        for each in [*(block.get("elements") or []), block.get("accessory") or {}]
        if str(each.get("action_id", "")).partition(":")[0] == name
    ]
    block_id, element = found[nth]
    answer = await world.act(
        user,
        "press_view",
        view_id=view["id"],
        block_id=block_id,
        action_id=element["action_id"],
        values={},
    )
    assert answer["ok"], answer


# --- administrators -------------------------------------------------------------------------------


async def test_an_administrator_adds_changes_and_removes(world: World) -> None:
    await world.type(MARA, "/amend people")
    await until(lambda: "uhaddad" in str(world.view(MARA)), "the list")
    await press_in(world, MARA, world.view(MARA), "people_edit")
    view = await world.view_is(MARA, "people_entry")
    bad = entry(GUEST, "qualys", "x", "Manager")
    await world.act(MARA, "submit", view_id=view["id"], values=bad)
    assert "slack_user" in world.view(MARA)["errors"]
    wrong = entry(SAMI, "zstack", "sami", "boss")
    await world.act(MARA, "submit", view_id=view["id"], values=wrong)
    assert "role" in world.view(MARA)["errors"]
    good = entry(SAMI, "zstack", "sami", "owner")
    await world.act(MARA, "submit", view_id=view["id"], values=good)
    view = await world.view_is(MARA, "people")
    accounts = await world.bot.store.accounts(world.bot.team, SAMI)
    assert (accounts["zstack"].account, accounts["zstack"].role) == ("sami", "owner")

    def lines() -> list[bool]:
        """For each line of the list: is it the new one?"""
        edits = [b for b in world.view(MARA)["blocks"] if has({"blocks": [b]}, "people_edit")]
        return [SAMI in str(each) and "zstack:" in str(each["text"]) for each in edits]

    await until(lambda: any(lines()), "the new line")
    nth = lines().index(True)
    await press_in(world, MARA, world.view(MARA), "people_edit", nth)
    view = await world.view_is(MARA, "people_entry")
    assert "owner" in str(view)
    await press_in(world, MARA, view, "people_remove")
    await until(lambda: "no longer mapped" in str(world.view(MARA)))
    assert "zstack" not in await world.bot.store.accounts(world.bot.team, SAMI)


async def test_only_administrators_map_people(world: World) -> None:
    await world.type(ONCA, "/amend people")
    await world.told(ONCA, "Only administrators")


async def test_the_vendors_own_list_is_offered_and_confirmed(world: World) -> None:
    await world.bot.store.unmap_person(world.bot.team, UMAR, "qualys", "test")
    await world.type(MARA, "/amend people")
    await until(lambda: ":bulb:" in str(world.view(MARA)), "a suggestion")
    view = world.view(MARA)
    lines = [b for b in view["blocks"] if has({"blocks": [b]}, "people_edit")]
    nth = next(n for n, each in enumerate(lines) if ":bulb:" in str(each) and UMAR in str(each))
    assert "qualys" not in await world.bot.store.accounts(world.bot.team, UMAR)
    await press_in(world, MARA, view, "people_edit", nth)
    view = await world.view_is(MARA, "people_entry")
    assert "Unit Manager" in str(view)


# --- whoami, can, help ----------------------------------------------------------------------------


async def test_whoami_shows_the_mapping(world: World) -> None:
    await world.type(UMAR, "/amend whoami")
    text = await world.told(UMAR, "uhaddad")
    assert "Unit Manager" in text
    assert "10.10.10.0/24" in text


async def test_whoami_says_where_a_scope_is_missing(world: World) -> None:
    for user, role in ((UMAR, "Unit Manager"), (SAMI, "Manager")):
        await world.bot.store.map_person(
            world.bot.team, user, Account("qualys", "unscoped", role), "test"
        )
        await world.type(user, "/amend whoami")
        text = await world.told(user, "unscoped")
        assert ("no scope, so nothing" in text) is (role == "Unit Manager")


CAN = [
    (f"<@{SAMI}> qualys change_state=IGNORED", "No", "Scanner"),
    (f"<@{MARA}> qualys change_state=IGNORED", "Yes", "approv"),
    (f"<@{UMAR}> zstack statusEvent=cancel", "Yes", "owner"),
    (f"<@{GUEST}> qualys", "No", "uest"),
    (f"<@{SAMI}> exception", "Yes", "Scanner"),
    ("qualys", "@person", "can"),
    (f"<@{SAMI}> qualis", "qualis", "can"),
    (f"<@{UMAR}> qualys 23456 change_state=OPEN", "But only if `23456` lies in that scope", "Yes"),
    ("nobody qualys", "`nobody`", "can"),
    (f"<@{MARA}> qualys change_state=NONSENSE", "NONSENSE", "OPEN"),
    (f"<@{MARA}> qualys chnage_state=OPEN", "change_state", ""),
]


@pytest.mark.parametrize("words", ["chnage_state=OPEN", "change_state=NONSENSE"])
async def test_can_gives_no_verdict_on_what_breaks_a_rule(world: World, words: str) -> None:
    await world.type(ONCA, f"/amend can <@{MARA}> qualys {words}")
    assert "Yes" not in await world.told(ONCA, "change_state")


@pytest.mark.parametrize(("words", "told"), [("show", "show"), ("evidence", "evidence")])
async def test_without_a_request_it_is_asked_which_one(world: World, words: str, told: str) -> None:
    await world.type(MARA, f"/amend {words}")
    assert f"/amend {told} REQUEST" in await world.told(MARA, "Which one?")


async def test_help_says_that_a_word_is_unknown_and_lists_all(world: World) -> None:
    await world.type(MARA, "/amend help foo")
    told = await world.told(MARA, "`foo`")
    for word in ("retry", "evidence", "unwatch", "unlink", "token", "tokens", "people"):
        assert f"*{word}*" in told


@pytest.mark.parametrize(("words", "answer", "why"), CAN)
async def test_can_answers_with_the_reasons_of_a_denial(
    world: World, words: str, answer: str, why: str
) -> None:
    await world.type(ONCA, f"/amend can {words}")
    text = await world.told(ONCA, answer)
    assert why in text
    assert world.qualys.requests == []


async def test_help_shows_only_what_one_may(world: World) -> None:
    await world.type(SAMI, "/amend help")
    text = await world.told(SAMI, "/exception")
    assert "/ccs" not in text
    assert "/qualys" not in text
    await world.type(MARA, "/amend help qualys")
    await world.told(MARA, "reopen_ignored_days")


# --- one's own credentials ------------------------------------------------------------------------


def credentials(**values: str) -> dict[str, Any]:
    return {n: {n: {"type": "plain_text_input", "value": v}} for n, v in values.items()}


async def test_linked_credentials_are_tried_kept_encrypted_used_and_removed(
    make: Make, tmp_path: Any
) -> None:
    world = await make()
    secret = "sandbox-mlindqvist"
    await world.type(MARA, "/amend link qualys")
    view = await world.view_is(MARA, "link")
    wrong = credentials(username="mlindqvist", password="wrong-Secret-1")
    await world.act(MARA, "submit", view_id=view["id"], values=wrong)
    await until(lambda: ":warning:" in str(world.view(MARA)), "the vendor's no")
    right = credentials(username="mlindqvist", password=secret)
    await world.act(MARA, "submit", view_id=world.view(MARA)["id"], values=right)
    await until(lambda: "white_check_mark" in str(world.view(MARA)), "it is kept")
    await world.type(MARA, '/qualys 23456 add_comment="Host patched"')
    assert (await world.settled())["state"] == "succeeded"
    entry = world.qualys.tickets[23456].history[-1]
    assert (entry.actor, entry.comment) == ("mlindqvist", "Host patched"), "no attribution needed"
    await world.type(MARA, "/amend whoami")
    await world.told(MARA, "linked as")
    held = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
    assert secret.encode() not in held
    assert b"wrong-Secret-1" not in held
    assert secret not in str(world.slack.state(MARA)["messages"])
    await world.type(MARA, "/amend unlink qualys")
    await world.told(MARA, "are removed")
    await world.type(MARA, '/qualys 23457 add_comment="Host patched"')
    await until(lambda: len(world.edits()) == 2)
    assert world.qualys.tickets[23457].history[-1].actor == "amend_api"


async def test_credentials_of_somebody_elses_account_are_not_kept(world: World) -> None:
    await world.type(MARA, "/amend link qualys")
    view = await world.view_is(MARA, "link")
    other = credentials(username="oreyes", password="sandbox-oreyes")
    await world.act(MARA, "submit", view_id=view["id"], values=other)
    await until(lambda: "nothing was kept" in str(world.view(MARA)))


async def test_a_key_is_linked_by_who_is_mapped_by_an_address(world: World) -> None:
    """Xpanse does not tell whose a key is, and its id is no account that could be compared."""
    await world.type(MARA, "/amend link xpanse")
    view = await world.view_is(MARA, "link")
    own = credentials(api_key_id="42", api_key="sandbox-key-42")
    await world.act(MARA, "submit", view_id=view["id"], values=own)
    await until(lambda: "white_check_mark" in str(world.view(MARA)), "it is kept")
    await world.type(MARA, "/xpanse 71 status=resolved")
    assert (await world.settled())["changed"] == 1
    sent = [each for each in world.sandbox.xpanse.requests if "update_incident" in each.path]
    assert [each.headers["x-xdr-auth-id"] for each in sent] == ["42"]


@pytest.mark.parametrize(("picked", "kept"), [("virtual-id", True), ("account", False)])
async def test_an_owner_links_a_virtual_id_beside_a_shared_account(
    world: World, picked: str, kept: bool
) -> None:
    world.sandbox.zstack.desk.by_person = True
    await world.type(UMAR, "/amend link zstack")
    view = await world.view_is(UMAR, "link")
    own = credentials(username="umar", password="sandbox-umar")
    option = {"text": {"type": "plain_text", "text": "Virtual ID"}, "value": picked}
    own["login"] = {"login": {"type": "static_select", "selected_option": option}}
    await world.act(UMAR, "submit", view_id=view["id"], values=own)
    await until(
        lambda: "white_check_mark" in str(world.view(UMAR)) or ":warning:" in str(world.view(UMAR))
    )
    assert ("white_check_mark" in str(world.view(UMAR))) is kept
    if kept:
        await world.type(UMAR, f"/zstack {ticket_uuid(0)} statusEvent=cancel")
        assert (await world.settled())["changed"] == 1
        assert world.sandbox.zstack.desk.history[-1]["operatorUuid"] == OWNER


async def test_without_a_key_nothing_can_be_linked(make: Make) -> None:
    world = await make(AMEND_SECRET_KEY="")
    await world.type(MARA, "/amend link qualys")
    await world.told(MARA, "AMEND_SECRET_KEY")


# --- a denial -------------------------------------------------------------------------------------


async def test_a_denied_request_is_handed_to_somebody_who_may(world: World) -> None:
    await world.type(SAMI, '/qualys 23456 change_state=RESOLVED add_comment="Host patched"')
    await world.told(SAMI, "Hand it to")
    denial = next(each for each in world.seen_by(SAMI) if has(each, "hand"))
    text = text_of(denial)
    assert "Scanner" in text
    assert "Manager" in text
    assert MARA in text
    await world.act(SAMI, "press", channel=OPS, ts=denial["ts"], **button(denial, "hand"))
    view = await world.view_is(SAMI, "hand")
    option = {"text": {"type": "plain_text", "text": "Onca"}, "value": ONCA}
    chosen = {"to": {"to": {"type": "static_select", "selected_option": option}}}
    await world.act(SAMI, "submit", view_id=view["id"], values=chosen)
    await until(lambda: bool(direct(world, ONCA)), "a direct message")
    message = direct(world, ONCA)[-1]
    assert SAMI in text_of(message)
    assert "Host patched" in text_of(message)
    await world.act(
        ONCA, "press", channel=message["channel"], ts=message["ts"], **button(message, "form")
    )
    view = await world.view_is(ONCA, "form")
    assert "23456" in str(view)
    assert world.edits() == []
    (noted,) = [each for each in await entries(world) if each["action"] == "request:handed_on"]
    assert noted["actor"] == SAMI
    assert noted["facts"] == {"asked": "qualys.edit_tickets", "to": ONCA}


async def entries(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) async for _, line in audit.lines(world.bot.store.engine)]


async def test_who_may_do_nothing_here_hands_nothing_on(world: World) -> None:
    world.slack.core.workspace.channel(OPS).members.append(GUEST)
    await world.type(GUEST, '/qualys 23456 change_state=RESOLVED add_comment="Host patched"')
    await world.told(GUEST, "may do nothing here")
    assert not any(has(each, "hand") for each in world.seen_by(GUEST))
    # The same person as a member, who becomes a guest before they press, and before they send.
    await world.type(SAMI, '/qualys 23456 change_state=RESOLVED add_comment="Host patched"')
    await world.told(SAMI, "Hand it to")
    denial = next(each for each in world.seen_by(SAMI) if has(each, "hand"))
    await world.act(SAMI, "press", channel=OPS, ts=denial["ts"], **button(denial, "hand"))
    view = await world.view_is(SAMI, "hand")
    person = world.slack.core.workspace.people[SAMI]
    world.slack.core.workspace.people[SAMI] = replace(person, is_guest=True)
    world.bot.listeners.pipeline.parts.directory.forget(SAMI)
    option = {"text": {"type": "plain_text", "text": "Onca"}, "value": ONCA}
    chosen = {"to": {"to": {"type": "static_select", "selected_option": option}}}
    await world.act(SAMI, "submit", view_id=view["id"], values=chosen)
    await world.told(SAMI, "may do nothing here")
    await world.act(SAMI, "press", channel=OPS, ts=denial["ts"], **button(denial, "hand"))
    await until(lambda: "may do nothing here" in str(world.view(SAMI)), "the same sentence")
    assert direct(world, ONCA) == []
    refused = [each for each in await entries(world) if each["facts"].get("asked") == "hand"]
    assert [each["actor"] for each in refused] == [SAMI, SAMI]


def direct(world: World, user: str) -> list[dict[str, Any]]:
    seen = world.slack.state(user)["messages"]
    return [
        each
        for channel, messages in seen.items()
        if channel.startswith("D")
        for each in messages
        if each.get("bot") and has(each, "form")
    ]


# --- attacks --------------------------------------------------------------------------------------


async def test_an_outsider_in_a_shared_channel_presses_in_vain(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await until(lambda: bool(world.cards(APPROVALS)))
    card = world.cards(APPROVALS)[-1]
    world.slack.core.workspace.channel(APPROVALS).members += [OUTSIDER, GUEST]
    for user in (OUTSIDER, GUEST, SAMI, MARA):
        await world.act(user, "press", channel=APPROVALS, ts=card["ts"], **button(card, "approve"))
    await world.bot.listeners.drain(3)
    assert world.edits() == []
    assert world.payload()["state"] == "pending_approval"


async def test_a_second_slack_account_of_the_same_vendor_login_cannot_approve(world: World) -> None:
    own = Account("qualys", "MLindqvist", "Manager")
    await world.bot.store.map_person(world.bot.team, ONCA, own, "test")
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await until(lambda: bool(world.cards(APPROVALS)))
    await press(world, ONCA, "approve", APPROVALS)
    await world.told(ONCA, "account", APPROVALS)
    assert world.edits() == []


async def test_an_edited_private_metadata_starts_nobody_elses_request(world: World) -> None:
    await world.type(MARA, "/qualys 23456,23458 change_state=RESOLVED")
    review = await world.view_is(MARA, "review")
    await world.type(UMAR, "/qualys 23456,23457 add_comment=mine")
    own = await world.view_is(UMAR, "review")
    held = world.slack.core.views.stack(UMAR)[-1]
    assert held.view["id"] == own["id"]
    held.view["private_metadata"] = review["private_metadata"]
    await world.act(UMAR, "submit", view_id=own["id"], values={})
    await world.bot.listeners.drain(3)
    assert world.edits() == []
    assert world.cards() == []
