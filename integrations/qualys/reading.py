"""Small readers for Qualys XML: text, numbers, number lists and times, all tolerant."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime

from integrations.xml import Element, name_of, words_of

RANGE = re.compile(r"(\d{1,18})(?:\s*-\s*(\d{1,18}))?")
WIDEST_RANGE = 20_000


def text_of(element: Element, path: str) -> str:
    """The text at `path`, stripped (it may be padded around CDATA, facts 11); "" if missing."""
    return words_of(element.find(path))


def child(element: Element, names: Collection[str]) -> Element | None:
    """The first child with one of `names`, in upper case."""
    return next((each for each in element if name_of(each) in names), None)


def number(text: str | None) -> int | None:
    """A whole number, or None; at most 18 digits."""
    cleaned = (text or "").strip()
    return int(cleaned) if cleaned.isascii() and cleaned.isdigit() and len(cleaned) < 19 else None


def numbers_in(element: Element) -> list[int]:
    """The numbers of one element: `7`, `7,8` or, as a selection would write it, `7-9`."""
    found: list[int] = []
    for match in RANGE.finditer(words_of(element)):
        first, last = int(match[1]), int(match[2] or match[1])
        found.extend(range(first, min(last, first + WIDEST_RANGE) + 1))
    return found


def moment(text: str) -> datetime | None:
    """`YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SSZ` (facts 11), in UTC; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
