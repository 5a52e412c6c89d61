"""What is new in a channel is in sight, who reads up is left in peace, and a full channel stays quick."""

from __future__ import annotations

import pytest
from playwright.async_api import CDPSession, Page, expect

from deploy.sandbox.slack.workspace import Message
from tests.e2e.conftest import MARA, ONCA, OPS, World
from tests.e2e.test_page import page, pytestmark

__all__ = ["page", "pytestmark"]

# What a keystroke and a new message may take of Chromium's own time: a frame or two, and a blink.
KEYSTROKE_MS, MESSAGE_MS = 50, 250
MANY = 1_000
PATIENCE = 120_000


@pytest.fixture(autouse=True)
def _patient() -> None:
    expect.set_options(timeout=PATIENCE)


def said(world: World, many: int, channel: str = OPS, user: str = ONCA) -> None:
    """Somebody else says so many things."""
    workspace = world.slack.core.workspace
    for number in range(many):
        workspace.post(Message(channel, workspace.new_ts(), user, f"line {number} of talk"))


async def end_in_sight(page: Page, words: str) -> None:
    last = page.locator("#pane article").last
    await expect(last).to_contain_text(words)
    await expect(last).to_be_in_viewport(ratio=0.9)


async def at_top(page: Page) -> None:
    await page.evaluate("document.getElementById('pane').scrollTop = 0")
    await page.wait_for_timeout(100)


async def go(page: Page, place: str) -> None:
    await page.evaluate("place => { location.hash = place; }", place)


@pytest.mark.parametrize("between", ["#U0MARA/C0APPROVALS", "#U0MARA/home", "#U0ONCA/C0OPS"])
@pytest.mark.parametrize("upwards", [False, True], ids=["at the end", "reading up"])
async def test_who_comes_back_sees_the_end(
    world: World, page: Page, between: str, upwards: bool
) -> None:
    said(world, 60)
    await end_in_sight(page, "line 59")
    if upwards:
        await at_top(page)
    await go(page, between)
    await expect(page.locator("#pane")).to_be_visible()
    await page.wait_for_timeout(300)
    await page.mouse.move(600, 300)
    await page.mouse.wheel(0, -300)
    await page.wait_for_timeout(100)
    await go(page, "#U0MARA/C0OPS")
    await end_in_sight(page, "line 59")


async def test_the_answer_to_what_one_did_is_in_sight_even_for_who_read_up(
    world: World, page: Page
) -> None:
    said(world, 60)
    await end_in_sight(page, "line 59")
    await at_top(page)
    await page.fill("#composer", "/qualys 99x change_state=RESOLVED")
    await page.locator("#composer").press("Enter")
    await end_in_sight(page, "99x")


async def test_who_reads_up_is_left_there_and_told_that_there_is_more(
    world: World, page: Page
) -> None:
    said(world, 60)
    await end_in_sight(page, "line 59")
    await at_top(page)
    said(world, 1)
    newer = page.locator(".newer")
    await expect(newer).to_be_visible()
    assert await page.evaluate("document.getElementById('pane').scrollTop") == 0
    await newer.click()
    await end_in_sight(page, "line 0")
    await expect(newer).to_be_hidden()


@pytest.mark.parametrize("size", [{"width": 1280, "height": 800}, {"width": 390, "height": 844}])
async def test_what_opens_beside_the_channel_does_not_hide_its_end(
    world: World, page: Page, size: dict[str, int]
) -> None:
    await page.set_viewport_size(size)  # type: ignore[arg-type]
    said(world, 60)
    await end_in_sight(page, "line 59")
    await page.locator("#guide-button").click()
    await end_in_sight(page, "line 59")
    await page.locator("#guide-button").click()
    await end_in_sight(page, "line 59")
    await page.set_viewport_size({"width": 800, "height": 500})
    await end_in_sight(page, "line 59")


MEASURE = """async ([text]) => {
  const box = document.getElementById('composer'), took = [];
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  box.focus();
  for (const letter of text) {
    const began = performance.now();
    document.execCommand('insertText', false, letter);
    document.body.offsetHeight;
    took.push(performance.now() - began);
    await frame();
  }
  return took.sort((a, b) => a - b)[Math.floor(took.length / 2)];
}"""
# What Chromium calls the time of all its tasks: script, style, layout and paint, not waiting.
WORK = "TaskDuration"


class Work:
    """The milliseconds that the page's own thread has worked, whatever else the machine does."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    @classmethod
    async def of(cls, page: Page) -> Work:
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable", {"timeDomain": "threadTicks"})
        return cls(session)

    async def done(self) -> float:
        found = (await self._session.send("Performance.getMetrics"))["metrics"]
        return float(next(1000 * each["value"] for each in found if each["name"] == WORK))


async def test_with_a_thousand_messages_a_keystroke_and_a_new_message_stay_quick(
    world: World, page: Page
) -> None:
    for number in range(MANY // 100):
        await world.type(MARA, f"/qualys {99}x{number} change_state=RESOLVED")
        said(world, 99)
    await page.reload()
    await end_in_sight(page, "line 98")
    keystroke = await page.evaluate(MEASURE, ["a word or two of talk"])
    work, new = await Work.of(page), []
    for _ in range(5):
        before = await work.done()
        said(world, 1)
        await end_in_sight(page, "line 0")
        new.append(await work.done() - before)
        said(world, 1, user=MARA)
    message = sorted(new)[2]
    drawn = await page.locator("#pane *").count()
    assert drawn < 5_000, "the page draws what nobody sees"
    assert keystroke < KEYSTROKE_MS
    assert 0 < message < MESSAGE_MS, new
