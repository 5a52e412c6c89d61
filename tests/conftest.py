"""What all tests share: a database that does not wait for the disk."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, event

from bot.db import engine


@event.listens_for(Engine, "connect")
def _no_waiting(connection: Any, _record: Any) -> None:
    """No test cuts the power, and a busy machine's disk may take seconds for one commit."""
    if "sqlite" in type(connection).__module__:
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(autouse=True)
def _no_waiting_here_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SYNCHRONOUS", "OFF")
