"""`doctor --deep`: what reading tells of a vendor, and which settings it says fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.bootstrap import connect, entries
from bot.doctor import examine
from bot.settings import load_settings
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.ccs import CcsStandIn, Site
from deploy.sandbox.vendors.xpanse import XpanseStandIn
from deploy.sandbox.vendors.zstack import ZstackStandIn
from handlers.ccs import probes as ccs
from handlers.xpanse import probes as xpanse
from handlers.zstack import probes as zstack
from integrations.ccs.client import CcsClient
from integrations.ccs.config import CcsSettings
from integrations.errors import BadCredentials
from integrations.xpanse.client import XpanseClient
from integrations.xpanse.config import XpanseSettings
from integrations.zstack.client import ZstackClient
from integrations.zstack.config import ZstackSettings

Probes = Mapping[str, Callable[[], Awaitable[str]]]

SITES = [
    (Site(), "reading", "shown in the list and alone"),
    (Site(), "forms", "CCS_PRIORITY_TYPE=name fits"),
    (Site(priority_numbers=True), "forms", "CCS_PRIORITY_TYPE=number fits"),
    (Site(keys={"AssignedTo": "Whoever"}), "forms", "not shown: assignee"),
    (Site(reads=405), "reading", "CCS' word alone"),
    (Site(), "writing", "CCS_STATE_TYPE=string"),
]


@pytest.mark.parametrize(("site", "probe", "words"), SITES)
async def test_ccs(site: Site, probe: str, words: str) -> None:
    async with CcsStandIn(tickets=20) as server:
        server.site = site
        made = CcsSettings(
            url=server.url, username=server.username, password=SecretStr(server.password)
        )
        client = CcsClient(made)
        assert words in await ccs.probes(client, made)[probe]()
        assert {each.method for each in server.requests} <= {"GET", "POST"}, "it only reads"
        await client.aclose()


def tenant(server: XpanseStandIn, auth: str) -> tuple[XpanseClient, Probes]:
    made = XpanseSettings(
        url=server.url, api_key=SecretStr(server.api_key), api_key_id=server.api_key_id, auth=auth
    )
    client = XpanseClient(made)
    return client, xpanse.probes(client, made)


async def test_xpanse_finds_the_statuses_of_a_tenant() -> None:
    async with XpanseStandIn() as server:
        server.incidents["5"].status = "resolved_-_no_risk"
        client, probes = tenant(server, "standard")
        assert "XPANSE_STATUSES=resolved_-_no_risk" in await probes["statuses"]()
        assert "4 users" in await probes["users"]()
        assert all("update" not in each.path for each in server.requests)
        await client.aclose()


@pytest.mark.parametrize(("kind", "auth"), [("advanced", "standard"), ("standard", "advanced")])
async def test_xpanse_tells_a_key_of_the_other_kind(kind: str, auth: str) -> None:
    async with XpanseStandIn(kind=kind) as server:
        client, probes = tenant(server, auth)
        with pytest.raises(BadCredentials, match=f"XPANSE_AUTH={kind}"):
            await probes["key"]()
        await client.aclose()


async def test_zstack_tells_its_clock_its_levels_and_what_it_hides() -> None:
    async with ZstackStandIn(tickets=20) as server:
        server.time_zone = "Asia/Kolkata"
        key, secret = server.access_key
        made = ZstackSettings(
            url=server.url, access_key_id=key, access_key_secret=SecretStr(secret)
        )
        client = ZstackClient(made)
        probes = zstack.probes(client, made)
        assert "UTC+05:30" in await probes["clock"]()
        assert "2 levels: Team lead (onca), SystemAdmin (mara)" in await probes["levels"]()
        assert "each with its level" in await probes["tickets"]()
        server.desk.flows = []
        assert "sees no flow" in await zstack.probes(client, made)["levels"]()
        assert {each.method for each in server.requests} == {"GET"}
        await client.aclose()


async def test_the_doctor_asks_them_only_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Sandbox()
    await sandbox.start()
    environment = sandbox.environment(tmp_path / "amend.db", port=0, socket_mode=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    registry = connect(entries())
    plain = [each.name async for each in examine(load_settings(), registry)]
    deep = [each async for each in examine(load_settings(), registry, deep=True)]
    more = {each.name: each for each in deep if each.name not in plain}
    assert {"qualys states", "ccs forms", "xpanse statuses", "zstack levels"} <= more.keys()
    assert [each for each in more.values() if not each.ok] == []
    for vendor in registry.vendors:
        await vendor.close()
    await sandbox.stop()
