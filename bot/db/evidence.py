"""Evidence bundles: everything about one request, from one consistent state, into a ZIP."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db import audit
from bot.db.audit import Witness
from bot.db.store import Store
from bot.db.tables import PlannedRecord, Request, Vote
from bot.domain.errors import AmendError
from bot.domain.operations import Record
from bot.domain.plans import OVER, Counts, Intent, notes_line, record_line
from bot.domain.receipts import receipt_head, receipt_row
from bot.proof.canonical import canonical
from bot.proof.checkpoints import Checkpoint
from bot.proof.evidence import HOW, MADE, proofs
from bot.proof.tree import inclusion_paths, leaf_hash

PAGE = 1000


@dataclass
class Bundle:
    """A bundle while it is made: what was written, with its SHA-256."""

    archive: zipfile.ZipFile
    sha256: dict[str, str] = field(default_factory=dict)

    async def stream(self, name: str, parts: AsyncIterator[bytes]) -> None:
        seal = hashlib.sha256()
        with self.archive.open(name, "w", force_zip64=True) as file:
            async for part in parts:
                seal.update(part)
                file.write(part)
        self.sha256[name] = seal.hexdigest()

    def write(self, name: str, raw: bytes) -> None:
        self.archive.writestr(name, raw)
        self.sha256[name] = hashlib.sha256(raw).hexdigest()


async def make(
    store: Store,
    reader: AsyncEngine,
    request_id: str,
    out: Path,
    *,
    actor: str,
    witness: Witness | None,
) -> None:
    """Write the bundle of a request to `out`.

    All of it is one state of the database, read by `reader`, whose transactions are consistent; what
    ends meanwhile is not in it. The trail gets an entry that names each file's SHA-256, and a signed
    head above that entry where there is a `witness`. Raises `AmendError` for a request that is not
    known.
    """
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        bundle = Bundle(archive)
        async with AsyncSession(reader) as session:
            seqs = await _state(session, request_id, bundle)
        bundle.write("VERIFY.md", HOW.encode())
        facts = {"sha256": bundle.sha256, "entries": len(seqs)}
        async with store.transaction() as session:
            made = await audit.append(session, store.clock(), actor, MADE, request_id, facts)
        checkpoint = await _checkpoint(store, witness)
        lines, leaves = await _trail(reader, [*seqs, made], Checkpoint.parse(checkpoint).size)
        paths = inclusion_paths(leaves, [seq - 1 for seq in lines])
        archive.writestr("audit.jsonl", b"".join(line + b"\n" for line in lines.values()))
        told = proofs(checkpoint, {seq: paths[seq - 1] for seq in lines})
        archive.writestr("proofs.json", canonical(told))


async def _state(session: AsyncSession, request_id: str, bundle: Bundle) -> list[int]:
    """Write what the database holds of the request now; the numbers of its entries."""
    request = await session.get(Request, request_id)
    if request is None:
        message = f"there is no request {request_id} here."
        raise AmendError(message)
    votes = (
        await session.exec(select(Vote).where(Vote.request_id == request_id).order_by(col(Vote.at)))
    ).all()
    bundle.write("request.json", canonical(await _request(session, request)))
    await bundle.stream("plan.jsonl", _plan(session, request))
    bundle.write("votes.json", canonical([_vote(each) for each in votes]))
    await bundle.stream("calls.jsonl", _calls(session, request_id))
    await bundle.stream("receipt.csv", _receipt(session, request_id))
    return await audit.of_request(session, request_id)


async def _request(session: AsyncSession, request: Request) -> dict[str, Any]:
    results: dict[str, int] = {}
    for name in await session.exec(
        select(PlannedRecord.result).where(PlannedRecord.request_id == request.id)
    ):
        results[name] = results.get(name, 0) + 1
    times = {
        "accepted": request.created_at,
        "planned": request.planned_at,
        "started": request.started_at,
        "ended": request.ended_at,
    }
    return {
        "id": request.id,
        "operation": request.operation,
        "parameters": request.parameters,
        "requester": request.requester,
        "channel": request.channel,
        "state": request.state,
        "digest": request.digest,
        "account": request.account,
        "own_account": request.own_account,
        "reason": request.reason,
        "relation": request.relation,
        "source": request.source,
        "decided_by": request.decided_by,
        "decided_why": request.decided_why,
        "words": request.words,
        "reply": request.reply,
        "counts": Counts.of(results).public(),
        **{name: audit.iso(at) if at else "" for name, at in times.items()},
        "ended": audit.iso(request.ended_at or 0.0) if request.state in OVER else "",
    }


def _vote(vote: Vote) -> dict[str, str]:
    return {
        "who": vote.approver,
        "at": audit.iso(vote.at),
        "digest": vote.digest,
        "role": vote.role,
        "account": vote.account,
    }


async def _plan(session: AsyncSession, request: Request) -> AsyncIterator[bytes]:
    """The lines that the digest was made of; nothing where no plan was made, or none was kept."""
    kept = select(PlannedRecord.seq).where(PlannedRecord.request_id == request.id).limit(1)
    if not request.digest or (await session.exec(kept)).first() is None:
        return
    yield Intent(
        request.operation,
        request.parameters,
        request.comment,
        request.account,
        request.own_account,
    ).line()
    async for row in _records(session, request.id):
        record = Record(row.record_id, row.label, row.state, row.after, row.left_out)
        yield record_line(record, row.changes)
    yield notes_line(request.notes)


async def _receipt(session: AsyncSession, request_id: str) -> AsyncIterator[bytes]:
    yield receipt_head()
    async for row in _records(session, request_id):
        yield receipt_row(row.record_id, row.result, row.words, row.label)


async def _calls(session: AsyncSession, request_id: str) -> AsyncIterator[bytes]:
    """One line a call: when it went out, of how many records, and what the vendor said of them."""
    query = (
        select(PlannedRecord.sent_at, PlannedRecord.words)
        .where(PlannedRecord.request_id == request_id, col(PlannedRecord.sent_at).is_not(None))
        .order_by(col(PlannedRecord.sent_at), col(PlannedRecord.seq))
    )
    sent = (await session.exec(query)).all()
    for at, rows in groupby(sent, key=lambda row: row[0] or 0.0):
        words = [said for _, said in rows]
        told = {"at": audit.iso(at), "records": len(words), "said": list(dict.fromkeys(words))}
        yield canonical(told) + b"\n"


async def _records(session: AsyncSession, request_id: str) -> AsyncIterator[PlannedRecord]:
    after = -1
    while True:
        query = (
            select(PlannedRecord)
            .where(PlannedRecord.request_id == request_id, col(PlannedRecord.seq) > after)
            .order_by(col(PlannedRecord.seq))
            .limit(PAGE)
        )
        rows: Sequence[PlannedRecord] = (await session.exec(query)).all()
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        after = rows[-1].seq
        session.expunge_all()  # a bundle of any size takes the memory of one page


async def _checkpoint(store: Store, witness: Witness | None) -> str:
    """The head of the trail: signed and kept, or only told where there is no key."""
    async with store.transaction() as session:
        if witness is None:
            return (await audit.head(session, "amend")).text
        made = await audit.sign(session, witness, store.clock(), every=0.0)
        if made is not None:
            return made.note
        return (await audit.head(session, witness.signer.name)).signed(witness.signer)


async def _trail(
    reader: AsyncEngine, seqs: Sequence[int], size: int
) -> tuple[Mapping[int, bytes], list[bytes]]:
    """The lines of these entries, and the hash of every leaf of a tree of `size`."""
    wanted, lines, leaves = set(seqs), dict[int, bytes](), list[bytes]()
    async for seq, line in audit.lines(reader):
        if seq > size:
            break
        leaves.append(leaf_hash(line))
        if seq in wanted:
            lines[seq] = line
    return lines, leaves
