"""One owner of a SQLite database: a second bot on the same file would take the first one's work."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bot.domain.errors import AmendError
from bot.settings import BadSettings


class AlreadyOwned(AmendError):
    """Another process runs the bot on this file; the message names it."""


@contextmanager
def sole_owner(database_url: str) -> Iterator[None]:
    """Hold a SQLite database for one bot until the block ends, or the process does in any way.

    Raises `AlreadyOwned` where another holds it, `BadSettings` where nobody can. On PostgreSQL
    replicas share, and nothing is held.
    The lock is the kernel's, on a file beside the database, so no kill leaves it behind.
    """
    if not database_url.startswith("sqlite:///"):
        yield
        return
    path = Path(database_url.removeprefix("sqlite:///"))
    with _lock_of(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            by = file.read(20).strip()
            message = (
                f"DATABASE_URL: {path} is in use by another `amend run`"
                f"{f' (process {by})' if by else ''}; several replicas need PostgreSQL."
            )
            raise AlreadyOwned(message) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock_of(path: Path) -> TextIO:
    try:
        return Path(f"{path}.lock").open("a+", encoding="ascii")
    except OSError as error:
        message = f"DATABASE_URL: {path}.lock cannot be written ({error.strerror})."
        raise BadSettings(message) from None
