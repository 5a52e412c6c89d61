"""Receipts as CSV: what became of each record, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io

from bot.domain.operations import Result
from bot.domain.plans import RESULT_WORDS

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

HEAD = ("record", "result", "words", "what")


def receipt_csv(*cells: str) -> list[str]:
    """A row whose cells no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]


def receipt_head() -> bytes:
    return _written(HEAD)


def receipt_row(record_id: str, result: str, words: str, label: str) -> bytes:
    """A record's row: what became of it, what the vendor said, and what it is."""
    return _written(receipt_csv(record_id, RESULT_WORDS[Result(result)], words, label))


def _written(cells: tuple[str, ...] | list[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue().encode()
