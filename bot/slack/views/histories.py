"""Lists of requests and a record's story, as messages that one person reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.db.ledger import Row
from bot.db.tables import News, Request
from bot.domain.operations import Operation, Result
from bot.domain.plans import RESULT_WORDS, Counts, State
from bot.slack.views.blocks import Block, actions, button, context, cut, escape, fit, section, when
from bot.slack.views.cards import HEADS, counted

Message = dict[str, Any]


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
    blocks: list[Block] = [section(f"*{title}*")]
    blocks += [_request(*row) for row in rows]
    if older is not None:
        blocks.append(actions([button("Older", "older", f"{which}:{older}")], "pages"))
    return {"text": title, "blocks": fit(blocks, keep=int(older is not None) or 1)}


def _request(request: Request, operation: Operation, words: str) -> Block:
    emoji, state = HEADS.get(State(request.state), ("hourglass", request.state))
    line = (
        f":{emoji}: *{request.id}* {escape(operation.vendor_title)}:"
        f" {escape(operation.title.lower())} · {state} · {words}\n"
        f"<@{request.requester}> {when(request.created_at)}"
    )
    press = button("Details", f"details:{request.id}", request.id)
    return {**section(line), "accessory": press}


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
        text = f"Amend has not touched {escape(record)}, and no watch has seen it change."
        return {"text": text, "blocks": [section(text)]}
    lines.sort(reverse=True)
    blocks = [section(f"*{escape(record)}*")]
    blocks += [section(cut(line, 900)) for _, line in lines[:20]]
    if len(lines) > 20:
        blocks.append(context(f"… and {len(lines) - 20} more, older ones"))
    return {"text": f"The story of {escape(record)}", "blocks": fit(blocks)}


def _edit(request: Request, row: Row) -> str:
    moves = ", ".join(
        f"{name}: {row.state.get(name) or '–'} → {value or '–'}"
        for name, value in (row.after or {}).items()
    )
    words = f": {row.said}" if row.said else ""
    words += f"\n“{request.comment}”" if request.comment else ""
    result = RESULT_WORDS[Result(row.result)]
    what = escape(f"{moves or row.label} · {result}{words}")
    return f"{when(request.created_at)} <@{request.requester}> ({request.id})\n{what}"


def _news(news: News) -> str:
    by = f" by {escape(news.by)}" if news.by else ""
    begun = escape(news.from_state) if news.from_state else "not listed"
    return f"{at_words(news.at)}{by} at the vendor\n{begun} → {escape(news.to_state)}"


def at_words(iso: str) -> str:
    """A vendor's time in the reader's own zone; as it stands where it is not ISO."""
    try:
        return when(datetime.fromisoformat(iso).timestamp())
    except ValueError:
        return escape(iso)
