"""What all tests share: a database that does not wait for the disk, and a small heap.

A collector that goes through two million objects stops the event loop for longer than a command may
wait to be recorded, and a test fails that has nothing wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web_app
from sqlalchemy import Engine, event

from bot.bootstrap import settle
from bot.db import engine


def pytest_collection_finish() -> None:
    """What is loaded stays, in a test run as in `amend run`."""
    settle()


@pytest.fixture(autouse=True)
def _no_handler_is_kept() -> Iterator[None]:
    """aiohttp remembers 1,024 handlers for the process, and with them a test's whole sandbox."""
    yield
    web_app._cached_build_middleware.cache_clear()


@event.listens_for(Engine, "connect")
def _no_waiting(connection: Any, _record: Any) -> None:
    """No test cuts the power, and a busy machine's disk may take seconds for one commit."""
    if "sqlite" in type(connection).__module__:
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(autouse=True)
def _no_waiting_here_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SYNCHRONOUS", "OFF")
