"""ZStack Cloud through Slack: the document's request, its business errors, its events fired once."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.sandbox.vendors.zstack_tickets import ticket_uuid
from tests.e2e.conftest import MARA, SAMI, UMAR, World, text_of, until

PENDING, LAST_LEVEL = ticket_uuid(0), ticket_uuid(1)


def fired(world: World) -> list[Any]:
    """The events that the server understood: with the other spelling it runs nothing."""
    zstack = world.sandbox.zstack
    acted = [each for each in zstack.requests if each.path.endswith("/actions")]
    return [each for each in acted if zstack.action_key in each.json]


async def run(world: World, user: str, typed: str) -> dict[str, Any]:
    """Type it, review it where a review opens, and wait for the end."""
    await world.type(user, f"/zstack {typed}")
    if "approve" in typed:
        view = await world.view_is(user, "review")
        await world.act(user, "submit", view_id=view["id"], values={})
    return await world.settled()


async def test_the_documents_request_arrives_field_by_field(world: World) -> None:
    world.sandbox.zstack.action_key = "changeticketstatus"
    typed = f"{PENDING} statusEvent=reject comment=<comment> systemTags=a::b userTags=c,d"
    payload = await run(world, MARA, typed)
    assert payload["state"] == "succeeded"
    (sent,) = fired(world)
    assert (sent.method, sent.path) == ("PUT", f"/zstack/v1/tickets/{PENDING}/actions")
    assert sent.json == {
        "changeticketstatus": {"statusEvent": "reject", "comment": "<comment>"},
        "systemTags": ["a::b"],
        "userTags": ["c", "d"],
    }
    assert sent.headers["authorization"].startswith("OAuth ")
    assert len(sent.headers["x-job-uuid"]) == 32
    assert sent.headers["content-type"] == "application/json;charset=UTF-8"


async def test_an_approval_is_reviewed_and_says_what_it_executes(world: World) -> None:
    await world.type(MARA, f"/zstack {LAST_LEVEL} statusEvent=approve")
    view = await world.view_is(MARA, "review")
    assert "it executes resize vm (APIUpdateVmInstanceMsg)" in str(view)
    assert "a secret of the requested machine" not in str(view)
    assert fired(world) == []
    await world.act(MARA, "submit", view_id=view["id"], values={})
    assert (await world.settled())["changed"] == 1
    assert world.sandbox.zstack.tickets[LAST_LEVEL].status == "FinalApproved"


async def test_an_earlier_level_hands_on(world: World) -> None:
    await world.type(MARA, f"/zstack {PENDING} statusEvent=approve")
    view = await world.view_is(MARA, "review")
    assert "after this approval it goes to SystemAdmin" in str(view)


@pytest.mark.parametrize(
    ("uuid", "words"),
    [(LAST_LEVEL, "resize vm: 1 done, 0 failed"), (PENDING, "now waits for SystemAdmin")],
)
async def test_what_an_approval_led_to_is_told_in_the_thread(
    world: World, uuid: str, words: str
) -> None:
    world.bot.work.runner.follow_every = 0.2
    await world.type(MARA, f"/zstack {uuid} statusEvent=approve")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: bool(world.cards()), "the card")
    await until(lambda: any(words in text_of(each) for each in world.thread()), words)
    assert any("ZStack says" in text_of(each) for each in world.thread()), "its own words stay"


@pytest.mark.parametrize("spelling", ["changeticketstatus", "changeTicketStatus"])
async def test_both_spellings_of_the_action_are_found(world: World, spelling: str) -> None:
    world.sandbox.zstack.action_key = spelling
    assert (await run(world, MARA, f"{PENDING} statusEvent=reject"))["state"] == "succeeded"
    assert world.sandbox.zstack.tickets[PENDING].events == ["reject"]


async def test_a_lost_session_is_renewed_once(world: World) -> None:
    await run(world, MARA, f"{PENDING} statusEvent=reject")
    world.sandbox.zstack.end_sessions()
    await run(world, MARA, f"{ticket_uuid(2)} statusEvent=reject")
    await until(lambda: world.sandbox.zstack.tickets[ticket_uuid(2)].events == ["reject"])
    assert len(world.sandbox.zstack.logins) == 2


ERRORS = [("denied", "permission denied"), ("wrong_person", "the operator needs to be done by")]


@pytest.mark.parametrize(("fault", "words"), ERRORS)
async def test_503_is_a_business_answer(world: World, fault: str, words: str) -> None:
    world.sandbox.zstack.action_key = "changeticketstatus"
    world.sandbox.zstack.set_fault(fault, {"only": "actions"})
    payload = await run(world, MARA, f"{PENDING} statusEvent=reject")
    assert (payload["state"], payload["refused"]) == ("failed", 1)
    await until(lambda: any(words in text_of(each) for each in world.thread()))
    assert len(fired(world)) == 1


@pytest.mark.parametrize("fault", ["reset_after_edit", "half_json"])
async def test_an_event_without_an_answer_is_found_by_its_job(world: World, fault: str) -> None:
    world.sandbox.zstack.set_fault(fault, {"times": 1, "only": "actions"})
    payload = await run(world, MARA, f"{PENDING} statusEvent=reject")
    assert (payload["state"], payload["changed"]) == ("succeeded", 1)
    assert world.sandbox.zstack.tickets[PENDING].events == ["reject"]


async def test_the_form_offers_only_what_state_and_role_allow(world: World) -> None:
    await world.type(UMAR, f"/zstack {PENDING} statusEvnt=cancel")
    told = world.private(UMAR)
    assert not told or "statusEvent" in told[-1]
    await world.type(UMAR, "/zstack")
    view = await world.view_is(UMAR, "form")
    await world.act(
        UMAR,
        "press_view",
        view_id=view["id"],
        block_id="uuid",
        action_id="uuid",
        value=PENDING,
        values={"uuid": {"uuid": {"type": "plain_text_input", "value": PENDING}}},
    )
    await until(lambda: offered(world.view(UMAR)) == ["cancel"])


def offered(view: dict[str, Any]) -> list[str]:
    block = next((each for each in view.get("blocks", []) if each["block_id"] == "statusEvent"), {})
    return [each["value"] for each in block.get("element", {}).get("options", [])]


RULES = [
    (f"{PENDING}", "`statusEvent` is required"),
    ("statusEvent=reject", "`uuid` is required"),
    ("f448 statusEvent=reject", "32 hex digits"),
    (f"{PENDING} statusEvent=open", "`statusEvent` must be one of"),
]


@pytest.mark.parametrize(("typed", "words"), RULES)
async def test_each_rule_has_its_sentence(world: World, typed: str, words: str) -> None:
    answer = await world.type(MARA, f"/zstack {typed}")
    assert words in str(answer["ack"]["body"])
    assert fired(world) == []


ROLES = [
    (UMAR, "cancel", "Cancelled"),
    (UMAR, "reject", "the role owner may not reject"),
    (MARA, "cancel", "the role admin may not cancel"),
    (MARA, "reopen", "the role admin may not reopen"),
]


@pytest.mark.parametrize(("user", "event", "then"), ROLES)
async def test_each_role_has_its_events(world: World, user: str, event: str, then: str) -> None:
    await world.type(user, f"/zstack {PENDING} statusEvent={event}")
    if then == "Cancelled":
        await until(lambda: world.sandbox.zstack.tickets[PENDING].status == then)
    else:
        await world.told(user, then)
        assert fired(world) == []


async def test_who_is_not_mapped_may_nothing(world: World) -> None:
    await world.type(SAMI, f"/zstack {PENDING} statusEvent=cancel")
    await world.told(SAMI, "Not allowed")


async def _no_sleep(_: float) -> None:
    """The pauses between looks are no part of what is tested."""


@pytest.mark.parametrize(("times", "state"), [(4, "succeeded"), (None, "unknown")])
async def test_a_job_that_cannot_be_followed_is_never_called_not_sent(
    world: World, times: int | None, state: str
) -> None:
    """The server has taken the job: whatever happens to our reading of it, it goes on."""
    world.bot.work.runner.sleep = _no_sleep
    world.sandbox.zstack.set_fault("http_503", {"times": times, "only": "/api-jobs/"})
    payload = await run(world, MARA, f"{LAST_LEVEL} statusEvent=approve")
    assert payload["state"] == state
    assert world.sandbox.zstack.tickets[LAST_LEVEL].events == ["approve"]
    assert len(fired(world)) == 1


async def test_an_undo_is_judged_by_the_event_that_it_fires(world: World) -> None:
    """Who may reject may not reopen: that is the owner's."""
    payload = await run(world, MARA, f"{PENDING} statusEvent=reject")
    await world.type(MARA, f"/amend undo {payload['request_id']}")
    view = await world.view_is(MARA, "review")
    assert "may not reopen; it needs owner" in str(view)
    assert not view.get("submit")
    assert world.sandbox.zstack.tickets[PENDING].events == ["reject"]


async def test_an_undo_of_what_cannot_go_back_says_so(world: World) -> None:
    payload = await run(world, MARA, f"{LAST_LEVEL} statusEvent=approve")
    await world.type(MARA, f"/amend undo {payload['request_id']}")
    view = await world.view_is(MARA, "message")
    assert "an approval cannot be taken back" in str(view)
    assert not view.get("submit")
