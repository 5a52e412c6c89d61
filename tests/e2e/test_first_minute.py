"""The first minute: what `amend sandbox` prints, opened in a browser that was never there."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from tests.e2e.test_page import CHROMIUM, QUIET

pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page tests are left out"),
]

PATIENCE = 120_000  # milliseconds that a busy machine may take
FIRST = '/qualys 23456 change_state=RESOLVED add_comment="Host patched, ready for re-scan"'


class Printed:
    """`amend sandbox` as a process of its own, and the URL that it printed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url, self._port = folder, "", 0

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "bot.cli",
                "sandbox",
                "--no-browser",
                "--port",
                str(self._port),
            ),
            cwd=self.folder,
            env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(120):
            async for line in self._process.stdout:
                found = re.search(rb"https?://\S+", line)
                if found:
                    self.url = found[0].decode()
                    break
        assert self.url, "no URL was printed"
        self._port = int(self.url.rstrip("/").rpartition(":")[2])

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
        await asyncio.wait_for(self._process.wait(), 120)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def printed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Printed]:
    made = Printed(tmp_path_factory.mktemp("sandbox"))
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def page() -> AsyncIterator[Page]:
    """A fresh profile; a test says itself where it goes."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        yield page
        await browser.close()
        assert troubles == []


at_home = pytest.mark.asyncio(loop_scope="module")


@at_home
async def test_the_printed_url_is_a_workspace_and_the_readmes_first_command_is_done(
    printed: Printed, page: Page
) -> None:
    await page.goto(printed.url)
    await expect(page.locator("#composer")).to_be_focused()
    assert page.url.endswith("#U0MARA/C0OPS")
    await page.keyboard.type(FIRST)
    await page.keyboard.press("Enter")
    await expect(page.locator("#pane")).to_contain_text("Done")


STRANGE = ["#", "#composer", "#U0NOBODY/C0OPS", "#U0MARA/C0NOWHERE", "#%E0%A4%A/%", "#U0MARA/"]


@at_home
@pytest.mark.parametrize("address", STRANGE)
async def test_an_address_that_names_nobody_or_nowhere_becomes_one_that_does(
    printed: Printed, page: Page, address: str
) -> None:
    await page.goto(printed.url + address)
    await expect(page.locator("#composer")).to_be_visible()
    assert page.url.endswith("#U0MARA/C0OPS")
    await page.reload()
    await expect(page.locator("#composer")).to_be_visible()


OVER_THE_EDGE = """() => [".side", ".main", ".right"].flatMap((name) => {
  const column = document.querySelector(name).getBoundingClientRect();
  const shown = [...document.querySelectorAll(`${name} :is(button, h1, h2, input, textarea, select)`)];
  return shown.map((each) => [each, each.getBoundingClientRect()])
    .filter(([each, box]) => box.width && (box.right > column.right + 1 || box.left < column.left - 1))
    .map(([each]) => `${name}: ${each.outerHTML.slice(0, 80)}`);
})"""


@at_home
async def test_nothing_stands_over_the_edge_of_its_column_at_any_width(
    printed: Printed, page: Page
) -> None:
    await page.goto(f"{printed.url}#U0ONCA/C0APPROVALS")
    await expect(page.locator("#guide")).to_be_visible()
    for width in range(340, 1400, 20):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate(OVER_THE_EDGE) == [], width
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


@at_home
async def test_the_skip_link_leaves_the_address_alone(printed: Printed, page: Page) -> None:
    await page.goto(printed.url)
    await expect(page.locator("#composer")).to_be_focused()
    await page.locator("#skip").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#composer")).to_be_focused()
    await page.reload()
    await expect(page.locator("#composer")).to_be_visible()


@at_home
async def test_a_restart_is_said_and_the_page_goes_on_by_itself(tmp_path: Path, page: Page) -> None:
    sandbox = Printed(tmp_path)
    await sandbox.start()
    await page.goto(sandbox.url)
    await expect(page.locator(".bot-state")).to_have_text("Amend is connected")
    await sandbox.stop()
    await expect(page.locator("#lost")).to_be_visible()
    await expect(page.locator(".bot-state")).to_have_text("Amend is not connected")
    await sandbox.start()
    await expect(page.locator("#lost")).to_be_hidden()
    await expect(page.locator(".bot-state")).to_have_text("Amend is connected")
    await page.locator("#composer").fill("/amend whoami")
    await page.keyboard.press("Enter")
    await expect(page.locator("#pane")).to_contain_text("mlindqvist")
    await sandbox.stop()


@at_home
async def test_a_page_that_was_opened_too_early_waits(tmp_path: Path, page: Page) -> None:
    """The page itself is there, and the server does not answer its questions yet."""
    sandbox = Printed(tmp_path)
    await sandbox.start()
    away = True

    async def not_yet(route: object) -> None:
        if away:
            await route.abort()  # type: ignore[attr-defined]
        else:
            await route.continue_()  # type: ignore[attr-defined]

    await page.route("**/sandbox/*", not_yet)
    await page.goto(sandbox.url)
    await expect(page.locator("#lost")).to_be_visible()
    away = False
    await expect(page.locator("#composer")).to_be_focused()
    await expect(page.locator("#lost")).to_be_hidden()
    await sandbox.stop()
