"""The audit trail: append-only, each entry sealed with the hash of the one before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db.tables import AuditEntry, AuditHead

_CHAIN_LOCK = 71094028


def seal(entry: AuditEntry) -> str:
    """The SHA-256 of everything an entry says, with the hash of the one before."""
    content = [
        entry.seq,
        round(entry.at, 6),
        entry.actor,
        entry.action,
        entry.request_id,
        entry.facts,
        entry.previous,
    ]
    line = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(line.encode()).hexdigest()


async def append(
    session: AsyncSession,
    at: float,
    actor: str,
    action: str,
    request_id: str = "",
    facts: dict[str, Any] | None = None,
) -> None:
    """Add one entry inside the caller's transaction, so that it stands or falls with its deed."""
    if session.get_bind().dialect.name == "postgresql":
        connection = await session.connection()
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_CHAIN_LOCK})"))
    head = await session.get(AuditHead, 1) or AuditHead(id=1)
    entry = AuditEntry(
        seq=head.seq + 1,
        at=round(at, 6),
        actor=actor,
        action=action,
        request_id=request_id,
        facts=facts or {},
        previous=head.hash,
        hash="",
    )
    entry.hash = seal(entry)
    head.seq, head.hash = entry.seq, entry.hash
    session.add_all([entry, head])
    await session.flush()


async def entries(engine: AsyncEngine, since: float = 0.0) -> AsyncIterator[AuditEntry]:
    """The entries from `since` (epoch seconds) on, oldest first, read in pages."""
    after = 0
    while True:
        async with AsyncSession(engine) as session:
            page = (
                await session.exec(
                    select(AuditEntry)
                    .where(AuditEntry.seq > after, AuditEntry.at >= since)
                    .order_by(AuditEntry.seq)  # type: ignore[arg-type]
                    .limit(500)
                )
            ).all()
        for entry in page:
            yield entry
        if not page:
            return
        after = page[-1].seq


async def first_broken(engine: AsyncEngine) -> int | None:
    """The number of the first entry that was changed, removed or inserted; None where all hold."""
    previous, expected = "", 1
    async for entry in entries(engine):
        if entry.seq != expected or entry.previous != previous or entry.hash != seal(entry):
            return expected
        previous, expected = entry.hash, expected + 1
    # The head says where the chain ends: without it the newest entries could go unnoticed.
    async with AsyncSession(engine) as session:
        head = await session.get(AuditHead, 1) or AuditHead(id=1)
    return None if (head.seq, head.hash) == (expected - 1, previous) else expected
