"""The command line as somebody meets it in an empty folder, with nothing set."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from bot import doctor
from bot.bootstrap import connect, entries
from bot.db.engine import close_engine, open_engine
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.domain.people import Account
from deploy.sandbox.start import Sandbox
from tests.integration.conftest import Amend
from tests.laid import lay

ROOT = Path(__file__).parents[2]
SLACK = {"SLACK_BOT_TOKEN": "xoxb-not-a-secret", "SLACK_SIGNING_SECRET": "not-a-secret"}
ZSTACK = {
    "ZSTACK_URL": "http://zstack.example:8080",
    "ZSTACK_ACCOUNT": "amend",
    "ZSTACK_PASSWORD": "not-a-secret",
}


def amend(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`amend WORDS` in `folder`, with these settings and none besides."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "bot.cli", *words],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT)} | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_version(tmp_path: Path) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    done = amend(tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"amend {wanted}\n", "")


def test_a_shell_is_offered_what_may_follow(tmp_path: Path) -> None:
    asked = {"_AMEND_COMPLETE": "complete_bash", "COMP_WORDS": "amend peo", "COMP_CWORD": "1"}
    assert amend(tmp_path, **asked).stdout.split() == ["people"]
    asked |= {"COMP_WORDS": "amend audit export --format ", "COMP_CWORD": "4"}
    assert amend(tmp_path, **asked).stdout.split() == ["jsonl", "csv", "ocsf"]


def test_the_help_offers_completion_and_what_a_first_run_names(here: Amend) -> None:
    _, out, _ = here("--help")
    for word in ("--install-completion", "--show-completion", "--version", "sandbox", "doctor"):
        assert word in out


def test_a_first_run_says_in_three_lines_how_to_begin(tmp_path: Path) -> None:
    done = amend(tmp_path, "run")
    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert len(lines) == 3
    assert lines[0].startswith("amend: SLACK_BOT_TOKEN ")
    named = re.findall(r"`amend (\w+)`", done.stderr)
    assert named == ["sandbox", "manifest", "doctor"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"SLACK_SIGNING_SECRET": "not-a-secret"}, "SLACK_BOT_TOKEN"),
        ({"SLACK_BOT_TOKEN": "xoxb-not-a-secret"}, "SLACK_SIGNING_SECRET"),
        (SLACK | {"AMEND_PORT": "many"}, "AMEND_PORT"),
        (SLACK | {"AMEND_LOG_FORMAT": "xml"}, "AMEND_LOG_FORMAT"),
        (SLACK | ZSTACK | {"AMEND_POLICY": "gone.toml"}, "AMEND_POLICY"),
        (SLACK | ZSTACK | {"AMEND_POLICY": "bad.toml"}, "line 2"),
        (SLACK | ZSTACK | {"QUALYS_URL": "http://qualys.example"}, "QUALYS_URL"),
        (SLACK | ZSTACK | {"CCS_URL": "https://ccs.example"}, "CCS_USERNAME"),
    ],
)
def test_a_wrong_setting_or_policy_is_one_line(
    here: Amend, tmp_path: Path, settings: dict[str, str], named: str
) -> None:
    (tmp_path / "bad.toml").write_text("[approvals]\nexpire_after = '8h'\n")
    code, out, err = here("run", **settings)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1, err
    assert err.startswith("amend: ")
    assert named in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--versoin"], "--versoin"),
        (["rnu"], "Did you mean 'run'?"),
        (["people", "import"], "file"),
        (["audit", "export", "--format", "xml"], "--format"),
        (["run", "twice"], "twice"),
    ],
)
def test_wrong_usage_is_one_line(here: Amend, words: list[str], told: str) -> None:
    code, _, err = here(*words)
    assert code == 2
    assert len(err.splitlines()) == 1, err
    assert err.startswith("amend: ")
    assert told in err


def test_people_are_listed_whole_where_there_is_no_terminal(tmp_path: Path) -> None:
    scope = tuple(f"10.10.{each}.0/24" for each in range(30))
    person = ("U0MARA", Account("qualys", "northwind_mlindqvist [lead]", "Unit Manager", scope))

    async def fill() -> None:
        engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
        await migrate(engine)
        await Store(engine).import_people("T0SANDBOX", [person], replace=True, actor="test")
        await close_engine(engine)

    asyncio.run(fill())
    listed = amend(tmp_path, "people", "list")
    assert listed.returncode == 0, listed.stderr
    assert "…" not in listed.stdout
    row = next(line for line in listed.stdout.splitlines() if "U0MARA" in line)
    for cell in ("northwind_mlindqvist [lead]", "Unit Manager", "; ".join(scope)):
        assert cell in row
    exported = list(csv.DictReader(io.StringIO(amend(tmp_path, "people", "export").stdout)))
    assert exported[0]["scope"].split(";") == list(scope)


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://127.0.0.1:8080", False), ("http://zstack.example:8080", True)],
)
async def test_plain_http_is_warned_of_where_somebody_could_listen(
    here: Amend, monkeypatch: pytest.MonkeyPatch, url: str, warned: bool
) -> None:
    for name, value in (ZSTACK | {"ZSTACK_URL": url}).items():
        monkeypatch.setenv(name, value)
    (vendor,) = connect(entries()).vendors
    await vendor.close()
    assert any("http://" in each for each in vendor.warnings) is warned


def test_a_backup_has_a_folder_of_its_own_and_says_what_it_cannot_do(tmp_path: Path) -> None:
    asked = {"DATABASE_URL": "sqlite:///kept.db"}
    missing = amend(tmp_path, "backup", "copy", **asked)
    assert (missing.returncode, missing.stderr) == (1, "amend: there is no database at kept.db.\n")
    assert amend(tmp_path, "migrate", **asked).returncode == 0
    done = amend(tmp_path, "backup", "copy", **asked)
    assert (done.returncode, done.stdout) == (0, "copy holds kept.db.\n")
    there = {"DATABASE_URL": "sqlite:///copy/kept.db"}
    assert amend(tmp_path, "audit", "verify", **there).returncode == 0
    again = amend(tmp_path, "backup", "copy", **asked)
    assert again.returncode == 1
    assert "not empty" in again.stderr
    other = amend(tmp_path, "backup", "two", DATABASE_URL="postgresql://127.0.0.1:9/amend")
    assert (other.returncode, len(other.stderr.splitlines())) == (1, 1)


def test_the_doctor_makes_no_database_of_a_mistyped_path(here: Amend, tmp_path: Path) -> None:
    closed = SLACK | {"SLACK_API_URL": "http://127.0.0.1:9/api/"}
    siem = {"AMEND_SIEM_URL": "http://127.0.0.1:9/"}
    code, out, _ = here("doctor", DATABASE_URL="sqlite:///amned.db", **closed, **siem)
    told = dict(re.findall(r"^(?:ok  |FAIL)  ([a-z ]+): (.*)$", out, re.MULTILINE))
    assert code == 1, "Slack is away"
    assert str(tmp_path / "amned.db") in told["database"]
    assert "not there yet" in told["database"]
    assert list(tmp_path.iterdir()) == []
    for name in ("database", "watches", "siem"):
        assert f"ok    {name}:" in out, "a first look comes before the first start"


@pytest.mark.parametrize("words", [("restored",), ("show", "R2ABCDEF")])
def test_what_is_of_a_database_that_is_there_makes_none(
    here: Amend, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Of a mistyped path `restored` would say that nothing was under way."""
    code, out, err = here(*words, DATABASE_URL="sqlite:///amned.db")
    assert (code, out) == (1, "")
    assert "amned.db" in err
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_says_where_no_start_could_make_one(here: Amend) -> None:
    closed = SLACK | {"SLACK_API_URL": "http://127.0.0.1:9/api/"}
    code, _, err = here("doctor", DATABASE_URL="sqlite:///nowhere/amend.db", **closed)
    assert code == 2
    assert err.startswith("amend: DATABASE_URL: ")


def test_the_doctor_ends_with_its_last_line_also_where_a_name_is_never_resolved(
    here: Amend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread in the resolver cannot be cancelled, and nobody waits for what it finds."""
    monkeypatch.setattr(doctor, "WITHIN", 0.2)
    found = threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        found.wait(600)
        raise socket.gaierror("at last")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    began = time.monotonic()
    code, out, _ = here("doctor", SLACK_API_URL="https://slack.example/api/", **SLACK)
    took = time.monotonic() - began
    found.set()
    assert code == 1
    assert "FAIL  slack token: no answer within 0.2 seconds" in out
    assert took < 300


def test_a_migration_waits_for_its_database_and_says_where_it_did_not_come(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgresql://amend@127.0.0.1:9/amend"}
    done = amend(tmp_path, "migrate", **nowhere)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "does not answer" in done.stderr
    waited = amend(tmp_path, "migrate", "--wait", "3", **nowhere)
    assert (waited.returncode, waited.stderr) == (1, done.stderr)
    assert amend(tmp_path, "migrate", "--wait", "-1", **nowhere).returncode == 2


NOWHERE = "postgresql://me:hunter2@127.0.0.1:9/amend"


@pytest.mark.parametrize("words", [["people", "list"], ["people", "export"], ["show", "R2ABCDEF"]])
def test_a_database_that_is_away_is_named(here: Amend, words: list[str]) -> None:
    code, out, err = here(*words, DATABASE_URL=NOWHERE)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("amend: DATABASE_URL: the database does not answer")
    assert "hunter2" not in err


PERSON = "slack_user,vendor,account,role,scope\nU0MARA,qualys,northwind,Manager,\n"


def test_people_are_not_imported_where_slack_is_away(here: Amend, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(PERSON, "utf-8")
    away = SLACK | {"SLACK_API_URL": "http://127.0.0.1:9/"}
    code, out, err = here("people", "import", "people.csv", **away)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("amend: SLACK_API_URL: http://127.0.0.1:9/ cannot be reached")


async def test_people_are_not_imported_where_slack_refuses_the_token(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(PERSON, "utf-8")
    sandbox = Sandbox()
    await sandbox.start()
    refused = SLACK | {
        "SLACK_API_URL": sandbox.environment(tmp_path / "a", port=0)["SLACK_API_URL"]
    }
    try:
        asked = ("people", "import", "people.csv")
        done = await asyncio.to_thread(amend, tmp_path, *asked, **refused)
    finally:
        await sandbox.stop()
    told = "amend: SLACK_BOT_TOKEN: Slack answered invalid_auth.\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_database_whose_schema_is_not_known_is_told_as_that(here: Amend, tmp_path: Path) -> None:
    assert amend(tmp_path, "migrate").returncode == 0
    with closing(sqlite3.connect(tmp_path / "amend.db")) as made:
        made.execute("UPDATE alembic_version SET version_num = 'elsewhere'")
        made.commit()
    for words in (["migrate"], ["people", "list"], ["show", "R2ABCDEF"]):
        code, out, err = here(*words)
        assert (code, out, len(err.splitlines())) == (1, "", 1)
        assert "does not know" in err
        assert "DATABASE_URL" in err


def test_evidence_goes_into_no_file_as_into_a_folder(here: Amend, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    lay(tmp_path / "amend.db")
    code, _, err = here("evidence", "R2ABCDEF", "--out", "file/r.zip")
    assert (code, err) == (1, "amend: file/r.zip cannot be written: Not a directory.\n")


@pytest.mark.parametrize("port", ["-1", "65536", "many"])
def test_the_sandboxs_port_is_a_port(here: Amend, port: str) -> None:
    code, _, err = here("sandbox", "--no-browser", "--port", port)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--port" in err


def test_the_sandboxs_port_is_named_where_it_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = amend(tmp_path, "sandbox", "--no-browser", "--port", port)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert done.stderr.startswith(f"amend: --port: {port} cannot be listened on (")
