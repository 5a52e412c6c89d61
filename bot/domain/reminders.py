"""Reminders of an end: each stage is told once, and after a downtime only the nearest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

LAST_STAGES = (7, 1)  # days before an end at which everybody is told once more
LET = "let"


@dataclass(frozen=True)
class Reminder:
    """An end that comes nearer: `stage` is at how many days before it this is told."""

    ends: date
    stage: int

    @property
    def key(self) -> str:
        """What a watch remembers of it."""
        return f"{self.ends.isoformat()}|{self.stage}"

    def is_due(self, remembered: str) -> bool:
        """False where this stage, or a nearer one, was told of this very end, or it is let go."""
        ends, _, told = remembered.partition("|")
        if ends != self.ends.isoformat():
            return True
        return told != LET and int(told) > self.stage


def reminder(ends: date, today: date, within: int) -> Reminder | None:
    """What is due today of an end, for who wants to know `within` days; None before and after."""
    left = (ends - today).days
    stages = [each for each in (within, *LAST_STAGES) if each <= within and left <= each]
    return Reminder(ends, min(stages)) if stages and left >= 0 else None


def is_to_come(ends: str, remembered: str) -> bool:
    """True where a watch still speaks of this end: it has not moved, and nobody let it end."""
    day, _, told = remembered.partition("|")
    return day == ends and told != LET


def let_go(ends: str) -> str:
    """What is remembered where nobody wants to hear of this end any more."""
    return f"{ends}|{LET}"
