"""What all tests share: a database that does not wait for the disk, a small heap, and patience.

No test may depend on the machine's speed, nor on who ran before. A collector that goes through two
million objects stops the event loop for longer than a command may wait to be recorded, and a test
fails that has nothing wrong with it.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import structlog
from aiohttp import web_app
from sqlalchemy import Engine, event

from bot.bootstrap import settle
from bot.db import engine

# A busy machine makes an example slow, and says nothing of what is tested.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def _plain_logs() -> None:
    """structlog's own tracebacks show every local variable, which holds a loop up for seconds."""
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    processors = structlog.get_config()["processors"]
    structlog.configure(processors=[*processors[:-1], plain])


LONG = frozenset({"chaos", "postgres"})  # folders whose files take minutes each


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, each in its random order: no worker is left alone with it."""
    items.sort(key=lambda each: each.path.parent.name not in LONG)


def pytest_collection_finish() -> None:
    """What is loaded stays, in a test run as in `amend run`."""
    _plain_logs()
    settle()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """A connection that outlives its test answers to a loop that is closed, in somebody else's test.

    Set up before any event loop, and so torn down after it.
    """
    yield
    gc.collect()  # what was dropped unclosed is told of here, and not by whoever comes later
    left = [each for each in threading.enumerate() if "_connection_worker_thread" in each.name]
    for thread in left:
        thread.join(2.0)
    assert not any(each.is_alive() for each in left), "a database connection was left open"


@pytest.fixture(autouse=True)
def _no_handler_is_kept() -> Iterator[None]:
    """aiohttp remembers 1,024 handlers for the process, and with them a test's whole sandbox."""
    yield
    web_app._cached_build_middleware.cache_clear()


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """For a test that configures the logs of the process."""
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
    _plain_logs()


@event.listens_for(Engine, "connect")
def _no_waiting(connection: Any, _record: Any) -> None:
    """No test cuts the power, and a busy machine's disk may take seconds for one commit."""
    if "sqlite" in type(connection).__module__:
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(autouse=True)
def _no_waiting_here_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SYNCHRONOUS", "OFF")
