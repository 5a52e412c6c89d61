"""A new AMEND_SECRET_KEY, step by step as the page has it, with an old replica beside a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.fernet import Fernet

from bot.bootstrap import Bot, build
from bot.db.engine import open_engine
from bot.db.store import Store
from bot.db.vault import Vault
from bot.settings import load_settings
from deploy.sandbox.start import Sandbox
from tests.laid import lay

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
STEPS = ([OLD], [OLD, NEW], [NEW, OLD], [NEW])
SECRET = {"username": "mara", "password": "not-a-secret"}
HOUR = 3600.0  # a rollout is over by then


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    lay(tmp_path / "amend.db")
    store = Store(open_engine(f"sqlite:///{tmp_path / 'amend.db'}"))
    yield store
    await store.close()


@pytest.mark.parametrize("step", [1, 2])
async def test_in_each_step_replicas_of_before_and_after_open_what_the_other_sealed(
    store: Store, step: int
) -> None:
    before, after = (Vault(store, keys) for keys in STEPS[step - 1 : step + 1])
    for sealing, opening in ((before, after), (after, before)):
        await sealing.keep("T", "U0MARA", "qualys", "northwd_ml", SECRET)
        assert await opening.shut("T", "U0MARA") == set()
    await after.rotate()
    assert await before.shut("T", "U0MARA") == set()


async def test_after_the_second_step_the_old_key_may_go(store: Store) -> None:
    await Vault(store, [OLD]).keep("T", "U0MARA", "qualys", "northwd_ml", SECRET)
    assert await Vault(store, STEPS[2]).rotate() == 1
    assert await Vault(store, STEPS[3]).shut("T", "U0MARA") == set()


async def test_a_start_seals_nothing_anew_before_the_other_replicas_have_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Sandbox()
    await sandbox.start()
    for name, value in sandbox.environment(tmp_path / "amend.db", port=0).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    bot: Bot = build(load_settings())
    begun: dict[str, float] = {}
    monkeypatch.setattr(
        bot.supervisor, "start", lambda chores: begun.update({c.name: c.first for c in chores})
    )
    try:
        await bot.start()
        assert begun["credentials"] >= HOUR
    finally:
        await bot.stop()
        await sandbox.stop()
