"""Compliance exceptions: the document's two requests on the wire, then a decision from the button."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import APPROVALS, MARA, ONCA, OPS, SAMI, UMAR, World, filled, text_of, until

EXCEPTION = "/api/2.0/fo/compliance/exception/"
SECOND = (
    "/exception control_id=1113 host_id=28595192824 policy_id=801459496 technology_id=45"
    ' assignee_id=2449482824 reopen_on_evidence_change=1 comments="new exception"'
)
FIRST = (
    "/exception control_id=16832 host_id=3753479 policy_id=1366063 technology_id=390"
    " assignee_id=996765 reopen_on_evidence_change=0 comments=comment"
    ' instance_string="MSSQL 2022:1:1433:MSSQLSERVER:master"'
)


def asked(world: World) -> list[dict[str, str]]:
    return world.qualys.compliance.requests


async def _no_sleep(_seconds: float) -> None:
    return None


@pytest.mark.parametrize("version", ["2.0", "3.0"])
async def test_the_documents_first_request_arrives_field_by_field(make: Any, version: str) -> None:
    world = await make(AMEND_ATTRIBUTION="off", QUALYS_EXCEPTION_API=version)
    await world.type(MARA, FIRST)
    assert (await world.settled())["state"] == "succeeded"
    (call,) = [
        each
        for each in world.qualys.requests
        if each.method == "POST" and each.path == f"/api/{version}/fo/compliance/exception/"
    ]
    assert call.form == (
        "action=request&control_id=16832&host_id=3753479&policy_id=1366063&technology_id=390"
        "&assignee_id=996765&reopen_on_evidence_change=0&comments=comment"
        "&instance_string=MSSQL+2022%3A1%3A1433%3AMSSQLSERVER%3Amaster"
    )
    assert "X-Requested-With" in call.headers


async def test_the_documents_second_request_and_its_number_in_the_thread(world: World) -> None:
    await world.type(MARA, SECOND)
    assert (await world.settled())["state"] == "succeeded"
    assert asked(world) == [
        {
            "action": "request",
            "control_id": "1113",
            "host_id": "28595192824",
            "policy_id": "801459496",
            "technology_id": "45",
            "assignee_id": "2449482824",
            "reopen_on_evidence_change": "1",
            "comments": "new exception",
        }
    ]
    number = max(world.qualys.compliance.exceptions)
    words = f"Exception created successfully: {number}"
    await until(lambda: any(words in text_of(each) for each in world.thread()), words)


def offered(world: World, key: str, channel: str) -> tuple[dict[str, Any], dict[str, Any]]:
    for message in reversed(world.messages(channel)):
        for block in message.get("blocks") or []:
            for element in block.get("elements") or []:
                if element.get("action_id") == key:
                    return message, {**element, "block_id": block["block_id"]}
    raise AssertionError(key)


def is_offered(world: World, key: str, channel: str) -> bool:
    try:
        offered(world, key, channel)
    except AssertionError:
        return False
    return True


async def press(world: World, user: str, key: str, channel: str = APPROVALS) -> None:
    await until(lambda: is_offered(world, key, channel), f"a button {key}")
    message, element = offered(world, key, channel)
    await world.act(
        user,
        "press",
        channel=channel,
        ts=message["ts"],
        action_id=element["action_id"],
        block_id=element["block_id"],
    )


async def decide(world: World, user: str, key: str, **values: str) -> None:
    await press(world, user, key)
    view = await world.view_is(user, "form")
    await world.act(user, "submit", view_id=view["id"], values=filled(view, **values))


@pytest.mark.parametrize(("key", "status"), [("approve", "Approved"), ("reject", "Rejected")])
async def test_somebody_else_decides_from_the_button(world: World, key: str, status: str) -> None:
    await world.type(MARA, SECOND)
    await world.settled()
    number = max(world.qualys.compliance.exceptions)
    values = {"comments": "Isolated host"}
    if key == "approve":
        values["end_date"] = "2027-03-31"
    await decide(world, ONCA, key, **values)
    review = await world.view_is(ONCA, "review")
    # What has no command is not shown as one.
    assert "As Amend reads it" not in text_of({"blocks": review["blocks"]})
    await world.act(ONCA, "submit", view_id=review["id"], values={})
    await until(lambda: world.qualys.compliance.exceptions[number].status == status)
    (sent,) = world.qualys.compliance.updates
    expected = {
        "action": "update",
        "exception_numbers": str(number),
        "status": status,
        "comments": "Isolated host",
    }
    assert sent == expected | ({"end_date": "03/31/2027"} if key == "approve" else {})
    # The vendor's reply stands where the approvers are asked, with the name of who decided.
    await until(
        lambda: any(
            f"{status.lower()} by <@{ONCA}>" in text_of(each) and "uccess" in text_of(each)
            for each in world.messages(APPROVALS)
        ),
        "who decided what, and what Qualys said",
    )
    assert not any("→ Pending" in text_of(each) for each in world.cards(APPROVALS))
    # The buttons go everywhere, and the requester is told in their thread.
    for channel in (OPS, APPROVALS):
        await until(lambda where=channel: not is_offered(world, key, where))
    await until(
        lambda: any(
            f"<@{MARA}>" in text_of(each) and str(number) in text_of(each)
            for each in world.messages(OPS)
        ),
        "the requester is told",
    )


async def test_a_decision_stands_under_its_request_where_slack_answers_late(world: World) -> None:
    """Slack shows the request's card before it says so: who is quick decides in between."""
    await world.slack.fault("slack", "slow_answer", only="chat.postMessage")
    await world.type(MARA, SECOND)
    await decide(world, ONCA, "approve", comments="Isolated host", end_date="2027-03-31")
    review = await world.view_is(ONCA, "review")
    await world.act(ONCA, "submit", view_id=review["id"], values={})
    await until(lambda: bool(world.qualys.compliance.updates), "it is decided")
    await world.slack.fault("slack", None)

    def told() -> list[dict[str, Any]]:
        everywhere = [*world.messages(OPS), *world.messages(APPROVALS)]
        return [each for each in everywhere if "Pending → Approved" in text_of(each)]

    await until(lambda: bool(told()), "what Qualys said of the decision")
    asked = world.cards(OPS)[0]
    assert [each.get("thread_ts") for each in told()] == [asked["ts"]]


async def test_an_approval_asks_for_its_end(world: World) -> None:
    await world.type(MARA, SECOND)
    await world.settled()
    await decide(world, ONCA, "approve", comments="fine")
    await until(lambda: bool(world.view(ONCA).get("errors")), "an error on the input")
    assert "required on approval" in world.view(ONCA)["errors"]["end_date"]
    assert world.qualys.compliance.updates == []


@pytest.mark.parametrize("key", ["approve", "reject"])
async def test_nobody_decides_on_their_own_request(world: World, key: str) -> None:
    await world.type(MARA, SECOND)
    await world.settled()
    await press(world, MARA, key)
    view = await world.view_is(MARA, "message")
    assert "own request" in json.dumps(view)
    assert world.qualys.compliance.updates == []


async def test_nor_through_a_form_that_names_no_exception_yet(world: World) -> None:
    await world.type(MARA, SECOND)
    await world.settled()
    number = str(max(world.qualys.compliance.exceptions))
    await world.type(MARA, "/amend")
    await world.told(MARA, "Decide")
    launcher = next(each for each in world.seen_by(MARA) if each.get("ephemeral"))
    key = "launch:qualys.decide_exception"
    block = next(each for each in launcher["blocks"] if key in json.dumps(each))
    pressed = {"block_id": block.get("block_id"), "action_id": key}
    await world.act(MARA, "press", channel=OPS, ts=launcher["ts"], **pressed)
    view = await world.view_is(MARA, "form")
    values = {"exception_numbers": number, "status": "Rejected", "comments": "mine"}
    await world.act(MARA, "submit", view_id=view["id"], values=filled(view, **values))
    await until(lambda: "own request" in json.dumps(world.slack.state(MARA)), "told why not")
    assert world.qualys.compliance.updates == []


async def test_a_scanner_asks_within_scope_and_decides_nothing(world: World) -> None:
    await world.type(SAMI, SECOND)
    assert (await world.settled())["state"] == "succeeded"
    await press(world, SAMI, "approve")
    view = await world.view_is(SAMI, "message")
    assert "may not do `qualys.decide_exception`" in json.dumps(view)


async def test_a_host_outside_the_scope_is_refused(world: World) -> None:
    await world.type(SAMI, FIRST)
    await world.told(SAMI, "outside your scope")
    assert asked(world) == []


async def test_a_unit_manager_decides_within_scope_only(world: World) -> None:
    await world.type(MARA, FIRST)
    await world.settled()
    await press(world, UMAR, "reject")
    assert "outside your scope" in json.dumps(await world.view_is(UMAR, "message"))
    assert world.qualys.compliance.updates == []


WRONG = [
    (SECOND.replace("policy_id=801459496 ", ""), "`policy_id` is required."),
    (SECOND.replace("control_id=1113 ", ""), "`control_id` is required"),
    (SECOND.replace("1113", "abc"), "`control_id` is a whole number such as `1113`, not `abc`"),
    (SECOND.replace("assignee_id=2449482824", "assignee_id=500108"), "active Qualys user"),
    (SECOND.replace("reopen_on_evidence_change=1", "reopen_on_evidence_change=2"), "one of"),
    (SECOND.replace("technology_id=45", "technology_id=41"), "lists no result of this control"),
    (FIRST[: FIRST.index(" instance_string")], "`instance_string` is required"),
    (SECOND.replace("comments", "coments"), "Did you mean `comments`"),
]


@pytest.mark.parametrize(("typed", "words"), WRONG)
async def test_wrong_things_are_named_and_nothing_is_sent(
    world: World, typed: str, words: str
) -> None:
    await world.type(MARA, typed)
    await world.told(MARA, words)
    assert asked(world) == []


async def test_a_second_request_for_the_same_host_is_named(world: World) -> None:
    await world.type(MARA, SECOND)
    await world.settled()
    await world.type(MARA, SECOND)
    await world.told(MARA, "it has an exception already, which is Pending")
    assert len(asked(world)) == 1


async def test_a_lost_answer_is_read_back_and_never_sent_twice(world: World) -> None:
    world.bot.work.runner.sleep = _no_sleep
    world.qualys.set_fault("reset_after_edit", {"times": 1, "only": "compliance/exception"})
    await world.type(MARA, SECOND)
    payload = await world.settled()
    assert (payload["state"], len(asked(world))) == ("succeeded", 1)


async def test_the_vendors_refusal_is_told_in_its_words(world: World) -> None:
    world.qualys.set_fault("error_200", {"only": "compliance/exception"})
    await world.type(MARA, SECOND)
    await world.settled()
    await until(lambda: any("nothing was done" in text_of(each) for each in world.thread()))
    assert asked(world) == []


async def test_the_form_fills_technology_and_instance(world: World) -> None:
    await world.type(MARA, "/exception")
    view = await world.view_is(MARA, "form")
    names = [each["block_id"] for each in view["blocks"] if each["type"] == "input"]
    assert names[:5] == ["policy_id", "control_id", "host_id", "technology_id", "instance_string"]
    chosen = filled(view, policy_id="1366063", control_id="16832", host_id="3753479")
    done = await world.act(
        MARA,
        "press_view",
        view_id=view["id"],
        block_id="host_id",
        action_id="host_id",
        selected_option=chosen["host_id"]["host_id"]["selected_option"],
        values=chosen,
    )
    assert done["ok"], done

    def initial(name: str) -> str:
        block = next(b for b in world.view(MARA)["blocks"] if b.get("block_id") == name)
        return str(block["element"].get("initial_option", {}).get("value", ""))

    await until(lambda: initial("technology_id") == "390", "technology filled")
    assert initial("instance_string") == "MSSQL 2022:1:1433:MSSQLSERVER:master"
