"""A vendor from a folder of its own, found by its entry point: no line of the bot knows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.people import Account
from tests.e2e.conftest import MARA, Make, filled, text_of, until

FOLDER = Path(__file__).parents[1] / "thirdparty"


async def test_an_unknown_vendor_has_help_form_review_and_run(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import acme_lamps  # type: ignore[import-not-found]

    world = await make()
    janitor = Account("lamps", "mara", "Janitor")
    await world.bot.store.map_person(world.bot.team, MARA, janitor, "test")
    await world.type(MARA, "/amend help lamps")
    await world.told(MARA, "switch")
    await world.type(MARA, "/lamps L1 swich=on")
    await world.told(MARA, "`switch`")
    await world.type(MARA, "/lamps")
    form = await world.view_is(MARA, "form")
    values = filled(form, lamp="L1,L2,L9", switch="on")
    await world.act(MARA, "submit", view_id=form["id"], values=values)
    review = await world.view_is(MARA, "review")
    shown = text_of({"blocks": review["blocks"]})
    assert "off → on" in shown
    assert "there is no such lamp" in shown
    assert acme_lamps.LAMPS.calls == []
    await world.act(MARA, "submit", view_id=review["id"], values={})
    assert (await world.settled())["state"] == "succeeded"
    assert sorted(acme_lamps.LAMPS.calls) == [("L1", "on"), ("L2", "on")]
    await until(lambda: any("click" in text_of(each) for each in world.thread()), "its words")
