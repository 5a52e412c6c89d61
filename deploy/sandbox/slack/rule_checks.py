"""Small checks out of which the rules for Block Kit payloads are composed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Check = Callable[[Any, str, list[str]], None]


def string(longest: int, shortest: int = 1) -> Check:
    """A string within the lengths, counted in code points as Slack does."""

    def check(value: Any, path: str, found: list[str]) -> None:
        if not isinstance(value, str):
            found.append(f"{path}: must be a string")
        elif len(value) > longest:
            found.append(f"{path}: must be no more than {longest} characters (has {len(value)})")
        elif len(value) < shortest:
            found.append(f"{path}: must be at least {shortest} characters")

    return check


def matching(pattern: str, what: str) -> Check:
    """A string of one form."""

    def check(value: Any, path: str, found: list[str]) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            found.append(f"{path}: must be {what}")

    return check


def boolean(value: Any, path: str, found: list[str]) -> None:
    """True or false and nothing like it."""
    if not isinstance(value, bool):
        found.append(f"{path}: must be true or false")


def anything(_value: Any, _path: str, _found: list[str]) -> None:
    """A value that is nobody's concern here."""


def integer(lowest: int, highest: int) -> Check:
    """A whole number within bounds."""

    def check(value: Any, path: str, found: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            found.append(f"{path}: must be an integer")
        elif not lowest <= value <= highest:
            found.append(f"{path}: must be between {lowest} and {highest}")

    return check


def choice(*allowed: str) -> Check:
    """One of some words."""

    def check(value: Any, path: str, found: list[str]) -> None:
        if value not in allowed:
            found.append(f"{path}: must be one of {', '.join(allowed)}")

    return check


def array(item: Check, most: int, least: int = 1) -> Check:
    """A list with its count and the check of each item."""

    def check(value: Any, path: str, found: list[str]) -> None:
        if not isinstance(value, list):
            found.append(f"{path}: must be an array")
            return
        if len(value) > most:
            found.append(f"{path}: no more than {most} items allowed (has {len(value)})")
        if len(value) < least:
            found.append(f"{path}: at least {least} items needed")
        for place, one in enumerate(value):
            item(one, f"{path}/{place}", found)

    return check


@dataclass(frozen=True)
class Shape:
    """An object: the keys it must have, those it may have, and rules across them."""

    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    rules: tuple[Check, ...] = ()

    def __call__(self, value: Any, path: str, found: list[str]) -> None:
        if not isinstance(value, dict):
            found.append(f"{path}: must be an object")
            return
        missing = [key for key in self.required if key not in value]
        found.extend(f"{path}: missing required field: {key}" for key in missing)
        for key, one in value.items():
            check = self.required.get(key) or self.optional.get(key)
            if check is None:
                found.append(f"{path}: unknown field: {key}")
            else:
                check(one, f"{path}/{key}", found)
        for rule in self.rules:
            rule(value, path, found)


def typed(shapes: Mapping[str, Shape], allowed: Iterable[str] | None = None) -> Check:
    """An object whose `type` picks its shape, out of the allowed ones."""
    names = frozenset(shapes if allowed is None else allowed)

    def check(value: Any, path: str, found: list[str]) -> None:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str):
            found.append(f"{path}: must be an object with a type")
        elif kind not in names:
            found.append(f"{path}: unsupported type: {kind}")
        else:
            shapes[kind](value, path, found)

    return check


def plain_text(longest: int) -> Check:
    """A plain_text object."""
    return Shape(
        {"type": choice("plain_text"), "text": string(longest)},
        {"emoji": boolean},
    )


def any_text(longest: int) -> Check:
    """A plain_text or mrkdwn object."""

    def unlike(value: Json, path: str, found: list[str]) -> None:
        if value.get("type") == "mrkdwn" and "emoji" in value:
            found.append(f"{path}: emoji goes with plain_text only")
        if value.get("type") == "plain_text" and "verbatim" in value:
            found.append(f"{path}: verbatim goes with mrkdwn only")

    return Shape(
        {"type": choice("plain_text", "mrkdwn"), "text": string(longest)},
        {"emoji": boolean, "verbatim": boolean},
        (unlike,),
    )


def mrkdwn_text(longest: int) -> Check:
    """A mrkdwn object."""
    return Shape({"type": choice("mrkdwn"), "text": string(longest)}, {"verbatim": boolean})


def needs_one_of(*keys: str) -> Check:
    """A rule across an object: at least one of these keys."""

    def check(value: Json, path: str, found: list[str]) -> None:
        if not any(value.get(key) for key in keys):
            found.append(f"{path}: needs one of {', '.join(keys)}")

    return check


def exactly_one_of(*keys: str) -> Check:
    """A rule across an object: just one of these keys."""

    def check(value: Json, path: str, found: list[str]) -> None:
        if sum(key in value for key in keys) != 1:
            found.append(f"{path}: needs exactly one of {', '.join(keys)}")

    return check
