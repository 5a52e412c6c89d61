"""What became of each record, as a receipt lists it: one in a line, several in a table."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.operations import Operation, Record, Result
from bot.domain.plans import RESULT_WORDS
from bot.slack.views.blocks import Block, cut
from bot.slack.views.exact import line, one_line, words
from bot.slack.views.tables import data_table, room, rows_of

Outcomes = Sequence[tuple[Record, Result, str]]


def outcome_blocks(
    operation: Operation, outcomes: Outcomes, beside: Sequence[Block]
) -> list[Block]:
    """The records of a receipt, in a message that has the blocks `beside` as well."""
    if len(outcomes) < 2:
        return [_line(*each) for each in outcomes]
    columns = (operation.noun[0].capitalize(), "What", "Result", "In the vendor's words")
    rows = [
        (record.id, moved(record, result), RESULT_WORDS[result], words)
        for record, result, words in outcomes
    ]
    caption = f"{operation.vendor_title}: what became of each"
    return [data_table(caption, columns, rows, most=room(beside))]


def listed(blocks: Sequence[Block], outcomes: Outcomes) -> int:
    """How many of the outcomes stand in the message's blocks."""
    tables = [each for each in blocks if each["type"] == "data_table"]
    return rows_of(tables[0]) if tables else len(outcomes)


def moved(record: Record, result: Result) -> str:
    """From → to where it changed; else what it is."""
    if result is not Result.CHANGED or not record.after:
        return record.label
    if "state" in record.after:
        return _move(record, "state")
    return ", ".join(f"{name}: {_move(record, name)}" for name in record.after)


def _move(record: Record, name: str) -> str:
    return f"{record.state.get(name) or '–'} → {record.after[name] or '–'}"


def _line(record: Record, result: Result, said: str) -> Block:
    told = f" {one_line(moved(record, result))} · {RESULT_WORDS[result]}"
    told += f": {one_line(said)}" if said else ""
    return line(words(one_line(record.id), "bold"), words(cut(told, 600)))
