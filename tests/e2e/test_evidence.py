"""Evidence bundles: made from Slack and from the command line, and checked with nothing of ours.

`by_hand` follows `VERIFY.md` with public formats only, and imports nothing of Amend.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bot.proof.evidence import NoBundle, verify
from bot.proof.notes import Signer
from tests.documents import fences
from tests.e2e.conftest import APPROVALS, MARA, ONCA, SAMI, Make, World, until
from tests.e2e.test_exceptions import press
from tests.e2e.test_requests import confirmed

SIGNER = Signer.fresh("northwind.example/amend")
Files = dict[str, bytes]


# --- the checks by hand -----------------------------------------------------------------------------


def sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def wrong(files: Files, key: str) -> str:
    """What a stranger finds with `VERIFY.md` in one hand; "" where all of it holds."""
    try:
        return next(by_hand(files, key), "")
    except (KeyError, ValueError, TypeError, IndexError, StopIteration, InvalidSignature) as error:
        return f"not in that form: {error!r}"


def by_hand(files: Files, key: str) -> Iterator[str]:
    request = json.loads(files["request.json"])
    entries = [json.loads(line) for line in files["audit.jsonl"].split(b"\n")[:-1]]
    by_action = {each["action"]: each for each in entries}
    votes = json.loads(files["votes.json"])
    digest = sha(files["plan.jsonl"])
    named = {request["digest"], by_action["request:planned"]["facts"]["digest"]}
    if {digest} != named | {each["digest"] for each in votes}:
        yield "the plan"
    ended = next(each for each in entries if "receipt" in each["facts"])
    if sha(files["receipt.csv"]) != ended["facts"]["receipt"]:
        yield "the receipt"
    plan = [json.loads(line) for line in files["plan.jsonl"].splitlines()]
    rows = list(csv.reader(io.StringIO(files["receipt.csv"].decode())))
    if [each["id"] for each in plan if "id" in each] != [row[0] for row in rows[1:]]:
        yield "the receipt's records"
    for line, entry in zip(files["audit.jsonl"].split(b"\n"), entries, strict=False):
        bare = {name: value for name, value in entry.items() if name != "hash"}
        if rfc8785.dumps(entry) != line or sha(rfc8785.dumps(bare)) != entry["hash"]:
            yield f"entry {entry['seq']}"
    made = entries[-1]
    if made["action"] != "evidence:made" or made["facts"]["entries"] != len(entries) - 1:
        yield "the number of entries"
    if set(made["facts"]["sha256"]) != set(files) - {"audit.jsonl", "proofs.json"}:
        yield "which files there are"
    for name, told in made["facts"]["sha256"].items():
        if sha(files[name]) != told:
            yield name
    yield from in_tree(json.loads(files["proofs.json"]), files["audit.jsonl"], key)


def in_tree(proofs: dict[str, Any], audit: bytes, key: str) -> Iterator[str]:
    text, _, signatures = proofs["checkpoint"].partition("\n\n")
    origin, size, root = text.split("\n")
    name, told, packed = key.split("+", 2)  # base64 has plus signs, too
    raw = exactly(signatures.removeprefix(f"— {name} ").strip())
    if origin != name or raw[:4].hex() != told:
        yield "the checkpoint's name"
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(packed)[1:])
    public.verify(raw[4:], f"{text}\n".encode())
    lines = audit.split(b"\n")[:-1]
    if [json.loads(line)["seq"] for line in lines] != [each["seq"] for each in proofs["proofs"]]:
        yield "which entries are proved"
    for line, proof in zip(lines, proofs["proofs"], strict=True):
        path = [exactly(each) for each in proof["path"]]
        found = climbed(hashlib.sha256(b"\0" + line).digest(), proof["seq"] - 1, int(size), path)
        if base64.b64encode(found).decode() != root:
            yield f"the path of entry {proof['seq']}"


def exactly(text: str) -> bytes:
    """Base64 of which there is one spelling: the last letter may hide bits that nothing reads."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 with bits that mean nothing")
    return raw


def climbed(found: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 6962, 2.1.1, read from the top: which half the leaf is in tells the sibling's side."""
    if size == 1:
        if path:
            raise ValueError("a path that is too long")
        return found
    half = 1 << ((size - 1).bit_length() - 1)
    *below, sibling = path
    if index < half:
        return hashlib.sha256(b"\1" + climbed(found, index, half, below) + sibling).digest()
    inner = climbed(found, index - half, size - half, below)
    return hashlib.sha256(b"\1" + sibling + inner).digest()


# --- bundles ----------------------------------------------------------------------------------------


def unpacked(path: Path) -> Files:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Files, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return path


async def amend(cwd: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    known = {name: os.environ[name] for name in ("PATH", "DATABASE_URL") if name in os.environ}
    command = [sys.executable, "-m", "bot.cli", *words]
    where = {"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(cwd)}
    return await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=cwd,
        env={**known, **where, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


async def approved(world: World) -> str:
    """A request with an approval, run to its end; its id."""
    await confirmed(world, MARA, "/qualys 23456,23457 change_state=IGNORED add_comment=accepted")
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    await press(world, ONCA, "approve")
    return str((await world.settled())["request_id"])


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AMEND_AUDIT_KEY", str(SIGNER))
    return str(SIGNER.verifier)


async def test_a_bundle_from_the_command_line_holds_for_a_stranger(
    make: Make, tmp_path: Path, key: str
) -> None:
    world = await make(AMEND_AUDIT_KEY=str(SIGNER))
    request_id = await approved(world)
    out = tmp_path / "evidence.zip"
    made = await amend(
        tmp_path, "evidence", request_id, "--out", str(out), AMEND_AUDIT_KEY=str(SIGNER)
    )
    assert (made.returncode, made.stderr) == (0, "")
    files = unpacked(out)
    assert wrong(files, key) == ""
    (vote,) = json.loads(files["votes.json"])
    assert (vote["who"], vote["role"], vote["account"]) == (ONCA, "Manager", "oreyes")
    assert b"password" not in b"".join(files.values()).lower()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    checked = await amend(elsewhere, "evidence", "verify", str(out), "--key", key, DATABASE_URL="")
    assert checked.returncode == 0, checked.stdout
    assert [line.partition(": ")[2] for line in checked.stdout.splitlines()] == ["ok"] * 10
    other = await amend(
        elsewhere, "evidence", "verify", str(out), "--key", str(Signer.fresh("x").verifier)
    )
    assert other.returncode == 1
    unsigned = await amend(elsewhere, "evidence", "verify", str(out))
    assert "signature not checked" in unsigned.stdout


async def test_any_change_that_means_something_is_found_by_both(
    make: Make, tmp_path: Path, key: str
) -> None:
    world = await make(AMEND_AUDIT_KEY=str(SIGNER))
    bundle = await world.bot._bundle(await approved(world), MARA)
    (tmp_path / "true.zip").write_bytes(bundle)
    files = unpacked(tmp_path / "true.zip")
    assert not any(each.why for each in verify(tmp_path / "true.zip", SIGNER.verifier))
    for name, raw in files.items():
        for at in range(0, len(raw), max(1, len(raw) // 40)):
            changed = {**files, name: raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]}
            told = verify(packed(changed, tmp_path / "false.zip"), SIGNER.verifier)
            assert any(each.why for each in told), (name, at)
            assert wrong(changed, key), (name, at)
        # Every byte of the smallest, so that chance decides nothing: base64 has bits that mean nothing.
        for at in range(len(raw) if name == "proofs.json" else 0):
            assert wrong({**files, name: raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]}, key), at
        lines = raw.splitlines(keepends=True)
        for missing in range(len(lines)):
            changed = {**files, name: b"".join(lines[:missing] + lines[missing + 1 :])}
            told = verify(packed(changed, tmp_path / "false.zip"), SIGNER.verifier)
            assert any(each.why for each in told), (name, missing)
        rest = {each: files[each] for each in files if each != name}
        assert any(each.why for each in verify(packed(rest, tmp_path / "less.zip")))
    more = packed({**files, "more.txt": b""}, tmp_path / "more.zip")
    assert any(each.why for each in verify(more, SIGNER.verifier))
    (tmp_path / "none.zip").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(NoBundle):
        verify(tmp_path / "none.zip")


async def test_a_proof_is_of_one_entry_and_holds_nothing_else(world: World, tmp_path: Path) -> None:
    (tmp_path / "true.zip").write_bytes(await world.bot._bundle(await approved(world), MARA))
    files = unpacked(tmp_path / "true.zip")
    true = json.loads(files["proofs.json"])
    first, *rest = true["proofs"]
    more = {**first, "approved_by": "the board"}
    twice = {"seq": first["seq"], "path": ["AAAA"]}
    for proofs in ([more, *rest], [twice, first, *rest], [first, *rest, first], [first, *rest, {}]):
        false = {**files, "proofs.json": rfc8785.dumps({**true, "proofs": proofs})}
        found = {each.name: each.why for each in verify(packed(false, tmp_path / "false.zip"))}
        assert found["proofs.json"], proofs


async def test_from_slack_it_goes_to_who_may_see_the_request(world: World) -> None:
    request_id = await approved(world)
    await world.type(MARA, f"/amend evidence {request_id}")
    await world.told(MARA, "in your direct messages")
    (held,) = [each for each in world.slack.core.files.values() if each.name.endswith(".zip")]
    with zipfile.ZipFile(io.BytesIO(held.content)) as archive:
        assert json.loads(archive.read("request.json"))["id"] == request_id
        assert json.loads(archive.read("proofs.json"))["checkpoint"].startswith("amend\n")
    await world.type(SAMI, f"/amend evidence {request_id}")
    await world.told(SAMI, "Not allowed")
    await world.type(MARA, "/amend evidence R2222222")
    await world.told(MARA, "R2222222")
    assert len([e for e in world.slack.core.files.values() if e.name.endswith(".zip")]) == 1


async def test_what_ended_is_sealed_as_it_was(world: World, tmp_path: Path) -> None:
    """A receipt that somebody changed in the database is not the one that ended the request."""
    request_id = await approved(world)
    async with world.bot.store.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE record SET words = 'something else'")
    (tmp_path / "it.zip").write_bytes(await world.bot._bundle(request_id, MARA))
    told = {each.name: each.why for each in verify(tmp_path / "it.zip")}
    assert "ended the request" in told["receipt.csv"]


async def test_a_plan_that_was_changed_in_the_database_is_not_what_was_approved(
    world: World, tmp_path: Path
) -> None:
    request_id = await approved(world)
    async with world.bot.store.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE record SET record_id = '23499' WHERE seq = 1")
    (tmp_path / "it.zip").write_bytes(await world.bot._bundle(request_id, MARA))
    told = {each.name: each.why for each in verify(tmp_path / "it.zip")}
    assert "digest" in told["plan.jsonl"]


PAGE = Path(__file__).parents[2] / "docs/do/for-auditors.md"


async def shell(folder: Path, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    where = {"PATH": path, "PYTHONPATH": str(PAGE.parents[2]), "HOME": str(folder)}
    return await asyncio.to_thread(
        subprocess.run,
        ["sh", "-euc", command],
        cwd=folder,
        env={**where, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_page_for_auditors_is_followed_and_finds_what_was_changed(
    make: Make, tmp_path: Path, key: str
) -> None:
    world = await make(AMEND_AUDIT_KEY=str(SIGNER))
    request_id = await approved(world)
    (tmp_path / "evidence.zip").write_bytes(await world.bot._bundle(request_id, MARA))
    settings = {"AMEND_AUDIT_KEY": str(SIGNER), "DATABASE_URL": os.environ["DATABASE_URL"]}
    kept = await shell(tmp_path, "amend audit checkpoint > checkpoint.txt", **settings)
    assert kept.returncode == 0, kept.stderr
    programs = [each.text for each in fences(PAGE) if each.kind == "python audit"]
    for name, text in zip(("check.py", "chain.py"), programs, strict=True):
        (tmp_path / name).write_text(text)
        assert "import bot" not in text
    said = ""
    for each in fences(PAGE):
        if each.kind == "sh audit":
            done = await shell(tmp_path, each.text, VERIFIER_KEY=key, **settings)
            assert done.returncode == 0, (each.where, done.stdout, done.stderr)
            said += done.stdout
    digest, receipt = (sha((tmp_path / "evidence" / name).read_bytes()) for name in SEALED_FILES)
    assert said.count(digest) == 3, "the file, the request and the one vote"
    assert said.count(receipt) == 2, "the file and the entry that ended the request"
    assert "entries were in the trail" in said
    assert "entries hold" in said

    trail, audit = tmp_path / "trail.jsonl", tmp_path / "evidence/audit.jsonl"
    trail.write_bytes(trail.read_bytes().replace(ONCA.encode(), MARA.encode(), 1))
    assert (await shell(tmp_path, "python3 chain.py trail.jsonl")).returncode == 1
    audit.write_bytes(audit.read_bytes().replace(ONCA.encode(), MARA.encode(), 1))
    changed = await shell(tmp_path, f'python3 check.py evidence "{key}"')
    assert "is not in the tree" in changed.stderr
    stranger = str(Signer.fresh("northwind.example/amend").verifier)
    forged = await shell(tmp_path, f'python3 check.py evidence "{stranger}"')
    assert "InvalidSignature" in forged.stderr


SEALED_FILES = ("plan.jsonl", "receipt.csv")
