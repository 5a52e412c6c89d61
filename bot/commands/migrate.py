"""`amend migrate`: the newest schema, ours and the job engine's."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from bot.commands.common import no_answer, run, settings
from bot.db.engine import AWAY, close_engine, open_engine
from bot.db.migrate import migrate as migrate_database
from bot.jobs.engine import jobs_url, set_up

TRIED_AGAIN = 2.0  # seconds
LONGEST = 3600
NEWEST = "the newest schema"
NEWER = "a newer schema than this version knows, and is left as it is"


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
    ours = run(_waiting(settings().database_url, time.monotonic() + wait))
    print(f"The database has {NEWEST if ours else NEWER}.")


async def _waiting(url: str, until: float) -> bool:
    """Try until it is done, at least once; True where it is our schema.

    Raises `AmendError` where it does not answer by then.
    """
    while True:
        try:
            return await _migrated(url)
        except AWAY as error:
            if time.monotonic() >= until:
                raise no_answer(error) from None
        await asyncio.sleep(TRIED_AGAIN)


async def _migrated(url: str) -> bool:
    engine = open_engine(url)
    try:
        ours = await migrate_database(engine)
    finally:
        await close_engine(engine)
    await set_up(jobs_url(url))
    return ours
