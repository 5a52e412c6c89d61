"""Two bots on one SQLite file: the second ends before it has done anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.db.owner import AlreadyOwned, sole_owner

HOLDS = """
import sys, time
from bot.db.owner import sole_owner
with sole_owner(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(url: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_one_ends_with_two_and_one_line_and_has_done_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'amend.db'}"
    first = holder(url)
    settings = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "SLACK_BOT_TOKEN": "xoxb-sandbox-not-a-secret",
        "SLACK_SIGNING_SECRET": "sandbox-signing-secret",
        "SLACK_API_URL": "http://127.0.0.1:9/api/",
        "ZSTACK_URL": "http://zstack.example:8080",
        "ZSTACK_ACCOUNT": "amend",
        "ZSTACK_PASSWORD": "fake",
    }
    command = [sys.executable, "-m", "bot.cli", "run"]
    done = subprocess.run(
        command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
    )
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "in use by another `amend run`" in done.stderr
    assert str(first.pid) in done.stderr
    assert not (tmp_path / "amend.db").exists(), "it has not even made a database"


def test_a_killed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'amend.db'}"
    first = holder(url)
    with pytest.raises(AlreadyOwned), sole_owner(url):
        pass
    first.send_signal(signal.SIGKILL)
    first.communicate()
    for _ in range(100):
        try:
            with sole_owner(url):
                return
        except AlreadyOwned:
            time.sleep(0.05)
    pytest.fail("the lock outlived its process")


def test_replicas_on_postgresql_share() -> None:
    with sole_owner("postgresql://x/y"), sole_owner("postgresql://x/y"):
        pass
