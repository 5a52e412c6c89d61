"""The audit trail finds every kind of tampering, and holds no secret."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text

from bot.db import audit
from bot.db.engine import open_engine
from bot.db.migrate import migrate
from bot.db.store import Store


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    await migrate(engine)
    store = Store(engine)
    for number in range(6):
        async with store.transaction() as session:
            facts = {"number": number, "words": "host patched"}
            await audit.append(session, 1000.0 + number, "U0MARA", "request:accepted", "R1", facts)
    yield store
    await store.close()


async def test_an_untouched_trail_holds(store: Store) -> None:
    assert await audit.first_broken(store.engine) is None


FORGED = (
    "INSERT INTO audit SELECT 7, at, actor, action, request_id, facts, hash, hash"
    " FROM audit WHERE seq = 6"
)
TAMPERING = [
    ("UPDATE audit SET facts = '{\"number\": 99}' WHERE seq = 3", 3),
    ("UPDATE audit SET actor = 'U0ONCA' WHERE seq = 1", 1),
    ("UPDATE audit SET at = at + 1 WHERE seq = 4", 4),
    ("UPDATE audit SET action = 'request:denied' WHERE seq = 6", 6),
    ("UPDATE audit SET request_id = 'R2' WHERE seq = 2", 2),
    ("UPDATE audit SET hash = 'x' WHERE seq = 5", 5),
    ("DELETE FROM audit WHERE seq = 1", 1),
    ("DELETE FROM audit WHERE seq = 3", 3),
    ("DELETE FROM audit WHERE seq = 6", 6),
    ("DELETE FROM audit WHERE seq > 2", 3),
    ("DELETE FROM audit", 1),
    (FORGED, 7),
]


@pytest.mark.parametrize(("statement", "broken"), TAMPERING)
async def test_what_was_changed_removed_or_inserted_is_named(
    store: Store, statement: str, broken: int
) -> None:
    async with store.transaction() as session:
        await (await session.connection()).execute(text(statement))
    assert await audit.first_broken(store.engine) == broken


async def test_the_chain_goes_on_after_a_restart(store: Store) -> None:
    again = Store(store.engine)
    async with again.transaction() as session:
        await audit.append(session, 2000.0, "amend", "request:succeeded", "R1")
    assert await audit.first_broken(store.engine) is None
