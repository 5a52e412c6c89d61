"""`amend migrate`: the newest schema, ours and the job engine's."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from bot.commands.common import run, settings
from bot.db.engine import AWAY, close_engine, open_engine
from bot.db.migrate import migrate as migrate_database
from bot.domain.errors import AmendError
from bot.jobs.engine import jobs_url, set_up

TRIED_AGAIN = 2.0  # seconds
LONGEST = 3600


def migrate(
    wait: Annotated[
        int,
        typer.Option(
            min=0,
            max=LONGEST,
            metavar="SECONDS",
            help="How long to wait for a database that does not answer yet.",
        ),
    ] = 0,
) -> None:
    """Bring the database to the newest schema."""
    run(_waiting(settings().database_url, time.monotonic() + wait))
    print("The database has the newest schema.")


async def _waiting(url: str, until: float) -> None:
    """Try until it is done, at least once. Raises `AmendError` where it does not answer by then."""
    while True:
        try:
            return await _migrated(url)
        except AWAY as error:
            if time.monotonic() >= until:
                message = f"the database does not answer ({type(error).__name__})."
                raise AmendError(message) from None
        await asyncio.sleep(TRIED_AGAIN)


async def _migrated(url: str) -> None:
    engine = open_engine(url)
    try:
        await migrate_database(engine)
    finally:
        await close_engine(engine)
    await set_up(jobs_url(url))
