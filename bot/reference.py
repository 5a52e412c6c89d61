"""The table of operations for README, from the declarations: `python -m bot.reference README.md`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.bootstrap import entries
from bot.domain.operations import Operation, Reach, VendorEntry
from bot.domain.parameters import Kind

BEGIN, END = "<!-- operations -->", "<!-- end of operations -->"


def table(known: Sequence[VendorEntry]) -> str:
    """Each operation with its command, what it selects by and changes, and the roles that may."""
    lines = [
        "| operation | command | which | changes | who may |",
        "|---|---|---|---|---|",
    ]
    lines += [_row(each) for entry in known for each in entry.operations]
    return "\n".join(lines)


def _row(operation: type[Operation]) -> str:
    command = f"`/{operation.command}`" if operation.command else "buttons"
    cells = [
        f"`{operation.name}`",
        command,
        _names(operation, Kind.SELECTION),
        _names(operation, Kind.CHANGE),
        _roles(operation.roles),
    ]
    return f"| {' | '.join(cells)} |"


def _names(operation: type[Operation], kind: Kind) -> str:
    params = operation.params()
    return " ".join(
        f"`{name}`" for name, spec in params.items() if spec.kind is kind and not spec.hidden
    )


def _roles(roles: Mapping[str, Reach]) -> str:
    own = {role: "" if reach is Reach.ALL else " (own scope)" for role, reach in roles.items()}
    return ", ".join(f"{role}{words}" for role, words in own.items())


def renewed(text: str, known: Sequence[VendorEntry]) -> str:
    """A document with the table between its two marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table(known)}\n{END}{tail}"


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(renewed(document.read_text(), entries()))
