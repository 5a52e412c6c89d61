"""`amend audit` as an auditor meets it: a fresh process, with settings or with none at all."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.db import audit
from bot.db.audit import Witness
from bot.db.engine import open_engine
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.domain.people import Account
from bot.proof.notes import Signer
from tests.unit.test_ocsf import SAYS

SIGNER = Signer.fresh("amend-test")
OTHER = Signer.fresh("amend-test")


def amend(cwd: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    bare = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    command = [sys.executable, "-m", "bot.cli", *words]
    return subprocess.run(
        command, cwd=cwd, env={**bare, **settings}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """A folder with a database: five entries, a checkpoint over them, and one entry more."""

    async def made() -> None:
        store = Store(open_engine(f"sqlite:///{tmp_path / 'amend.db'}"))
        await migrate(store.engine)
        for number in range(6):
            async with store.transaction() as session:
                facts = {"words": "Grüße, “patched”\u2028", "number": number}
                await audit.append(session, 1000.0 + number, "U0MARA", "request:vote", "R1", facts)
                if number == 4:
                    await audit.sign(session, Witness(SIGNER), 1005.0, 0.0)
        await store.close()

    asyncio.run(made())
    return tmp_path


def database(folder: Path) -> dict[str, str]:
    return {"DATABASE_URL": f"sqlite:///{folder / 'amend.db'}"}


def exported(folder: Path) -> Path:
    done = amend(folder, "audit", "export", **database(folder))
    assert done.returncode == 0, done.stderr
    file = folder / "trail.jsonl"
    file.write_text(done.stdout, encoding="utf-8", newline="")
    return file


def test_an_export_is_checked_with_no_setting_and_no_database(trail: Path) -> None:
    file = exported(trail)
    (trail / "amend.db").unlink()
    done = amend(trail, "audit", "verify", str(file))
    assert (done.returncode, done.stdout) == (0, "Every audit entry holds: 6.\n")
    assert not (trail / "amend.db").exists(), "and none is made"
    assert [json.loads(each)["seq"] for each in file.read_text().split("\n")[:-1]] == list(
        range(1, 7)
    )


def test_of_nothing_nothing_is_said_to_hold(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    done = amend(tmp_path, "audit", "verify", str(empty))
    assert (done.returncode, done.stdout) == (0, "There is no audit entry.\n")


@pytest.mark.parametrize(
    "words",
    [
        ("people", "list"),
        ("people", "export"),
        ("evidence", "R2ABCDEF", "--out", "r.zip"),
        ("show", "R2ABCDEF"),
        ("audit", "verify"),
    ],
)
def test_what_only_reads_makes_no_database(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = amend(tmp_path, *words, **database(tmp_path))
    assert done.returncode == 1
    assert "there is no database at" in done.stderr
    assert list(tmp_path.glob("amend.db*")) == []


@pytest.mark.parametrize("line", range(6))
def test_a_changed_line_of_an_export_is_named(trail: Path, line: int) -> None:
    file = exported(trail)
    lines = file.read_text(encoding="utf-8").split("\n")
    lines[line] = lines[line].replace('"number":', '"number":1')
    file.write_text("\n".join(lines), encoding="utf-8")
    done = amend(trail, "audit", "verify", str(file))
    assert done.returncode == 1
    assert f"audit entry {line + 1} is broken" in done.stderr


def test_a_checkpoint_is_printed_and_later_trails_continue_it(trail: Path) -> None:
    done = amend(trail, "audit", "checkpoint", **database(trail))
    assert done.stdout.split("\n")[:2] == ["amend-test", "5"]
    note = trail / "seen.txt"
    note.write_text(done.stdout)
    key = str(SIGNER.verifier)
    for where in ([], [str(exported(trail))]):
        words = ("audit", "verify", *where, "--checkpoint", str(note), "--key", key)
        done = amend(trail, *words, **database(trail))
        assert (done.returncode, done.stdout) == (0, "Every audit entry holds: 6.\n")
    short = trail / "short.jsonl"
    short.write_text("\n".join(exported(trail).read_text().split("\n")[:3]) + "\n")
    done = amend(trail, "audit", "verify", str(short), "--checkpoint", str(note), "--key", key)
    assert done.returncode == 1
    assert "5 entries" in done.stderr


def test_a_checkpoint_that_another_key_signed_is_refused(trail: Path) -> None:
    note = trail / "seen.txt"
    note.write_text(amend(trail, "audit", "checkpoint", **database(trail)).stdout)
    words = ("audit", "verify", "--checkpoint", str(note), "--key", str(OTHER.verifier))
    done = amend(trail, *words, **database(trail))
    assert done.returncode == 1
    assert "signature" in done.stderr


def test_a_mistyped_path_is_an_error_and_makes_no_database(trail: Path) -> None:
    done = amend(trail, "audit", "verify", DATABASE_URL=f"sqlite:///{trail / 'amnd.db'}")
    assert done.returncode == 1
    assert "there is no database" in done.stderr
    assert not (trail / "amnd.db").exists()


def test_the_database_is_verified_beside_somebody_who_writes(trail: Path) -> None:
    import sqlite3

    writer = sqlite3.connect(trail / "amend.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    done = amend(trail, "audit", "verify", **database(trail))
    assert (done.returncode, done.stderr) == (0, "")
    writer.close()


@pytest.mark.parametrize(
    "words",
    [
        ("audit", "export"),
        ("audit", "export", "--format", "csv"),
        ("audit", "export", "--format", "ocsf"),
        ("audit", "checkpoint"),
        ("people", "export"),
    ],
)
def test_what_programs_read_is_utf_8_whatever_the_terminal_takes(
    trail: Path, words: tuple[str, ...]
) -> None:
    def printed(**settings: str) -> bytes:
        command = [sys.executable, "-m", "bot.cli", *words]
        env = {"PATH": os.environ["PATH"], "HOME": str(trail), **settings, **database(trail)}
        done = subprocess.run(command, cwd=trail, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    account = Account("qualys", "größe", "Manager")

    async def mapped() -> None:
        store = Store(open_engine(database(trail)["DATABASE_URL"]))
        await store.import_people("T", [("U0MARA", account)], replace=True, actor="test")
        await store.close()

    asyncio.run(mapped())
    usual = printed(PYTHONIOENCODING="utf-8")
    assert any(each in usual.decode() for each in ("ü", "—", "ö"))
    assert printed(PYTHONIOENCODING="latin-1") == usual


def test_the_other_forms_say_the_same(trail: Path) -> None:
    done = amend(trail, "audit", "export", "--format", "csv", **database(trail))
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["seq"] for row in rows] == list("123456")
    assert json.loads(rows[3]["facts"]) == {"words": "Grüße, “patched”\u2028", "number": 3}
    done = amend(trail, "audit", "export", "--format", "ocsf", **database(trail))
    events = [json.loads(each) for each in done.stdout.split("\n")[:-1]]
    assert [each["metadata"]["uid"] for each in events] == list("123456")
    for each in events:
        SAYS.validate(each)
    since = amend(trail, "audit", "export", "--since", "1970-01-01T00:16:44", **database(trail))
    assert [json.loads(each)["seq"] for each in since.stdout.split("\n")[:-1]] == [5, 6]


def test_a_key_is_printed_with_its_verifier_key_beside_it(tmp_path: Path) -> None:
    done = amend(tmp_path, "audit", "key")
    assert done.returncode == 0
    assert str(Signer.parse(done.stdout).verifier) == done.stderr.strip()
    assert amend(tmp_path, "audit", "key", "--name", "two words").returncode == 2


def test_a_malformed_key_stops_whatever_reads_it_with_one_line(trail: Path) -> None:
    done = amend(trail, "audit", "export", **database(trail), AMEND_AUDIT_KEY="PRIVATE+KEY+x")
    assert done.returncode == 2
    assert done.stderr.startswith("amend: AMEND_AUDIT_KEY:")
    assert len(done.stderr.splitlines()) == 1
