"""One bad thing stops nothing else: a deed, a key that is lost, a vendor that is switched off."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from cryptography.fernet import Fernet

from bot.db.vault import Vault
from bot.domain.operations import Registry
from bot.slack.incoming import deeds
from tests.e2e.conftest import APPROVALS, MARA, ONCA, Make, World, until
from tests.e2e.test_requests import confirmed, press, state_is

STORY = "/qualys 23456 change_state=RESOLVED"


async def recorded(world: World, key: str, payload: dict[str, Any]) -> None:
    deadline = time.monotonic() + 120
    assert await world.bot.store.take(key, "cancel", payload, deadline)


def away(request: str) -> dict[str, Any]:
    return {"request": request, "user": MARA, "channel": "C0OPS"}


async def test_a_deed_that_hangs_or_fails_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three that were acknowledged before a crash: one hangs, one fails for ever, one is good."""
    monkeypatch.setattr(deeds, "DEED_WITHIN", 4.0)
    monkeypatch.setattr(deeds, "PAUSES", (0.0, 0.0, 0.0, 0.0))
    cancel, tries = world.bot.pipeline.cancel, []

    async def odd(request: str, user: str) -> str:
        tries.append(request)
        if request == "HANGS":
            await asyncio.sleep(3600)
        if request == "FAILS":
            raise ValueError("a fault of our own")
        return await cancel(request, user)

    monkeypatch.setattr(world.bot.pipeline, "cancel", odd)
    for each in ("HANGS", "FAILS", "GOOD"):
        await recorded(world, each, away(each))
    await world.bot.deeds.take_up()
    assert {each.key for each in await world.bot.store.undone()} == {"HANGS", "FAILS"}
    for _ in range(6):
        await world.bot.deeds.take_up()
    assert tries.count("FAILS") == tries.count("HANGS") == deeds.TRIES
    assert await world.bot.store.undone() == [], "given up, and not for ever"
    await world.told(MARA, "given up")


async def test_a_deed_that_fails_is_left_in_peace_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    async def fails(request: str, _user: str) -> str:
        tries.append(request)
        raise ValueError("a fault of our own")

    monkeypatch.setattr(world.bot.pipeline, "cancel", fails)
    await recorded(world, "k", away("R"))
    for _ in range(3):
        await world.bot.deeds.take_up()
    assert len(tries) == 1


async def test_a_lost_key_shuts_the_links_and_nothing_else(make: Make) -> None:
    world = await make(AMEND_SECRET_KEY=Fernet.generate_key().decode())
    lost = Vault(world.bot.store, [Fernet.generate_key().decode()])
    secret = {"username": "mara", "password": "not-a-secret"}
    await lost.keep(world.bot.team, MARA, "qualys", "northwd_ml", secret)
    assert await world.bot.pipeline.parts.vault.rotate() == 0
    await world.type(MARA, "/amend whoami")
    await world.told(MARA, "cannot be opened with the present key")
    await world.act(MARA, "home")
    await until(lambda: "cannot be opened" in str(world.slack.state(MARA)["home"]), "Home")
    await world.type(MARA, STORY)
    await world.told(MARA, "cannot be opened with the present key")
    assert world.edits() == []
    await world.type(ONCA, STORY)
    assert (await world.settled())["state"] == "succeeded"


async def test_what_waits_for_a_vendor_that_is_switched_off_breaks_nobodys_home(
    world: World,
) -> None:
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await state_is(world, "pending_approval")
    request_id = world.payload()["request_id"]
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    parts = world.bot.pipeline.parts
    others = tuple(each for each in parts.registry.vendors if each.name != "qualys")
    parts.registry = Registry(others)
    await world.act(ONCA, "home")
    await until(lambda: "Your accounts" in str(world.slack.state(ONCA)["home"]), "Home")
    await press(world, ONCA, "approve", APPROVALS)
    await world.told(ONCA, "not switched on", APPROVALS)
    # The answer is out before its deed is crossed off, and a deed that failed is tried again later.
    async with asyncio.timeout(120):
        while await world.bot.store.undone():  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.02)
    await world.bot.store.set_fields(request_id, expires_at=time.time() - 1)
    request = await world.bot.store.request(request_id)
    assert request is not None
    await world.bot.upkeep._wait_on(request)
    request = await world.bot.store.request(request_id)
    assert request is not None
    assert request.state == "expired"
