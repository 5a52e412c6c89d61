"""The sandbox's clock: the world's, so many days ahead. It is moved forward only, as clocks are.

The stand-ins' process moves while it runs; the bot is stopped before and begins anew after, as one that
was down meanwhile: its timers do not see a jump, and what fell due is told late, as after any downtime.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

SECONDS_A_DAY = 86_400
MOST_DAYS = 366  # that one press may move


class Clock:
    """How far this process is ahead of the world, kept in `file` for the next start on its database."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._travel: Any = None
        self.ahead = 0  # seconds

    def start(self) -> None:
        """Go on where the last run of this sandbox stood."""
        if self._file.is_file():
            self._go(int(self._file.read_text(encoding="ascii")))

    def move(self, days: int) -> None:
        """So many days later.

        Raises:
            ValueError: fewer days than 1, or more than 366.
            ImportError: time-machine is not installed.
        """
        if not 1 <= days <= MOST_DAYS:
            message = f"the clock moves by 1 to {MOST_DAYS} days"
            raise ValueError(message)
        self._go(days * SECONDS_A_DAY)
        self._file.write_text(str(self.ahead), encoding="ascii")

    def _go(self, seconds: int) -> None:
        if self._travel is None:
            self._travel = travel(seconds)
        else:
            self._travel.shift(seconds)
        self.ahead += seconds

    def amend(self, words: tuple[str, ...]) -> list[str]:
        """The command line of a bot that lives at this clock's time."""
        if not self.ahead:
            return ["-m", "bot.cli", *words]
        return ["-m", "deploy.sandbox.clock", str(self.ahead), *words]


def travel(seconds: int) -> Any:
    """Sets this process' wall clock ahead; what waits for a time span is not touched."""
    from time_machine import travel as to  # noqa: PLC0415 - only a clock that was moved needs it

    return to(time.time() + seconds, tick=True).start()


if __name__ == "__main__":
    travel(int(sys.argv.pop(1)))
    from bot.cli import main

    main()
