"""A register as a message: the first rows, and how many there are."""

from __future__ import annotations

from typing import Any

from bot.domain.operations import Listing, Register
from bot.slack.views.blocks import Block, context, escape, many, section
from bot.slack.views.tables import data_table, fallback, rows_of

SHOWN = 20  # rows; beyond that the whole goes in as a file


def message(register: Register, listing: Listing) -> dict[str, Any]:
    """The table that one person reads; its fallback says the same in words."""
    head = summary(register, listing)
    blocks: list[Block] = [section(f"*{escape(head)}*")]
    if listing.rows:
        table = data_table(register.title, listing.columns, listing.rows[:SHOWN])
        blocks.append(table)
        rest = len(listing.rows) - rows_of(table)
        if rest > 0:
            blocks.append(context(f"… and {rest:,} more in the file in your direct messages."))
    return {"text": fallback(escape(head), blocks), "blocks": blocks}


def summary(register: Register, listing: Listing) -> str:
    """How many of what."""
    if not listing.rows:
        return f"{register.vendor_title}: no {register.noun[1]} of this selection that you may see."
    return f"{register.vendor_title}: {many(len(listing.rows), register.noun)}"


def cut_off(shown: dict[str, Any], listing: Listing) -> bool:
    """True where not every row stands in the message."""
    stand = sum(rows_of(each) for each in shown["blocks"] if each["type"] == "data_table")
    return stand < len(listing.rows)
