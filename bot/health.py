"""Readiness: why this process cannot do its work, part by part; from its first second on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

ANSWER_WITHIN = 2.0  # seconds for each part; whoever asks for readiness gives up soon

# What the process cannot do its work without.
DATABASE, JOBS, SLACK = PARTS = ("database", "jobs", "slack")

Check = Callable[[], Awaitable[str]]


@dataclass
class Health:
    """What is known of each part: why it is still awaited, or how to look whether it works."""

    _awaited: dict[str, str] = field(default_factory=dict)
    _checks: dict[str, Check] = field(default_factory=dict)

    def awaits(self, part: str, why: str) -> None:
        """The part is not there yet, for this reason."""
        self._awaited[part] = why

    def watches(self, part: str, check: Check) -> None:
        """The part is there; `check` says what is wrong with it, "" for nothing."""
        self._checks[part] = check
        self._awaited.pop(part, None)

    async def reasons(self) -> dict[str, str]:
        """Why this process is not ready, by part; empty when it is."""
        parts = [each for each in self._checks if each not in self._awaited]
        found = await asyncio.gather(*(self._wrong_with(part) for part in parts))
        return self._awaited | {part: why for part, why in zip(parts, found, strict=True) if why}

    async def _wrong_with(self, part: str) -> str:
        try:
            return await asyncio.wait_for(self._checks[part](), ANSWER_WITHIN)
        except Exception as error:  # whatever it is, the part does not work
            return type(error).__name__
