"""`kill -9` at random moments during bulk runs at every vendor: nothing is lost, nothing repeated.

`AMEND_CHAOS_KILLS` says how many kills at each kind of database (default 3; each of the ten slices of
`make chaos` takes 50), `AMEND_CHAOS_SEED` when.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from deploy.sandbox.ports import free_port
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.people import PEOPLE_CSV
from tests.e2e.conftest import MARA, OPS, until
from tests.e2e.test_crash import Process

KILLS = int(os.environ.get("AMEND_CHAOS_KILLS", "3"))
SEED = int(os.environ.get("AMEND_CHAOS_SEED", "7"))
OVER = {"succeeded", "partial", "failed", "unknown"}
BUDGETS = {"XPANSE_EDITS_PER_SECOND": "40", "ZSTACK_EDITS_PER_SECOND": "40"}
EACH = 240 if KILLS > 10 else 110  # records of a bulk run


class Storm:
    """One sandbox, one bot that is killed and started again, and a bulk run at each vendor."""

    def __init__(self, sandbox: Sandbox, folder: Path, url: str, chance: random.Random) -> None:
        self.sandbox, self.folder, self.chance = sandbox, folder, chance
        self.port = free_port()
        environment = sandbox.environment(folder / "unused.db", port=self.port, socket_mode=False)
        environment["AMEND_LOST_ANSWER_SECONDS"] = "3"
        own = {"DATABASE_URL": url, "AMEND_ATTRIBUTION": "off"} | BUDGETS
        self.process = Process({**environment, **own}, folder)
        self.engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        self.kills = 0

    async def begin(self) -> None:
        (self.folder / "people.csv").write_text(PEOPLE_CSV)
        imported = await self.process.run("people", "import", "people.csv")
        assert await imported.wait() == 0
        self.sandbox.slack.request_url = f"http://127.0.0.1:{self.port}/slack/events"
        for vendor in (
            self.sandbox.ccs,
            self.sandbox.xpanse,
            self.sandbox.zstack,
            self.sandbox.qualys,
        ):
            vendor.set_fault("slow", {"seconds": 0.05})
        await self.process.start(self.port)

    async def ask(self, typed: str) -> None:
        """Type a bulk request and submit its review."""
        slack = self.sandbox.slack
        known = len(self.requests())
        await slack.act(user=MARA, do="type", channel=OPS, text=typed)

        def review() -> dict[str, Any]:
            views = slack.state(MARA)["views"]
            return dict(views[-1]) if views else {}

        await until(lambda: review().get("callback_id") == "review", typed[:40])
        await slack.act(user=MARA, do="submit", view_id=review()["id"], values={})
        await until(lambda: len(self.requests()) > known, "accepted")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def told(self) -> str:
        """Each request with its state and words, and how many of its records ended how."""
        found = self.rows("SELECT id, operation, state, words FROM request ORDER BY created_at")
        lines = []
        for request_id, operation, state, words in found:
            query = "SELECT result FROM record WHERE left_out = '' AND request_id = "
            results = Counter(row[0] for row in self.rows(f"{query}'{request_id}'"))
            lines.append(f"{request_id} {operation} {state} {dict(results)} {words}")
        return "\n".join([*lines, f"after {self.kills} kills, seed {SEED}"])

    def requests(self) -> dict[str, str]:
        """Those that were submitted, and their states."""
        submitted = "state NOT IN ('received', 'planned', 'denied')"
        return dict(self.rows(f"SELECT id, state FROM request WHERE {submitted}"))  # noqa: S608

    def over(self) -> bool:
        return all(state in OVER for state in self.requests().values())

    async def rage(self, most: int) -> None:
        """Kill and start again until everything has ended, at most `most` times."""
        while not self.over() and self.kills < most:
            await asyncio.sleep(self.chance.uniform(0.0, 1.2))
            await self.process.end(signal.SIGKILL)
            self.kills += 1
            await self.process.start(self.port)
        await self.ends()

    async def ends(self, within: float = 90) -> None:
        """Wait until every request has ended; else say how each of them stands."""
        try:
            await until(self.over, "the end of all requests", within=within)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told()}") from None


def bulk(sandbox: Sandbox) -> list[str]:
    """A request of several hundred records at each vendor; all but CCS are not safe to repeat."""
    pending = [each.uuid for each in sandbox.zstack.tickets.values() if each.status == "Pending"]
    numbers = [n for n, each in sandbox.qualys.tickets.items() if each.condition == "OPEN"]
    return [
        f"/ccs {','.join(sorted(sandbox.ccs.tickets)[:EACH])} TicketState=2",
        f"/xpanse {','.join(str(each) for each in range(1, EACH + 1))} comment=checked",
        f"/zstack {','.join(pending[:EACH])} statusEvent=reject",
        f"/qualys {','.join(map(str, numbers[:EACH]))} add_comment=checked-by-chaos",
    ]


DONE_OR_OPEN = {"changed", "unknown"}  # no stand-in refuses anything in a storm


def judge(storm: Storm) -> None:
    """Nothing twice at a vendor, nothing lost, and the ledger tells the truth about each record."""
    many = happened(storm.sandbox)
    twice = {key: n for key, n in many.items() if n > 1}
    assert not twice, f"done more than once: {twice}\n{storm.told()}"
    query = (
        "SELECT r.operation, p.record_id, p.result, p.words FROM record p"
        " JOIN request r ON r.id = p.request_id WHERE p.left_out = ''"
    )
    for operation, record, stood, words in storm.rows(query):
        where = f"{operation} {record}: {stood} ({words})\n{storm.told()}"
        assert stood.lower() in DONE_OR_OPEN, f"neither done nor open: {where}"
        if stood.lower() == "changed":
            assert many[operation, record], f"called changed and lost: {where}"


def happened(sandbox: Sandbox) -> Counter[tuple[str, str]]:
    """How often each record was changed at its vendor, by (operation, record)."""
    found: Counter[tuple[str, str]] = Counter()
    for key, incident in sandbox.xpanse.incidents.items():
        found["xpanse.update_incident", key] = len(incident.comments)
    for key, item in sandbox.zstack.tickets.items():
        found["zstack.change_ticket_status", key] = len(item.events)
    for number, ticket in sandbox.qualys.tickets.items():
        ours = [each for each in ticket.history if "checked-by-chaos" in each.comment]
        found["qualys.edit_tickets", str(number)] = len(ours)
    for key, task in sandbox.ccs.tickets.items():
        found["ccs.update_ticket", key] = int(task.state in (2, 3, 4))
    return found


Databases = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """URLs of new, empty databases."""
    if request.param == "postgresql":
        another: Databases = request.getfixturevalue("another_database")
        return another
    return lambda: f"sqlite:///{tmp_path / f'amend-{random.random()}.db'}"  # noqa: S311 - a name


@pytest.mark.slow
async def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(
    databases: Databases, tmp_path: Path
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - which moment, not a secret
    kills = 0
    while kills < KILLS:
        sandbox = Sandbox()
        await sandbox.start()
        folder = tmp_path / str(kills)
        folder.mkdir()
        url = databases()
        storm = Storm(sandbox, folder, url, chance)
        try:
            await storm.begin()
            for typed in bulk(sandbox):
                await storm.ask(typed)
            await storm.rage(KILLS - kills)
            judge(storm)
            kills += storm.kills
            ends = Counter(storm.requests().values())
            kind = url.partition(":")[0]
            told = f"{kills} kills so far, seed {SEED}: 0 lost, 0 repeated, 0 unsettled"
            sys.stdout.write(f"{kind}: {told}; {dict(ends)}\n")
            assert storm.kills, "nothing ran long enough to be killed"
        finally:
            await storm.process.end(signal.SIGKILL)
            storm.engine.dispose()
            await sandbox.stop()
