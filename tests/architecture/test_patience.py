"""No test depends on how fast the machine is: what comes late is waited for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PATIENCE = 120  # seconds; a machine with several suites on it was that late
MEANT = 1  # seconds; what is shorter is meant to run out
SPANS = ("timeout", "within", "connect_timeout")  # names of arguments
WAITS = ("timeout", "wait_for", "set_default_timeout", "until")


def impatient(source: str) -> Iterator[int]:
    """The lines that wait for something to come true, and for less than that."""
    for each in ast.walk(ast.parse(source)):
        if any(MEANT <= span < PATIENCE for span in _waits(each)):
            yield each.lineno  # type: ignore[attr-defined] - only nodes with a place have a span


def _waits(node: ast.AST) -> Iterator[float]:
    """The seconds that a call gives to something else, or that are added to the present moment."""
    if isinstance(node, ast.BinOp) and _called(node.left) == "monotonic":
        yield from _seconds(node.right)
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg in SPANS:
                yield from _seconds(keyword.value)
        if _called(node) in WAITS:
            for last in node.args[-1:]:
                yield from _seconds(last)


def _called(node: ast.AST) -> str:
    """The last name of what is called; "" where nothing is."""
    of = getattr(node, "func", None)
    return getattr(of, "attr", "") or getattr(of, "id", "")


def _seconds(node: ast.AST) -> Iterator[float]:
    """A number as it stands there; the browser's thousands are milliseconds."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield node.value / 1000 if node.value >= 1000 else node.value


def test_what_is_waited_for_has_time_to_come() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        if path != Path(__file__)
        for line in impatient(path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "short"),
    [
        ("await until(lambda: True, 'words', within=20)", True),
        ("await until(lambda: True, 'words', 20)", True),
        ("await until(lambda: True, 'words')", False),
        ("await until(lambda: True, within=600)", False),
        ("asyncio.timeout(60)", True),
        ("asyncio.timeout(0.1)", False),
        ("await asyncio.wait_for(opened.wait(), 5)", True),
        ("end = time.monotonic() + 20", True),
        ("end = time.monotonic() + 120", False),
        ("await page.wait_for_selector('b', timeout=15_000)", True),
        ("page.set_default_timeout(60_000)", True),
        ("subprocess.run(words, timeout=30)", True),
    ],
)
def test_a_short_wait_is_found(source: str, short: bool) -> None:
    assert list(impatient(source)) == ([1] if short else [])
