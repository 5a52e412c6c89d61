"""What stands outside the database: checkpoints in a channel, and the trail at a SIEM."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from bot import doctor
from bot.db import audit
from bot.doctor import Check
from bot.domain.operations import Registry
from bot.jobs import witness
from bot.proof.checkpoints import Checkpoint
from bot.proof.notes import Signer, Verifier
from bot.proof.tree import leaf_hash, root_of
from tests.e2e.conftest import APPROVALS, MARA, Make, World, start_bot, text_of, until
from tests.e2e.test_evidence import amend

# The key of the example of Go's sumdb/note: published, and visibly nobody's secret.
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SIGNED = {"AMEND_AUDIT_KEY": PRIVATE, "AMEND_AUDIT_CHANNEL": APPROVALS, "AMEND_AUDIT_EVERY": "1"}


class Siem:
    """Takes arrays of events; can be away, or fail after it took them."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.answers = 200
        self.posts = 0

    async def take(self, request: web.Request) -> web.Response:
        self.posts += 1
        self.tokens.add(request.headers.get("Authorization", ""))
        if self.answers != 503:
            self.events += await request.json()
        return web.Response(status=self.answers)


@pytest_asyncio.fixture
async def siem() -> AsyncIterator[tuple[Siem, str]]:
    made, app = Siem(), web.Application()
    app.router.add_post("/events", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    await runner.cleanup()


def notes(world: World) -> list[str]:
    """The checkpoints that the channel holds, as somebody copies them from there."""
    found = [text_of(each) for each in world.messages(APPROVALS)]
    return [each.split("```")[1] for each in found if "Audit checkpoint" in each]


async def edited(world: World, number: int) -> None:
    await world.type(MARA, f"/qualys {number} change_state=RESOLVED")
    await world.settled()


async def test_each_checkpoint_is_posted_and_the_trail_agrees_with_what_slack_holds(
    make: Make,
) -> None:
    world = await make(AMEND_ATTRIBUTION="off", **SIGNED)
    await edited(world, 23456)
    await until(lambda: bool(notes(world)), "a checkpoint")
    seen = Checkpoint.open(notes(world)[-1], Verifier.parse(PUBLIC))
    assert seen.size > 0
    engine = world.bot.store.engine
    leaves = [leaf_hash(line) async for _, line in audit.lines(engine)]
    assert root_of(leaves[: seen.size]) == seen.root
    assert await audit.verify(engine, seen) is None


async def test_a_planned_stop_signs_what_is_new(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make(AMEND_ATTRIBUTION="off", **{**SIGNED, "AMEND_AUDIT_EVERY": "86400"})
    await edited(world, 23456)
    await world.bot.stop()
    stopped = time.time()
    world.bot = await start_bot(world.sandbox, tmp_path, monkeypatch, **SIGNED)
    known = await audit.checkpoints(world.bot.store.engine)
    newest = [each for each in known if each.at <= stopped][-1]
    entries = [json.loads(line) async for _, line in audit.lines(world.bot.store.engine)]
    ended = next(each["seq"] for each in entries if each["action"] == "request:succeeded")
    assert newest.size >= ended
    await until(lambda: any(newest.note == each for each in notes(world)), "it is posted later")


async def test_a_checkpoint_that_evidence_brings_is_posted_as_well(
    make: Make, tmp_path: Path
) -> None:
    world = await make(AMEND_ATTRIBUTION="off", **{**SIGNED, "AMEND_AUDIT_EVERY": "86400"})
    await edited(world, 23456)
    request_id = str(world.payload()["request_id"])
    settings = {"AMEND_AUDIT_KEY": PRIVATE, "AMEND_AUDIT_CHANNEL": APPROVALS}
    out = str(tmp_path / "evidence.zip")
    made = await amend(tmp_path, "evidence", request_id, "--out", out, **settings)
    assert made.returncode == 0, made.stderr
    await world.bot._bundle(request_id, MARA)
    known = [each.note for each in await audit.checkpoints(world.bot.store.engine)]
    await until(lambda: notes(world) == known, "all of them")


async def test_every_entry_reaches_the_siem_in_order_through_an_outage(
    make: Make, siem: tuple[Siem, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "LOOKS_EVERY", 0.05)
    monkeypatch.setattr(witness, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(witness, "AT_ONCE", 3)
    service, url = siem
    service.answers = 503
    world = await make(
        AMEND_ATTRIBUTION="off", AMEND_SIEM_URL=url, AMEND_SIEM_TOKEN="siem-sandbox-fake"
    )
    await edited(world, 23456)
    await until(lambda: service.posts > 1, "tries while it is away")
    service.answers = 500  # it takes them, and says that it failed
    await until(lambda: bool(service.events), "events")
    service.answers = 200
    lines = [json.loads(line) async for _, line in audit.lines(world.bot.store.engine)]
    await until(lambda: service.events[-1]["metadata"]["uid"] == str(lines[-1]["seq"]), "the last")
    uids = [int(each["metadata"]["uid"]) for each in service.events]
    first_of_each = list(dict.fromkeys(uids))
    assert first_of_each == list(range(1, len(lines) + 1)), "all of them, and in order"
    assert service.tokens == {"Bearer siem-sandbox-fake"}
    event = next(each for each in service.events if each["metadata"]["uid"] == "1")
    assert (event["class_uid"], event["category_uid"]) == (6003, 6)
    assert event["type_uid"] == 600300 + event["activity_id"]
    assert event["api"]["operation"] == lines[0]["action"]
    assert event["actor"]["user"]["uid"] == lines[0]["actor"]
    assert event["unmapped"] == lines[0]["facts"]


async def test_a_siem_that_refuses_everything_is_seen(
    make: Make, siem: tuple[Siem, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "LONGEST_PAUSE", 0.1)
    service, url = siem
    service.answers = 403
    with capture_logs() as logged:
        world = await make(AMEND_SIEM_URL=url)
        await until(lambda: service.posts > 1, "tries")
    refused = [each for each in logged if each["event"] == "siem_takes_nothing"]
    assert refused
    assert {(each["log_level"], each["status"]) for each in refused} == {("warning", 403)}
    entries = [json.loads(line) async for _, line in audit.lines(world.bot.store.engine)]
    began = datetime.fromisoformat(entries[0]["at"]).timestamp()
    world.bot.store.clock = lambda: began + 1000.0
    await world.bot.upkeep.measure()
    assert REGISTRY.get_sample_value("amend_siem_oldest_seconds") == pytest.approx(1000.0)

    async def told(late: float = doctor.SIEM_LATE) -> Check:
        monkeypatch.setattr(doctor, "SIEM_LATE", late)
        settings, nobody = world.bot.settings, Registry([])
        return {each.name: each async for each in doctor.examine(settings, nobody)}["siem"]

    fresh = await told()
    assert fresh.ok
    assert f"0 of {len(entries)}" in fresh.words
    late = await told(0.0)
    assert not late.ok
    assert "siem_takes_nothing" in late.words
    world.bot.store.clock = time.time
    service.answers = 200
    await until(lambda: bool(service.events), "events")
    await until(lambda: service.events[-1]["metadata"]["uid"] == str(len(entries)), "the last")
    async with asyncio.timeout(120):
        while not (found := await told(0.0)).ok:  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.05)
    assert f"{len(entries)} of {len(entries)}" in found.words
    await world.bot.upkeep.measure()
    assert REGISTRY.get_sample_value("amend_siem_oldest_seconds") == 0


def test_a_signer_of_the_settings_is_the_published_key() -> None:
    assert str(Signer.parse(PRIVATE).verifier) == PUBLIC
