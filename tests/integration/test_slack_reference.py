"""The sandbox's Web API held against Slack's own reference: arguments, errors, scopes, tiers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from deploy.sandbox import company
from deploy.sandbox.slack import web_api
from deploy.sandbox.slack.reference import TIERS, Tiers
from deploy.sandbox.slack.server import SlackSandbox

ROOT = Path(__file__).parents[2]
TOLD = json.loads((ROOT / "deploy/sandbox/slack/methods.json").read_text())


class Caller:
    """Calls the Web API as the bot does."""

    def __init__(self, slack: SlackSandbox, session: aiohttp.ClientSession) -> None:
        self.slack, self._session = slack, session

    async def __call__(self, method: str, **given: Any) -> tuple[int, dict[str, Any], str]:
        token = company.APP_TOKEN if method == "apps.connections.open" else company.BOT_TOKEN
        async with self._session.post(
            f"{self.slack.url}/api/{method}",
            json=given,
            headers={"Authorization": f"Bearer {token}"},
        ) as answer:
            return answer.status, await answer.json(), answer.headers.get("Retry-After", "")


@pytest_asyncio.fixture
async def call() -> AsyncIterator[Caller]:
    slack = SlackSandbox(port=0, commands=(), shortcuts=())
    await slack.start()
    async with aiohttp.ClientSession() as session:
        yield Caller(slack, session)
    await slack.stop()


@pytest.mark.parametrize("method", sorted(web_api.METHODS))
async def test_an_argument_that_slack_does_not_have_is_refused_and_noted(
    call: Caller, method: str
) -> None:
    assert method in TOLD, "a method of the sandbox that the reference does not have"
    _, body, _ = await call(method, chanel="C0OPS")
    assert (body["ok"], body["error"]) == (False, "invalid_arguments")
    assert "chanel" in str(call.slack.violations)


REQUIRED = [
    (method, each)
    for method in sorted(web_api.METHODS)
    for each in TOLD[method]["required"]
    if each != "token"
]


@pytest.mark.parametrize(("method", "missing"), REQUIRED)
async def test_an_argument_that_slack_requires_is_required(
    call: Caller, method: str, missing: str
) -> None:
    given = {each: "x" for each in TOLD[method]["required"] if each not in ("token", missing)}
    _, body, _ = await call(method, **given)
    assert (body["ok"], body["error"]) == (False, "invalid_arguments")


ERRORS = [(method, error) for method in sorted(web_api.METHODS) for error in TOLD[method]["errors"]]


async def test_each_documented_error_can_be_switched_on(call: Caller) -> None:
    for method, error in ERRORS:
        told = await call.slack.fault("slack", f"error:{error}", times=1, only=method)
        assert told["ok"], (method, error)
        given = {each: "{}" for each in TOLD[method]["required"] if each != "token"}
        call.slack.core.tiers = Tiers()
        _, body, _ = await call(method, **given)
        assert (body["ok"], body["error"]) == (False, error), method
    assert not (await call.slack.fault("slack", "error:no_such_error"))["ok"]


async def test_a_method_is_kept_to_its_calls_a_minute(call: Caller) -> None:
    call.slack.core.tiers = Tiers(clock=lambda: 100.0)
    most = TIERS[TOLD["usergroups.list"]["rate"]]
    for _ in range(most):
        status, _, _ = await call("usergroups.list")
        assert status == 200
    status, body, wait = await call("usergroups.list")
    assert (status, body, wait) == (429, {"ok": False, "error": "ratelimited"}, "3")
    assert (await call("users.list"))[0] == 200, "others have tiers of their own"
