"""Typed words to typed parameters, and what can be saved of a text that breaks a rule."""

from __future__ import annotations

from bot.domain.errors import InvalidInput
from bot.domain.operations import Operation
from bot.domain.parameters import Parameters, read
from bot.domain.text import Words, parse, resolve


def understand(operation: Operation, text: str) -> Parameters:
    """Typed words → typed parameters. Raises `InvalidInput`."""
    raw = resolve(operation.params(), parse(text), operation.records_in)
    return read(operation.parameters, raw)


def understood(operation: Operation, text: str) -> dict[str, str]:
    """What can be made of a text that breaks a rule: the values under names that exist."""
    try:
        words = parse(text)
    except InvalidInput:
        return {operation.comment: text} if operation.comment else {}
    values: dict[str, str] = {}
    for name, value in words.values.items():
        try:
            values |= resolve(operation.params(), Words((), {name: value}), operation.records_in)
        except InvalidInput:
            continue
    if words.records:
        values[operation.records_in] = ",".join(words.records)
    return values
