"""Slack's own tables and charts within their limits, and the same for workspaces that know neither.

Limits (Slack's reference for blocks, 2026): a message has at most two charts; a chart 6 series or
segments, 20 categories, labels and names of 20 characters, a title of 50; a table 100 rows below its
header, 20 columns and 20,000 characters, and its header no rich text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.unseen import visible
from bot.slack.views.blocks import (
    MOST_MESSAGE,
    Block,
    cut,
    escape,
    inline,
    moment,
    section,
    size,
    when,
)


@dataclass(frozen=True)
class Person:
    """A cell that names somebody in Slack, by their id."""

    user: str


@dataclass(frozen=True)
class Moment:
    """A cell that holds a time (epoch seconds), shown in the reader's own zone."""

    at: float


Cell = str | int | float | Person | Moment

MOST_CHARTS = 2
MOST_SERIES = MOST_SEGMENTS = 6
MOST_CATEGORIES = 20
MOST_NAME = 20
MOST_TITLE = 50
MOST_ROWS = 100
MOST_COLUMNS = 20
MOST_CAPTION = 300
# Of a table as JSON: whole messages are refused long before a table's own 20,000 characters.
MOST_TABLE = 9_000
LEAST_TABLE = 1_500
WIDTHS = (300, 120, 60, 30, 12)  # of a cell, tried one after the other until the table fits

NEWER = frozenset({"data_table", "data_visualization"})


def data_table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    page_size: int = 10,
    most: int = MOST_TABLE,
) -> Block:
    """A table whose first column names each row; at least one row is needed.

    Long cells are shortened until it has `most` characters as JSON, and where even that is not
    enough rows are left out at the end: `rows_of` says how many stand.
    """
    chosen = [row[:MOST_COLUMNS] for row in rows[:MOST_ROWS]]
    for width in WIDTHS:
        block = _table(caption, columns[:MOST_COLUMNS], chosen, width, page_size)
        if size(block) <= most:
            return block
    while len(block["rows"]) > 2 and size(block) > most:
        block["rows"].pop()
    return block


def room(blocks: Sequence[Block]) -> int:
    """How large a table may be that goes into one message with these blocks."""
    left = MOST_MESSAGE - size(blocks) - 400
    return max(LEAST_TABLE, min(MOST_TABLE, left))


def rows_of(block: Mapping[str, Any]) -> int:
    """How many rows stand below the header."""
    return len(block["rows"]) - 1


def _table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    width: int,
    page_size: int,
) -> Block:
    return {
        "type": "data_table",
        "caption": cut(caption, min(MOST_CAPTION, width * 3)),
        "row_header_column_index": 0,
        "page_size": page_size,
        "rows": [
            [_cell(each, width) for each in columns],
            *([_cell(each, width) for each in row] for row in rows),
        ],
    }


def _cell(value: Cell, width: int) -> Block:
    if isinstance(value, str):
        return {"type": "raw_text", "text": cut(visible(value), width)}
    if isinstance(value, Person):
        return _rich({"type": "user", "user_id": value.user})
    if isinstance(value, Moment):
        shown = {"format": "{date_short_pretty} {time}", "fallback": moment(value.at)}
        return _rich({"type": "date", "timestamp": int(value.at), **shown})
    return {"type": "raw_number", "value": value, "text": f"{value:,}"}


def _rich(element: Block) -> Block:
    inside = {"type": "rich_text_section", "elements": [element]}
    return {"type": "rich_text", "elements": [inside]}


def pie(title: str, parts: Mapping[str, int]) -> Block:
    """Shares of a whole, largest first; what is too much for a chart stands together as "Others".

    Parts of nothing are left out; one that is more than nothing is needed.
    """
    sized = sorted(((n, name) for name, n in parts.items() if n > 0), key=lambda each: -each[0])
    if len(sized) > MOST_SEGMENTS:
        rest = sum(n for n, _ in sized[MOST_SEGMENTS - 1 :])
        sized = [*sized[: MOST_SEGMENTS - 1], (rest, "Others")]
    names = _apart([name for _, name in sized])
    segments = [{"label": name, "value": n} for name, (n, _) in zip(names, sized, strict=True)]
    return _chart(title, {"type": "pie", "segments": segments})


def bars(
    title: str, categories: Sequence[str], series: Mapping[str, Sequence[int]], *, x: str, y: str
) -> Block:
    """Bars side by side; each of up to 6 series has a value for each of up to 20 categories."""
    labels = _apart(list(categories[:MOST_CATEGORIES]))
    chosen = list(series.items())[:MOST_SERIES]
    names = _apart([name for name, _ in chosen])
    drawn = [
        {
            "name": name,
            "data": [
                {"label": label, "value": value}
                for label, value in zip(labels, values[: len(labels)], strict=True)
            ],
        }
        for name, (_, values) in zip(names, chosen, strict=True)
    ]
    axes = {"categories": labels, "x_label": cut(x, MOST_NAME), "y_label": cut(y, MOST_NAME)}
    return _chart(title, {"type": "bar", "series": drawn, "axis_config": axes})


def _chart(title: str, chart: Mapping[str, Any]) -> Block:
    return {"type": "data_visualization", "title": cut(title, MOST_TITLE), "chart": dict(chart)}


def _apart(names: Sequence[str]) -> list[str]:
    """Short enough, and no two alike: those that would be are numbered."""
    found: list[str] = []
    for each in names:
        name, number = cut(each, MOST_NAME), 2
        while name in found:
            ending = f" {number}"
            name, number = cut(each, MOST_NAME - len(ending)) + ending, number + 1
        found.append(name)
    return found


# --- for who knows neither --------------------------------------------------------------------------


def older(blocks: Sequence[Block]) -> list[Block]:
    """The same in blocks that every workspace knows."""
    return [each for block in blocks for each in _older(block)]


def _older(block: Block) -> list[Block]:
    if block.get("type") not in NEWER:
        return [block]
    title, *lines = in_words(block)
    joined: list[str] = []
    for text in (f"*{title}*", *lines):
        if joined and len(joined[-1]) + len(text) < 2_500:
            joined[-1] += f"\n{text}"
        else:
            joined.append(text)
    return [section(text) for text in joined]


def fallback(head: str, blocks: Sequence[Block], most: int = 3_000) -> str:
    """What notifications and screen readers get: the head, and what tables and charts say."""
    found = [line for each in blocks if each.get("type") in NEWER for line in in_words(each)]
    kept = [head]
    for line in found:
        if sum(map(len, kept)) + len(line) + len(kept) > most:
            kept.append("…")
            break
        kept.append(line)
    return "\n".join(kept)


def in_words(block: Mapping[str, Any]) -> list[str]:
    """A table or a chart as lines, ready for Slack: its title, then a line a row or a part."""
    if block["type"] == "data_table":
        return [escape(block["caption"]), *_rows_in_words(block["rows"])]
    chart, title = block["chart"], escape(block["title"])
    if chart["type"] == "pie":
        parts = [f"{escape(each['label'])}: {each['value']:,}" for each in chart["segments"]]
        return [title, *parts]
    return [title, *_bars_in_words(chart)]


def _rows_in_words(rows: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """The first cell stands out; the others have their columns' names."""
    names, *others = [[_said(cell) for cell in row] for row in rows]
    return [
        " · ".join(
            [
                f"*{row[0]}*",
                *(f"{n}: {c}" for n, c in zip(names[1:], row[1:], strict=True) if c != "–"),
            ]
        )
        for row in others
    ]


def _said(cell: Mapping[str, Any]) -> str:
    if cell["type"] != "rich_text":
        return inline(cell["text"])
    (element,) = cell["elements"][0]["elements"]
    return f"<@{element['user_id']}>" if element["type"] == "user" else when(element["timestamp"])


def _bars_in_words(chart: Mapping[str, Any]) -> list[str]:
    """A line a category; those in which nothing was are left out."""
    lines = []
    for at, label in enumerate(chart["axis_config"]["categories"]):
        values = [(escape(each["name"]), each["data"][at]["value"]) for each in chart["series"]]
        if any(value for _, value in values):
            told = ", ".join(f"{value:,} {name}" for name, value in values)
            lines.append(f"{escape(label)}: {told}")
    return lines or ["nothing"]
