"""Vendor JSON: read whole, with no trust in its shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from integrations.errors import Unreadable
from integrations.http import Reply
from integrations.text import whole_values


def parsed(vendor: str, reply: Reply) -> Any:
    """The reply's JSON. Raises `Unreadable` where it is none (a web page, half of it, nothing)."""
    try:
        return whole_values(json.loads(reply.body))
    except (ValueError, RecursionError):
        kind = reply.headers.get("content-type", "").partition(";")[0] or "no content type"
        words = f"HTTP {reply.status} with {kind} instead of JSON"
        raise Unreadable(vendor, words) from None


def tolerant(reply: Reply) -> Any:
    """The reply's JSON, its text where it is none, None where it is empty: for error messages."""
    text = reply.body[:20_000].decode("utf-8", "replace").strip()
    try:
        return whole_values(json.loads(text))
    except (ValueError, RecursionError):
        return text or None


def folded(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same with its keys in lower case: sources disagree on spellings."""
    return {str(name).lower(): value for name, value in record.items()}


def said(value: Any) -> str:
    """A JSON scalar as text; "" for null and for what is no scalar."""
    if value is None or (isinstance(value, Mapping | Sequence) and not isinstance(value, str)):
        return ""
    return str(value)


def encoded(value: Any) -> bytes:
    """A JSON body: compact, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
