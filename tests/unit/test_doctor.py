"""What the doctor says of parts that a subscription may lack."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot import doctor
from bot.db.engine import open_engine
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.db.tables import Watch
from bot.db.watching import WatchStore
from bot.doctor import examine, warn_of_parts
from bot.domain.operations import Registry, Vendor
from bot.proof.notes import Signer
from bot.settings import Settings
from deploy.sandbox.start import Sandbox
from integrations.errors import Rejected


async def nothing() -> None:
    pass


async def ended() -> None:
    raise Rejected("Qualys", "the exceptions API 2.0 is not there")


async def test_a_part_that_does_not_answer_is_warned_of_at_the_start() -> None:
    parts = {"exceptions": ended, "tickets": nothing}
    vendor = Vendor("qualys", "Qualys", (), None, nothing, nothing, parts=parts)
    with capture_logs() as logged:
        await warn_of_parts(Registry([vendor]))
    (line,) = logged
    assert (line["log_level"], line["part"]) == ("warning", "qualys exceptions")
    assert "the exceptions API 2.0 is not there" in line["words"]


@pytest.mark.parametrize("signed", [True, False])
async def test_it_says_whether_the_trail_is_signed_and_never_with_what(
    signed: bool, tmp_path: Path
) -> None:
    signer = Signer.fresh("amend-test")
    settings = Settings(
        _env_file=None,
        slack_bot_token="xoxb-not-a-token",
        slack_signing_secret="not-a-secret",
        slack_api_url="http://127.0.0.1:9/api/",
        database_url=f"sqlite:///{tmp_path / 'amend.db'}",
        amend_audit_key=str(signer) if signed else "",
    )
    told = {each.name: each async for each in examine(settings, Registry([]))}["audit key"]
    assert told.ok
    assert ("not signed" in told.words) is not signed
    assert (str(signer.verifier) in told.words) is signed
    assert str(signer) not in told.words


SIGNED = {"slack_bot_token": "xoxb-not-a-token", "slack_signing_secret": "not-a-secret"}


@pytest.mark.parametrize(
    ("held", "named"),
    [
        (SIGNED, ""),
        ({"slack_bot_token": "xoxb-not-a-token", "slack_app_token": "xapp-not-a-token"}, ""),
        ({"slack_bot_token": "xoxb-not-a-token"}, "SLACK_SIGNING_SECRET"),
        ({"slack_signing_secret": "not-a-secret"}, "SLACK_BOT_TOKEN"),
        ({}, "`amend manifest`"),
    ],
)
async def test_what_a_start_refuses_is_no_good_here_either(
    held: dict[str, str], named: str, tmp_path: Path
) -> None:
    found = await lines_of(tmp_path, **held)
    assert found["settings"].ok is not bool(named)
    assert named in found["settings"].words
    assert "\n" not in found["settings"].words


async def test_a_collector_without_the_packages_for_it_is_no_good_here_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert (await lines_of(tmp_path, **SIGNED))["settings"].ok
    monkeypatch.setitem(sys.modules, "bot.exporting", None)
    told = (await lines_of(tmp_path, **SIGNED))["settings"]
    assert not told.ok
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in told.words
    assert "amend[otel]" in told.words


async def lines_of(folder: Path, **held: str) -> dict[str, doctor.Check]:
    """What the doctor says where Slack is away, and no vendor is switched on."""
    settings = Settings(
        _env_file=None,
        slack_api_url="http://127.0.0.1:9/api/",
        **{"database_url": f"sqlite:///{folder / 'amend.db'}", **held},
    )
    return {each.name: each async for each in examine(settings, Registry([]))}


async def silent() -> None:
    await asyncio.Event().wait()


async def test_a_vendor_that_says_nothing_holds_no_check_longer_than_the_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "WITHIN", 0.2)
    monkeypatch.chdir(tmp_path)
    vendor = Vendor("qualys", "Qualys", (), None, silent, nothing, parts={"exceptions": silent})
    sandbox = Sandbox()
    await sandbox.start()
    try:
        for name, value in sandbox.environment(tmp_path / "amend.db", port=0).items():
            monkeypatch.setenv(name, value)
        policy = tmp_path / "policy.toml"
        policy.write_text(
            '[approvals]\nchannel = "C0STRANGE"\n'
            '[[approvals.rules]]\noperations = ["qualys.*"]\ngroups = ["S0NOBODY"]\n'
        )
        settings = Settings(amend_policy=str(policy), amend_audit_channel="C0OPS")
        found = {each.name: each async for each in examine(settings, Registry((vendor,)))}
    finally:
        await sandbox.stop()
    for name in ("qualys", "qualys exceptions"):
        assert not found[name].ok
        assert found[name].words == "no answer within 0.2 seconds"
    assert not found["approvers S0NOBODY"].ok
    assert not found["approvals channel"].ok
    assert "invite the bot" in found["approvals channel"].words
    assert found["audit channel"].words == "the bot is in C0OPS"
    assert "not signed" in found["audit key"].words
    assert "MiB free" in found["disk"].words
    assert found["proxy"].words == "none"


async def test_a_disk_that_is_nearly_full_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "LEAST_DISK", 1 << 62)
    vendor = Vendor("qualys", "Qualys", (), None, nothing, nothing)
    closed = Settings(
        database_url=f"sqlite:///{tmp_path}/amend.db", slack_api_url="http://127.0.0.1:9/"
    )
    found = {each.name: each async for each in examine(closed, Registry((vendor,)))}
    assert not found["disk"].ok
    assert not found["slack token"].ok
    assert found["qualys"].ok, "one check that fails stops no other"


async def test_a_watch_that_fails_is_named(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None,
        slack_bot_token="xoxb-not-a-token",
        slack_signing_secret="not-a-secret",
        slack_api_url="http://127.0.0.1:9/api/",
        database_url=f"sqlite:///{tmp_path / 'amend.db'}",
    )
    store = Store(open_engine(settings.database_url))
    await migrate(store.engine)

    async def told() -> doctor.Check:
        found = {each.name: each async for each in examine(settings, Registry([]))}
        return found["watches"]

    assert (await told()).ok
    watches = WatchStore(store)
    more = {"team": "T", "channel": "C", "owner": "U", "watcher": "acme.lamps", "selection": {}}
    await watches.add(Watch(id="W1", created_at=1.0, **more))
    await watches.add(Watch(id="W2", created_at=2.0, **more))
    assert (await told()).words == "2 without trouble"
    watch = await watches.get("W2")
    assert watch is not None
    await watches.failed(watch, 5, "the lamp is out", 9.0)
    assert await told() == doctor.Check("watches", False, "1 of 2 in trouble: W2 (the lamp is out)")
    await store.close()
