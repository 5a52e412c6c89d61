"""Two replicas write the same thing at the same moment: both succeed, and one of them is last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import delete, text, update
from sqlmodel import col

from bot.db import audit
from bot.db.engine import open_engine
from bot.db.journal import Journal
from bot.db.leases import Leases
from bot.db.ledger import Ledger
from bot.db.migrate import migrate
from bot.db.outbox import Outbox
from bot.db.store import Store
from bot.db.tables import Credential, Delivery, Draft, Request
from bot.db.vault import Vault
from bot.domain.operations import Outcome, Record, Result
from bot.domain.people import Account
from bot.domain.plans import State

ROUNDS = 20  # at each the two are let go at once


@pytest.fixture
async def stores(database: str) -> AsyncIterator[list[Store]]:
    pair = [Store(open_engine(database)) for _ in range(2)]
    await migrate(pair[0].engine)
    yield pair
    for each in pair:
        await each.close()


async def test_a_message_wanted_twice_at_once_is_one_message(stores: list[Store]) -> None:
    outboxes = [Outbox(each) for each in stores for _ in range(3)]
    for number in range(ROUNDS):
        key = f"k{number}"
        await asyncio.gather(
            *(
                each.want(Delivery(key=key, request_id="R", kind="card", channel="C"))
                for each in outboxes
            )
        )
        stands = await outboxes[0].get(key)
        assert stands is not None
        assert stands.version == len(outboxes)


async def test_a_draft_saved_twice_at_once_is_one_draft(stores: list[Store]) -> None:
    for number in range(ROUNDS):
        drafts = [
            Draft(
                id=f"d{number}",
                slack_user="U",
                operation="o",
                values={"n": each},
                channel="C",
                created_at=1.0,
            )
            for each in range(4)
        ]
        await asyncio.gather(
            *(stores[each % 2].save_draft(draft) for each, draft in enumerate(drafts))
        )
        assert (await stores[0].draft(f"d{number}")) is not None


async def test_people_mapped_and_imported_at_once_are_mapped_once(stores: list[Store]) -> None:
    one, other = stores
    people = [f"U{each}" for each in range(10)]
    for number in range(ROUNDS):
        account = Account("qualys", f"account{number}", "Manager", ())
        forwards = [(each, account) for each in people]
        await asyncio.gather(
            one.import_people("T", forwards, replace=True, actor="a"),
            other.import_people("T", forwards[::-1], replace=True, actor="b"),
            *(one.map_person("T", each, account, "c") for each in people[:3]),
            *(other.map_person("T", each, account, "d") for each in people[:3]),
        )
        assert await one.mapped("T") == [(each, account) for each in people]
    assert await audit.verify(one.engine) is None


async def test_credentials_kept_twice_at_once_are_kept_once(stores: list[Store]) -> None:
    key = Fernet.generate_key().decode()
    vaults = [Vault(each, [key]) for each in stores]
    for number in range(ROUNDS):
        user = f"U{number}"
        secret = {"password": "not-a-secret"}
        await asyncio.gather(*(each.keep("T", user, "qualys", "me", secret) for each in vaults * 2))
        assert await vaults[0].linked("T", user) == {"qualys": "me"}


async def test_sealing_anew_brings_no_credentials_back_that_were_renewed_or_forgotten_meanwhile(
    stores: list[Store],
) -> None:
    """Both are about to be committed as it begins, at the other replica."""
    key = Fernet.generate_key().decode()
    one, other = (Vault(each, [key]) for each in stores)
    for user in ("UFORGETS", "URENEWS", "USTAYS"):
        await one.keep("T", user, "acme", "me", {"refresh": "the first"})
    async with stores[1].transaction() as session:
        await session.exec(
            update(Credential)
            .where(col(Credential.slack_user) == "URENEWS")
            .values(sealed=other.seal({"refresh": "the second"}))
        )
        await session.exec(delete(Credential).where(col(Credential.slack_user) == "UFORGETS"))
        sealing = asyncio.create_task(one.rotate())
        await asyncio.sleep(0.5)
    assert await sealing == 2
    held = {each: await one.take("T", each, "acme") for each in ("UFORGETS", "URENEWS", "USTAYS")}
    found = {each: taken and taken[1]["refresh"] for each, taken in held.items()}
    assert found == {"UFORGETS": None, "URENEWS": "the second", "USTAYS": "the first"}


async def test_credentials_sealed_anew_by_two_at_once_are_sealed_twice(
    stores: list[Store],
) -> None:
    key = Fernet.generate_key().decode()
    vaults = [Vault(each, [key]) for each in stores]
    for number in range(50):
        await vaults[0].keep("T", f"U{number}", "acme", "me", {"refresh": str(number)})
    for _ in range(ROUNDS):
        assert await asyncio.gather(*(each.rotate() for each in vaults * 2)) == [50] * 4


async def test_a_request_whose_row_somebody_holds_keeps_no_other_from_its_outcomes(
    stores: list[Store],
) -> None:
    """Whoever holds it does so for longer than anybody waits for a lock."""
    store, ledger = stores[0], Ledger(stores[0])
    leases, journal = Leases(store, "a", "1"), Journal(store)
    await leases.renew()
    for name in ("R1", "R2", "R3"):
        async with store.transaction() as session:
            session.add(_running(name))
        await ledger.add(name, 0, [(Record(str(each), "", {}, {}), None) for each in range(8)])
    ready = asyncio.Event()

    async def settle(name: str) -> None:
        async with leases.held(name):
            rows = await ledger.records(name, (Result.TO_SEND,), 8)
            assert await journal.sending(name, rows, 1.0)
            await ready.wait()
            outcomes = [Outcome(row.record_id, Result.CHANGED) for row in rows]
            each_alone = zip(rows, outcomes, strict=True)
            await asyncio.gather(*(journal.settle(name, [row], [end]) for row, end in each_alone))

    settling = [asyncio.create_task(settle(name)) for name in ("R1", "R2", "R3")]
    await asyncio.sleep(1)
    async with stores[1].transaction() as session:
        connection = await session.connection()
        await connection.execute(text("SELECT 1 FROM request WHERE id = 'R2' FOR UPDATE"))
        ready.set()
        for task in (settling[0], settling[2]):
            await asyncio.wait((task,), timeout=120)
            assert task.done()
    ended = await asyncio.gather(*settling, return_exceptions=True)
    assert [ended[0], ended[2]] == [None, None]
    for name in ("R1", "R3"):
        assert (await ledger.counts(name)).changed == 8


def _running(name: str) -> Request:
    return Request(
        id=name,
        origin=name,
        operation="acme.switch",
        parameters={},
        team="T",
        requester="U",
        channel="C",
        state=State.RUNNING,
        created_at=1.0,
    )
