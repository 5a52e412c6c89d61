"""The documents' pictures: the guide's story in the sandbox, in a headless Chromium.

`python -m docs.make.pictures [FOLDER]` starts `amend sandbox` in an empty folder, goes through the
story as its readers do, and takes a picture at each stop. Without Chromium it says so and ends with 0.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

PICTURES = Path(__file__).parents[1] / "pictures"
SIZE = {"width": 1280, "height": 800}
PATIENCE = 60_000  # milliseconds that a busy machine may take


@dataclass(frozen=True)
class Reader:
    """Somebody who follows the guide, and what they see."""

    page: Page
    folder: Path

    @property
    def dialog(self) -> Locator:
        return self.page.locator("dialog.modal")

    def attempt(self, step: str) -> None:
        self.page.locator(f"[data-try={step}]").click()
        expect(self.page.locator("#composer")).not_to_have_value("")

    def send(self) -> None:
        self.page.get_by_role("button", name="Send", exact=True).click()

    def then(self, number: int = 0) -> None:
        self.page.locator("#guide [data-then]").nth(number).click()

    def newest(self, words: str) -> None:
        expect(self.page.locator("#pane article").last).to_contain_text(words)

    def reviewed(self) -> None:
        expect(self.dialog).to_contain_text("Nothing is sent before you confirm")

    def submit(self) -> None:
        self.dialog.locator(".submit").click()
        expect(self.dialog).to_have_count(0)

    def press(self, action: str) -> None:
        self.page.locator(f"#pane [data-action-id={action}]").last.click()

    def look(self, name: str) -> None:
        self.page.mouse.move(0, 0)
        self.page.screenshot(path=self.folder / f"{name}.png", animations="disabled")


def edit(reader: Reader) -> None:
    reader.attempt("edit")
    reader.look("guide")
    reader.send()
    reader.newest("Done")
    reader.page.locator("#pane .replies").last.click()
    expect(reader.page.locator(".thread-list")).to_contain_text("Open → Resolved")
    reader.look("edit")
    reader.page.get_by_role("button", name="Close thread").click()


def form(reader: Reader) -> None:
    reader.attempt("form")
    reader.send()
    expect(reader.dialog.locator('[data-block-id="ticket_numbers"]')).to_be_visible()
    reader.dialog.locator('[data-block-id="ticket_numbers"]').fill("23460")
    reader.dialog.locator('[data-block-id="add_comment"]').fill("Looked at")
    reader.look("form")
    reader.dialog.locator(".submit").click()
    reader.reviewed()
    reader.submit()
    reader.newest("Done")


def selection(reader: Reader) -> None:
    reader.attempt("selection")
    reader.send()
    reader.reviewed()
    reader.look("review")
    reader.submit()
    reader.newest("changed")


def approval(reader: Reader) -> None:
    reader.attempt("approval")
    reader.send()
    reader.reviewed()
    reader.submit()
    reader.newest("approval")
    reader.then()
    reader.newest("23470")
    reader.look("approval")
    reader.press("approve")
    reader.then(1)
    reader.newest("Done")
    reader.look("story")


def denial(reader: Reader) -> None:
    reader.attempt("denial")
    reader.send()
    reader.newest("Scanner")
    reader.look("denial")


def bulk(reader: Reader) -> None:
    reader.attempt("bulk")
    reader.send()
    reader.reviewed()
    reader.submit()
    reader.newest("147 changed")
    reader.look("bulk")


def fault(reader: Reader) -> None:
    reader.attempt("fault")
    reader.send()
    reader.newest("23462")
    reader.newest("Done")
    reader.look("fault")


def looking_after(reader: Reader) -> None:
    reader.attempt("register")
    reader.send()
    reader.newest("exceptions")
    reader.look("register")
    reader.attempt("report")
    reader.send()
    reader.newest("Look back")
    reader.page.locator(".chart").first.scroll_into_view_if_needed()
    reader.look("report")


STOPS: tuple[Callable[[Reader], None], ...] = (
    edit,
    form,
    selection,
    approval,
    denial,
    bulk,
    fault,
    looking_after,
)


@contextmanager
def sandbox(home: Path) -> Iterator[str]:
    """`amend sandbox` as a process of its own; yields the URL that it printed."""
    command = [sys.executable, "-m", "bot.cli", "sandbox", "--no-browser", "--port", "0"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(  # noqa: S603 - our own command line
        command, cwd=home, env=kept | {"PYTHONPATH": root}, stdout=subprocess.PIPE, text=True
    )
    try:
        yield _printed(process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _printed(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        found = re.search(r"https?://\S+", line)
        if found:
            return found[0]
    message = "the sandbox ended before it printed its URL"
    raise RuntimeError(message)


def take(folder: Path, chromium: str) -> None:
    """Every picture, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    with (
        tempfile.TemporaryDirectory() as home,
        sandbox(Path(home)) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--hide-scrollbars"]
        )
        page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        for stop in STOPS:
            stop(Reader(page, folder))
        browser.close()


if __name__ == "__main__":
    found = shutil.which("chromium")
    if found:
        take(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES, found)
    else:
        print("no Chromium here: the pictures stay as they are")
