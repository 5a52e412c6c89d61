"""Retention: what is old goes, in steps, and nothing else; the trail stays whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlmodel import SQLModel, func, select

from bot.db import audit, retention
from bot.db.engine import open_engine
from bot.db.ledger import Ledger
from bot.db.retention import DAY, Retention
from bot.db.store import Store
from bot.db.tables import Delivered, Delivery, Draft, News, PlannedRecord, Request, Vote
from bot.domain.operations import Record
from bot.domain.plans import State
from tests.laid import lay

DAYS = 400
NOW = 2_000_000_000.0
OLD, YOUNG = NOW - (DAYS + 1) * DAY, NOW - (DAYS - 1) * DAY


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    lay(tmp_path / "amend.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    made = Store(engine, clock=lambda: NOW)
    yield made
    await made.close()


def request(name: str, state: State, ended: float | None, **more: Any) -> Request:
    return Request(
        id=name,
        origin=name,
        operation="qualys.edit_tickets",
        parameters={},
        team="T",
        requester="U",
        channel="C",
        state=state,
        created_at=ended or OLD,
        ended_at=ended,
        **more,
    )


async def add(store: Store, *rows: SQLModel) -> None:
    async with store.transaction() as session:
        session.add_all(rows)


async def records(store: Store, name: str, many: int) -> None:
    page = [(Record(str(n), "label", {}, {}), None) for n in range(many)]
    await Ledger(store).add(name, 0, page)


async def left(store: Store, model: Any) -> int:
    async with store.transaction() as session:
        return int((await session.exec(select(func.count()).select_from(model))).one())


async def purged(_before: float, _limit: int) -> int:
    return 0


async def to_the_end(kept: Retention) -> int:
    """Steps until nothing old is left."""
    steps = 1
    while await kept.step() == retention.BETWEEN_STEPS:
        steps += 1
        assert steps < 1000
    return steps


async def test_what_is_old_goes_with_all_that_belongs_to_it_and_the_rest_stays(
    store: Store,
) -> None:
    for name, state, ended in (
        ("ROLD", State.SUCCEEDED, OLD),
        ("RYOUNG", State.SUCCEEDED, YOUNG),
        ("RWAITS", State.PENDING_APPROVAL, None),
    ):
        assert await store.accept(request(name, state, ended), float("inf"))
        await records(store, name, 7)
        card = {"kind": "card", "channel": "C", "sent_version": 1, "due_at": ended or NOW}
        vote = Vote(request_id=name, approver="U", digest="d", at=OLD)
        await add(store, vote, Delivery(key=f"{name}:card", request_id=name, **card))
    told = await audit.verify(store.engine)
    async with store.transaction() as session:
        before = await session.exec(select(func.count()).select_from(audit.AuditEntry))
    await to_the_end(Retention(store, DAYS, purged))
    assert await store.request("ROLD") is None
    assert await store.request("RYOUNG") is not None
    assert await store.request("RWAITS") is not None
    for model, many in ((PlannedRecord, 14), (Vote, 2), (Delivery, 2)):
        assert await left(store, model) == many
    assert await left(store, audit.AuditEntry) == before.one() == 3
    assert await audit.verify(store.engine) == told is None


async def test_what_an_unfinished_request_goes_back_to_stays(store: Store) -> None:
    await add(store, request("ROLD", State.SUCCEEDED, OLD))
    await add(store, request("RUNDO", State.PLANNED, None, source="ROLD", relation="undo"))
    await to_the_end(Retention(store, DAYS, purged))
    assert await store.request("ROLD") is not None


async def test_a_large_request_goes_in_small_steps(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "A_STEP", 10)
    await add(store, request("ROLD", State.SUCCEEDED, OLD))
    await records(store, "ROLD", 95)
    kept = Retention(store, DAYS, purged)
    await kept.step()
    assert await left(store, PlannedRecord) == 85
    assert await store.request("ROLD") is not None, "it goes when its records are gone"
    assert await to_the_end(kept) >= 9
    assert await store.request("ROLD") is None


Old = Callable[[float], SQLModel]


def news(at: float) -> News:
    return News(
        watch_id="W",
        seq=int(at),
        vendor="qualys",
        record_id="1",
        label="",
        from_state="",
        to_state="",
        at="",
        noticed_at=at,
    )


def sent(at: float) -> Delivery:
    message = {"kind": "change", "channel": "C", "version": 2, "sent_version": 2}
    return Delivery(key=str(at), request_id="W", due_at=at, **message)


def delivered(at: float) -> Delivered:
    return Delivered(key=str(at), kind="submit", payload={}, at=at, done_at=at)


def draft(at: float) -> Draft:
    return Draft(id=str(at), slack_user="U", operation="o", values={}, channel="C", created_at=at)


@pytest.mark.parametrize(
    ("model", "made", "days"),
    [(News, news, DAYS), (Delivery, sent, DAYS), (Draft, draft, 1), (Delivered, delivered, 1)],
)
async def test_rows_that_belong_to_no_request_go_by_their_age(
    store: Store, model: type[SQLModel], made: Old, days: int
) -> None:
    await add(store, made(NOW - days * DAY - 60), made(NOW - days * DAY + 60))
    await to_the_end(Retention(store, DAYS, purged))
    assert await left(store, model) == 1


async def test_the_engine_is_asked_for_the_same_age_until_it_has_nothing_left(
    store: Store,
) -> None:
    asked: list[float] = []

    async def purge(before: float, _limit: int) -> int:
        asked.append(before)
        return 3 - len(asked)

    assert await to_the_end(Retention(store, DAYS, purge)) == 3
    assert set(asked) == {NOW - DAYS * DAY}
