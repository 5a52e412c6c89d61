"""Words of others exactly as they are: in rich text no mark, mention, link or emoji is read.

Slack reads marks in every `mrkdwn` text and has no way to write one there: `~not~` is struck through
and has lost its tildes. What somebody decides on stands in these blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.unseen import visible
from bot.slack.views.blocks import Block


def words(text: str, *style: str) -> Block:
    """A piece of a line; `style` is any of `bold`, `italic`, `code`. Slack refuses an empty one."""
    made: Block = {"type": "text", "text": visible(text) or "–"}
    return {**made, "style": dict.fromkeys(style, True)} if style else made


def line(*parts: Block) -> Block:
    """Pieces one behind the other; a line break in them breaks the line."""
    return _rich([_section(parts)])


def quoted(text: str, *title: Block) -> Block:
    """A block quote that its text cannot leave, below its title where it has one."""
    quote = {"type": "rich_text_quote", "elements": [words(text)]}
    return _rich([_section(title), quote] if title else [quote])


def one_line(text: str) -> str:
    """Words of others on one line: nothing in them can begin another."""
    return " ⏎ ".join(visible(text).splitlines())


def _section(parts: Sequence[Block]) -> Block:
    return {"type": "rich_text_section", "elements": list(parts)}


def _rich(elements: Sequence[Block]) -> Block:
    return {"type": "rich_text", "elements": list(elements)}
