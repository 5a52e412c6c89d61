"""The bot's audit entries of a request, read beside the bot and never written."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class Trail:
    """A bot's SQLite file, opened for reading only; each line of its trail is an exported entry."""

    def __init__(self, database: Path) -> None:
        self._address = f"{database.resolve().as_uri()}?mode=ro"

    async def of(self, request_id: str) -> list[Json]:
        """The entries of a request in order; none where there is no database yet."""
        return await asyncio.to_thread(self._read, request_id)

    def _read(self, request_id: str) -> list[Json]:
        query = "SELECT line FROM audit WHERE request_id = ? ORDER BY seq"
        try:
            with closing(sqlite3.connect(self._address, uri=True, timeout=1.0)) as connection:
                return [json.loads(line) for (line,) in connection.execute(query, (request_id,))]
        except sqlite3.OperationalError:
            return []
