"""The page for everybody: axe, contrast, sizes, names, in dark and light, wide and narrow."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright, expect

from tests.e2e.conftest import MARA, World, until
from tests.e2e.test_first_minute import PATIENCE
from tests.e2e.test_page import ARTEFACTS, CHROMIUM, QUIET, pytestmark

__all__ = ["pytestmark"]

WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LOOKS = [(scheme, size) for scheme in ("light", "dark") for size in (WIDE, NARROW)]
# WCAG 2.2 A and AA, with what axe's authors call best practice, and the size of targets.
RULES = {
    "runOnly": [
        *("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"),
    ],
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}
# What a finger or a shaky hand must hit: every control in sight of less than 24 by 24 pixels.
# Links in a sentence are as high as their line, which the rule excepts.
SMALL = """() => [...document.querySelectorAll(
    'button, input, select, textarea, summary, [role=option], [role=menuitem], a[href]')]
  .filter((e) => !e.closest('.text, .sr, .skip') && e.checkVisibility({opacityProperty: true}))
  .map((e) => e.closest('label') || e)
  .filter((e) => { const b = e.getBoundingClientRect();
    return b.width && (b.width < 23.9 || b.height < 23.9); })
  .map((e) => `${e.outerHTML.slice(0, 160)} ${JSON.stringify(e.getBoundingClientRect())}`)"""
NESTED = """() => [...document.querySelectorAll(
    ':is(button, a[href], summary, label, [role=option]) :is(button, a[href], select, textarea)')]
  .map((e) => e.outerHTML.slice(0, 160))"""
CUT = """() => [...document.querySelectorAll('body *')]
  .filter((e) => e.checkVisibility() && !e.closest('.sr, .skip'))
  .filter((e) => { const b = e.getBoundingClientRect(), s = getComputedStyle(e);
    return b.right > innerWidth + 1 && !e.closest('.table-box')
      || (s.overflowX === 'hidden' && e.scrollWidth > e.clientWidth + 1); })
  .map((e) => e.outerHTML.slice(0, 160))"""


@pytest_asyncio.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]['width']}")
async def page(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    scheme, size = request.param
    ARTEFACTS.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        yield page
        await browser.close()
        assert troubles == []


class Inspector:
    """Looks at each surface of the page and gathers what is wrong with it."""

    def __init__(self, page: Page, look: str) -> None:
        self.page, self.look, self.found = page, look, list[str]()

    async def looks(self, surface: str) -> None:
        await self.page.screenshot(path=ARTEFACTS / f"{surface}-{self.look}.png")
        violations = (await Axe().run(self.page, options=RULES)).response["violations"]
        told = [
            f"{each['id']}: {node['html'][:160]} {node.get('failureSummary', '')}"
            for each in violations
            for node in each["nodes"]
        ]
        told += [f"small: {each}" for each in await self.page.evaluate(SMALL)]
        told += [f"nested: {each}" for each in await self.page.evaluate(NESTED)]
        told += [f"cut: {each}" for each in await self.page.evaluate(CUT)]
        self.found += [f"{surface}: {each}" for each in told]


async def a_story(world: World) -> None:
    """A channel in which a bit of everything stands."""
    await world.type(MARA, "see `code`, <https://vendor.example/x|a link> and <@U0ONCA>")
    await world.type(MARA, '/qualys 23456 change_state=RESOLVED add_comment="Host patched"')
    await world.settled()
    await world.type(MARA, "/qualys 99x change_state=RESOLVED")
    await world.type(MARA, "/amend history")
    await world.type(MARA, "/amend help")
    await until(lambda: len(world.private(MARA)) >= 3, "the private answers")


async def test_every_surface_of_the_page_is_for_everybody(
    world: World, page: Page, request: pytest.FixtureRequest
) -> None:
    see = Inspector(page, request.node.callspec.id)
    await a_story(world)
    await page.goto(f"{world.slack.url}/#U0MARA/C0OPS")
    await expect(page.locator("#pane article")).not_to_have_count(0)
    await see.looks("channel")
    await page.fill("#composer", "/")
    await see.looks("suggestions")
    await page.fill("#composer", "")
    await page.locator(".act-as").click()
    await see.looks("people")
    await page.keyboard.press("Escape")
    await page.locator("#pane .replies").last.click()
    await expect(page.locator(".thread-list article")).not_to_have_count(0)
    await see.looks("thread")
    await page.get_by_role("button", name="Close thread").click()
    await page.fill("#composer", "/qualys")
    await page.locator("#composer").press("Enter")
    await expect(page.locator("dialog .submit")).to_be_visible()
    await page.locator("dialog .submit").click()
    await expect(page.locator("dialog .error:visible").first).to_be_visible()
    await see.looks("form")
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_have_count(0)
    await page.goto(f"{world.slack.url}/#U0MARA/home")
    await expect(page.locator(".home .block").first).to_be_visible()
    await see.looks("home")
    await page.goto(f"{world.slack.url}/#U0MARA/C0OPS")
    if await page.locator("#places").is_visible():
        await page.locator("#places").click()
        await see.looks("menu")
    await page.get_by_role("button", name="Traffic and faults").click()
    for tab in ("Request", "Traffic", "Faults"):
        await page.get_by_role("tab", name=tab).click()
        await see.looks(tab.lower())
    assert not see.found, "\n".join(see.found)
