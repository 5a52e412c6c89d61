"""Cortex Xpanse through Slack: the document's request on the wire, every error shape in the thread."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.conftest import MARA, SAMI, UMAR, World, text_of, until

UPDATE = "/public_api/v1/incidents/update_incident/"
MAIL = "onca.reyes@northwind.example"


def updates(world: World) -> list[dict[str, Any]]:
    found = [each.json for each in world.sandbox.xpanse.requests if each.path == UPDATE]
    return [each["request_data"] for each in found]


async def test_every_field_of_the_documents_request_arrives(world: World) -> None:
    await world.type(
        MARA,
        f"/xpanse 71 assigned_user_mail={MAIL} comment=value assigned_user_pretty_name="
        '"Onca Reyes" manual_severity=low status=resolved resolve_comment="Port closed"',
    )
    assert (await world.settled())["state"] == "succeeded"
    assert updates(world) == [
        {
            "incident_id": "71",
            "update_data": {
                "assigned_user_mail": MAIL,
                "comment": {"comment_action": "add", "value": "value"},
                "assigned_user_pretty_name": "Onca Reyes",
                "manual_severity": "low",
                "status": "resolved",
                "resolve_comment": "Port closed",
            },
        }
    ]
    sent = next(each for each in world.sandbox.xpanse.requests if each.path == UPDATE)
    assert (sent.headers["x-xdr-auth-id"], sent.headers["authorization"]) == (
        "7",
        "sandbox-key-not-a-secret",
    )


async def test_empty_values_are_commands_and_unset_fields_stay_home(world: World) -> None:
    await world.type(MARA, '/xpanse 35 assigned_user_mail="" manual_severity=""')
    await world.settled()
    assert updates(world)[0]["update_data"] == {"assigned_user_mail": "", "manual_severity": ""}
    assert world.sandbox.xpanse.incidents["35"].assignee == ""


ERRORS = [
    ("reply_false", "The incident is locked"),
    ("warnings", "The name was ignored"),
    ("licence_402", "License required"),
    ("forbidden_403", "lacks the required RBAC permission"),
    ("missing_404", "Requested resource not found"),
    ("invalid_400", "Got an invalid JSON"),
    ("unprocessable_422", "Bad field"),
    ("rate_429", "Rate limit exceeded"),
    ("error_500", "An error occurred while processing XDR public API"),
]


@pytest.mark.parametrize(("fault", "words"), ERRORS)
async def test_each_error_shape_is_told_in_the_thread(world: World, fault: str, words: str) -> None:
    world.sandbox.xpanse.set_fault(fault, {"only": "update_incident"})
    world.bot.work.runner.sleep = _no_sleep
    await world.type(MARA, "/xpanse 71 status=resolved")
    await world.settled()
    await until(lambda: any(words in text_of(each) for each in world.thread()), words)
    assert world.payload()["state"] == ("succeeded" if fault == "warnings" else "failed")


async def test_a_vendor_that_is_busy_for_a_while_ends_no_run_that_was_reviewed(
    world: World,
) -> None:
    world.sandbox.xpanse.set_fault("rate_429", {"only": "update_incident"})
    world.bot.work.runner.sleep = _no_sleep
    await world.type(MARA, "/xpanse 71,72,73 status=resolved")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: world.payload()["state"] == "scheduled", "it waits")
    assert "Rate limit exceeded" in text_of(world.cards()[-1])
    world.sandbox.xpanse.set_fault(None)
    await world.bot.store.set_fields(world.payload()["request_id"], run_at=time.time())
    await world.bot.upkeep.start_due()
    payload = await world.settled()
    assert (payload["state"], payload["changed"]) == ("succeeded", 3)


async def test_a_refused_key_stops_the_run_at_once(world: World) -> None:
    world.sandbox.xpanse.set_fault("empty_401", {"only": "update_incident"})
    await world.type(MARA, "/xpanse 71,72,73 status=resolved")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "scheduled")
    assert "the API key, its id or the way it is presented is not right" in text_of(
        world.cards()[-1]
    )
    assert len(updates(world)) <= 3, "those that were under way when the first was refused"


async def _no_sleep(_seconds: float) -> None:
    return None


@pytest.mark.parametrize("fault", ["reset_after_edit", "half_json", "error_500"])
async def test_a_comment_is_never_sent_twice(world: World, fault: str) -> None:
    world.bot.work.runner.sleep = _no_sleep
    world.sandbox.xpanse.set_fault(fault, {"times": 1, "only": "update_incident"})
    await world.type(MARA, '/xpanse 71 comment="look at this"')
    payload = await world.settled()
    assert (payload["state"], payload["unknown"]) == ("unknown", 1)
    assert len(updates(world)) == 1


RULES = [
    ("71 assigned_user_pretty_name=Onca", "needs `assigned_user_mail` in the same request"),
    ("71 manual_severity=urgent", "`manual_severity` must be one of"),
    ("71 status=closed", "`status` must be one of"),
    ("71 assigned_user_mail=onca", "must be an e-mail address"),
    ("status=new", "`incident_id` is required"),
    ("71", "Say what to change"),
    ("seventy status=new", "takes whole numbers"),
]


@pytest.mark.parametrize(("typed", "words"), RULES)
async def test_each_rule_has_its_sentence(world: World, typed: str, words: str) -> None:
    answer = await world.type(MARA, f"/xpanse {typed}")
    assert words in str(answer["ack"]["body"])
    assert updates(world) == []


async def test_an_assignee_whom_the_tenant_does_not_know(world: World) -> None:
    await world.type(MARA, "/xpanse 71 assigned_user_mail=onca.reyez@northwind.example")
    told = await world.told(MARA, "must be a user of the tenant")
    assert MAIL in told
    assert updates(world) == []


@pytest.mark.parametrize(("user", "may"), [(UMAR, True), (SAMI, False)])
async def test_roles(world: World, user: str, may: bool) -> None:
    await world.type(user, "/xpanse 72 status=resolved")
    if may:
        assert (await world.settled())["changed"] == 1
    else:
        await world.told(user, "Not allowed")
    assert len(updates(world)) == int(may)
