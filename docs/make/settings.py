"""Settings: name, values and default from the code, words from `.env.example`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from bot.bootstrap import entries
from bot.settings import Settings
from docs.make.markdown import code, table

EXAMPLE = Path(__file__).parents[2] / ".env.example"
GROUPS: tuple[tuple[str, type[BaseSettings]], ...] = (
    ("Amend", Settings),
    *((each.title, each.settings) for each in entries() if each.settings),
)
_LINE = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>[^#]*)(# *(?P<words>.*))?")


def tables() -> str:
    """One table for each part of the product that has settings."""
    words = dict(_words(EXAMPLE.read_text(encoding="utf-8")))
    return "\n\n".join(
        f"## {title}\n\n{table(('variable', 'takes', 'default', 'words'), _rows(model, words))}"
        for title, model in GROUPS
    )


def _words(text: str) -> Iterator[tuple[str, str]]:
    """What is said of each variable: behind it, or in the comment right above it."""
    above = ""
    for line in text.splitlines():
        if line.startswith("#"):
            above = f"{above} {line.lstrip('# ')}".strip()
            continue
        found = _LINE.fullmatch(line)
        if found:
            yield found["name"], (found["words"] or above).strip()
        above = ""


def names(model: type[BaseSettings]) -> dict[str, FieldInfo]:
    """The fields of a settings model by the variable that sets each."""
    prefix = str(model.model_config.get("env_prefix", ""))
    return {f"{prefix}{name}".upper(): info for name, info in model.model_fields.items()}


def _rows(model: type[BaseSettings], words: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for name, info in names(model).items():
        if not words.get(name):
            message = f"{name}: .env.example says in no comment what it is"
            raise LookupError(message)
        yield code(name), _takes(info), _default(info), words[name]


def _takes(info: FieldInfo) -> str:
    if get_origin(info.annotation) is Literal:
        return ", ".join(code(str(each)) for each in get_args(info.annotation))
    if info.annotation is bool:
        return "`true`, `false`"
    if info.annotation is int:
        return f"a whole number{_bounds(info)}"
    return "a secret" if info.annotation is SecretStr else "text"


def _bounds(info: FieldInfo) -> str:
    least = [each.ge for each in info.metadata if isinstance(each, Ge)]
    most = [each.le for each in info.metadata if isinstance(each, Le)]
    if least and most:
        return f" from {least[0]} to {most[0]}"
    return f" from {least[0]} on" if least else ""


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "must be set"
    value: Any = info.default
    if isinstance(value, SecretStr) or value == "":
        return "none"
    return code(str(value).lower() if isinstance(value, bool) else str(value))
