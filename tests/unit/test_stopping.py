"""One budget for the end: what hangs is left behind, and what follows still has its turn."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from bot.health import Health
from bot.stopping import Budget


async def stubborn() -> None:
    """Hangs, and cannot be cancelled either."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if gone.is_set():
                raise


gone = asyncio.Event()


async def test_what_hangs_is_left_behind_and_the_next_part_still_ends() -> None:
    gone.clear()
    ended = []

    async def fine() -> None:
        ended.append("fine")

    async def broken() -> None:
        raise ZeroDivisionError

    budget = Budget(30.0)
    await budget.end("hangs", stubborn(), most=0.05)
    await budget.end("broken", broken())
    await budget.end("fine", fine())
    assert ended == ["fine"]
    gone.set()


async def test_the_budget_is_shared() -> None:
    gone.clear()
    began = asyncio.get_running_loop().time()
    budget = Budget(0.2)
    for _ in range(400):
        await budget.end("hangs", stubborn())
    assert asyncio.get_running_loop().time() - began < 400 * 0.2
    gone.set()


def test_a_process_in_which_everything_hangs_is_gone_with_0() -> None:
    program = (
        "import asyncio, time\n"
        "from bot.stopping import exit_at_last\n"
        "exit_at_last(0.1)\n"
        "asyncio.run(asyncio.to_thread(time.sleep, 3600))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=120, check=False)
    assert done.returncode == 0


async def test_readiness_names_what_is_awaited_and_what_fails() -> None:
    health = Health()
    health.awaits("database", "not started yet")
    assert await health.reasons() == {"database": "not started yet"}

    async def fine() -> str:
        return ""

    async def broken() -> str:
        raise ConnectionError

    health.watches("database", fine)
    assert await health.reasons() == {}
    health.watches("jobs", broken)
    assert await health.reasons() == {"jobs": "ConnectionError"}
