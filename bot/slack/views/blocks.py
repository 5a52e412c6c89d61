"""Block Kit pieces with Slack's limits kept: escaped, cut, and never empty."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.domain.unseen import visible

Block = dict[str, Any]

MOST_BLOCKS = 50
# Slack refuses messages at about 13,200 characters of blocks although each limit is kept.
MOST_MESSAGE = 12_500
MOST_BUTTON_VALUE = 2000


def escape(text: str) -> str:
    """Text from people and vendors: no mention or link of theirs works, and nothing hides in it."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, most: int) -> str:
    """At most `most` code points, with an ellipsis where something is missing; never empty."""
    if not text.strip():
        return "–"
    return text if len(text) <= most else f"{text[: most - 1]}…"


def code(text: str) -> str:
    """Inline code that its content cannot leave."""
    return f"`{escape(text.replace('`', chr(0x2019)))}`"


def inline(text: str) -> str:
    """Words of others on one line: nothing in them can begin another."""
    return " ⏎ ".join(escape(text).splitlines())


def size(value: Any) -> int:
    """How much room something takes in a message, as Slack counts: the characters of its JSON."""
    return len(json.dumps(value, ensure_ascii=False))


def beginning(
    text: str,
    most: int,
    shown: Callable[[str], str] = inline,
    measure: Callable[[str], int] = size,
) -> str:
    """As much of a text, from its beginning, as takes no more room than `most` where it is `shown`.

    Nothing of it where even that takes more.
    """
    fits = bisect_right(range(len(text) + 1), most, key=lambda n: measure(shown(text[:n])))
    return text[: max(0, fits - 1)]


def brief(text: str, most: int, shown: Callable[[str], str] = inline) -> str:
    """Words of others on one line, as they are `shown`; where they are cut, by how many characters."""
    part = beginning(text, most, shown)
    rest = len(text) - len(part)
    return f"{shown(part)} … ({rest:,} more characters)" if rest else shown(part) or "–"


def plain(text: str, most: int = 75) -> Block:
    return {"type": "plain_text", "text": cut(visible(text), most), "emoji": True}


def mrkdwn(text: str, most: int = 3000) -> Block:
    # Verbatim: what people and vendors wrote becomes no link, and names no channel.
    return {"type": "mrkdwn", "text": cut(text, most), "verbatim": True}


def section(text: str) -> Block:
    return {"type": "section", "text": mrkdwn(text, 2900)}


def context(text: str) -> Block:
    return {"type": "context", "elements": [mrkdwn(text, 2000)]}


def header(text: str) -> Block:
    return {"type": "header", "text": plain(text, 150)}


def divider() -> Block:
    return {"type": "divider"}


def actions(elements: Sequence[Block], block_id: str) -> Block:
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def button(text: str, action_id: str, value: str, **more: Any) -> Block:
    """A button; its value is data, so it is never cut. Raises `ValueError` over Slack's 2,000."""
    if len(value) > MOST_BUTTON_VALUE:
        message = f"the value of the button {action_id} is too long"
        raise ValueError(message)
    named = {"value": value} if value else {}
    label = plain(text, 75)
    return {"type": "button", "text": label, "action_id": action_id, **named, **more}


def confirm(title: str, text: str, yes: str, no: str = "Not now") -> Block:
    return {
        "title": plain(title, 100),
        "text": plain(text, 300),
        "confirm": plain(yes, 30),
        "deny": plain(no, 30),
    }


def when(epoch: float) -> str:
    """A time in the reader's own zone."""
    fallback = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(epoch)}^{{date_short_pretty}} at {{time}}|{fallback}>"


def moment(epoch: float) -> str:
    """A time where Slack renders no dates of its own (plain text), in UTC."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%a %Y-%m-%d %H:%M UTC")


def lasting(seconds: float) -> str:
    """A length of time as people say it: `40 s`, `12 min`, `3 h 5 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def many(count: int, noun: tuple[str, str]) -> str:
    return f"{count:,} {noun[0] if count == 1 else noun[1]}"


def fit(blocks: Sequence[Block], keep: int = 1, first: int = 0) -> list[Block]:
    """Drop blocks until a message holds them, and say that some are gone.

    The `first` ones, and the last `keep`, are what a message is for: they stay.
    """
    end = len(blocks) - keep
    head, middle, tail = list(blocks[:first]), list(blocks[first:end]), list(blocks[end:])
    if _holds([*head, *middle, *tail]):
        return [*head, *middle, *tail]
    note = context("There is more than a message holds; the rest is in Details.")
    while middle and not _holds([*head, *middle, note, *tail]):
        middle.pop()
    return [*head, *middle, note, *tail]


def _holds(blocks: Sequence[Mapping[str, Any]]) -> bool:
    return len(blocks) <= MOST_BLOCKS and size(blocks) <= MOST_MESSAGE
