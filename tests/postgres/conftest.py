"""One PostgreSQL for all tests of this folder, a fresh database for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.conftest import make
from tests.postgres.server import server

__all__ = ["database", "make", "postgres"]

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    for each in (folder, *folder.parents[:3]):
        if each != Path("/tmp"):
            each.chmod(0o755)
    with server(folder) as url:
        yield url


@pytest.fixture
def database(postgres: str) -> str:
    """The URL of a new, empty database."""
    name = f"amend_{next(_NUMBERS)}"
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgres}/{name}"
