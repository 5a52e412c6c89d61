"""A vendor from a folder of its own, found by its entry point: no line of the bot knows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.bootstrap import connect, entries
from bot.doctor import examine
from bot.domain.people import Account
from bot.people import parse_people
from bot.settings import BadSettings, load_settings
from deploy.sandbox.vendors.people import people_csv
from tests.e2e.conftest import MARA, Make, filled, text_of, until

FOLDER = Path(__file__).parents[1] / "thirdparty"


async def test_an_unknown_vendor_has_help_form_review_and_run(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    world = await make()
    lamps = world.sandbox.lamps
    rows = parse_people(
        people_csv([lamps.people]), {entry.name: entry.roles for entry in entries()}
    )
    for row in rows:
        await world.bot.store.map_person(world.bot.team, row.slack_user, row.account, "test")
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
    assert lamps.calls == []
    await world.act(MARA, "submit", view_id=review["id"], values={})
    assert (await world.settled())["state"] == "succeeded"
    assert sorted(lamps.calls) == [("L1", "on"), ("L2", "on")]
    await until(lambda: any("click" in text_of(each) for each in world.thread()), "its words")


async def test_its_settings_faults_and_doctor_come_with_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    world = await make()
    registry = connect(entries())
    checks = {each.name: each async for each in examine(load_settings(), registry)}
    assert checks["lamps"].ok
    for vendor in registry.vendors:
        await vendor.close()
    assert (await world.slack.fault("lamps", "http_503", times=1))["ok"]
    monkeypatch.setenv("LAMPS_TOKEN", "")
    with pytest.raises(BadSettings, match="LAMPS_TOKEN"):
        connect(entries())
    assert "lamps" in {each.name for each in entries() if each.settings and each.stand_in}


async def test_a_second_instance_of_a_vendor_is_an_entry_of_its_own(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its own name, command, settings and account; the client and the operation are the same."""
    monkeypatch.syspath_prepend(str(FOLDER))
    (tmp_path / "lamps_annex.py").write_text(ANNEX)
    about = tmp_path / "lamps_annex-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lamps-annex\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[amend.vendors]\nannex = lamps_annex:ENTRY\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    world = await make()
    janitor = Account("annex", "mara", "Janitor")
    await world.bot.store.map_person(world.bot.team, MARA, janitor, "test")
    await world.type(MARA, "/annex L1 switch=on")
    review = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=review["id"], values={})
    assert (await world.settled())["operation"] == "annex.switch"
    assert world.payload()["state"] == "succeeded"
    assert (world.sandbox.annex.calls, world.sandbox.lamps.calls) == ([("L1", "on")], [])


ANNEX = """
from dataclasses import replace

from acme_lamps import vendor
from acme_lamps.stand_in import LampsStandIn
from integrations.config import config, load


class AnnexSettings(vendor.LampsSettings):
    model_config = config("ANNEX_")


class SwitchAnnexLamps(vendor.SwitchLamps):
    name, vendor, command = "annex.switch", "annex", "annex"


class AnnexStandIn(LampsStandIn):
    name = "annex"
    people = ()

    def settings(self):
        return {"ANNEX_URL": self.url, "ANNEX_TOKEN": "sandbox-not-a-secret"}


def connect():
    settings = load(AnnexSettings)
    if settings is None:
        return None
    client = vendor.LampsClient(settings)
    return replace(
        vendor.made(settings),
        name="annex",
        operations=(SwitchAnnexLamps(client),),
        check=client.check,
        close=client.aclose,
    )


ENTRY = replace(
    vendor.ENTRY,
    name="annex",
    operations=(SwitchAnnexLamps,),
    connect=connect,
    settings=AnnexSettings,
    stand_in="lamps_annex:AnnexStandIn",
)
"""
