"""The documents' pages and their fenced examples, as a test reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Fence:
    """One example of a page: what kind it is, what else its first line says, and its text."""

    page: Path
    line: int
    info: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def kind(self) -> str:
        """The language, and the word behind it where there is one (`slack parse`)."""
        return " ".join(each for each in self.info[:2] if "=" not in each)

    def said(self, name: str) -> str:
        """The value of `name=value` on the first line; "" where it is not there."""
        pairs = [each.partition("=") for each in self.info]
        return next((value for key, _, value in pairs if key == name), "")

    def runs(self) -> Iterator[tuple[str, str]]:
        """Of a console: each command behind a `$`, with what is shown under it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown


def fences(page: Path) -> Iterator[Fence]:
    """The fenced examples of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        indent = len(found["indent"])
        lines = [each[indent:] for each in found["text"].splitlines(keepends=True)]
        yield Fence(page, line, tuple(found["info"].split()), "".join(lines))
