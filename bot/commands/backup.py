"""`amend backup`: both files of a SQLite database, copied while Amend runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from bot.commands.common import settings
from bot.domain.errors import AmendError
from bot.jobs.engine import jobs_url

WAITS = 30.0  # seconds for whoever writes just now


def backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder for the copies.")],
) -> None:
    """Copy a SQLite database while Amend runs. For PostgreSQL there is pg_dump."""
    url = settings().database_url
    if not url.startswith("sqlite:///"):
        raise AmendError("this database is PostgreSQL's: pg_dump takes all of it at once.")
    files = [Path(each.removeprefix("sqlite:///")) for each in (url, jobs_url(url))]
    if not files[0].exists():
        message = f"there is no database at {files[0]}."
        raise AmendError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            message = f"{folder} is not empty; a backup gets a folder of its own."
            raise AmendError(message)
        for each in files:
            if each.exists():
                _copy(each, folder / each.name)
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror}."
        raise AmendError(message) from None
    except sqlite3.Error as error:
        message = f"the database cannot be copied: {error}."
        raise AmendError(message) from None
    print(f"{folder} holds {' and '.join(each.name for each in files if each.exists())}.")


def _copy(source: Path, target: Path) -> None:
    """SQLite's online backup: one committed state, whatever is written meanwhile."""
    opened = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=WAITS)
    with closing(opened) as read, closing(sqlite3.connect(target)) as copy:
        read.backup(copy)
