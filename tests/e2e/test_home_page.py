"""App Home, a digest and a record's message, as a person sees them in Chromium."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.async_api import Page

from deploy.sandbox.vendors.seed import Entry
from tests.e2e.conftest import APPROVALS, MARA, ONCA, OPS, World, until
from tests.e2e.test_page import ARTEFACTS, page, pytestmark
from tests.e2e.test_requests import confirmed

__all__ = ["page", "pytestmark"]


@pytest.fixture
def polls_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMEND_POLL_SECONDS", "1")


def resolved(world: World, many: int) -> None:
    """Somebody resolves tickets in the vendor's own console."""
    found = [each for each in world.qualys.tickets.values() if each.condition == "OPEN"][:many]
    now = datetime.now(UTC).replace(microsecond=0)
    for ticket in found:
        ticket.history.append(Entry(now, "oreyes", old="OPEN", new="RESOLVED"))
        ticket.condition = "RESOLVED"


async def test_app_home_shows_what_waits_what_runs_and_how_things_are(
    world: World, page: Page
) -> None:
    await world.type(MARA, '/qualys 23456 add_comment="Host patched"')
    await world.settled()
    await confirmed(world, ONCA, "/qualys 23457,23458 change_state=IGNORED")
    await until(lambda: bool(world.cards(APPROVALS)))
    await world.act(MARA, "home")
    await until(lambda: "answers" in str(world.slack.state(MARA)["home"]), "the vendors' state")
    await page.goto(f"{world.slack.url}/#U0MARA/home")
    await page.wait_for_selector("text=How things are")
    await page.wait_for_selector("text=Qualys: answers")
    await page.screenshot(path=ARTEFACTS / "home.png", full_page=True)


async def test_a_record_message_and_a_digest_are_drawn(
    polls_often: None, world: World, page: Page
) -> None:
    await world.type(MARA, "/amend watch qualys mode=now")
    watches = world.bot.watching.watches

    async def based() -> bool:
        return all(each.based for each in await watches.listed())

    await world.told(MARA, "is told from now on")
    while not await based():
        await page.wait_for_timeout(100)
    resolved(world, 1)
    await page.wait_for_selector("text=Open → Resolved", timeout=120_000)
    await page.screenshot(path=ARTEFACTS / "record.png")
    resolved(world, 60)
    await page.wait_for_selector("text=changed", timeout=120_000)
    kinds = [(each.get("metadata") or {}).get("event_type") for each in world.messages(OPS)]
    await until(lambda: "amend_changes" in str(world.messages(OPS)), "the digest")
    await page.wait_for_timeout(500)
    await page.screenshot(path=ARTEFACTS / "digest.png")
    assert "amend_change" in kinds
