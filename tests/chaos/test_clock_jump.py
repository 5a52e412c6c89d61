"""The wall clock of the bot jumps an hour ahead and back again: nothing is run twice or waits for it.

Slack, the vendors and PostgreSQL keep the right time, as other machines do.

`AMEND_CHAOS_JUMPS` says how often it jumps in bulk runs (default 4; `make chaos` takes 40),
and `AMEND_CHAOS_SEED` when.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.db.leases import LASTS
from bot.jobs.replicas import TAKEN_EVERY
from bot.jobs.upkeep import SWEEP
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.seed import Entry
from tests.chaos.storms import end, lives, log_of, shown, storm_in, why
from tests.chaos.test_chaos import SEED, Storm, bulk, happened, judge
from tests.e2e.conftest import APPROVALS, MARA, ONCA, OPS, until
from tests.e2e.test_requests import at, button
from tests.postgres.server import Server

JUMPS = int(os.environ.get("AMEND_CHAOS_JUMPS", "4"))
HOUR, HALF = 3600, 1800
SOON = 60.0  # seconds for what must not wait for an hour, on a machine that is busy

# Python loads this before anything of the bot. What waits for a span of time is not touched.
SITE = """
import threading
import time
from pathlib import Path

from time_machine import travel

here = Path(__file__).parent


def ahead():
    return int((here / "ahead").read_text())


def follow(known):
    while True:
        wanted = ahead()
        if wanted != known:
            clock.shift(wanted - known)
            known = wanted
        (here / f"seen-{wanted}").touch()
        time.sleep(0.02)


first = ahead()
clock = travel(time.time() + first, tick=True).start()
threading.Thread(target=follow, args=(first,), daemon=True).start()
"""


@dataclass
class Clock:
    """The wall clock of one bot, so many seconds ahead of the world's."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "sitecustomize.py").write_text(SITE)
        self._write(0)

    def _write(self, ahead: int) -> None:
        new = self.folder / "new"
        new.write_text(str(ahead))
        new.replace(self.folder / "ahead")

    def set(self, ahead: int) -> None:
        """For a bot that does not run."""
        self._write(ahead)

    async def move(self, ahead: int) -> None:
        """Wait until the running bot has it."""
        seen = self.folder / f"seen-{ahead}"
        seen.unlink(missing_ok=True)
        self._write(ahead)
        await until(seen.exists, f"a clock that is {ahead} s ahead")


@asynccontextmanager
async def storm_at(clock: Clock, folder: Path, url: str = "", **more: str) -> AsyncIterator[Storm]:
    """A sandbox and a bot that lives by this clock."""
    sandbox = Sandbox()
    await sandbox.start()
    chance = random.Random(SEED)  # noqa: S311 - which moment, not a secret
    url = url or f"sqlite:///{folder / 'amend.db'}"
    storm = storm_in(sandbox, folder, url, chance, PYTHONPATH=str(clock.folder), **more)
    try:
        await storm.begin()
        yield storm
        assert lives(storm), f"the process stays up\n{why(storm)}"
    finally:
        await end(storm)
        await sandbox.stop()


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


def done(storm: Storm) -> int:
    return sum(happened(storm.sandbox).values())


async def progress(storm: Storm) -> None:
    """Wait until some more records were changed, or all has ended."""
    known = done(storm)
    await until(lambda: done(storm) > known + 8 or storm.over(), "progress")


# --- running --------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_jumps_in_the_middle_of_bulk_runs_lose_and_repeat_nothing(
    clock: Clock, tmp_path: Path
) -> None:
    jumps = 0
    while jumps < JUMPS:
        async with storm_at(clock, tmp_path / f"after-{jumps}") as storm:
            for typed in bulk(storm.sandbox):
                await storm.ask(typed)
            before = jumps
            while jumps < JUMPS and not storm.over():
                jumps += 1
                await clock.move(HOUR if jumps % 2 else 0)
                await progress(storm)
            await clock.move(0)
            await storm.ends(within=120)
            judge(storm)
            assert jumps > before, "nothing ran long enough"
            sys.stdout.write(f"{jumps} jumps so far, seed {SEED}: {storm.told()}\n")


@pytest.mark.slow
async def test_calls_that_were_cut_off_while_the_clock_was_ahead_are_settled_soon(
    clock: Clock, tmp_path: Path
) -> None:
    """Killed an hour ahead and started at the right time, as by a machine that was reset."""
    async with storm_at(clock, tmp_path / "bot") as storm:
        await a_long_run(storm)
        await clock.move(HOUR)
        await progress(storm)
        await storm.process.end(signal.SIGKILL)
        storm.kills += 1
        clock.set(0)
        await storm.process.start(storm.port)
        await storm.ends(within=SOON)
        judge(storm)


@pytest.mark.slow
async def test_messages_go_on_soon_after_the_clock_was_set_back(
    clock: Clock, tmp_path: Path
) -> None:
    async with storm_at(clock, tmp_path / "bot") as storm:
        await a_long_run(storm)
        await until(lambda: bool(cards(storm)), "a card")
        await clock.move(HOUR)
        known = changed(storm)
        await until(lambda: changed(storm) > known, "a card that was edited meanwhile")
        await clock.move(0)
        await storm.ends()
        await until(lambda: shown(storm) == storm.requests(), "the end on the card", within=SOON)
        await until(lambda: bool(thread(storm)), "the receipt under it", within=SOON)


@pytest.mark.slow
async def test_of_two_replicas_none_loses_what_it_holds_by_a_clock_that_jumps(
    postgres: Server, tmp_path: Path
) -> None:
    url, clocks = postgres.new_database(), [Clock(tmp_path / f"clock-{each}") for each in "ab"]
    async with storm_at(clocks[0], tmp_path / "a", url) as storm:
        other = another(storm, clocks[1], tmp_path / "b", url)
        try:
            await other.process.start(other.port)
            await a_long_run(storm)
            # Who has not watched for as long as a lease lasts takes nobody for gone.
            await asyncio.sleep(LASTS + 1)
            for each in range(max(2, JUMPS // 5)):
                await clocks[each % 2].move(HOUR)
                await progress(storm)
                await asyncio.sleep(TAKEN_EVERY + 1)  # a look: a shorter time only sees less
                await clocks[each % 2].move(0)
            await storm.ends(within=120)
            judge(storm)
            assert lives(other), f"the process stays up\n{why(other)}"
            logs = log_of(storm) + log_of(other)
            assert "replica_gone" not in logs, f"both were there all the time\n{logs}"
            assert len(cards(storm)) == 1, "one card, whoever posted it"
        finally:
            await end(other)


def another(storm: Storm, clock: Clock, folder: Path, url: str) -> Storm:
    """A second replica in the same sandbox."""
    return storm_in(storm.sandbox, folder, url, storm.chance, PYTHONPATH=str(clock.folder))


async def a_long_run(storm: Storm) -> None:
    """A bulk run of some ten seconds, whose edits are not safe to repeat."""
    storm.sandbox.xpanse.set_fault("slow", {"seconds": 0.3, "only": "update_incident"})
    await storm.ask(bulk(storm.sandbox)[1])
    await progress(storm)


# --- waiting --------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_what_waits_for_its_time_or_an_approval_runs_once_and_is_reminded_of_once(
    clock: Clock, tmp_path: Path
) -> None:
    async with storm_at(clock, tmp_path / "bot") as storm:
        await submitted(storm, "/qualys 23456 change_state=IGNORED")
        await submitted(storm, "/qualys 23457,23458 add_comment=soon", **at(HOUR / 2))
        await submitted(storm, "/qualys 23457,23458 add_comment=late", **at(3 * HOUR))
        await until(lambda: bool(cards(storm, APPROVALS)), "the question")
        asked = cards(storm, APPROVALS)[-1]
        for _ in range(max(1, JUMPS // 10)):
            await clock.move(HOUR)
            await until(lambda: edits(storm)["soon"] == 1, "what is due")
            await until(lambda: len(reminders(storm)) > 0, "a reminder")
            await asyncio.sleep(
                SWEEP + 1
            )  # another look: who sleeps too short a time only sees less
            await clock.move(0)
        await storm.sandbox.slack.act(
            user=ONCA,
            do="press",
            channel=APPROVALS,
            ts=asked["ts"],
            **button(asked, "approve"),
        )
        await until(lambda: edits(storm)["IGNORED"] == 1, "what was approved")
        await until(lambda: sorted(storm.requests().values()) == ENDS, "their ends")
        assert edits(storm) == {"soon": 1, "IGNORED": 1}
        assert len(reminders(storm)) == 1, "once, and not with each look"


ENDS = ["scheduled", "succeeded", "succeeded"]  # the third has its time in three hours


async def submitted(storm: Storm, typed: str, **inputs: Any) -> None:
    """Type a request and submit its review with these inputs."""
    slack, known = storm.sandbox.slack, len(storm.requests())
    await slack.act(user=MARA, do="type", channel=OPS, text=typed)

    def review() -> dict[str, Any]:
        views = slack.state(MARA)["views"]
        return dict(views[-1]) if views else {}

    await until(lambda: review().get("callback_id") == "review", typed)
    await slack.act(user=MARA, do="submit", view_id=review()["id"], values=inputs)
    await until(lambda: len(storm.requests()) > known, "accepted")


def edits(storm: Storm) -> Counter[str]:
    """How often each comment, or new state, was sent to Qualys."""
    calls = [each for each in storm.sandbox.qualys.requests if "ticket_edit" in each.path]
    return Counter(
        str(each.params.get("add_comment") or each.params.get("change_state")) for each in calls
    )


# --- watched --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["qualys", "xpanse"])
async def test_a_watch_tells_what_changed_while_the_clock_was_ahead_and_goes_on_soon(
    vendor: str, clock: Clock, tmp_path: Path
) -> None:
    async with storm_at(clock, tmp_path / "bot", AMEND_POLL_SECONDS="1") as storm:
        slack = storm.sandbox.slack
        await slack.act(user=MARA, do="type", channel=OPS, text=f"/amend watch {vendor} mode=now")
        query = "SELECT count(*) FROM watch WHERE based"
        await until(lambda: storm.rows(query) == [(1,)], "the first look")
        await clock.move(HOUR)
        await polls(storm)
        meanwhile = moved(storm.sandbox, vendor, 0, 0)
        await polls(storm)
        await clock.move(HOUR + HALF)  # half an hour passes everywhere, then it is set right
        await polls(storm)
        await clock.move(HALF)
        after = moved(storm.sandbox, vendor, 1, HALF)
        await until(lambda: after in news(storm), "what changed after it", within=SOON)
        await polls(storm)
        await polls(storm)
        assert news(storm) == {meanwhile: 1, after: 1}


async def polls(storm: Storm) -> None:
    """Wait for the end of a poll that begins from now on: the second one does."""
    query = "SELECT polled_at FROM watch"
    for _ in range(2):
        known = storm.rows(query)
        await until(lambda before=known: storm.rows(query) != before, "a poll", within=SOON)  # type: ignore[misc]


def moved(sandbox: Sandbox, vendor: str, which: int, later: int) -> str:
    """Somebody changes a record in the vendor's own console, so many seconds later; its id."""
    if vendor == "xpanse":
        sandbox.xpanse._now = lambda: time.time() + later
        sandbox.xpanse.change(str(which + 1), status="under_investigation")
        return str(which + 1)
    found = next(each for each in sandbox.qualys.tickets.values() if each.condition == "OPEN")
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=later)
    found.history.append(Entry(now, "oreyes", old=found.condition, new="RESOLVED"))
    found.condition = "RESOLVED"
    return str(found.number)


def news(storm: Storm) -> Counter[str]:
    """How often each record was told of in the channel."""
    return Counter(
        str(each["metadata"]["event_payload"]["record"]) for each in told(storm, "amend_change")
    )


# --- told -----------------------------------------------------------------------------------------


def told(storm: Storm, kind: str, channel: str = OPS) -> list[dict[str, Any]]:
    """The messages of this kind in a channel."""
    return [
        each
        for each in storm.sandbox.slack.messages(channel)
        if str((each.get("metadata") or {}).get("event_type")).startswith(kind)
    ]


def cards(storm: Storm, channel: str = OPS) -> list[dict[str, Any]]:
    return told(storm, "amend_request", channel)


def changed(storm: Storm) -> int:
    """How many records the newest card calls changed."""
    return int(cards(storm)[-1]["metadata"]["event_payload"]["changed"])


def thread(storm: Storm) -> list[dict[str, Any]]:
    ts = cards(storm)[-1]["ts"]
    return [each for each in storm.sandbox.slack.messages(OPS) if each.get("thread_ts") == ts]


def reminders(storm: Storm) -> list[dict[str, Any]]:
    return told(storm, "amend_remind", APPROVALS)
