"""The same promises on PostgreSQL: one winner, one run, and a survivor that takes over."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from deploy.sandbox.ports import free_port
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.people import PEOPLE_CSV
from tests.e2e.conftest import APPROVALS, MARA, ONCA, OPS, Make, until
from tests.e2e.test_crash import Process
from tests.e2e.test_requests import confirmed, press

STORY = '/qualys 23456 change_state=RESOLVED add_comment="Host patched"'


async def test_the_story_and_an_approval(make: Make) -> None:
    world = await make(AMEND_ATTRIBUTION="off")
    await world.type(MARA, STORY)
    assert (await world.settled())["state"] == "succeeded"
    await confirmed(world, MARA, "/qualys 23457,23458 change_state=IGNORED")
    await until(lambda: bool(world.cards(APPROVALS)))
    await asyncio.gather(*(press(world, ONCA, "approve", APPROVALS) for _ in range(5)))
    await until(lambda: len(world.edits()) == 2, "the second edit")
    await world.settled()
    assert await audit_holds(world)


async def audit_holds(world: Any) -> bool:
    from bot.db import audit

    return await audit.verify(world.bot.store.engine) is None


@pytest.mark.parametrize("many", [60, 130])  # a short run, and one that has a lane
async def test_a_survivor_takes_over_and_no_slice_runs_twice(
    database: str, tmp_path: Path, many: int
) -> None:
    sandbox = Sandbox()
    await sandbox.start()
    replicas = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        port = free_port()
        environment = sandbox.environment(folder / "unused.db", port=port, socket_mode=False)
        environment["AMEND_LOST_ANSWER_SECONDS"] = "3"
        own = {"DATABASE_URL": database, "XPANSE_EDITS_PER_SECOND": "0"}
        replicas.append((Process(environment | own, folder), port))
    (tmp_path / "a" / "people.csv").write_text(PEOPLE_CSV)
    try:
        imported = await replicas[0][0].run("people", "import", "people.csv")
        assert await imported.wait() == 0
        for process, port in replicas:
            await process.start(port)
        sandbox.slack.request_url = f"http://127.0.0.1:{replicas[0][1]}/slack/events"
        sandbox.xpanse.set_fault("slow", {"seconds": 0.3, "only": "update_incident"})
        ids = ",".join(str(each) for each in range(1, many + 1))
        await sandbox.slack.act(
            user=MARA, do="type", channel=OPS, text=f"/xpanse {ids} comment=checked"
        )
        await until(lambda: bool(sandbox.slack.state(MARA)["views"]), "the review")
        await until(lambda: sandbox.slack.state(MARA)["views"][-1]["callback_id"] == "review")
        view = sandbox.slack.state(MARA)["views"][-1]["id"]
        await sandbox.slack.act(user=MARA, do="submit", view_id=view, values={})
        await until(lambda: sent(sandbox) >= 10, "some calls")
        await replicas[0][0].end(signal.SIGKILL)
        sandbox.slack.request_url = f"http://127.0.0.1:{replicas[1][1]}/slack/events"
        await until(lambda: ended(sandbox), "the survivor's end")
        told = [len(each.comments) for each in sandbox.xpanse.incidents.values()]
        assert max(told) == 1, "no comment twice"
        payload = cards(sandbox)[-1]
        assert payload["changed"] <= sum(told[:many]) <= payload["changed"] + payload["unknown"]
        assert payload["changed"] + payload["unknown"] == many
    finally:
        for process, _ in replicas:
            await process.end(signal.SIGKILL)
        await sandbox.stop()


def sent(sandbox: Sandbox) -> int:
    return sum("update_incident" in each.path for each in sandbox.xpanse.requests)


def cards(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [
        each["metadata"]["event_payload"]
        for each in sandbox.slack.messages(OPS)
        if (each.get("metadata") or {}).get("event_type") == "amend_request"
    ]


def ended(sandbox: Sandbox) -> bool:
    return bool(cards(sandbox)) and cards(sandbox)[-1]["state"] in (
        "succeeded",
        "partial",
        "unknown",
    )
