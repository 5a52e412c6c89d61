"""ZStack's query language, as its public front reads it: `q`, `sort`, `start`, `limit`, counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


def _like(held: str, asked: str) -> bool:
    return re.fullmatch(re.escape(asked).replace("%", ".*"), held) is not None


def _number(text: str) -> float:
    return float(text or 0)


# RestServer.QUERY_OP_MAPPING: the first of these that stands anywhere in a condition is its operator.
TESTS: dict[str, Callable[[str, str], bool]] = {
    "!=": lambda held, asked: held != asked,
    ">=": lambda held, asked: _number(held) >= _number(asked),
    "<=": lambda held, asked: _number(held) <= _number(asked),
    "!?=": lambda held, asked: held not in asked.split(","),
    "!~=": lambda held, asked: not _like(held, asked),
    "~=": _like,
    "?=": lambda held, asked: held in asked.split(","),
    "=": lambda held, asked: held == asked,
    ">": lambda held, asked: _number(held) > _number(asked),
    "<": lambda held, asked: _number(held) < _number(asked),
}


@dataclass(frozen=True)
class Query:
    """One query; `sort` is `+name` or `-name`, and several conditions must all hold."""

    conditions: Sequence[str] = ()
    sort: str = ""
    start: int = 0
    limit: int = 1000
    count_only: bool = False
    with_count: bool = False

    @classmethod
    def of(cls, given: Sequence[tuple[str, str]]) -> Query:
        named = dict(given)
        return cls(
            [value for name, value in given if name == "q"],
            named.get("sort", ""),
            int(named.get("start", 0)),
            int(named.get("limit", 1000)),
            named.get("count") == "true",
            named.get("replyWithCount") == "true",
        )

    def on(self, rows: Sequence[Row]) -> tuple[list[Row], int | None]:
        """(the page, how many there are where that was asked for)."""
        found = [each for each in rows if all(_holds(each, one) for one in self.conditions)]
        if self.sort:
            name, down = self.sort.lstrip("+-"), self.sort.startswith("-")
            found.sort(key=lambda each: each[name], reverse=down)
        counted = len(found) if self.count_only or self.with_count else None
        page = [] if self.count_only else found[self.start : self.start + self.limit]
        return page, counted


def _holds(row: Row, condition: str) -> bool:
    sign = next((each for each in TESTS if each in condition), "")
    if not sign:
        return True
    name, _, asked = condition.partition(sign)
    return TESTS[sign](str(row.get(name, "")), asked)
