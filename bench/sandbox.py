"""The sandbox as a process of its own, with as many records as a benchmark wants.

Prints its Slack URL and the bot's settings as one line of JSON, and lives until its input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from deploy.sandbox.company import BOT_USER, Channel, Person
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.ccs import CcsStandIn
from deploy.sandbox.vendors.qualys import QualysStandIn

CALL = 0.02  # seconds that a CCS call takes


def many_tickets(stand_in: QualysStandIn, many: int) -> None:
    """Open tickets numbered from one million on, each with the entry that opened it."""
    models = list(stand_in.tickets.values())
    stand_in.tickets = {}
    for number in range(1_000_000, 1_000_000 + many):
        model = models[number % len(models)]
        born = model.history[:1]
        stand_in.tickets[number] = replace(model, number=number, condition="OPEN", history=born)


def many_people(sandbox: Sandbox, many: int) -> None:
    """So many people more, each with a channel of their own in which the bot is."""
    workspace = sandbox.slack.workspace
    for number in range(many):
        user, channel = f"U0BENCH{number}", f"C0BENCH{number}"
        name = f"bench{number}"
        workspace.people[user] = Person(user, name, name, "Manager", f"{name}@northwind.example")
        workspace.channels[channel] = Channel(channel, name, [user, BOT_USER])
        workspace.messages[channel] = []


async def main(database: str, port: str, ccs: str, qualys: str, people: str) -> None:
    sandbox = Sandbox(ccs=CcsStandIn(tickets=int(ccs), delay=CALL))
    if int(qualys):
        many_tickets(sandbox.qualys, int(qualys))
    await sandbox.start()
    many_people(sandbox, int(people))
    sandbox.slack.request_url = f"http://127.0.0.1:{port}/slack/events"
    environment = sandbox.environment(Path(database), port=int(port), socket_mode=False)
    print(json.dumps({"slack": sandbox.slack.url, "environment": environment}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await sandbox.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
