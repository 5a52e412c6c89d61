"""The audit trail: append-only lines, each sealed with the hash of the one before, and their tree."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db.tables import AuditCheckpoint, AuditEntry, AuditForwarded, AuditHead, Delivery
from bot.proof.canonical import LARGEST
from bot.proof.checkpoints import Checkpoint
from bot.proof.notes import Signer
from bot.proof.trail import Finding, Reading, seal
from bot.proof.tree import BadProof, Frontier, leaf_hash

AMEND = "amend"  # the actor of what nobody pressed
PAGE = 500  # entries that are read at once

# By which way a person came: `slack`, `cli` or `mcp`.
VIA: ContextVar[str] = ContextVar("via", default="slack")
# The name of the token by which a program came; "" for people.
TOKEN: ContextVar[str] = ContextVar("token", default="")

_CHAIN_LOCK = 71094028


async def append(
    session: AsyncSession,
    at: float,
    actor: str,
    action: str,
    request_id: str = "",
    facts: Mapping[str, Any] | None = None,
) -> int:
    """Add one entry inside the caller's transaction, so that it stands or falls with its deed.

    Its number. `at` is in epoch seconds.
    """
    await alone(session)
    head = await session.get(AuditHead, 1) or AuditHead(id=1)
    entry = {
        "seq": head.seq + 1,
        "at": iso(at),
        "actor": actor,
        "via": AMEND if actor == AMEND else VIA.get(),
        "action": action,
        "request_id": request_id,
        "facts": _tame({**(facts or {}), **_token(actor)}),
        "previous": head.hash,
    }
    line, head.hash = seal(entry)
    head.frontier = bytes(Frontier.load(head.seq, head.frontier).append(leaf_hash(line)))
    head.seq += 1
    row = AuditEntry(seq=head.seq, at=at, request_id=request_id, action=action, line=line.decode())
    session.add_all([row, head])
    await session.flush()
    return head.seq


@contextmanager
def by_program(token: str) -> Iterator[None]:
    """What is noted meanwhile was asked for by a program with this token; "" changes nothing."""
    if not token:
        yield
        return
    via, named = VIA.set("mcp"), TOKEN.set(token)
    try:
        yield
    finally:
        VIA.reset(via)
        TOKEN.reset(named)


def _token(actor: str) -> dict[str, str]:
    """Which token a person's entry came by."""
    return {"token": TOKEN.get()} if TOKEN.get() and actor != AMEND else {}


async def alone(session: AsyncSession) -> None:
    """Entries are appended one after the other; SQLite's transactions are so by themselves."""
    if session.get_bind().dialect.name == "postgresql":
        connection = await session.connection()
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_CHAIN_LOCK})"))


def iso(at: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _tame(value: Any) -> Any:
    """What JSON and RFC 8785 can hold: whole characters, and numbers that a double holds exactly.

    A fact that cannot be written must never undo the deed that it tells of.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(_tame(str(name))): _tame(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_tame(each) for each in value]
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        return str(value)  # also what is no number at all
    return value if isinstance(value, bool | int | float) or value is None else str(value)


# --- reading --------------------------------------------------------------------------------------


async def lines(
    engine: AsyncEngine, since: float = 0.0, after: int = 0
) -> AsyncIterator[tuple[int, bytes]]:
    """(number, line) of the entries from `since` (epoch seconds) and behind `after`, read in pages."""
    while page := await batch(engine, after, PAGE, since):
        for each in page:
            yield each
        after = page[-1][0]


async def batch(
    engine: AsyncEngine, after: int, limit: int, since: float = 0.0
) -> list[tuple[int, bytes]]:
    """The next entries behind `after`, at most `limit`."""
    query = select(AuditEntry.seq, AuditEntry.line).where(
        col(AuditEntry.seq) > after, col(AuditEntry.at) >= since
    )
    async with AsyncSession(engine) as session:
        found = await session.exec(query.order_by(col(AuditEntry.seq)).limit(limit))
        return [(seq, line.encode()) for seq, line in found.all()]


async def of_request(session: AsyncSession, request_id: str) -> list[int]:
    """The numbers of a request's entries, by what their lines say: a column could be changed."""
    told = f'"request_id":"{request_id}"'  # as RFC 8785 writes it
    query = select(AuditEntry.seq, AuditEntry.line).where(col(AuditEntry.line).contains(told))
    found = (await session.exec(query.order_by(col(AuditEntry.seq)))).all()
    return [seq for seq, line in found if _concerns(line, request_id)]


def _concerns(line: str, request_id: str) -> bool:
    """Is a line of this request? One that cannot be read is shown, so that it is found."""
    try:
        return bool(json.loads(line)["request_id"] == request_id)
    except (ValueError, LookupError, TypeError):
        return True


async def verify(engine: AsyncEngine, seen: Checkpoint | None = None) -> Finding | None:
    """The first thing that is wrong with the trail, or None where all of it holds.

    Checked are the chain, the tree against every stored checkpoint and against `seen`, that what
    finds an entry says what its line says, and that the trail ends where the head says, without
    which the newest entries could go unnoticed.
    """
    known = [Checkpoint.parse(each.note) for each in await checkpoints(engine)]
    reading = Reading([*known, *([seen] if seen else [])])
    async for row in _rows(engine):
        missing = row.seq != reading.frontier.size + 1
        found = Finding(reading.frontier.size + 1, "it is missing") if missing else None
        found = found or reading.take(row.line.encode()) or _beside(row)
        if found:
            return found
    return reading.end() or await _end(engine, reading)


async def size(engine: AsyncEngine) -> int:
    """How many entries the trail has, as its head says."""
    async with AsyncSession(engine) as session:
        head = await session.get(AuditHead, 1)
        return head.seq if head else 0


async def _rows(engine: AsyncEngine) -> AsyncIterator[AuditEntry]:
    """Every entry with what finds it, read in pages."""
    after = 0
    while True:
        query = select(AuditEntry).where(col(AuditEntry.seq) > after)
        async with AsyncSession(engine) as session:
            page = (await session.exec(query.order_by(col(AuditEntry.seq)).limit(PAGE))).all()
        for row in page:
            yield row
        if len(page) < PAGE:
            return
        after = page[-1].seq


def _beside(row: AuditEntry) -> Finding | None:
    """A column that says something else than its line, which holds."""
    entry = json.loads(row.line)
    columns = {"request_id": row.request_id, "action": row.action, "at": _moment(row.at)}
    other = next((name for name, value in columns.items() if entry[name] != value), None)
    return Finding(row.seq, f"its column `{other}` says what its line does not") if other else None


def _moment(at: float) -> str:
    """A column's time as a line writes it; "" for one that no line could hold."""
    try:
        return iso(at)
    except (ValueError, OverflowError, TypeError):
        return ""


async def _end(engine: AsyncEngine, reading: Reading) -> Finding | None:
    async with AsyncSession(engine) as session:
        head = await session.get(AuditHead, 1) or AuditHead(id=1)
    size = reading.frontier.size
    if (head.seq, head.hash) != (size, reading.previous):
        return Finding(size + 1 if head.seq > size else size, "the trail does not end there")
    if head.frontier != bytes(reading.frontier):
        return Finding(size, "the stored tree is not that of the entries")
    return None


@dataclass(frozen=True)
class Forwarded:
    """How far a SIEM has the trail: `seq` of `end` entries; since when the next waits."""

    seq: int
    end: int
    since: float | None


async def forwarded(session: AsyncSession) -> Forwarded:
    """What the SIEM has taken, and what waits for it."""
    taken = await session.get(AuditForwarded, 1) or AuditForwarded(id=1)
    head = await session.get(AuditHead, 1) or AuditHead(id=1)
    waits = await session.get(AuditEntry, taken.seq + 1)
    return Forwarded(taken.seq, head.seq, waits.at if waits else None)


# --- checkpoints ----------------------------------------------------------------------------------


async def checkpoints(engine: AsyncEngine) -> list[AuditCheckpoint]:
    """Every stored checkpoint, the oldest first."""
    async with AsyncSession(engine) as session:
        query = select(AuditCheckpoint).order_by(col(AuditCheckpoint.size))
        return list((await session.exec(query)).all())


async def checkpoint(engine: AsyncEngine, size: int) -> AuditCheckpoint | None:
    """The stored checkpoint of so many entries."""
    async with AsyncSession(engine) as session:
        return await session.get(AuditCheckpoint, size)


async def head(session: AsyncSession, origin: str) -> Checkpoint:
    """The present head of the tree, not signed yet. Raises `BadProof` for a frontier of other bytes."""
    found = await session.get(AuditHead, 1) or AuditHead(id=1)
    return Checkpoint(origin, found.seq, Frontier.load(found.seq, found.frontier).root)


@dataclass(frozen=True)
class Witness:
    """Who signs the heads of the trail, and the channel that gets each of them; "" for none."""

    signer: Signer
    channel: str = ""

    @classmethod
    def of(cls, signer: Signer | None, channel: str) -> Witness | None:
        """The witness that settings ask for; None where nobody signs."""
        return cls(signer, channel) if signer else None


async def sign(
    session: AsyncSession, witness: Witness, at: float, every: float
) -> AuditCheckpoint | None:
    """A checkpoint of the present head, stored; None where nothing is new for `every` seconds.

    Of several replicas one signs: the others find its checkpoint, since none is in between. It is
    stored only together with its message to the witness's channel: whoever could have one made
    without it would keep the next ones, too, from being posted.
    """
    await alone(session)
    query = select(AuditCheckpoint).order_by(col(AuditCheckpoint.size).desc()).limit(1)
    newest = (await session.exec(query)).first()
    try:
        now = await head(session, witness.signer.name)
    except BadProof:
        return None  # tampered with: `audit verify` names it, and nothing of it is signed
    if now.size == 0 or (newest and (newest.size >= now.size or 0 <= at - newest.at < every)):
        return None
    made = AuditCheckpoint(size=now.size, at=at, note=now.signed(witness.signer))
    session.add(made)
    if witness.channel:
        session.add(_posting(made, witness.channel))
    await session.flush()
    return made


def _posting(made: AuditCheckpoint, channel: str) -> Delivery:
    key = f"checkpoint:{made.size}"
    return Delivery(key=key, request_id="", kind="checkpoint", channel=channel, due_at=made.at)
