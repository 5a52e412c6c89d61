"""The documents' examples in the sandbox: what a page has typed is typed, what it shows is seen.

Follows a page from top to bottom: `slack` examples, `answer` examples, and the directives between
them that only a test reads (`<!-- try: … -->`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from bot.bootstrap import entries
from bot.domain.people import Account
from bot.people import parse_people
from deploy.sandbox.vendors.people import PEOPLE_CSV
from tests.documents import ROOT, Fence, fences
from tests.e2e.conftest import Make, World, text_of, until
from tests.e2e.test_requests import button, has

FOLLOWED = [
    "docs/learn/first-hour.md",
    "docs/do/everyday-work.md",
    "docs/do/people-and-roles.md",
]
CHANNELS = {"vuln-ops": "C0OPS", "approvals": "C0APPROVALS"}
PEOPLE = {"mara": "U0MARA", "umar": "U0UMAR", "sami": "U0SAMI", "onca": "U0ONCA"}
_DIRECTIVE = re.compile(r"^<!-- try: (?P<words>.+) -->$", re.MULTILINE)
_NAMES = {"U0MARA": "Mara Lindqvist", "U0ONCA": "Onca Reyes", "U0SAMI": "Sami Ito"}


def plain(text: str) -> str:
    """A message as a person reads it: without the signs that only make it bold, quoted or linked."""
    text = re.sub(r"<@(\w+)>", lambda found: f"@{_NAMES.get(found[1], found[1])}", text)
    text = re.sub(r":[a-z_]+:|^&gt; ?|[*`]|\b_|_\b|\u2060", "", text, flags=re.MULTILINE)
    text = text.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


class Follower:
    """Does what a page says, as whom it says."""

    def __init__(self, world: World) -> None:
        self.world, self.user, self.channel = world, "U0MARA", "C0OPS"

    async def follow(self, step: Fence | str) -> None:
        """One step of a page."""
        if isinstance(step, str):
            await self.directive(step)
        elif step.kind == "slack":
            await self.slack(step)
        else:
            await self.answer(step)

    def _as(self, who: str, where: str) -> None:
        self.user = PEOPLE[who] if who else self.user
        self.channel = CHANNELS[where] if where else self.channel

    async def slack(self, example: Fence) -> None:
        self._as(example.said("as"), example.said("in"))
        for line in example.text.splitlines():
            answer = await self.world.type(self.user, line, self.channel)
            assert answer["ok"], example.where
        if example.said("then"):
            await self.world.view_is(self.user, example.said("then"))
        if example.said("then") == "form":
            await self._close([])

    async def answer(self, example: Fence) -> None:
        for line in filter(None, example.text.splitlines()):
            wanted = re.compile(re.escape(plain(line)).replace("…", ".*"))
            try:
                await until(partial(self._sees, wanted))
            except AssertionError:
                raise AssertionError(f"{example.where}: {line}\n\nseen:\n{self.seen()}") from None

    def _sees(self, wanted: re.Pattern[str]) -> bool:
        return wanted.search(self.seen()) is not None

    def seen(self) -> str:
        """Everything that this person sees in this channel, its threads, and the open modal."""
        messages: list[Any] = [*self.world.seen_by(self.user, self.channel)]
        return "\n".join(plain(text_of(each)) for each in [*messages, self.world.view(self.user)])

    async def directive(self, words: str) -> None:
        verb, *rest = words.split()
        said = dict(pairwise(rest))
        self._as(said.get("as", ""), said.get("in", ""))
        deeds: dict[str, Callable[[list[str]], Awaitable[None]]] = {
            "confirm": self._confirm,
            "press": self._press,
            "fault": self._fault,
            "look": self._look,
            "close": self._close,
        }
        await deeds[verb](rest)

    async def _look(self, _: list[str]) -> None:
        """As somebody else, or elsewhere; whatever follows waits for what it is about."""

    async def _close(self, _: list[str]) -> None:
        view = self.world.view(self.user)
        await self.world.act(self.user, "close", view_id=view["id"], all=True)

    async def _confirm(self, _: list[str]) -> None:
        review = await self.world.view_is(self.user, "review")
        await self.world.act(self.user, "submit", view_id=review["id"], values={})
        await until(lambda: not self.world.view(self.user), "the review closes")

    async def _press(self, words: list[str]) -> None:
        """A button of the newest message that is everybody's, once it is there."""

        def newest() -> dict[str, Any]:
            shown = self.world.seen_by(self.user, self.channel)
            roots = [each for each in shown if not each.get("thread_ts")]
            return [each for each in roots if not each.get("ephemeral")][-1]

        await until(lambda: has(newest(), words[0]), f"a button {words[0]}")
        pressed = button(newest(), words[0])
        where = {"channel": self.channel, "ts": newest()["ts"]}
        await self.world.act(self.user, "press", **where, **pressed)
        if words[0] == "undo":
            await self.world.view_is(self.user, "review")

    async def _fault(self, words: list[str]) -> None:
        vendor, fault, only = words
        stand_in = {each.name: each for each in self.world.sandbox.stand_ins}[vendor]
        stand_in.set_fault(fault, {"times": 1, "only": only})


def steps(page: str) -> Iterator[Fence | str]:
    """What there is to do on a page, in its order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found: list[tuple[int, Fence | str]] = [
        (each.line, each) for each in fences(ROOT / page) if each.kind in ("slack", "answer")
    ]
    found += [
        (text.count("\n", 0, each.start()) + 1, each["words"]) for each in _DIRECTIVE.finditer(text)
    ]
    return (step for _, step in sorted(found, key=lambda each: each[0]))


def people() -> list[tuple[str, Account]]:
    """Who is who in the sandbox, as `amend sandbox` imports it."""
    rows = parse_people(PEOPLE_CSV, {entry.name: entry.roles for entry in entries()})
    return [(row.slack_user, row.account) for row in rows]


@pytest.mark.parametrize("page", FOLLOWED)
async def test_a_page_is_followed_step_by_step(make: Make, page: str) -> None:
    world = await make()
    await world.bot.store.import_people(world.bot.team, people(), replace=True, actor="test")
    follower = Follower(world)
    for step in steps(page):
        await follower.follow(step)


async def test_every_metric_that_a_running_bot_shows_is_documented(world: World) -> None:
    page = (ROOT / "docs/look-up/metrics.md").read_text(encoding="utf-8")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{world.bot.port}/metrics") as answer,
    ):
        shown = re.findall(r"^# TYPE (amend_\w+)", await answer.text(), re.MULTILINE)
    timed = {each.removesuffix("_created") for each in shown}
    assert timed
    assert {each for each in timed if f"`{each}" not in page} == set()


async def test_the_page_of_commands_names_each_word_after_amend(make: Make) -> None:
    """As the running bot takes them: also what a vendor brings, and what has no slash command."""
    world = await make(AMEND_MCP="on")
    page = (ROOT / "docs/look-up/commands.md").read_text(encoding="utf-8")
    _, _, listed = page.partition("After `/amend`:")
    listed, _, _ = listed.partition("## ")
    named = set(re.findall(r"^- `/amend ([a-z]+)", listed, re.MULTILINE))
    words = set(world.bot.listeners.commands.topics) - {"", "help"}
    words |= {each.command for each in world.bot.registry.operations if not each.slash}
    assert words - {""} == named
