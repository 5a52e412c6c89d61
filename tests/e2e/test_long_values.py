"""What a card cannot hold stands whole where everybody who decides can read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.conftest import APPROVALS, MARA, ONCA, Make, World, text_of, until
from tests.e2e.test_requests import button

POLICY = """
[[approvals.rules]]
operations = ["ccs.update_ticket"]
approvers = 1
"""
LONG = "\n".join(f"step {number}: <b> & *Priority:* High" for number in range(92))


async def asked(make: Make, tmp_path: Path) -> World:
    (tmp_path / "policy.toml").write_text(POLICY)
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"))
    who = "corp\\m" + "a" * 200
    typed = f'/ccs INCA0000001 TicketDescription="{LONG}" Priority=Low AssignedTo={who}'
    await world.type(MARA, typed)
    view = await world.view_is(MARA, "review")
    assert LONG in quoted_in(view)
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    return world


def quoted_in(view: dict[str, Any]) -> str:
    """What a view quotes; a long value goes on in the next block."""
    parts = [part for block in view["blocks"] for part in block.get("elements", [])]
    quotes = [each for each in parts if each["type"] == "rich_text_quote"]
    return "".join(text["text"] for each in quotes for text in each["elements"])


async def test_the_approvers_thread_and_details_have_what_the_card_cut(
    make: Make, tmp_path: Path
) -> None:
    world = await asked(make, tmp_path)
    card = world.cards(APPROVALS)[-1]
    assert "more characters" in text_of(card)
    await until(world.files_there, "the file")
    (file,) = world.slack.core.files.values()
    assert file.content is not None
    whole = file.content.decode()
    assert [line.strip("| ") for line in whole.splitlines() if "step" in line] == LONG.split("\n")
    assert "corp\\m" + "a" * 200 in whole

    def names_it() -> bool:
        said = [each for each in world.messages(APPROVALS) if each.get("thread_ts") == card["ts"]]
        return any("changes.txt" in str(each) for each in said)

    await until(names_it, "the file's message")
    press = button(card, "details")
    await world.act(ONCA, "press", channel=APPROVALS, ts=card["ts"], **press)
    view = await world.view_is(ONCA, "message")
    assert LONG in quoted_in(view)


async def test_a_card_that_holds_all_has_no_file(make: Make, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"))
    await world.type(MARA, "/ccs INCA0000001 Priority=Low")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    assert "more characters" not in text_of(world.cards(APPROVALS)[-1])
    assert not world.slack.core.files
