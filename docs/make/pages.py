"""Pages with parts that are made: what stands between `<!-- NAME -->` and `<!-- end of NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from docs.make import commandline, limits, lives, operations, policies, settings, slack

ROOT = Path(__file__).parents[2]
PARTS: Mapping[str, Callable[[], str]] = {
    "operations": operations.overview,
    "parameters": operations.parameters,
    "watches": operations.watches,
    "settings": settings.tables,
    "command line": commandline.commands,
    "slack commands": slack.commands,
    "topics": slack.topics,
    "scopes": slack.scopes,
    "limits": limits.bounds_that_people_meet,
    "states": lives.states,
    "life of a request": lives.life,
    "results": lives.results,
    "metrics": lives.metrics,
    "roles": operations.roles,
    "default rules": policies.default_rules,
}
_PART = re.compile(r"<!-- (?P<name>[a-z ]+) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)


def pages() -> Iterator[Path]:
    """Every page that has a part that is made: README, ARCHITECTURE, and of the documents."""
    for page in (
        ROOT / "README.md",
        ROOT / "ARCHITECTURE.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ):
        if _PART.search(page.read_text(encoding="utf-8")):
            yield page


def renewed(text: str) -> str:
    """A page with its parts made anew. Raises `KeyError` for a part that nobody makes."""
    return _PART.sub(_made, text)


def _made(found: re.Match[str]) -> str:
    name = found["name"]
    return f"<!-- {name} -->\n{PARTS[name]()}\n<!-- end of {name} -->"
