"""What many replicas find due at once is begun by one of them each, and none of it by nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from bot.db.engine import open_engine
from bot.db.leases import Leases
from bot.db.migrate import migrate
from bot.db.store import Store

IDS = [f"AM-{number:06}" for number in range(600)]


@pytest_asyncio.fixture
async def replicas(another_database: Callable[[], str]) -> AsyncIterator[list[Leases]]:
    url = another_database()
    stores = [Store(open_engine(url)) for _ in range(3)]
    await migrate(stores[0].engine)
    made = [Leases(store, f"replica-{at}", "v") for at, store in enumerate(stores)]
    for each in made:
        await each.renew()
    yield made
    for store in stores:
        await store.close()


async def owners(replicas: list[Leases]) -> list[list[str]]:
    """For each id the replicas that call it theirs."""
    shares = [(each.owner, await each.share()) for each in replicas]
    return [[owner for owner, ours in shares if ours(each)] for each in IDS]


async def test_each_is_one_replicas_and_all_have_their_share(replicas: list[Leases]) -> None:
    found = await owners(replicas)
    assert {len(each) for each in found} == {1}
    many = [sum(each == [one.owner] for each in found) for one in replicas]
    assert min(many) > 150, many


async def test_what_was_of_one_that_is_gone_is_of_the_others(replicas: list[Leases]) -> None:
    before = await owners(replicas)
    await replicas[0].end("replica-2")
    after = await owners(replicas[:2])
    assert {len(each) for each in after} == {1}
    moved = [then for then, now in zip(before, after, strict=True) if then != now]
    assert {each[0] for each in moved} == {"replica-2"}, "only its own share moves"
