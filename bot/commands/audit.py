"""`amend audit`: the trail exported, checked, and its signed heads."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bot.commands.common import FAILED, WRONG, plain_out, reading, run, settings
from bot.db import audit as trail
from bot.domain.errors import AmendError
from bot.proof.checkpoints import Checkpoint
from bot.proof.notes import BadKey, BadNote, Signer, Verifier
from bot.proof.ocsf import api_activity
from bot.proof.trail import Finding, verify
from bot.settings import BadSettings, Settings

app = typer.Typer(help="The audit trail.", no_args_is_help=True)

COLUMNS = ("seq", "at", "actor", "via", "action", "request_id", "facts", "previous", "hash")


class Style(StrEnum):
    """The forms of an export."""

    JSONL = "jsonl"
    CSV = "csv"
    OCSF = "ocsf"


@app.command("export")
def export(
    since: Annotated[str | None, typer.Option(help="ISO date or time, UTC.")] = None,
    style: Annotated[Style, typer.Option("--format", help="The form.")] = Style.JSONL,
) -> None:
    """Print the trail: lines as they were sealed, CSV, or OCSF API Activity."""
    start = _since(since)

    async def go() -> None:
        async with reading(settings()) as engine:
            await _print(trail.lines(engine, start), style)

    run(go())


async def _print(lines: AsyncIterator[tuple[int, bytes]], style: Style) -> None:
    out = plain_out()
    writer = csv.writer(out)
    if style is Style.CSV:
        writer.writerow(COLUMNS)
    async for _, line in lines:
        if style is Style.JSONL:
            out.write(f"{line.decode()}\n")
            continue
        entry = json.loads(line)
        if style is Style.OCSF:
            out.write(f"{json.dumps(api_activity(entry), ensure_ascii=False)}\n")
        else:
            entry["facts"] = json.dumps(entry["facts"], sort_keys=True, ensure_ascii=False)
            writer.writerow(entry[name] for name in COLUMNS)


def _since(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadSettings("--since takes an ISO date or time, such as 2026-11-24.") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


@app.command("verify")
def verify_trail(
    file: Annotated[
        Path | None, typer.Argument(help="An export (jsonl); none: the database.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that was seen then.")
    ] = None,
    key: Annotated[str, typer.Option(help="The verifier key that it must be signed with.")] = "",
) -> None:
    """Check chain, tree and checkpoints; exit 1 and name the first broken entry."""
    found = None if file else settings()
    verifier = _verifier(key, found)
    seen = _seen(checkpoint, verifier) if checkpoint else None
    if file:
        finding = verify(_lines(file), [seen] if seen else [])
        many = sum(1 for _ in _lines(file))
    else:
        assert found is not None  # noqa: S101 - one of the two, by the line above
        finding, many = run(_verify_database(found, seen, verifier))
    if finding:
        raise typer.Exit(_tell(finding))
    print(f"Every audit entry holds: {many:,}." if many else "There is no audit entry.")
    if seen and verifier is None:
        print("The checkpoint's signature was not checked: --key names no verifier key.")


async def _verify_database(
    found: Settings, seen: Checkpoint | None, verifier: Verifier | None
) -> tuple[Finding | None, int]:
    """What is wrong, and how many entries there are."""
    async with reading(found) as engine:
        many = await trail.size(engine)
        if verifier:
            for each in await trail.checkpoints(engine):
                wrong = _unsigned(each.note, each.size, verifier)
                if wrong:
                    return wrong, many
        return await trail.verify(engine, seen), many


def _unsigned(note: str, size: int, verifier: Verifier) -> Finding | None:
    """A stored checkpoint of this key's name that this key did not sign; others are older keys'."""
    ours = f"— {verifier.name} " in note
    try:
        if ours and Checkpoint.open(note, verifier).size != size:
            return Finding(size, "its checkpoint is of another size")
    except BadNote as error:
        return Finding(size, f"its checkpoint does not hold: {error}")
    return None


def _tell(finding: Finding) -> int:
    where = f"audit entry {finding.line} is broken" if finding.line else "the trail is broken"
    print(f"amend: {where}: {finding.why}.", file=sys.stderr)
    return FAILED


def _verifier(key: str, found: Settings | None) -> Verifier | None:
    """The key that `--key` names, else that of AMEND_AUDIT_KEY where settings are read."""
    if not key:
        return found.audit_signer.verifier if found and found.audit_signer else None
    try:
        return Verifier.parse(key)
    except BadKey as error:
        message = f"--key: {error}."
        raise BadSettings(message) from None


def _seen(file: Path, verifier: Verifier | None) -> Checkpoint:
    note = _text(file).replace("\r\n", "\n")
    try:
        return Checkpoint.open(note, verifier) if verifier else Checkpoint.parse(note)
    except BadNote as error:
        message = f"{file}: {error}."
        raise AmendError(message) from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}"
        raise BadSettings(message) from None


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            for line in stream:
                yield line.removesuffix(b"\n")
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise BadSettings(message) from None


@app.command("checkpoint")
def checkpoint() -> None:
    """Print the newest signed checkpoint."""

    async def go() -> str:
        async with reading(settings()) as engine:
            known = await trail.checkpoints(engine)
        return known[-1].note if known else ""

    note = run(go())
    if not note:
        raise AmendError("there is no checkpoint yet; AMEND_AUDIT_KEY and `amend run` make them.")
    plain_out().write(note)


@app.command("key")
def key(
    name: Annotated[
        str, typer.Option(help="The key's name: the origin of its checkpoints.")
    ] = "amend",
) -> None:
    """Print a fresh signing key for AMEND_AUDIT_KEY, and its verifier key on stderr."""
    try:
        made = Signer.fresh(name)
    except BadKey as error:
        print(f"amend: --name: {error}.", file=sys.stderr)
        raise typer.Exit(WRONG) from None
    print(made)
    print(made.verifier, file=sys.stderr)
