"""However a request ends: its bundle holds, and what is changed in it is found all the same."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bot.db.restored import restored
from bot.db.tables import Request
from bot.domain.plans import OVER, State
from bot.proof.evidence import verify
from handlers.qualys.tickets import EditTickets
from integrations.errors import Rejected
from tests.e2e.conftest import APPROVALS, MARA, ONCA, UMAR, World, until
from tests.e2e.test_evidence import packed
from tests.e2e.test_exceptions import press
from tests.e2e.test_requests import confirmed

EDIT = "/qualys 23456,23457 add_comment=checked"
IGNORE = "/qualys 23456,23457 change_state=IGNORED add_comment=accepted"


async def newest(world: World, *states: State) -> Request:
    async def found() -> Request | None:
        rows = await world.bot.store.requests_in(states)
        return rows[-1] if rows else None

    end = time.monotonic() + 120
    while (request := await found()) is None:
        assert time.monotonic() < end, states
        await until(lambda: True)
    return request


async def reviewed(world: World) -> Request:
    await world.type(MARA, EDIT)
    await world.view_is(MARA, "review")
    return await newest(world, State.PLANNED)


async def asked(world: World) -> Request:
    await confirmed(world, MARA, IGNORE)
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    return await newest(world, State.PENDING_APPROVAL)


async def settled(world: World) -> str:
    return str((await world.settled())["request_id"])


async def succeeded(world: World, _: pytest.MonkeyPatch) -> str:
    await confirmed(world, MARA, EDIT)
    return await settled(world)


async def approved(world: World, _: pytest.MonkeyPatch) -> str:
    request = await asked(world)
    await press(world, ONCA, "approve")
    await world.settled()
    return request.id


async def partial(world: World, _: pytest.MonkeyPatch) -> str:
    await world.type(MARA, EDIT)
    view = await world.view_is(MARA, "review")
    world.qualys.tickets[23457].condition = "RESOLVED"
    await world.act(MARA, "submit", view_id=view["id"], values={})
    return await settled(world)


async def refused(world: World, _: pytest.MonkeyPatch) -> str:
    world.qualys.set_fault("error_200", {"times": 50, "only": "ticket_edit"})
    await confirmed(world, MARA, EDIT)
    return await settled(world)


async def unknown(world: World, _: pytest.MonkeyPatch) -> str:
    world.qualys.set_fault("reset", {"times": 50, "only": "ticket_edit"})
    await confirmed(world, MARA, EDIT)
    return await settled(world)


async def cancelled(world: World, _: pytest.MonkeyPatch) -> str:
    request = await asked(world)
    assert not await world.bot.pipeline.cancel(request.id, MARA)
    return request.id


async def rejected(world: World, _: pytest.MonkeyPatch) -> str:
    request = await asked(world)
    approvals = world.bot.pipeline.approvals
    assert not await approvals.reject(request.id, request.digest, ONCA, "not yet")
    return request.id


async def expired(world: World, _: pytest.MonkeyPatch) -> str:
    request = await asked(world)
    await world.bot.pipeline.approvals.expire(request.id)
    return request.id


async def abandoned(world: World, _: pytest.MonkeyPatch) -> str:
    request = await reviewed(world)
    await world.bot.store.set_fields(request.id, planned_at=time.time() - 25 * 3600)
    await world.bot.upkeep.forget_reviews()
    return request.id


async def denied(world: World, _: pytest.MonkeyPatch) -> str:
    """Planned, and nothing of it may be sent: out of his scope."""
    far = next(
        each.number
        for each in world.qualys.tickets.values()
        if each.condition == "OPEN" and not str(each.host.ip).startswith("10.10.10.")
    )
    await world.type(UMAR, f"/qualys {far} add_comment=checked")
    return (await newest(world, State.DENIED)).id


async def denied_unplanned(world: World, _: pytest.MonkeyPatch) -> str:
    await world.type(MARA, "/qualys 23456 change_assignee=nobody_here")
    return (await newest(world, State.DENIED)).id


async def failed_half_planned(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """The vendor fails when some records were kept already."""

    async def broken(*_: object) -> list[str]:
        raise Rejected("Qualys", "no more today")

    monkeypatch.setattr(EditTickets, "notes", broken)
    await world.type(MARA, EDIT)
    return (await newest(world, State.FAILED)).id


async def given_up(world: World, _: pytest.MonkeyPatch) -> str:
    request = await reviewed(world)
    await world.bot.work.trouble._give_up(request)
    return request.id


async def brought_back(world: World, _: pytest.MonkeyPatch) -> str:
    """A backup was brought back while its review was open."""
    request = await reviewed(world)
    await restored(world.bot.store)
    return request.id


Way = Callable[[World, pytest.MonkeyPatch], Awaitable[str]]
WAYS: dict[Way, State] = {
    succeeded: State.SUCCEEDED,
    approved: State.SUCCEEDED,
    partial: State.PARTIAL,
    refused: State.FAILED,
    unknown: State.UNKNOWN,
    cancelled: State.CANCELLED,
    rejected: State.REJECTED,
    expired: State.EXPIRED,
    abandoned: State.EXPIRED,
    denied: State.DENIED,
    denied_unplanned: State.DENIED,
    failed_half_planned: State.FAILED,
    given_up: State.FAILED,
    brought_back: State.EXPIRED,
}


def test_every_end_is_here() -> None:
    assert set(WAYS.values()) == OVER


def found(files: dict[str, bytes], path: Path) -> dict[str, str]:
    return {each.name: each.why for each in verify(packed(files, path)) if each.why}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_its_bundle_holds_and_changes_are_found(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    request_id = await way(world, monkeypatch)
    request = await world.bot.store.request(request_id)
    assert request is not None
    assert request.state == WAYS[way]
    with zipfile.ZipFile(io.BytesIO(await world.bot._bundle(request_id, MARA))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert found(files, tmp_path / "it.zip") == {}
    for name, raw in files.items():
        more = {**files, name: raw + b"x\n"}
        assert found(more, tmp_path / "it.zip"), f"something more in {name}"
        if raw:
            assert found({**files, name: raw[: len(raw) // 2]}, tmp_path / "it.zip"), name


async def test_what_ran_is_not_passed_off_as_a_review_that_nobody_submitted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An insider takes the records of a request that ran out of the database."""
    request_id = await succeeded(world, monkeypatch)
    for statement in ("DELETE FROM record", "UPDATE request SET state = 'expired'"):
        async with world.bot.store.transaction() as session:
            await (await session.connection()).exec_driver_sql(statement)
        (tmp_path / "it.zip").write_bytes(await world.bot._bundle(request_id, MARA))
        told = {each.name: each.why for each in verify(tmp_path / "it.zip")}
        assert told["plan.jsonl"]
        assert told["receipt.csv"]


async def test_a_plan_that_was_taken_out_of_its_request_is_missed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its digest a request that ran would look as if nothing had been planned."""
    request_id = await succeeded(world, monkeypatch)
    async with world.bot.store.transaction() as session:
        await (await session.connection()).exec_driver_sql("UPDATE request SET digest = ''")
    (tmp_path / "it.zip").write_bytes(await world.bot._bundle(request_id, MARA))
    assert any(each.why for each in verify(tmp_path / "it.zip"))
