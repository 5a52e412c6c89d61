"""An approved exception gets a later end, under the same four eyes as its approval."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.people import Account
from tests.e2e.conftest import APPROVALS, MARA, ONCA, OPS, PEOPLE, SAMI, World, text_of, until
from tests.e2e.test_exceptions import SECOND, press
from tests.e2e.test_requests import button, has

OWN = {"username": "oreyes", "password": "sandbox-oreyes"}
TODAY = datetime.now(UTC).date()
END, LATER = TODAY + timedelta(days=20), TODAY + timedelta(days=200)


def approved(world: World, many: int = 1, *, by: str = "qualys_tb") -> list[int]:
    """So many exceptions of hosts in 10.10.10.0/24 that are approved and end on `END`."""
    found = []
    exceptions = world.qualys.compliance.exceptions
    for number, each in sorted(exceptions.items()):
        if str(each.result.host.ip).startswith("10.10.10.") and len(found) < many:
            moment = datetime.combine(END, datetime.min.time(), UTC)
            exceptions[number] = replace(
                each,
                status="Approved",
                expires=END.isoformat(),
                created_by=by,
                modified=moment,
                history=[(each.history[0][0], by, "Isolated")],
            )
            found.append(number)
    assert len(found) == many
    return found


def updates(world: World) -> list[dict[str, Any]]:
    return [dict(each) for each in world.qualys.compliance.updates]


async def review(world: World, user: str, numbers: list[int], end: date = LATER) -> str:
    """Type a renewal; what its review says."""
    named = ",".join(str(each) for each in numbers)
    await world.type(user, f'/amend renew {named} end_date={end} comments="Still isolated"')
    view = await world.view_is(user, "review")
    return text_of({"blocks": view["blocks"]})


async def submit(world: World, user: str) -> None:
    await world.act(user, "submit", view_id=world.view(user)["id"], values={})


async def test_who_may_decide_renews_at_once(world: World) -> None:
    (number,) = approved(world)
    shown = await review(world, MARA, [number])
    assert END.isoformat() in shown
    assert LATER.isoformat() in shown
    assert "approval" not in shown
    assert not updates(world)
    await submit(world, MARA)
    assert (await world.settled())["state"] == "succeeded"
    (sent,) = updates(world)
    assert sent == {
        "action": "update",
        "exception_numbers": str(number),
        "status": "Approved",
        "end_date": LATER.strftime("%m/%d/%Y"),
        "comments": "Still isolated",
    }
    assert LATER.isoformat() in world.qualys.compliance.exceptions[number].expires


async def test_who_may_only_ask_waits_for_one_who_may(world: World) -> None:
    (number,) = approved(world)
    shown = await review(world, SAMI, [number])
    assert "one approval" in shown
    await submit(world, SAMI)
    await until(lambda: bool(world.cards(APPROVALS)), "it is asked")
    assert not updates(world)
    await press(world, SAMI, "approve")
    await until(lambda: bool(world.private(SAMI, APPROVALS)), "a refusal")
    assert not updates(world)
    await press(world, ONCA, "approve")
    assert (await world.settled())["state"] == "succeeded"
    assert len(updates(world)) == 1


async def test_ones_own_wish_is_not_renewed_by_oneself(world: World) -> None:
    """Mara may decide, but not on what she asked for."""
    (number,) = approved(world, by="mlindqvist")
    assert "one approval" in await review(world, MARA, [number])
    await submit(world, MARA)
    await press(world, ONCA, "approve")
    assert (await world.settled())["state"] == "succeeded"


@pytest.mark.parametrize("linked", [False, True])
async def test_nor_what_one_made_in_the_vendors_console(world: World, linked: bool) -> None:
    """Qualys knows who made it, though somebody else spoke first in its history."""
    (number,) = approved(world)
    exceptions = world.qualys.compliance.exceptions
    exceptions[number] = replace(
        exceptions[number], created_by="oreyes" if linked else "mlindqvist"
    )
    if linked:
        await world.bot.pipeline.parts.vault.keep(world.bot.team, MARA, "qualys", "OReyes", OWN)
    assert "one approval" in await review(world, MARA, [number])


async def wished(world: World) -> int:
    """Mara asks for an exception through the shared account, which is all that Qualys knows of it;
    somebody approves it there."""
    await world.type(MARA, SECOND)
    await world.settled()
    exceptions = world.qualys.compliance.exceptions
    number = max(exceptions)
    exceptions[number] = replace(exceptions[number], status="Approved", expires=END.isoformat())
    return number


async def approves(world: World, user: str) -> None:
    """Press the button under the question whether the renewal may run."""

    def asked() -> list[dict[str, Any]]:
        found = [each for each in world.cards(APPROVALS) if "renew_exception" in str(each)]
        return [each for each in found if has(each, "approve")]

    await until(lambda: bool(asked()), "it is asked")
    card = asked()[-1]
    await world.act(user, "press", channel=APPROVALS, ts=card["ts"], **button(card, "approve"))


async def test_nor_what_one_asked_for_through_the_shared_account(world: World) -> None:
    number = await wished(world)
    assert "one approval" in await review(world, MARA, [number])
    await submit(world, MARA)
    await approves(world, ONCA)
    await until(lambda: len(updates(world)) == 1, "it is renewed")


async def test_who_asked_for_it_approves_no_renewal_of_it(world: World) -> None:
    number = await wished(world)
    scanner = (SAMI, Account("qualys", "sito", "Scanner", ("0.0.0.0/0",)))
    rest = [each for each in PEOPLE if each[0] != SAMI]
    bot = world.bot
    await bot.store.import_people(bot.team, [*rest, scanner], replace=True, actor="test")
    assert "one approval" in await review(world, SAMI, [number])
    await submit(world, SAMI)
    await approves(world, MARA)
    await until(lambda: "own request" in str(world.private(MARA, APPROVALS)), "told why not")
    assert updates(world) == []


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (TODAY - timedelta(days=1), "must lie in the future"),
        (TODAY, "must lie in the future"),
        (END - timedelta(days=1), "it ends later already"),
    ],
)
async def test_an_end_that_is_no_later_is_refused(world: World, end: date, words: str) -> None:
    (number,) = approved(world)
    await world.type(MARA, f"/amend renew {number} end_date={end} comments=x")
    await until(lambda: words in said(world, MARA), words)
    assert not updates(world)


def said(world: World, user: str) -> str:
    shown = text_of({"blocks": world.view(user).get("blocks") or []})
    return "\n".join([shown, *world.private(user)])


async def test_only_what_is_approved_is_renewed(world: World) -> None:
    first, second = approved(world, 2)
    exceptions = world.qualys.compliance.exceptions
    exceptions[second] = replace(exceptions[second], status="Pending")
    shown = await review(world, MARA, [first, second])
    assert "only an approved exception is renewed" in shown
    await submit(world, MARA)
    await world.settled()
    assert [each["exception_numbers"] for each in updates(world)] == [str(first)]


async def test_undo_puts_the_former_end_back(world: World) -> None:
    (number,) = approved(world)
    await review(world, MARA, [number])
    await submit(world, MARA)
    await world.settled()
    await press(world, MARA, "undo", OPS)
    view = await world.view_is(MARA, "review")
    shown = text_of({"blocks": view["blocks"]})
    assert END.isoformat() in shown
    await submit(world, MARA)
    await until(lambda: len(updates(world)) == 2, "the way back")
    assert updates(world)[-1]["comments"] in shown
    await until(lambda: END.isoformat() in exceptions_end(world, number))


def exceptions_end(world: World, number: int) -> str:
    return str(world.qualys.compliance.exceptions[number].expires)


async def test_out_of_scope_is_left_out(world: World) -> None:
    (number,) = approved(world)
    exceptions = world.qualys.compliance.exceptions
    far = next(
        n for n, e in exceptions.items() if not str(e.result.host.ip).startswith("10.10.10.")
    )
    exceptions[far] = replace(exceptions[far], status="Approved", expires=END.isoformat())
    shown = await review(world, SAMI, [number, far])
    assert "outside your scope" in shown


async def test_a_number_of_them_goes_in_one_call_and_help_knows_it(world: World) -> None:
    numbers = approved(world, 5)
    await review(world, MARA, numbers)
    await submit(world, MARA)
    await world.settled()
    (sent,) = updates(world)
    assert sent["exception_numbers"] == ",".join(str(each) for each in numbers)
    await world.type(MARA, "/amend help renew")
    assert "/amend renew" in await world.told(MARA, "/amend renew")


WORK = (Path(__file__).parents[2] / "docs/do/everyday-work.md").read_text(encoding="utf-8")


async def test_the_example_of_the_documents_works_in_the_sandbox(world: World) -> None:
    (example,) = [each for each in WORK.split("`") if each.startswith("/amend renew ")]
    await world.type(MARA, example)
    view = await world.view_is(MARA, "review")
    assert "1 exception" in text_of(view)
    assert view["submit"]
