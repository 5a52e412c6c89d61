"""The commands of `amend`, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from bot.cli import app
from docs.make.markdown import code, table


def commands() -> str:
    """Each command with its arguments and options, and what it does."""
    return table(("command", "does"), _rows(typer.main.get_command(app), "amend"))


def _rows(command: Any, path: str) -> Iterator[tuple[str, str]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        words = " ".join(f"{each}" for each in _parameters(command))
        yield code(f"{path} {words}".strip()), " ".join((command.help or "").split())
        return
    for name, each in inner.items():
        yield from _rows(each, f"{path} {name}")


def _parameters(command: Any) -> Iterator[str]:
    for each in command.params:
        if "--help" in each.opts:
            continue
        if each.param_type_name == "argument":
            name = each.metavar or each.name.upper()
            name = f"{name} …" if each.nargs == -1 else name
            yield name if each.required else f"[{name}]"
        else:
            value = "" if each.is_flag else f" {(each.metavar or each.name).upper()}"
            yield f"{each.opts[0]}{value}" if each.required else f"[{each.opts[0]}{value}]"
