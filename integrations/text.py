"""Text that can be kept: what JSON can write and no database can hold is replaced at the edge."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def whole(text: str) -> str:
    """The text with U+FFFD in place of half a surrogate pair, and of NUL."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")


def whole_values(value: T) -> T:
    """The same for every text inside a JSON value, its names included."""
    found: Any = value
    if isinstance(value, str):
        found = whole(value)
    elif isinstance(value, list):
        found = [whole_values(each) for each in value]
    elif isinstance(value, dict):
        found = {whole(str(name)): whole_values(each) for name, each in value.items()}
    return found  # type: ignore[no-any-return]
