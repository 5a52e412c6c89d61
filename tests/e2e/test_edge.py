"""The edge: signatures, health, and a database that is locked."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from slack_sdk.signature import SignatureVerifier
from structlog.testing import capture_logs

from bot.db.store import NotKnown
from deploy.sandbox import company
from tests.e2e.conftest import MARA, OPS, Make, World, filled, until

FORM = {
    "command": "/qualys",
    "text": "23456 change_state=RESOLVED",
    "user_id": MARA,
    "team_id": company.TEAM_ID,
    "channel_id": OPS,
    "trigger_id": "1.2.replayed",
}


async def _post(
    world: World, *, secret: str = company.SIGNING_SECRET, off: float = 0.0, stamp: str = ""
) -> int:
    body = urlencode(FORM)
    when = stamp or str(int(time.time() + off))
    signature = SignatureVerifier(secret).generate_signature(timestamp=when, body=body) or ""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Signature": signature,
        "X-Slack-Request-Timestamp": when,
    }
    url = f"http://127.0.0.1:{world.bot.port}/slack/events"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as r,
    ):
        return r.status


async def test_a_wrong_secret_shows_in_the_log_which_a_stranger_cannot_fill(world: World) -> None:
    with capture_logs() as logged:
        for _ in range(5):
            assert await _post(world, secret="rotated") == 401
    refused = [each for each in logged if each["event"] == "slack_request_refused"]
    assert [(each["log_level"], each["signed"]) for each in refused] == [("warning", True)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "forged"},
        {"off": -301},
        {"off": 330},
        {"stamp": "yesterday"},
        {"stamp": "１２３"},
    ],
)
async def test_a_request_that_slack_did_not_just_sign_is_401_and_does_nothing(
    world: World, wrong: dict[str, object]
) -> None:
    assert await _post(world, **wrong) == 401  # type: ignore[arg-type]
    await world.bot.listeners.drain(1)
    assert world.qualys.requests == []


async def test_a_replayed_request_has_one_effect(world: World) -> None:
    assert [await _post(world) for _ in range(3)] == [200, 200, 200]
    await world.settled()
    assert len(world.edits()) == 1


async def test_health_readiness_and_metrics(world: World) -> None:
    base = f"http://127.0.0.1:{world.bot.port}"
    async with aiohttp.ClientSession() as session:
        for path in ("/healthz", "/readyz"):
            async with session.get(base + path) as answer:
                assert answer.status == 200
        async with session.get(f"{base}/metrics") as answer:
            assert "amend_ack_seconds" in await answer.text()


async def test_a_locked_database_is_said_in_the_acknowledgement_and_nothing_runs_later(
    make: Make, tmp_path: Path
) -> None:
    world = await make(patient=False, AMEND_ATTRIBUTION="off")
    lock = sqlite3.connect(tmp_path / "amend.db", isolation_level=None, check_same_thread=False)
    await asyncio.to_thread(lock.execute, "BEGIN EXCLUSIVE")
    done = await world.type(MARA, "/qualys 23456 change_state=RESOLVED")
    lock.execute("ROLLBACK")
    lock.close()
    assert "not accepted" in str(done["ack"]["body"])
    await asyncio.sleep(1.5)
    assert world.edits() == []
    await world.type(MARA, "/qualys 23456 change_state=RESOLVED")
    await until(lambda: len(world.edits()) == 1)
    assert (await world.settled())["state"] == "succeeded"


async def test_a_token_that_slack_revoked_makes_it_unready(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.sandbox.company.BOT_TOKEN", "xoxb-sandbox-revoked")
    await world.bot.token.check()
    url = f"http://127.0.0.1:{world.bot.port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 503
        assert "invalid_auth" in (await answer.json())["reasons"]["slack"]
    monkeypatch.undo()
    await world.bot.token.check()
    assert await world.bot.health.reasons() == {}


@pytest.mark.parametrize(
    "typed", ["/qualys 23456 add_comment=x", "/qualys 23456,23457 add_comment=x"]
)
async def test_what_may_have_been_recorded_is_called_neither_accepted_nor_not(
    world: World, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    async def lost(*_: object) -> bool:
        raise NotKnown

    monkeypatch.setattr(world.bot.store, "accept", lost)
    await world.type(MARA, typed)

    def said() -> str:
        return " ".join([*world.private(MARA), str(world.view(MARA))])

    await until(lambda: "it may run or not" in said(), "a word about it")
    assert "ccepted" not in said()


async def test_a_review_is_not_lost_where_slack_follows_the_acknowledgement_late(
    world: World,
) -> None:
    """Slack shows what an acknowledgement holds when it comes to it, maybe after what came later."""
    assert (await world.slack.fault("slack", "slow_follow", times=1))["ok"]
    await world.type(MARA, "/qualys")
    form = await world.view_is(MARA, "form")
    values = filled(form, ticket_numbers="23456", add_comment="Host patched")
    await world.act(MARA, "submit", view_id=form["id"], values=values)
    review = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=review["id"], values={})
    assert (await world.settled())["state"] == "succeeded"
