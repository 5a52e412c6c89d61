"""The storm also rages over a real PostgreSQL."""

from __future__ import annotations

from tests.postgres.conftest import another_database, postgres

__all__ = ["another_database", "postgres"]
