"""The sandbox's page in a real Chromium: the whole main job by hand."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from tests.e2e.conftest import World, until

CHROMIUM = shutil.which("chromium")
ARTEFACTS = Path(__file__).parents[2] / "artefacts"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page tests are left out"),
]


@pytest_asyncio.fixture
async def page(world: World) -> AsyncIterator[Page]:
    ARTEFACTS.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        await page.goto(f"{world.slack.url}/#U0MARA/C0OPS")
        await page.wait_for_selector("#composer")
        yield page
        await browser.close()
        assert troubles == []


async def test_the_story_typed_into_the_page(world: World, page: Page) -> None:
    await page.fill(
        "#composer",
        '/qualys 23456 change_state=RESOLVED add_comment="Host patched, ready for re-scan"',
    )
    await page.keyboard.press("Enter")
    await page.wait_for_selector("text=1 reply", timeout=120_000)
    await page.click("text=1 reply")
    await page.wait_for_selector(".thread-list >> text=1 changed")
    await page.wait_for_selector("#pane >> text=Done")
    await page.screenshot(path=ARTEFACTS / "story.png")
    assert len(world.edits()) == 1


async def test_the_form_shows_an_input_error_then_the_review_then_the_card(
    world: World, page: Page
) -> None:
    await page.fill("#composer", "/qualys")
    await page.keyboard.press("Enter")
    numbers = page.locator('dialog [data-block-id="ticket_numbers"]')
    await numbers.fill("23x")
    await page.fill('dialog [data-block-id="add_comment"]', "Host patched")
    await page.screenshot(path=ARTEFACTS / "form.png")
    await page.click("dialog .submit")
    await page.wait_for_selector("dialog .error:visible")
    await page.screenshot(path=ARTEFACTS / "error.png")
    await numbers.fill("23456")
    await page.click("dialog .submit")
    await page.wait_for_selector(
        "dialog >> text=Nothing is sent before you confirm", timeout=120_000
    )
    await page.screenshot(path=ARTEFACTS / "review.png")
    assert world.edits() == []
    await page.click("dialog .submit")
    await until(lambda: len(world.edits()) == 1)
    assert (await world.settled())["state"] == "succeeded"
    assert world.edits() == [{"ticket_numbers": "23456", "add_comment": "Host patched"}]


# Somebody goes elsewhere in the very moment in which an answer about where they were arrives.
CROSSING = """async () => {
  const ask = window.fetch, text = await (await ask('/sandbox/state?user=U0MARA')).text();
  let answer;
  const late = new Promise((done) => { answer = () => done({ ok: true, text: async () => text }); });
  window.fetch = (path, init) => (path.startsWith('/sandbox/state') ? late : ask(path, init));
  dispatchEvent(new Event('hashchange'));
  window.fetch = ask;
  location.hash = '#U0MARA/home';
  answer();
}"""


async def test_who_goes_elsewhere_while_the_page_asks_is_not_taken_back(
    world: World, page: Page
) -> None:
    await page.evaluate(CROSSING)
    await page.wait_for_selector(".home .block")
    assert page.url.endswith("#U0MARA/home")
