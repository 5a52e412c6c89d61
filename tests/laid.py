"""A database as a first start leaves it, made once a process: a test of something else begins there."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from dbos import DBOS

from bot.db.engine import open_engine
from bot.db.migrate import migrate
from bot.jobs.engine import jobs_url


def lay(database: Path) -> None:
    """Put it there, with the job engine's beside it, where there is none."""
    if not database.exists():
        for name, content in _fresh().items():
            database.with_name(database.stem + name).write_bytes(content)


@cache
def _fresh() -> dict[str, bytes]:
    """The files, by what follows the name that the database has."""
    with TemporaryDirectory() as folder:
        made = Path(folder, "fresh.db")
        # A fixture may run inside of a loop already, so this has a thread and a loop of its own.
        thread = Thread(target=lambda: asyncio.run(_make(made)))
        thread.start()
        thread.join()
        return {
            each.name.removeprefix("fresh"): each.read_bytes() for each in made.parent.iterdir()
        }


async def _make(database: Path) -> None:
    url = f"sqlite:///{database}"
    engine = open_engine(url)
    try:
        await migrate(engine)
    finally:
        await engine.dispose()
    DBOS.migrate(jobs_url(url))
