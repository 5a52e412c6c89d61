"""From a typed command to a card that says Done: what a person waits for, not the acknowledgement."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from bench.figures import say, spread
from bench.stage import MARA, OPS, Stage, stage

ONE_BY_ONE, AT_ONCE, EACH = 10, 10, 3
THINKS = 3.0  # seconds between two commands of one person; Slack takes a message a second here
LOOKS_EVERY = 0.02  # seconds between two looks; what was seen has its own time


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
    """Seconds from the command until Slack has the card that says Done."""
    since = await _newest(held)
    began = time.time()
    text = f"/qualys {ticket} add_comment=bench"
    typed = asyncio.create_task(held.act("type", user=user, channel=channel, text=text))
    while True:
        for each in await held.entries(since):
            since = max(since, int(each["n"]))
            if _says_done(each, channel):
                await typed
                return float(each["at"]) - began
        await asyncio.sleep(LOOKS_EVERY)


async def _newest(held: Stage) -> int:
    return max((int(each["n"]) for each in await held.entries(0)), default=0)


def _says_done(entry: dict[str, Any], channel: str) -> bool:
    asked = entry["request"]
    if entry["direction"] != "from_bot" or not isinstance(asked, dict):
        return False
    marked = asked.get("metadata") or {}
    marked = json.loads(marked) if isinstance(marked, str) else marked
    payload = marked.get("event_payload") or {}
    return asked.get("channel") == channel and payload.get("state") == "succeeded"
