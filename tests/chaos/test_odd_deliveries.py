"""Deliveries repeated, delayed and out of order over a running bot: one effect for each act.

`AMEND_CHAOS_DELIVERIES` says how many (default 300; `make deliveries` sends 100,000), and
`AMEND_CHAOS_SEED` in which order.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from deploy.sandbox.slack import payloads
from deploy.sandbox.slack.delivery import COMMANDS
from tests.e2e.conftest import MARA, OPS, Make, World, until

DELIVERIES = int(os.environ.get("AMEND_CHAOS_DELIVERIES", "300"))
SEED = int(os.environ.get("AMEND_CHAOS_SEED", "7"))
OFTEN = 20  # deliveries of each act
AT_ONCE = 8  # deliveries under way
DISORDER = 200  # how many places a delivery may come late or early


@dataclass(frozen=True)
class Act:
    """What somebody did once: a comment on an incident, typed or in a mention."""

    number: int
    incident: str
    payload: dict[str, Any]
    command: bool

    @property
    def comment(self) -> str:
        return f"act{self.number}"


def acts(world: World, many: int) -> list[Act]:
    """Half of them commands, half mentions; each message and each trigger is one of its own."""
    incidents = sorted(map(str, world.sandbox.xpanse.incidents), key=int)
    found = []
    for number in range(many):
        incident = incidents[number % len(incidents)]
        words = f"{incident} comment=act{number}"
        typed = number % 2 == 0
        payload = _command(world, words) if typed else _mention(number, words)
        found.append(Act(number, incident, payload, typed))
    return found


def _command(world: World, words: str) -> dict[str, Any]:
    return dict(payloads.command(world.slack.core, MARA, OPS, "/xpanse", words))


def _mention(number: int, words: str) -> dict[str, Any]:
    ts = f"1767{number:06d}.000100"
    text = f"<@U0AMEND> xpanse {words}"
    event = {"type": "app_mention", "user": MARA, "text": text, "ts": ts, "event_ts": ts}
    return {**event, "channel": OPS, "team": "T0SANDBOX"}


async def deliver(world: World, act: Act) -> None:
    """Once, however it is answered: Slack does not look at what it sent before."""
    delivery = world.slack.core.delivery
    if act.command:
        await delivery.send(COMMANDS, act.payload, "/xpanse")
    else:
        await delivery.send_event(act.payload)


def in_disorder(known: list[Act], chance: random.Random) -> list[Act]:
    """Each act `OFTEN` times, every delivery some places away from where it belongs."""
    every = [act for act in known for _ in range(OFTEN)]
    places = sorted(range(len(every)), key=lambda place: place + chance.uniform(0, DISORDER))
    return [every[place] for place in places]


def happened(world: World) -> Counter[str]:
    """How often each comment stands at the stand-in."""
    incidents = world.sandbox.xpanse.incidents.values()
    return Counter(each for incident in incidents for each in incident.comments)


@pytest.mark.slow
async def test_each_act_has_one_effect_however_often_and_oddly_it_is_delivered(make: Make) -> None:
    world = await make(AMEND_ATTRIBUTION="off", XPANSE_EDITS_PER_SECOND="0")
    world.slack.core.delivery.retry_seconds = ()
    chance = random.Random(SEED)  # noqa: S311 - an order, not a secret
    known = acts(world, max(1, DELIVERIES // OFTEN))
    sent, gate = 0, asyncio.Semaphore(AT_ONCE)

    async def one(act: Act) -> None:
        async with gate:
            await deliver(world, act)

    order = in_disorder(known, chance)
    for at in range(0, len(order), 1000):
        await asyncio.gather(*map(one, order[at : at + 1000]))
        sent += len(order[at : at + 1000])
        sys.stdout.write(f"{sent} deliveries, {sum(happened(world).values())} effects so far\n")
    wanted = Counter(act.comment for act in known)
    patience = 60 + len(known)  # a busy machine may take a second for each
    await until(lambda: happened(world) >= wanted, "every act's effect", within=patience)
    await world.bot.listeners.drain(60)
    assert happened(world) == wanted
    sys.stdout.write(f"{sent} deliveries of {len(known)} acts: one effect each, seed {SEED}\n")
