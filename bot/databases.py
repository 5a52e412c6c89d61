"""What `DATABASE_URL` may be, told before anything is opened. No word of it is in an error: it may hold a
password.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, unquote_plus

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from integrations.addresses import LAST_PORT, is_host

SECRET_OPTIONS = frozenset({"password", "sslpassword"})  # of libpq
SQLITE, POSTGRES = "sqlite:///", "postgresql://"


def checked(url: str) -> str:
    """The URL, if it can be opened as far as can be told from here. Raises `ValueError`."""
    if url.startswith(SQLITE):
        _check_file(url.removeprefix(SQLITE))
    elif url.startswith(POSTGRES):
        _check_server(url)
    else:
        message = f"must begin with {SQLITE} or {POSTGRES}"
        raise ValueError(message)
    return url


def passwords(url: str) -> list[str]:
    """The passwords in a URL, in each form that may come up in a log."""
    # As SQLAlchemy reads it, which takes more in it than `urlsplit` does.
    login, at, _ = url.partition("://")[2].partition("@")
    held = [login.partition(":")[2] if at else ""]
    query = url.partition("?")[2].partition("\n")[0]
    options = (each.partition("=") for each in query.split("&"))
    held += [value for name, _, value in options if unquote_plus(name) in SECRET_OPTIONS]
    return [
        form for each in held for form in dict.fromkeys((each, unquote(each), unquote_plus(each)))
    ]


def _check_file(path: str) -> None:
    if not path or path.startswith(":") or "?" in path:
        raise ValueError("must name a file, such as sqlite:///amend.db")
    folder = Path(path).parent
    if not os.access(folder, os.X_OK):
        message = f"there is no folder {folder} that can be entered"
        raise ValueError(message)
    if Path(path).is_dir():
        message = f"{path} is a folder, and a file is wanted"
        raise ValueError(message)


def _check_server(url: str) -> None:
    try:
        parts = make_url(url)
        _check_options(parts)
    except (ArgumentError, ValueError, psycopg.ProgrammingError):
        parts = None
    if parts is None or not _is_place(parts):
        message = (
            f"must be like {POSTGRES}USER:PASSWORD@HOST:5432/NAME, with the options of libpq,"
            " and with any sign of the password percent-encoded"
        )
        raise ValueError(message)


def _check_options(parts: URL) -> None:
    """Raises where the driver has another list of options, or of hosts."""
    dialect = parts.set(drivername="postgresql+psycopg").get_dialect()()
    _, options = dialect.create_connect_args(parts)
    make_conninfo(**options)


def _is_place(parts: URL) -> bool:
    port = 1 if parts.port is None else parts.port
    return 0 < port <= LAST_PORT and (parts.host is None or is_host(parts.host))
