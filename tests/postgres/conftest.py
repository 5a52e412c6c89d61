"""One PostgreSQL for all tests of this folder, a fresh database for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Make, World, world
from tests.e2e.conftest import make as make_on_sqlite
from tests.postgres.server import Server, server

__all__ = ["another_database", "database", "make", "make_on_sqlite", "postgres", "world"]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(reachable(tmp_path_factory)) as running:
        yield running


def reachable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new folder that a server which runs as nobody may read."""
    folder = tmp_path_factory.mktemp("postgres")
    for each in (folder, *folder.parents[:3]):
        if each != Path("/tmp"):
            each.chmod(0o755)
    return folder


@pytest.fixture
def another_database(postgres: Server) -> Callable[[], str]:
    """Each call makes a new, empty database; its URL."""
    return postgres.new_database


@pytest.fixture
def database(another_database: Callable[[], str]) -> str:
    """The URL of a new, empty database."""
    return another_database()


@pytest.fixture
def make(make_on_sqlite: Make, database: str) -> Make:
    """Makes a world as elsewhere, on PostgreSQL."""

    async def made(*, patient: bool = True, **settings: str) -> World:
        return await make_on_sqlite(patient=patient, DATABASE_URL=database, **settings)

    return made
