"""Versions side by side: a later one's database is left alone, and no migration takes anything away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from structlog.testing import capture_logs

from bot.db.engine import close_engine, open_engine
from bot.db.migrate import MIGRATIONS, migrate
from bot.db.upgrading import upgrade
from bot.doctor import examine
from bot.domain.errors import AmendError
from bot.domain.operations import Registry
from bot.settings import Settings
from tests.integration.test_command_line import amend

# The last that took something away; what it made was in no version that somebody ran.
REBUILT_THE_TRAIL = "0005"
REVISIONS = sorted(each.name[:4] for each in (MIGRATIONS / "versions").glob("0*.py"))
LATER = ("ALTER TABLE request ADD COLUMN colour TEXT NOT NULL DEFAULT ''", "9999")


async def of_a_later_version(file: Path, revision: str = LATER[1]) -> None:
    """A database of this version, to which a later one added something."""
    engine = open_engine(f"sqlite:///{file}")
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text(LATER[0]))
        moved = text("UPDATE alembic_version SET version_num = :revision")
        await connection.execute(moved, {"revision": revision})
    await close_engine(engine)


async def test_a_database_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "amend.db"
    await of_a_later_version(file)
    engine = open_engine(f"sqlite:///{file}")
    with capture_logs() as logged:
        assert await migrate(engine) is False
    async with engine.connect() as connection:
        held = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    await close_engine(engine)
    assert held == "9999"
    (line,) = logged
    assert (line["log_level"], line["event"]) == ("warning", "database_is_newer")
    settings = Settings(
        _env_file=None, slack_api_url="http://127.0.0.1:9/api/", database_url=f"sqlite:///{file}"
    )
    told = {each.name: each async for each in examine(settings, Registry([]))}["database"]
    assert told.ok
    assert "newer" in told.words
    assert "amend migrate" not in told.words


async def test_the_older_version_works_on_it(tmp_path: Path) -> None:
    await of_a_later_version(tmp_path / "amend.db")
    done = amend(tmp_path, "migrate")
    assert done.returncode == 0, done.stderr
    assert "newer" in done.stdout
    listed = amend(tmp_path, "people", "export")
    assert (listed.returncode, listed.stdout) == (0, "slack_user,vendor,account,role,scope\n")


async def test_a_revision_that_is_nobodys_is_still_a_fault(tmp_path: Path) -> None:
    await of_a_later_version(tmp_path / "amend.db", "of another product")
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    with pytest.raises(AmendError, match="does not know"):
        await migrate(engine)
    await close_engine(engine)


# --- what the version before needs ------------------------------------------------------------------

Shape = dict[str, dict[str, Any]]


def shape(connection: Connection) -> Shape:
    """Every table with its columns, and under "" the names of what must be unique in it."""
    looked = inspect(connection)
    found: Shape = {}
    for table in looked.get_table_names():
        found[table] = {each["name"]: each for each in looked.get_columns(table)}
        unique = [each["column_names"] for each in looked.get_unique_constraints(table)]
        unique += [each["column_names"] for each in looked.get_indexes(table) if each["unique"]]
        found[table][""] = sorted(map(str, unique))
    return found


def faults(before: Shape, after: Shape) -> Iterator[str]:
    """What the version that wrote `before` could not go on with."""
    for table, columns in before.items():
        if table not in after:
            yield f"{table} is gone"
            continue
        now = after[table]
        if now[""] != columns[""]:
            yield f"{table} has another uniqueness"
        for name, column in columns.items():
            if name and name not in now:
                yield f"{table}.{name} is gone"
            elif name and (str(now[name]["type"]), now[name]["nullable"]) != (
                str(column["type"]),
                column["nullable"],
            ):
                yield f"{table}.{name} is another"
        for name in now.keys() - columns.keys():
            if not now[name]["nullable"] and now[name]["default"] is None:
                yield f"{table}.{name} must be given"


@pytest.mark.parametrize("revision", [each for each in REVISIONS if each > REBUILT_THE_TRAIL])
def test_a_migration_leaves_the_version_before_all_that_it_needs(
    revision: str, tmp_path: Path
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    with engine.begin() as connection:
        upgrade(connection, f"{int(revision) - 1:04}")
        before = shape(connection)
        upgrade(connection, revision)
        assert list(faults(before, shape(connection))) == []
    engine.dispose()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("DROP TABLE vote", "vote is gone"),
        ("ALTER TABLE request RENAME COLUMN words TO said", "request.words is gone"),
        ("ALTER TABLE draft DROP COLUMN source", "draft.source is gone"),
        ("CREATE UNIQUE INDEX u ON draft (channel)", "draft has another uniqueness"),
    ],
)
def test_what_takes_something_away_is_noticed(change: str, fault: str, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    with engine.begin() as connection:
        upgrade(connection)
        before = shape(connection)
        connection.execute(text(change))
        assert fault in list(faults(before, shape(connection)))
    engine.dispose()


def test_a_column_that_must_be_given_is_noticed() -> None:
    """SQLite itself refuses to add one, so it is told by the shape alone."""
    given = {"type": "TEXT", "nullable": False, "default": None}
    table = {"t": {"": []}}
    assert list(faults(table, {"t": {"": [], "colour": given}})) == ["t.colour must be given"]
    assert list(faults(table, {"t": {"": [], "colour": {**given, "default": "''"}}})) == []
