"""Lists of requests and a record's story, as messages that one person reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.db.ledger import Row
from bot.db.tables import News, Request
from bot.domain.operations import Operation, Result
from bot.domain.plans import RESULT_WORDS, Counts, State
from bot.slack.views.blocks import Block, actions, button, context, escape, section, when
from bot.slack.views.cards import HEADS, counted
from bot.slack.views.tables import Cell, Moment, Person, data_table, fallback, rows_of

Message = dict[str, Any]

SHOWN = 20  # lines of a record's story


def outcome_words(counts: Counts) -> str:
    """What became of the records; how many there are, where nothing has ended yet."""
    return counted(counts) if counts.ended else f"{counts.records:,} planned"


def requests_message(
    rows: Sequence[tuple[Request, Operation, str]], which: str, older: float | None
) -> Message:
    """One page of requests, each with its state; `older` leads to the next page."""
    titles = {"mine": "Your requests", "here": "Requests in this channel", "running": "Running"}
    title = titles.get(which, titles["mine"])
    if not rows:
        return {"text": f"{title}: none yet.", "blocks": [section(f"*{title}*\nNone yet.")]}
    columns = ("Request", "What", "State", "Outcome", "By", "When")
    blocks: list[Block] = [section(f"*{title}*")]
    blocks.append(data_table(title, columns, [_request(*row) for row in rows]))
    press = [button(each.id, f"details:{each.id}", each.id) for each, _, _ in rows]
    blocks += [context("Details of"), actions(press, "details")]
    if older is not None:
        blocks.append(actions([button("Older", "older", f"{which}:{older}")], "pages"))
    return {"text": fallback(title, blocks), "blocks": blocks}


def _request(request: Request, operation: Operation, words: str) -> tuple[Cell, ...]:
    _, state = HEADS[State(request.state)]
    what = f"{operation.vendor_title}: {operation.title.lower()}"
    return request.id, what, state, words, Person(request.requester), Moment(request.created_at)


def unknown_request(request_id: str) -> Message:
    shown = f" `{escape(request_id)}`" if request_id else ""
    text = f"There is no request{shown}. `/amend requests` lists yours."
    return {"text": text, "blocks": [section(text)]}


def story_message(
    record: str, edits: Sequence[tuple[Request, Row]], news: Sequence[News]
) -> Message:
    """One record's story: what Amend did with it, and what was noticed at the vendor."""
    lines = [(request.created_at, _edit(request, row)) for request, row in edits]
    lines += [(each.noticed_at, _news(each)) for each in news]
    if not lines:
        text = (
            f"Amend has not touched {escape(record)}, and no watch has seen it change, as far as"
            " your rights let you see."
        )
        return {"text": text, "blocks": [section(text)]}
    lines.sort(key=lambda each: -each[0])
    title = f"The story of {record}"
    columns = ("When", "By", "What", "Result", "Words")
    table = data_table(title, columns, [cells for _, cells in lines[:SHOWN]])
    blocks = [section(f"*{escape(record)}*"), table]
    rest = len(lines) - rows_of(table)
    if rest:
        blocks.append(context(f"… and {rest} more, older ones"))
    return {"text": fallback(escape(title), blocks), "blocks": blocks}


def _edit(request: Request, row: Row) -> tuple[Cell, ...]:
    moves = ", ".join(
        f"{name}: {row.state.get(name) or '–'} → {value or '–'}"
        for name, value in (row.after or {}).items()
    )
    words = " · ".join(filter(None, (row.said, request.comment and f"“{request.comment}”")))
    result = f"{RESULT_WORDS[Result(row.result)]} ({request.id})"
    by = Person(request.requester)
    return Moment(request.created_at), by, moves or row.label, result, words


def _news(news: News) -> tuple[Cell, ...]:
    begun = news.from_state or "not listed"
    when_told = _at(news.at)
    return when_told, news.by or "somebody", f"{begun} → {news.to_state}", "seen at the vendor", ""


def _at(iso: str) -> Cell:
    """A vendor's time; as it stands where it is not ISO."""
    try:
        return Moment(datetime.fromisoformat(iso).timestamp())
    except ValueError:
        return iso


def at_words(iso: str) -> str:
    """A vendor's time in the reader's own zone; as it stands where it is not ISO."""
    at = _at(iso)
    return when(at.at) if isinstance(at, Moment) else escape(iso)
