"""The real bot in a process of its own, which begins anew where the sandbox's clock was moved."""

from __future__ import annotations

import asyncio
import os
import sys

from deploy.sandbox.clock import Clock
from deploy.sandbox.slack.sockets import Sockets

READY_WITHIN = 30.0  # seconds
# Of what the person has set; a vendor that is being written is found by PYTHONPATH.
KEPT = frozenset({"PATH", "HOME", "LANG", "PYTHONPATH"})


class Running:
    """`amend run`, with the sandbox's settings; `sockets` are where it connects."""

    def __init__(self, settings: dict[str, str], clock: Clock, sockets: Sockets) -> None:
        self._settings = settings
        self._clock = clock
        self._sockets = sockets
        self._moving = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts the bot and waits for its connection.

        Raises:
            RuntimeError: it ended before.
            TimeoutError: it did not connect within 30 s.
        """
        self._process = await self.amend("run")
        async with asyncio.timeout(READY_WITHIN):
            while not self._sockets.connected:
                if self._process.returncode is not None:
                    message = "the bot ended before it was ready"
                    raise RuntimeError(message)
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Asks the bot to stop, and waits until it has."""
        process = self._process
        if process is not None:
            if process.returncode is None:
                process.terminate()
            await process.wait()
        while self._sockets.connected:  # noqa: ASYNC110 - a broken connection tells nobody
            await asyncio.sleep(0.05)

    async def days_later(self, days: int) -> None:
        """Stops the bot, moves the clock, and starts the bot; errors as in `Clock.move`, `start`."""
        async with self._moving:
            await self.stop()
            try:
                self._clock.move(days)
            finally:
                await self.start()

    async def ended(self) -> None:
        """Returns when the bot ended by itself."""
        while (process := self._process) is not None:
            await process.wait()
            async with self._moving:  # it may only have been stopped to begin anew
                if process is self._process:
                    return

    async def amend(self, *words: str) -> asyncio.subprocess.Process:
        """The real command line, with the sandbox's settings and at its clock's time."""
        kept = {name: text for name, text in os.environ.items() if name in KEPT}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *self._clock.amend(words),
            env=kept | self._settings,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
