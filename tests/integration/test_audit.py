"""The audit trail finds every kind of tampering, and goes on from what an older version wrote."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlmodel import select

from bot.db import audit
from bot.db.audit import Witness
from bot.db.engine import open_engine
from bot.db.evidence import make
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.db.tables import AuditCheckpoint, AuditEntry, AuditHead, Delivery, Request
from bot.db.upgrading import upgrade
from bot.domain.plans import State
from bot.jobs.witness import Checkpoints
from bot.proof.checkpoints import Checkpoint
from bot.proof.notes import Signer
from bot.proof.tree import leaf_hash, root_of
from tests.laid import lay

SIGNER = Signer.fresh("amend-test")


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    lay(tmp_path / "amend.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    store = Store(engine)
    for number in range(6):
        async with store.transaction() as session:
            facts = {"number": number, "words": "host patched"}
            await audit.append(session, 1000.0 + number, "U0MARA", "request:accepted", "R1", facts)
    yield store
    await store.close()


async def test_an_untouched_trail_holds(store: Store) -> None:
    assert await audit.verify(store.engine) is None


FORGED = "INSERT INTO audit SELECT 7, at, request_id, action, line FROM audit WHERE seq = 6"
SWAPPED = "UPDATE audit SET line = replace(line, '{}', '{}') WHERE seq = {}"
TAMPERING = [
    (SWAPPED.format('"number":2', '"number":99', 3), 3),
    (SWAPPED.format("U0MARA", "U0ONCA", 1), 1),
    (SWAPPED.format("00:16:43", "00:16:44", 4), 4),
    (SWAPPED.format("accepted", "denied", 6), 6),
    (SWAPPED.format("R1", "R2", 2), 2),
    (SWAPPED.format('"via":"slack"', '"via":"cli"', 5), 5),
    ("DELETE FROM audit WHERE seq = 1", 1),
    ("DELETE FROM audit WHERE seq = 3", 3),
    ("DELETE FROM audit WHERE seq = 6", 6),
    ("DELETE FROM audit WHERE seq > 2", 3),
    ("DELETE FROM audit", 1),
    (FORGED, 7),
    ("UPDATE audit_head SET frontier = x''", 6),
    ("DELETE FROM audit_head", 6),
]


@pytest.mark.parametrize(("statement", "broken"), TAMPERING)
async def test_what_was_changed_removed_or_inserted_is_named(
    store: Store, statement: str, broken: int
) -> None:
    before = await lines(store)
    async with store.transaction() as session:
        await (await session.connection()).exec_driver_sql(statement)
    if "audit_head" not in statement:
        assert await lines(store) != before, "the statement changes something"
    found = await audit.verify(store.engine)
    assert found is not None
    assert found.line == broken


BESIDE = [
    ("UPDATE audit SET request_id = '' WHERE seq = 4", "request_id"),
    ("UPDATE audit SET request_id = 'R2' WHERE seq = 4", "request_id"),
    ("UPDATE audit SET action = 'request:vote' WHERE seq = 4", "action"),
    ("UPDATE audit SET at = at + 0.5 WHERE seq = 4", "at"),
    ("UPDATE audit SET at = 1e300 WHERE seq = 4", "at"),
]


@pytest.mark.parametrize(("statement", "column"), BESIDE)
async def test_what_finds_an_entry_says_what_its_line_says(
    store: Store, statement: str, column: str
) -> None:
    """Else an entry could be hidden from who asks by request or time, and nobody would hear of it."""
    async with store.transaction() as session:
        await (await session.connection()).exec_driver_sql(statement)
    found = await audit.verify(store.engine)
    assert found is not None
    assert found.line == 4
    assert f"`{column}`" in found.why


async def test_evidence_holds_an_entry_that_its_column_hides(store: Store, tmp_path: Path) -> None:
    await asked(store)
    hide = "UPDATE audit SET request_id = 'R2' WHERE seq = 4"
    show = "UPDATE audit SET request_id = 'R1' WHERE seq = 7"
    async with store.transaction() as session:
        await audit.append(session, 2000.0, "U0ONCA", "request:vote", "R2", {"request_id": "R1"})
        connection = await session.connection()
        await connection.exec_driver_sql(hide)
        await connection.exec_driver_sql(show)
    await make(store, store.engine, "R1", tmp_path / "x.zip", actor="U0MARA", witness=None)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        held = [json.loads(line)["seq"] for line in archive.read("audit.jsonl").splitlines()]
    assert held == [1, 2, 3, 4, 5, 6, 8]


async def lines(store: Store) -> list[bytes]:
    return [line async for _, line in audit.lines(store.engine)]


async def test_the_chain_goes_on_after_a_restart(store: Store) -> None:
    again = Store(store.engine)
    async with again.transaction() as session:
        await audit.append(session, 2000.0, "amend", "request:succeeded", "R1")
    assert await audit.verify(store.engine) is None
    last = json.loads((await lines(store))[-1])
    assert (last["seq"], last["via"], last["at"]) == (7, "amend", "1970-01-01T00:33:20.000000Z")


@given(
    facts=st.dictionaries(
        st.text(st.characters(), max_size=4),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_no_fact_undoes_its_deed_whatever_a_vendor_or_person_wrote(
    store: Store, facts: dict[str, Any]
) -> None:
    async with store.transaction() as session:
        await audit.append(session, 3000.0, "U0MARA", "request:accepted", "R1", facts)
    assert await audit.verify(store.engine) is None


async def sign(store: Store, at: float, every: float = 0.0) -> str:
    async with store.transaction() as session:
        made = await audit.sign(session, Witness(SIGNER), at, every)
    return made.note if made else ""


async def test_a_checkpoint_is_signed_where_something_is_new_and_not_too_often(
    store: Store,
) -> None:
    note = await sign(store, 5000.0)
    seen = Checkpoint.open(note, SIGNER.verifier)
    assert seen.size == 6
    assert seen.root == root_of([leaf_hash(each) for each in await lines(store)])
    assert await sign(store, 6000.0) == "", "nothing is new"
    async with store.transaction() as session:
        await audit.append(session, 6000.0, "U0MARA", "request:vote", "R1")
    assert await sign(store, 6001.0, every=3600.0) == "", "too soon"
    assert Checkpoint.open(await sign(store, 9000.0, every=3600.0), SIGNER.verifier).size == 7
    assert await audit.verify(store.engine, seen) is None


async def asked(store: Store) -> None:
    """The request that the trail tells of."""
    what = {"id": "R1", "origin": "R1", "operation": "qualys.edit_tickets", "team": "T"}
    who = {"parameters": {}, "requester": "U0MARA", "channel": "C0OPS", "state": State.FAILED}
    async with store.transaction() as session:
        session.add(Request(**what, **who, created_at=1.0))


async def posted(store: Store, channel: str) -> list[int]:
    """The sizes of the checkpoints that a channel is to get."""
    async with store.reading() as session:
        found = (await session.exec(select(Delivery).where(Delivery.channel == channel))).all()
    return sorted(int(each.key.rpartition(":")[2]) for each in found if each.kind == "checkpoint")


async def test_every_checkpoint_reaches_the_witness_also_what_the_makers_of_evidence_had_signed(
    store: Store, tmp_path: Path
) -> None:
    """Somebody who asks for evidence again and again must not keep the trail from its witness."""
    now = [10_000.0]
    store.clock = lambda: now[0]
    await asked(store)
    witness = Witness(SIGNER, "C0AUDIT")
    hourly = Checkpoints(store, witness, 3600.0, lambda: None)
    for number in range(4):
        now[0] += 1800.0
        async with store.transaction() as session:
            await audit.append(session, now[0], "U0UMAR", "people:mapped", "", {"number": number})
        await make(store, store.engine, "R1", tmp_path / "x.zip", actor="U0UMAR", witness=witness)
        await hourly.tick()
    await hourly.sign()
    sizes = [each.size for each in await audit.checkpoints(store.engine)]
    assert len(sizes) >= 4
    assert await posted(store, "C0AUDIT") == sizes


async def rewritten(store: Store, keep: int, statement: str) -> None:
    """What an insider does who can write everywhere: each line sealed anew, and the head mended."""
    kept = [json.loads(each) for each in await lines(store)][:keep]
    async with store.transaction() as session:
        connection = await session.connection()
        for table in (AuditEntry, AuditHead, AuditCheckpoint):
            await connection.execute(delete(table))
        for entry in kept:
            facts = {**entry["facts"], statement: 1} if statement else entry["facts"]
            at, who, what = 1000.0 + entry["seq"], entry["actor"], entry["action"]
            await audit.append(session, at, who, what, entry["request_id"], facts)


@pytest.mark.parametrize(("keep", "statement"), [(4, ""), (6, "words"), (1, "words"), (0, "")])
async def test_a_trail_rewritten_in_the_database_does_not_agree_with_what_was_seen_before(
    store: Store, keep: int, statement: str
) -> None:
    seen = Checkpoint.open(await sign(store, 5000.0), SIGNER.verifier)
    await rewritten(store, keep, statement)
    assert await audit.verify(store.engine) is None, "inside, everything agrees"
    found = await audit.verify(store.engine, seen)
    assert found is not None
    assert "6 entries" in found.why


async def test_an_older_trail_is_carried_over_and_sealed_in_the_first_entry(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    engine = open_engine(f"sqlite:///{path}")
    async with engine.begin() as connection:
        await connection.run_sync(lambda it: upgrade(it, "0004"))
    old = sqlite3.connect(path)
    row = "INSERT INTO audit VALUES (?, ?, 'U0MARA', 'request:accepted', 'R1', ?, ?, ?)"
    for seq in (1, 2, 3):
        old.execute(
            row, (seq, 1000.0 + seq, '{"big": 12345678901234567890}', f"h{seq - 1}", f"h{seq}")
        )
    old.execute("INSERT INTO audit_head VALUES (1, 3, 'h3')")
    old.commit()
    old.close()
    await migrate(engine)
    store = Store(engine)
    assert await audit.verify(engine) is None
    found = [json.loads(each) for each in await lines(store)]
    assert found[0]["action"] == "trail:carried_over"
    assert found[0]["facts"] == {"entries": 3, "last_seq": 3, "last_hash": "h3"}
    assert [each["at"] for each in found[1:]] == [
        f"1970-01-01T00:16:4{n}.000000Z" for n in (1, 2, 3)
    ]
    async with store.transaction() as session:
        await audit.append(session, 2000.0, "amend", "request:succeeded", "R1")
    assert await audit.verify(engine) is None
    await store.close()
