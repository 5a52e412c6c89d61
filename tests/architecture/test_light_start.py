"""What a start does not need, it does not load: half a second and tens of megabytes each."""

from __future__ import annotations

import subprocess
import sys

from alembic.script import ScriptDirectory

from bot.db.migrate import MIGRATIONS, newest

HEAVY = {"alembic", "mcp", "deploy"}


def test_the_bot_loads_nothing_heavy_before_it_is_needed() -> None:
    told = "import sys, bot.bootstrap; print(*{each.partition('.')[0] for each in sys.modules})"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(found.stdout.split())


def test_the_newest_migration_is_the_one_that_alembic_leads_to() -> None:
    assert newest() == ScriptDirectory(str(MIGRATIONS)).get_current_head()
