"""Storms whose bot lives in an environment of its own, and keeps a log."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from deploy.sandbox.start import Sandbox
from tests.chaos.test_chaos import BUDGETS, Storm
from tests.e2e.conftest import OPS
from tests.e2e.test_crash import Process

LOG = "log"


def storm_in(sandbox: Sandbox, folder: Path, url: str, chance: random.Random, **more: str) -> Storm:
    """A storm as usual, with more settings for its bot; its log is kept in `folder`, made here."""
    folder.mkdir(exist_ok=True)
    storm = Storm(sandbox, folder, url, chance)
    settings = sandbox.environment(folder / "unused.db", port=storm.port, socket_mode=False)
    usual = {"DATABASE_URL": url, "AMEND_ATTRIBUTION": "off", "AMEND_LOST_ANSWER_SECONDS": "3"}
    storm.process = Process(settings | usual | BUDGETS | more, folder, folder / LOG)
    return storm


def lives(storm: Storm) -> bool:
    """Does its bot still run, the process that was started last?"""
    process = storm.process.process
    return process is not None and process.returncode is None


def log_of(storm: Storm) -> str:
    """What its bot wrote so far."""
    found = storm.folder / LOG
    return found.read_text(encoding="utf-8", errors="replace") if found.exists() else ""


async def end(storm: Storm) -> None:
    """Nothing of it is left."""
    if storm.process.process is not None:
        await storm.process.end(signal.SIGKILL)
    storm.engine.dispose()


def shown(storm: Storm) -> dict[str, str]:
    """The states that the cards show, by request."""
    found = {}
    for each in storm.sandbox.slack.messages(OPS):
        told = each.get("metadata") or {}
        if told.get("event_type") == "amend_request":
            found[told["event_payload"]["request_id"]] = told["event_payload"]["state"]
    return found


def why(storm: Storm, most: int = 4000) -> str:
    """How each request stands, and the end of the log; for the message of an assertion."""
    return f"{storm.told()}\n{log_of(storm)[-most:]}"
