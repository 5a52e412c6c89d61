"""From a typed command to a card that says Done: what a person waits for, not the acknowledgement."""

from __future__ import annotations

import asyncio
import time

from bench.figures import say, spread
from bench.stage import MARA, OPS, Stage, stage

ONE_BY_ONE, AT_ONCE, EACH = 10, 10, 3
THINKS = 3.0  # seconds between two commands of one person; Slack takes a message a second here
LOOKS_EVERY = 0.01  # seconds; so much later at most is Done noticed here


async def done() -> None:
    """One after the other in one channel; then ten people at once, each in their own channel."""
    async with stage(qualys=2_000, people=AT_ONCE) as held:
        quiet = []
        for n in range(ONE_BY_ONE):
            quiet.append(await _waited(held, MARA, OPS, 1_000_000 + n))
            await asyncio.sleep(THINKS)
        say(
            f"command to Done, {ONE_BY_ONE} one after the other in one channel, median / 99th",
            spread(sorted(quiet)),
            "under 300 ms",
        )
        many = await asyncio.gather(*(_person(held, n) for n in range(AT_ONCE)))
        say(
            f"command to Done, {AT_ONCE} people at once in {AT_ONCE} channels",
            spread(sorted(took for each in many for took in each)),
            "",
        )


async def _person(held: Stage, number: int) -> list[float]:
    user, channel = f"U0BENCH{number}", f"C0BENCH{number}"
    first = 1_001_000 + number * EACH
    return [await _waited(held, user, channel, first + n) for n in range(EACH)]


async def _waited(held: Stage, user: str, channel: str, ticket: int) -> float:
    """Seconds from the command to the card of this person's newest request that says Done."""
    before = len(await held.cards(user, channel))
    began = time.perf_counter()
    text = f"/qualys {ticket} add_comment=bench"
    typed = asyncio.create_task(held.act("type", user=user, channel=channel, text=text))
    while True:
        cards = await held.cards(user, channel)
        if len(cards) > before and cards[-1].get("state") == "succeeded":
            took = time.perf_counter() - began
            await typed
            return took
        await asyncio.sleep(LOOKS_EVERY)
