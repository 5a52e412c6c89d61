"""The documents are true: nothing is stale, no link dead, and every example of a kind that is tried."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer.main

from bot.bootstrap import entries, load_policy
from bot.cli import app
from bot.people import parse_people
from bot.settings import Settings
from bot.slack.incoming.typed import understand
from docs.make.pages import pages, renewed
from docs.make.settings import GROUPS, names
from tests.documents import PAGES, ROOT, Fence, fences

# How each kind of example is tried: here (YAML in test_chart.py), or by the test that follows the
# page step by step.
TRIED_HERE = {"yaml values", "yaml pod", "sh", "console", "toml", "csv", "dotenv", "slack parse"}
FOLLOWED = {
    "slack": ("test_documents.py", "test_tutorials.py"),
    "answer": ("test_documents.py", "test_tutorials.py"),
    "answer line": ("test_set_up_pages.py",),
    "csv wrong": ("test_set_up_pages.py",),
    "python": ("test_tutorials.py",),
    "toml project": ("test_tutorials.py",),
    "dotenv lamps": ("test_tutorials.py",),
    "csv lamps": ("test_tutorials.py",),
    "sh audit": ("test_evidence.py",),
    "python audit": ("test_evidence.py",),
    "json client": ("test_programs.py",),
}
DRAWING = ""  # a fence without a language holds a drawing, and nothing that could be typed

ALL = [each for page in PAGES for each in fences(page)]
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def examples(kind: str) -> list[Any]:
    return [pytest.param(each, id=each.where) for each in ALL if each.kind == kind]


def test_what_is_made_is_not_stale() -> None:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        assert renewed(text) == text, f"{page}: run `python -m docs.make` (or `make docs`)"


def test_every_example_is_of_a_kind_that_is_tried() -> None:
    for each in ALL:
        assert each.kind in TRIED_HERE | FOLLOWED.keys() | {DRAWING}, each.where
        tests = [ROOT / "tests/e2e" / name for name in FOLLOWED.get(each.kind, ())]
        followed = any(each.page.name in test.read_text() for test in tests)
        assert followed or each.kind not in FOLLOWED, each.where
        if each.kind == DRAWING:
            assert not re.search(r"^\s*(/|\$|amend |make )", each.text, re.MULTILINE), each.where


def _heads(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for found in LINK.finditer(page.read_text(encoding="utf-8")):
        parts = urlsplit(found["target"])
        if parts.scheme:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert target.exists(), found["target"]
        assert not parts.fragment or parts.fragment in _heads(target), found["target"]


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs/README.md"
    linked = {
        (index.parent / urlsplit(found["target"]).path).resolve()
        for found in LINK.finditer(index.read_text(encoding="utf-8"))
    }
    missing = [page for page in PAGES if page.is_relative_to(ROOT / "docs") and page != index]
    assert [page for page in missing if page not in linked] == []


def test_the_readme_is_one_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 75


def _command(words: list[str]) -> Any:
    """The command that these words name; fails where there is none."""
    found: Any = typer.main.get_command(app)
    for word in words:
        if word.startswith("-") or not hasattr(found, "commands"):
            break
        assert word in found.commands, f"there is no `amend {' '.join(words)}`"
        found = found.commands[word]
    return found


def _fits(words: list[str]) -> None:
    command = _command(words)
    known = {name for each in command.params for name in each.opts} | {"--help", "--version"}
    known |= {"--install-completion", "--show-completion"}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, word


def _typed(text: str) -> Iterator[list[str]]:
    """The `amend` commands among some lines of a shell."""
    for line in text.splitlines():
        for part in re.split(r"\||&&|;", line.partition(" # ")[0]):
            words = [each for each in shlex.split(part) if each not in ("sudo", "exec")]
            if words and words[0] == "amend":
                yield words[1:]


@pytest.mark.parametrize("example", examples("sh"))
def test_what_is_typed_in_a_shell_exists(example: Fence) -> None:
    for words in _typed(example.text):
        _fits([each for each in words if each not in (">", ">>")])
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"^make (\w+)", example.text, re.MULTILINE):
        assert target in targets


def test_every_command_that_a_sentence_names_exists() -> None:
    for page in PAGES:
        for found in re.findall(r"`amend ([a-z][^`]*)`", page.read_text(encoding="utf-8")):
            words = shlex.split(re.sub(r"[\[\]…]", "", found.replace("\\|", "|")))
            _fits([each for each in words if "|" not in each])


def test_every_setting_that_a_sentence_names_exists() -> None:
    known = {name for _, model in GROUPS for name in names(model)} | set(OTHERS)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found = set(re.findall(r"`((?:AMEND|SLACK|QUALYS|CCS|XPANSE|ZSTACK)_[A-Z_]+)\b", text))
        stems = {each for each in found if each.endswith("_")}
        assert found - stems <= known, page


OTHERS = ("AMEND_CHAOS_KILLS",)  # of the tests, not of the product


@pytest.mark.parametrize("example", examples("slack parse"))
def test_what_is_typed_in_slack_is_understood(example: Fence) -> None:
    operations = {each.command: each for entry in entries() for each in entry.operations}
    for line in example.text.splitlines():
        typed = line.removeprefix("/amend ") if line.startswith("/amend ") else line[1:]
        command, _, words = typed.partition(" ")
        assert understand(operations[command], words)  # type: ignore[arg-type]


@pytest.mark.parametrize("example", examples("console"))
def test_a_console_says_what_the_page_shows(example: Fence, tmp_path: Path) -> None:
    """In an empty folder, with nothing set. `…` in what is shown stands for anything."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    for command, shown in example.runs():
        words = shlex.split(command)
        assert words[0] == "amend"
        for word in words[1:]:
            beside = example.page.parent / word
            if beside.is_file():
                target = tmp_path / word
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(beside.read_bytes())
        done = subprocess.run(
            [sys.executable, "-m", "bot.cli", *words[1:]],
            cwd=tmp_path,
            env=kept | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        wanted = re.escape(shown.strip()).replace("…", ".*")
        assert re.fullmatch(wanted, (done.stdout + done.stderr).strip(), re.DOTALL), (
            done.stdout + done.stderr
        )


@pytest.mark.parametrize("example", examples("toml"))
def test_a_policy_loads(example: Fence, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(example.text)
    assert load_policy(str(tmp_path / "policy.toml"), entries())


@pytest.mark.parametrize("example", examples("csv"))
def test_a_mapping_can_be_imported(example: Fence) -> None:
    assert parse_people(example.text, {entry.name: entry.roles for entry in entries()})


@pytest.mark.parametrize("example", examples("dotenv"))
def test_settings_are_taken(
    example: Fence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name for _, model in GROUPS for name in names(model)}
    set_here = set(re.findall(r"^([A-Z_]+)=", example.text, re.MULTILINE))
    assert set_here <= known
    for name in known:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text(example.text)
    monkeypatch.chdir(tmp_path)
    assert Settings()
    for _, model in GROUPS[1:]:
        prefix = str(model.model_config.get("env_prefix"))
        if f"{prefix}URL" in set_here:
            assert model()
