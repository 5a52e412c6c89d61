"""Fifty programs that plan as fast as they may, beside people's work: does anybody wait longer?"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import Any

import httpx

from bench.bare_bolt import SECRET
from bench.figures import say, spread
from bench.stage import MARA, TEAM, Stage, acks, bare_bolt, stage
from bot.db.engine import close_engine, open_engine
from bot.db.store import Store
from bot.db.tokens import Tokens

CLIENTS, EVERY = 50, 1.0  # a token may call once a second
RESTS = 45.0  # seconds in which what was acknowledged is also answered
OWNERS = [MARA, "U0BENCH0", "U0BENCH1"]  # nobody may have more than twenty tokens
HEADERS = {"Accept": "application/json, text/event-stream"}


async def programs() -> None:
    many = 300
    async with stage(qualys=2_000, people=2, AMEND_MCP="on") as held, bare_bolt() as bare:
        tokens = await _tokens(held)
        port, secret = int(held.environment["AMEND_PORT"]), held.environment["SLACK_SIGNING_SECRET"]
        await acks(port, secret, lambda _: "/amend whoami", 50)  # what is loaded once is loaded
        alone = await acks(bare, SECRET, lambda _: "/amend", many)
        quiet = await acks(port, secret, lambda n: _typed(22_000 + n), many)
        await asyncio.sleep(RESTS)
        answers: Counter[str] = Counter()
        waited: list[float] = []
        asking = [
            asyncio.create_task(_client(port, token, n, answers, waited))
            for n, token in enumerate(tokens)
        ]
        await asyncio.sleep(3)
        beside = await acks(port, secret, lambda n: _typed(23_000 + n), many)
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    told = ", ".join(f"{n} {word}" for word, n in answers.most_common())
    say("bare Bolt: acknowledgement, median / 99th", spread(alone), "")
    say("Amend: a request, no program asks", spread(quiet, alone), "")
    say(
        f"Amend: the same beside {CLIENTS} programs",
        spread(beside, quiet),
        "median within 1.2 times",
    )
    say(f"what {CLIENTS} programs got, and waited", f"{told}; {spread(sorted(waited))}", "")


def _typed(ticket: int) -> str:
    return f"/qualys {ticket} change_state=RESOLVED"


async def _tokens(held: Stage) -> list[str]:
    engine = open_engine(f"sqlite:///{held.database}", busy_seconds=30)
    tokens = Tokens(Store(engine))
    owners = itertools.islice(itertools.cycle(OWNERS), CLIENTS)
    made = [await tokens.make(TEAM, owner, f"p{n}", 1) for n, owner in enumerate(owners)]
    await close_engine(engine)
    return made


async def _client(
    port: int, token: str, number: int, answers: Counter[str], waited: list[float]
) -> None:
    """Plan an edit of another ticket each second, as an assistant that was told to."""
    url = f"http://127.0.0.1:{port}/mcp"
    headers = {**HEADERS, "Authorization": f"Bearer {token}"}
    await asyncio.sleep(number * EVERY / CLIENTS)
    async with httpx.AsyncClient(timeout=120, headers=headers) as client:
        for turn in itertools.count():
            began = time.perf_counter()
            ticket = 1_000_000 + (number * 37 + turn) % 2_000
            answer = await client.post(url, json=_plan(ticket, turn))
            took = time.perf_counter() - began
            waited.append(took)
            answers[_word(answer)] += 1
            await asyncio.sleep(max(0.0, EVERY + 0.05 - took))


def _plan(ticket: int, turn: int) -> dict[str, Any]:
    parameters = {"ticket_numbers": str(ticket), "change_state": "RESOLVED"}
    arguments = {"operation": "qualys.edit_tickets", "parameters": parameters}
    params = {"name": "plan", "arguments": arguments}
    return {"jsonrpc": "2.0", "id": turn, "method": "tools/call", "params": params}


def _word(answer: httpx.Response) -> str:
    if answer.status_code != 200:
        return f"HTTP {answer.status_code}"
    result = answer.json().get("result")
    if result is None:
        return "protocol error"
    return "refused" if result.get("isError") else "planned"
