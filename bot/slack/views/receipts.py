"""Receipts as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def receipt_csv(*cells: str) -> list[str]:
    """A row whose cells no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]
