"""The guide: the whole story by clicks, at the URL that the real `amend sandbox` printed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from tests.e2e.test_first_minute import CHROMIUM, PATIENCE, QUIET, Printed, at_home, pytestmark

__all__ = ["pytestmark"]

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
STORY = [
    "Edit one ticket",
    "The form",
    "A selection and its review",
    "An approval by somebody else",
    "A denial",
    "An exception, from request to decision",
    "Symantec CCS",
    "Cortex Xpanse",
    "ZStack Cloud",
    "A bulk run, its progress and its undo",
    "A vendor that breaks off",
    "A watch",
    "Exceptions that end soon",
    "A program that asks",
    "A look back",
]
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest_asyncio.fixture(loop_scope="module")
async def printed(tmp_path: Path) -> AsyncIterator[Printed]:
    made = Printed(tmp_path)
    await made.start()
    yield made
    await made.stop()


class Hand:
    """A person with a mouse, who reads."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.pane, self.composer = page.locator("#pane"), page.locator("#composer")
        self.dialog = page.locator("dialog.modal")

    async def attempt(self, step: str, where: str) -> None:
        await self.page.locator(f"[data-try={step}]").click()
        await expect(self.composer).to_be_focused()
        assert self.page.url.endswith(where)
        await expect(self.page.locator("#guide [aria-current=step]")).to_have_attribute(
            "data-try", step
        )

    async def send(self) -> None:
        await expect(self.composer).not_to_have_value("")
        await self.page.get_by_role("button", name="Send", exact=True).click()

    async def then(self, number: int = 0) -> None:
        await self.page.locator("#guide [data-then]").nth(number).click()

    async def confirm(self, words: str = "Nothing is sent before you confirm") -> None:
        await expect(self.dialog).to_contain_text(words)
        await self.dialog.locator(".submit").click()
        await expect(self.dialog).to_have_count(0)

    async def newest(self, words: str) -> None:
        """The newest message says this, and is in sight."""
        last = self.pane.locator("article").last
        await expect(last).to_contain_text(words)
        await expect(last).to_be_in_viewport()

    async def press(self, action: str) -> None:
        await self.pane.locator(f"[data-action-id={action}]").last.click()

    async def first_look(self) -> None:
        """A watch tells what changes after its first look, which a person's next click is behind."""

        async def looked() -> bool:
            answer = await self.page.request.get("/sandbox/traffic")
            asked = [each["request"] for each in (await answer.json())["entries"]]
            return any(
                isinstance(each, dict)
                and each.get("vuln_severities") == "5"
                and "asset_groups" not in each
                for each in asked
            )

        async with asyncio.timeout(PATIENCE / 1000):
            while not await looked():  # noqa: ASYNC110 - a page tells nobody
                await asyncio.sleep(0.2)

    async def an_end_comes_nearer(self) -> None:
        """Some exception's end is told once more, which only days that went by bring about."""

        async def told_again() -> bool:
            answer = await self.page.request.get("/sandbox/state?user=U0MARA")
            messages = (await answer.json())["messages"]["C0OPS"]
            told = re.findall(r"exception (\d+) ends on", " ".join(m["text"] for m in messages))
            return len(told) > len(set(told))

        async with asyncio.timeout(PATIENCE / 1000):
            while not await told_again():  # noqa: ASYNC110 - a page tells nobody
                await asyncio.sleep(0.2)

    async def thread(self, words: str) -> None:
        """The thread of the newest message says this, once it has one."""
        await self.pane.locator("article").last.locator(".replies").click()
        await expect(self.page.locator(".thread-list")).to_contain_text(words)
        await self.page.get_by_role("button", name="Close thread").click()


async def edits_and_forms(hand: Hand) -> None:
    await hand.attempt("edit", "#U0MARA/C0OPS")
    await hand.send()
    await hand.newest("Done")
    await hand.thread("Open → Resolved")
    await hand.attempt("form", "#U0MARA/C0OPS")
    await hand.send()
    await hand.dialog.locator('[data-block-id="ticket_numbers"]').fill("23460")
    await hand.dialog.locator('[data-block-id="add_comment"]').fill("Looked at")
    await hand.dialog.locator(".submit").click()
    await hand.confirm()
    await hand.newest("23460")
    await hand.newest("Done")
    await hand.attempt("selection", "#U0MARA/C0OPS")
    await hand.send()
    await hand.confirm()
    await hand.newest("28 changed")


async def decisions(hand: Hand) -> None:
    await hand.attempt("approval", "#U0MARA/C0OPS")
    await hand.send()
    await hand.confirm()
    await hand.newest("approval")
    await hand.then()
    await hand.newest("23470")
    await hand.press("approve")
    await hand.then(1)
    await hand.newest("Approved by @Onca Reyes")
    await hand.newest("Done")
    await hand.attempt("denial", "#U0SAMI/C0OPS")
    await hand.send()
    await hand.newest("Scanner")
    await hand.attempt("exception", "#U0MARA/C0OPS")
    await hand.send()
    await hand.newest("Done")
    await hand.then()
    await hand.press("approve")
    await hand.dialog.locator('[data-block-id="end_date"]').fill("2030-03-31")
    await hand.dialog.locator('[data-block-id="comments"]').fill("Isolated host")
    await hand.dialog.locator(".submit").click()
    await hand.confirm()
    await hand.newest("Onca Reyes")
    await hand.then(1)
    await hand.thread("Approved")


async def other_vendors(hand: Hand) -> None:
    await hand.attempt("ccs", "#U0MARA/C0OPS")
    await hand.send()
    await hand.newest("INCA0000007")
    await hand.newest("Done")
    await hand.attempt("xpanse", "#U0MARA/C0OPS")
    await hand.send()
    await hand.newest("incident 71")
    await hand.newest("Done")
    await hand.attempt("zstack", "#U0MARA/C0OPS")
    await hand.send()
    await hand.confirm()
    await hand.newest("Done")
    await hand.attempt("bulk", "#U0MARA/C0OPS")
    await hand.send()
    await hand.confirm()
    await hand.newest("Running")
    await hand.newest("147 changed")
    await hand.press("undo")
    await hand.confirm()
    await hand.newest("undoes")
    await hand.newest("changed")


async def bad_days(hand: Hand) -> None:
    await hand.attempt("fault", "#U0MARA/C0OPS")
    await hand.send()
    await hand.newest("23462")
    await hand.newest("Done")
    await hand.attempt("watch", "#U0MARA/C0OPS")
    await hand.send()
    await expect(hand.pane).to_contain_text("watch")
    await hand.first_look()
    await hand.then(0)
    await hand.send()
    await hand.newest("Done")
    await hand.then(1)
    await hand.newest("→ Resolved")


async def looking_after(hand: Hand) -> None:
    await hand.attempt("register", "#U0MARA/C0OPS")
    await hand.send()
    await hand.newest("exceptions")
    table = hand.pane.locator(".data-table").last
    await expect(table.locator("tbody tr")).to_have_count(10)
    await hand.then(0)
    await hand.send()
    await expect(hand.pane).to_contain_text("ends_within=30")
    await expect(hand.pane).to_contain_text("ends on")
    await hand.then(1)
    await hand.an_end_comes_nearer()
    await hand.attempt("program", "#U0MARA/C0OPS")
    await hand.then()
    await expect(hand.page.locator(".toast").last).to_contain_text("It needs a token first")
    await hand.send()
    await hand.dialog.locator('[data-block-id="name"]').fill("night watch")
    await hand.dialog.locator('[data-block-id="days"]').fill("30")
    await hand.dialog.locator(".submit").click()
    await expect(hand.dialog).to_contain_text("amend_")
    await hand.page.keyboard.press("Escape")
    await expect(hand.dialog).to_have_count(0)
    await hand.then()
    card = hand.pane.locator("article").filter(has_text="23464").last
    await expect(card).to_contain_text("night watch")
    await card.locator("[data-action-id=run]").click()
    await expect(card).to_contain_text("Done")
    await hand.attempt("report", "#U0MARA/C0OPS")
    await hand.send()
    await expect(hand.pane).to_contain_text("Look back")  # more ends may be told below it
    await expect(hand.pane.locator(".chart svg").last).to_be_visible()


@at_home
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_the_story_by_clicks_only(printed: Printed, size: dict[str, int]) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page(viewport=size, base_url=printed.url)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        await page.goto(printed.url)
        steps = page.locator("#guide [data-try]")
        assert [await each.inner_text() for each in await steps.all()] == STORY
        hand = Hand(page)
        for part in (edits_and_forms, decisions, other_vendors, bad_days, looking_after):
            await part(hand)
            await page.screenshot(path=ARTEFACTS / f"guide-{part.__name__}-{size['width']}.png")
        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        await browser.close()
        assert troubles == []


@at_home
async def test_a_week_goes_by_where_somebody_moves_the_clock(printed: Printed) -> None:
    async def told(page: Page) -> str:
        return await page.locator("#drawer-pane [role=status]").inner_text()

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page(viewport=WIDE, base_url=printed.url)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        await page.goto(printed.url)
        await page.get_by_role("button", name="Traffic and faults").click()
        await page.get_by_role("tab", name="Clock").click()
        assert "ahead" not in await told(page)
        await page.get_by_role("button", name="A week later").click()
        await expect(page.locator("#drawer-pane")).to_contain_text("7 days ahead of the world")
        await page.screenshot(path=ARTEFACTS / "clock.png")
        for days in (0, 367, "7", None):
            answer = await page.request.post("/sandbox/clock", data={"days": days})
            assert (await answer.json())["ok"] is False
        hand = Hand(page)
        await hand.attempt("edit", "#U0MARA/C0OPS")
        await hand.send()
        await hand.newest("Done")
        await printed.stop()
        await printed.start()
        state = await (await page.request.get(f"{printed.url}sandbox/state")).json()
        assert 6.9 < (state["clock"]["at"] - time.time()) / 86_400 < 7.1, "a start goes on there"
        await browser.close()
