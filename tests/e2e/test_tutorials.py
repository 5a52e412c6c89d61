"""The tutorials about vendors and operations, followed: their files are installed, and then used.

Acme Lamps itself is played here, from the table at the head of add-a-vendor.md.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from bot.people import parse_people
from tests.documents import ROOT, Fence, fences
from tests.e2e.conftest import Make, until
from tests.e2e.test_documents import Follower, people, steps

VENDOR, OPERATION = "docs/learn/add-a-vendor.md", "docs/learn/add-an-operation.md"
KEY = "not-a-secret"
WANTED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    VENDOR: [("L1", {"light": "on"}), ("L2", {"light": "on"}), ("L2", {"light": "off"})],
    OPERATION: [("L1", {"level": 40})],
}


class AcmeLamps:
    """The vendor: three lamps behind a key."""

    def __init__(self) -> None:
        self.lamps: dict[str, dict[str, Any]] = {
            "L1": {"light": "off", "level": 100},
            "L2": {"light": "off", "level": 100},
            "L3": {"light": "on", "level": 20},
        }
        self.changes: list[tuple[str, dict[str, Any]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        if request.method == "GET" and request.path == "/lamps":
            return web.json_response({"lamps": [{"id": i, **v} for i, v in self.lamps.items()]})
        lamp = request.path.removeprefix("/lamps/")
        if request.method != "PUT" or lamp not in self.lamps:
            return web.Response(status=404)
        change = await request.json()
        self.changes.append((lamp, change))
        self.lamps[lamp] |= change
        return web.json_response({"id": lamp, **self.lamps[lamp]})


@pytest_asyncio.fixture
async def vendor() -> AsyncIterator[tuple[AcmeLamps, str]]:
    """Acme Lamps, and where it listens."""
    lamps, app = AcmeLamps(), web.Application()
    app.router.add_route("*", "/{path:.*}", lamps.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield lamps, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def write(folder: Path, page: str) -> None:
    """A page's files, and what it changes in files that are there."""
    for each in fences(ROOT / page):
        if each.kind == "toml project":
            (folder / "pyproject.toml").write_text(each.text)
        elif each.said("file"):
            target = folder / each.said("file")
            target.parent.mkdir(exist_ok=True)
            target.write_text(each.text)
        elif each.said("into"):
            target = folder / each.said("into")
            anchor = each.text.rstrip("\n").rpartition("\n")[2]
            target.write_text(_replaced(target.read_text(), anchor, each.text.rstrip("\n")))
        elif each.said("change"):
            _edit(folder / each.said("change"), each)


def _edit(target: Path, example: Fence) -> None:
    """An import goes in front of the others; any other line takes the place of its like."""
    text = target.read_text()
    for line in example.text.splitlines():
        if line.startswith("from "):
            text = _replaced(text, "from acme_lamps.", f"{line}\nfrom acme_lamps.")
        else:
            like = re.search(rf"^{re.escape(line.partition('=')[0])}=.*$", text, re.MULTILINE)
            assert like, line
            text = _replaced(text, like[0], line)
    target.write_text(text)


def _replaced(text: str, before: str, after: str) -> str:
    assert before in text
    return text.replace(before, after, 1)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: list[str]) -> Iterator[None]:
    """The package that these pages make, installed as they say, for as long as a test takes."""
    source, target = tmp_path / "source", tmp_path / "installed"
    source.mkdir()
    for page in pages:
        write(source, page)
    (command,) = (
        each.text.strip() for each in fences(ROOT / pages[-1]) if "pip install" in each.text
    )
    words = [sys.executable, *command.split()[1:], "--target", str(target), "--quiet"]
    subprocess.run(words, cwd=source, check=True, timeout=300)
    monkeypatch.syspath_prepend(str(target))
    _forget()
    yield
    _forget()


def _forget() -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "acme_lamps"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.mark.parametrize("pages", [[VENDOR], [VENDOR, OPERATION]], ids=["vendor", "operation"])
async def test_a_tutorial_leads_to_what_it_promises(
    make: Make, vendor: tuple[AcmeLamps, str], installed: None, pages: list[str]
) -> None:
    lamps, url = vendor
    said = next(each for each in fences(ROOT / VENDOR) if each.kind == "dotenv lamps").text
    settings = dict(line.split("=", 1) for line in said.splitlines())
    assert settings["LAMPS_KEY"] == KEY
    world = await make(**settings | {"LAMPS_URL": url})
    await _map(world)
    follower = Follower(world)
    for step in steps(pages[-1]):
        await follower.follow(step)
    await until(lambda: len(lamps.changes) == len(WANTED[pages[-1]]))
    assert lamps.changes == WANTED[pages[-1]]
    await world.settled()


async def _map(world: Any) -> None:
    text = next(each for each in fences(ROOT / VENDOR) if each.kind == "csv lamps").text
    rows = parse_people(text, {"lamps": frozenset({"Janitor", "Visitor"})})
    mapped = [*people(), *((row.slack_user, row.account) for row in rows)]
    await world.bot.store.import_people(world.bot.team, mapped, replace=True, actor="test")
