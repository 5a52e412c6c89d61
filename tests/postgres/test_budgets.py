"""One budget for an account, whichever replica edits under it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest_asyncio
from sqlalchemy import text

from bot.db.budgets import Line
from bot.db.engine import open_engine
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.jobs.budgets import Budgets

APART = 1 / 20


@pytest_asyncio.fixture
async def stores(another_database: Callable[[], str]) -> AsyncIterator[list[Store]]:
    url = another_database()
    made = [Store(open_engine(url)) for _ in range(2)]
    await migrate(made[0].engine)
    yield made
    for each in made:
        await each.close()


def asked_for(store: Store, account: str = "zstack:admin") -> tuple[Line, list[float]]:
    """A line, and the moments of the turns that it gave (monotonic seconds)."""
    turns: list[float] = []

    async def noted(seconds: float) -> None:
        turns.append(time.monotonic() + seconds)

    return Line(store, account, 20, sleep=noted), turns


async def test_turns_of_two_replicas_are_one_line(stores: list[Store]) -> None:
    lines = [asked_for(each) for each in stores]
    await asyncio.gather(*(line.take() for line, _ in lines for _ in range(15)))
    turns = sorted(moment for _, each in lines for moment in each)
    assert len(turns) == 30
    # An answer takes longer at one time than at another, so the moments are a little off.
    assert turns[-1] - turns[0] >= 29 * APART - 0.1


async def test_accounts_have_lines_of_their_own_and_nobody_waits_for_what_was_not_used(
    stores: list[Store],
) -> None:
    for account in ("zstack:admin", "ccs:porter"):
        line, turns = asked_for(stores[0], account)
        await line.take()
        assert turns[0] <= time.monotonic() + 0.01


async def test_a_line_of_a_clock_that_was_ahead_holds_nobody_up(stores: list[Store]) -> None:
    line, turns = asked_for(stores[0])
    await line.take()
    async with stores[1].transaction() as session:
        await (await session.connection()).execute(
            text("UPDATE budget SET next_at = next_at + 3600")
        )
    await line.take()
    assert turns[1] <= time.monotonic() + 0.01


async def test_only_what_has_a_limit_and_a_shared_database_asks_it(stores: list[Store]) -> None:
    shared = Budgets(stores[0])
    assert isinstance(shared.turns("qualys:a", 5), Line)
    assert not isinstance(shared.turns("qualys:a", 0), Line)
    assert not isinstance(Budgets().turns("qualys:a", 5), Line)
