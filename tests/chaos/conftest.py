"""The storm also rages over a real PostgreSQL, and over one that it may stop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import make, world
from tests.postgres.conftest import another_database, postgres, reachable
from tests.postgres.server import Server, server

__all__ = ["another_database", "make", "postgres", "world"]


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL of this test's own."""
    with server(reachable(tmp_path_factory)) as running:
        yield running
