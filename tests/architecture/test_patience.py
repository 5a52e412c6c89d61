"""No test depends on how fast the machine is: what comes late is waited for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PATIENCE = 120  # seconds; a machine with several suites on it was that late


def impatient(source: str) -> Iterator[int]:
    """The lines that wait for something to come true, and for less than that."""
    calls = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Call)]
    for call in calls if "until" in source else ():
        named = {each.arg: each.value for each in call.keywords}
        within = named.get("within")
        if getattr(call.func, "id", "") != "until" or not isinstance(within, ast.Constant):
            continue
        if float(str(within.value)) < PATIENCE:
            yield call.lineno


def test_what_is_waited_for_has_time_to_come() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in impatient(path.read_text("utf-8"))
    ]
    assert found == []


def test_a_short_wait_is_found() -> None:
    assert list(impatient("await until(lambda: True, 'words', within=20)")) == [1]
    assert list(impatient("await until(lambda: True, within=600)")) == []
