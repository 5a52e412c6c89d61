"""The log of everything that passed between the bot and the others, with secrets masked."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

LONGEST = 20_000
_SECRET_KEYS = {"authorization", "token", "password", "secret", "api_key", "x-slack-signature"}
_SECRET_TEXT = re.compile(r"(xox[a-z]-|xapp-)[\w-]+|(Bearer|Basic) [\w.~+/=-]+")


def masked(value: Any) -> Any:
    """A copy without secrets."""
    if isinstance(value, dict):
        return {
            key: "•••" if str(key).lower() in _SECRET_KEYS and one else masked(one)
            for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(one) for one in value]
    return _SECRET_TEXT.sub("•••", value) if isinstance(value, str) else value


def presentable(value: Any) -> Any:
    """Masked, and cut where it is too long to show."""
    own = masked(value)
    text = own if isinstance(own, str) else json.dumps(own, default=str, ensure_ascii=False)
    return text[:LONGEST] if len(text) > LONGEST else own


class Traffic:
    """Numbered entries, in order of their beginning to be known."""

    def __init__(self, added: Callable[[Json], None]) -> None:
        self.entries: list[Json] = []
        self._added = added

    def record(self, entry: Json) -> int:
        """Adds an entry and answers its number."""
        empty = {"link": "slack", "direction": "from_bot", "what": "", "status": 0, "ms": 0}
        own: Json = {"n": len(self.entries) + 1, "at": time.time(), **empty, **entry}
        own["request"] = presentable(entry.get("request"))
        own["response"] = presentable(entry.get("response"))
        self.entries.append(own)
        self._added(own)
        return int(own["n"])

    def since(self, number: int) -> list[Json]:
        """The entries after one."""
        return self.entries[max(number, 0) :]
