"""`python -m tests.chaos.append_steps URL EVERY`: killed at the steps of a deed with its entry.

EVERY is 1 for each of its steps, 2 for each second one, and so on.

Each step is a process of its own (a fork, so that it starts at once) that does one deed and kills
itself, as `kill -9` does, at its n-th step. What is then in the database is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from sqlalchemy import create_engine, text

from bot.db.engine import open_engine
from bot.db.store import Store
from bot.domain.people import Account
from bot.proof.trail import verify

# Each line of these functions is a step, and each call that SQLite's own thread is given.
FUNCTIONS = ("append", "alone", "map_person", "transaction", "_commit", "_to_the_end")
FILES = ("/bot/db/audit.py", "/bot/db/store.py")
THREAD = "/aiosqlite/core.py"
TEAM = "T0NORTH"


class Killer:
    """Counts steps, whichever thread makes them, and kills its own process at one of them."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        ours = code.co_name in FUNCTIONS and code.co_filename.endswith(FILES)
        thread = event == "call" and code.co_filename.endswith(THREAD)
        if thread or (ours and event == "line"):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self if ours else None


async def deed(url: str, step: int, *, killed: bool) -> None:
    """Map one more person, which is an entry too."""
    engine = open_engine(url)
    if killed:
        killer = Killer(step)
        threading.settrace(killer)
        sys.settrace(killer)
    account = Account("qualys", f"a{step}", "Scanner")
    await Store(engine).map_person(TEAM, f"U{step:06}", account, "U0MARA")
    os._exit(0)


def killed_at(url: str, step: int) -> bool:
    """One process that ends at its `step`-th step; False where it had done all before."""
    child = os.fork()
    if child == 0:
        asyncio.run(deed(url, step, killed=True))
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def main(url: str, every: int) -> None:
    """Steps until one is not reached; each is told with what it left."""
    reading = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    for step in range(1, 1_000, every):
        killed = killed_at(url, step)
        with reading.connect() as connection:
            told = {"step": step, "killed": killed, **left(connection)}
        reading.dispose()  # the next fork inherits no connection
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()  # the next fork would say it again
        if not killed:
            return


def left(connection: Any) -> dict[str, Any]:
    lines = [
        str(row[0]).encode()
        for row in connection.execute(text("SELECT line FROM audit ORDER BY seq"))
    ]
    head = connection.execute(text("SELECT seq, hash FROM audit_head")).one()
    people = connection.execute(text("SELECT count(*) FROM mapping")).scalar_one()
    found = verify(lines)
    return {
        "wrong": found.why if found else "",
        "entries": len(lines),
        "people": people,
        "head": head[0],
        "head_is_last": head[1] == json.loads(lines[-1])["hash"],
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
