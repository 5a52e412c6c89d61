"""Who somebody is while Slack does not answer: known for an hour to look, never to decide."""

from __future__ import annotations

from typing import Any, cast

import pytest
from slack_sdk.errors import SlackApiError

from bot.slack.link.directory import SlackDirectory


class Slack:
    """`users.info` of one person; `says` is an error instead."""

    def __init__(self) -> None:
        self.says = ""
        self.profile: dict[str, Any] = {"id": "U1", "team_id": "T1", "name": "one"}

    async def users_info(self, *, user: str) -> dict[str, Any]:
        if self.says == "timeout":
            raise TimeoutError
        if self.says:
            raise SlackApiError("no", {"error": self.says})
        return {"user": self.profile}


class Mapped:
    async def accounts(self, team: str, user: str) -> dict[str, Any]:
        return {}


class House:
    def __init__(self) -> None:
        self.now, self.slack = 1000.0, Slack()
        self.directory = SlackDirectory(
            cast(Any, self.slack), cast(Any, Mapped()), "T1", clock=lambda: self.now
        )


@pytest.mark.parametrize("trouble", ["ratelimited", "fatal_error", "timeout"])
@pytest.mark.parametrize("later", [4.0, 70.0, 3500.0])
async def test_who_decides_is_never_taken_from_what_slack_said_before(
    trouble: str, later: float
) -> None:
    house = House()
    assert (await house.directory.caller("U1", fresh=True)).unsure == ""
    house.now += later
    house.slack.says = trouble
    caller = await house.directory.caller("U1", fresh=True)
    assert caller.unsure
    assert caller.barred == "", "it is no no either"


async def test_within_the_same_click_one_answer_counts() -> None:
    house = House()
    await house.directory.caller("U1", fresh=True)
    house.now += 1.0
    house.slack.says = "ratelimited"
    assert (await house.directory.caller("U1", fresh=True)).unsure == ""


async def test_to_look_what_slack_said_within_the_hour_counts() -> None:
    house = House()
    await house.directory.caller("U1")
    house.slack.says = "ratelimited"
    house.now += 3500.0
    assert (await house.directory.caller("U1")).unsure == ""
    house.now += 200.0
    assert (await house.directory.caller("U1")).unsure


async def test_who_was_deactivated_meanwhile_is_barred_at_once_to_decide() -> None:
    house = House()
    await house.directory.caller("U1")
    house.slack.profile = {**house.slack.profile, "deleted": True}
    house.now += 4.0
    assert (await house.directory.caller("U1")).barred == ""
    assert "deactivated" in (await house.directory.caller("U1", fresh=True)).barred
