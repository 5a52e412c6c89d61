"""A look back as blocks: a sentence with the numbers, two charts and a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.domain.lookback import ENDS_SOON, Line, LookBack
from bot.domain.operations import Result
from bot.slack.views.blocks import Block, escape, lasting, many, section
from bot.slack.views.tables import Cell, bars, data_table, fallback, pie, room

COLUMNS = ("Operation", "Requests", "Changed", "Refused", "Unknown")

TitleOf = Callable[[str], str]


def look_back_message(look: LookBack, what: str, title_of: TitleOf) -> dict[str, Any]:
    """The message that a channel gets; `what` names the vendors, `title_of` an operation or watcher."""
    blocks = look_back_blocks(look, what, title_of)
    return {"text": fallback(sentence(look, what), blocks), "blocks": blocks}


def look_back_blocks(look: LookBack, what: str, title_of: TitleOf) -> list[Block]:
    blocks = [section(f"*Look back* · {sentence(look, what)}")]
    buckets = look.buckets()
    if any(ours or elsewhere for _, ours, elsewhere in buckets):
        days = [f"{day:%b} {day.day}" for day, _, _ in buckets]
        series = {
            "Amend": [each[1] for each in buckets],
            "Elsewhere": [each[2] for each in buckets],
        }
        title, x = ("Changes by day", "Day") if look.by_day else ("Changes by week", "Week from")
        blocks.append(bars(title, days, series, x=x, y="Changes"))
    if look.open_records:
        kinds = {watcher for watcher, _ in look.open_records}
        parts = {
            state if len(kinds) == 1 else f"{title_of(watcher)} {state}": n
            for (watcher, state), n in look.open_records.items()
        }
        blocks.append(pie("Open records, as watches saw them", parts))
    if look.lines:
        rows: list[tuple[Cell, ...]] = [
            (title_of(each.operation), each.requests, *_ended(each)) for each in look.lines
        ]
        blocks.append(data_table("By operation", COLUMNS, rows, most=room(blocks)))
    return blocks


_TOLD = (Result.CHANGED, Result.REFUSED, Result.UNKNOWN)


def _ended(line: Line) -> list[Cell]:
    return [line.ended.get(result, 0) for result in _TOLD]


def sentence(look: LookBack, what: str) -> str:
    """The numbers in words."""
    changed, refused, unknown = (look.records(each) for each in _TOLD)
    parts = [
        many(look.requests, ("request", "requests")),
        f"{many(changed, ('record', 'records'))} changed, {refused:,} refused, {unknown:,} unknown",
    ]
    if look.wait is not None:
        parts.append(f"an approval took {lasting(look.wait)} (median)")
    if look.ending is not None:
        verb = "ends" if look.ending == 1 else "end"
        soon = many(look.ending, ("exception", "exceptions"))
        parts.append(f"{soon} {verb} within {ENDS_SOON} days")
    return f"{escape(what)}, last {look.days} days: {'; '.join(parts)}."
