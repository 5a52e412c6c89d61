"""One page a vendor: its rights, its calls, what it cannot do, and the setting for each open point."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.bootstrap import connect, entries
from deploy.sandbox.start import Sandbox
from docs.make.settings import GROUPS, names

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "vendors"
HEADS = [
    "Which account",
    "What Amend sends",
    "What it cannot do",
    "What is documented, seen, guessed",
]
VENDORS = sorted(entry.name for entry in entries())
SIGN_IN = re.compile(r"_(URL|USERNAME|PASSWORD|ACCOUNT)$")


def page(vendor: str) -> str:
    return (PAGES / f"{vendor}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_vendor_has_its_page_with_its_parts(vendor: str) -> None:
    assert re.findall(r"^## (.+)$", page(vendor), re.MULTILINE)[: len(HEADS)] == HEADS


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_setting_is_explained_where_it_matters(vendor: str) -> None:
    every = {name for _, model in GROUPS for name in names(model)}
    own = {each for each in every if each.startswith(f"{vendor.upper()}_")}
    assert own, vendor
    missing = {each for each in own if not SIGN_IN.search(each) and each not in page(vendor)}
    assert missing == set()


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_page_names_no_setting_that_is_none(vendor: str) -> None:
    known = {name for _, model in GROUPS for name in names(model)}
    prefix = vendor.upper()
    named = set(re.findall(rf"\b{prefix}_[A-Z_]+[A-Z]\b", page(vendor)))
    assert named <= known


async def test_each_probe_of_the_doctor_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Sandbox()
    await sandbox.start()
    for name, value in sandbox.environment(tmp_path / "amend.db", port=0).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for vendor in connect(entries()).vendors:
        assert vendor.probes, vendor.name
        for name in vendor.probes:
            assert f"`{name}`" in page(vendor.name), (vendor.name, name)
        await vendor.close()
    await sandbox.stop()
