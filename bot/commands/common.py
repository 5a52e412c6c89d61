"""What the commands share: exit codes, settings, and the database."""

from __future__ import annotations

import asyncio
import codecs
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db import audit
from bot.db.engine import AWAY, close_engine, open_engine, open_reader, sqlite_file, sqlite_path
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.domain.errors import AmendError
from bot.logs import configure_logs
from bot.settings import Settings, load_settings

FAILED, WRONG = 1, 2

T = TypeVar("T")


def run(work: Awaitable[T]) -> T:
    """Run to the end in a loop of its own."""

    async def go() -> T:
        return await work

    return asyncio.run(go())


def plain_out() -> codecs.StreamWriter:
    """Standard output for what programs read: UTF-8 whatever the terminal takes, line ends as given."""
    sys.stdout.flush()
    return codecs.getwriter("utf-8")(sys.stdout.buffer)


def settings() -> Settings:
    """The settings, with logs that hide what is secret in them. Raises `BadSettings`."""
    found = load_settings()
    configure_logs(found.amend_log_level, found.amend_log_format, list(found.secrets))
    return found


def no_answer(error: Exception) -> AmendError:
    """Only of what kind: an error's own words may name people and hosts."""
    return AmendError(f"DATABASE_URL: the database does not answer ({type(error).__name__}).")


async def opened(found: Settings) -> Store:
    """The store on a database that has the newest schema; what it records came by the command line.

    Raises `AmendError` where it does not answer, or has a schema that is not known.
    """
    audit.VIA.set("cli")
    engine = open_engine(found.database_url)
    try:
        await migrate(engine)
    except BaseException as error:
        await close_engine(engine)
        if isinstance(error, AWAY):
            raise no_answer(error) from None
        raise
    return Store(engine)


@contextmanager
def slack_answers(found: Settings) -> Iterator[None]:
    """Raises `AmendError`, which says what is wrong with the token, or where Slack is not reached."""
    try:
        yield
    except SlackApiError as error:
        message = f"SLACK_BOT_TOKEN: Slack answered {error.response.get('error')}."
        raise AmendError(message) from None
    except (ClientError, TimeoutError, OSError) as error:
        why = type(error).__name__
        message = f"SLACK_API_URL: {found.slack_api_url} cannot be reached ({why})."
        raise AmendError(message) from None


@asynccontextmanager
async def reading(found: Settings) -> AsyncIterator[AsyncEngine]:
    """The database for reading only: nothing is made or migrated.

    Raises `AmendError`; `BadSettings` where a SQLite file is no database.
    """
    must_exist(found.database_url)
    engine = open_reader(found.database_url)
    try:
        with sqlite_file():
            yield engine
    except DBAPIError as error:
        message = (
            f"the database cannot be read as it is ({type(error.orig).__name__});"
            " `amend migrate` brings it to the newest schema."
        )
        raise AmendError(message) from None
    finally:
        await close_engine(engine)


def must_exist(url: str) -> None:
    """A mistyped path is an error, and not an empty database of which everything holds."""
    path = sqlite_path(url)
    if path is not None and not path.is_file():
        message = f"DATABASE_URL: there is no database at {path}."
        raise AmendError(message)
