"""The dashboard and the alerts ask for what a running bot really says, and for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from bot.bootstrap import entries
from bot.db.tables import Watch
from bot.metrics import RECORDS
from tests.e2e.conftest import MARA, OPS, Make, World

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"

# As they are promised to whoever builds on them: the name, and the labels.
PROMISED = {
    "amend_ack_seconds": set(),
    "amend_vendor_call_seconds": {"vendor", "call", "outcome"},
    "amend_records_total": {"operation", "result"},
    "amend_requests": {"state"},
    "amend_outbox_waiting": set(),
    "amend_outbox_oldest_seconds": set(),
    "amend_lane_waiting": {"vendor"},
    "amend_watch_lag_seconds": {"vendor"},
    "amend_http_refused_total": {"why"},
    "amend_slack_link_up": set(),
    "amend_ready": {"part"},
    "amend_siem_oldest_seconds": set(),
    "amend_poll_seconds": set(),
    "amend_build_info": {"version"},
}
RESULTS = ("changed", "unchanged", "refused", "unknown", "not_sent")
SELECTED = re.compile(r"(amend_[a-z_]+)(?:\{([^}]*)\})?")


async def scraped(world: World) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Every sample of ours, by its name: labels and value."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{world.bot.port}/metrics") as answer,
    ):
        text = await answer.text()
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("amend_") and not sample.name.endswith("_created"):
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def expressions() -> Iterator[str]:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (each["expr"] for each in panel["targets"])
    yield from (each["expr"] for each in alerts())


def alerts() -> list[dict[str, Any]]:
    held = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    return [rule for group in held["groups"] for rule in group["rules"]]


async def worked(make: Make) -> World:
    """A bot that has run an edit, refused a stranger and measured itself."""
    world = await make()
    await world.type(MARA, "/qualys 23456 add_comment=checked")
    await world.settled()
    async with aiohttp.ClientSession() as session:
        await session.post(f"http://127.0.0.1:{world.bot.port}/slack/events", data=b"{}")
    await world.bot.upkeep.measure()
    return world


async def test_a_running_bot_says_what_is_promised(make: Make) -> None:
    samples = await scraped(await worked(make))
    for name, labels in PROMISED.items():
        shown = {each: samples[each] for each in (name, f"{name}_count") if each in samples}
        assert shown, name
        for sampled in shown.values():
            assert {each for told, _ in sampled for each in told} == labels, name
    known = {re.sub(r"_(bucket|count|sum)$", "", each) for each in samples}
    assert known == PROMISED.keys()


async def test_what_it_says_is_so(make: Make) -> None:
    world = await worked(make)
    samples = await scraped(world)

    def value(name: str, **labels: str) -> float:
        return next(at for told, at in samples[name] if told == labels)

    assert value("amend_records_total", operation="qualys.edit_tickets", result="changed") >= 1
    assert value("amend_requests", state="succeeded") == 1
    assert value("amend_requests", state="running") == 0
    assert value("amend_slack_link_up") == 1
    assert value("amend_lane_waiting", vendor="qualys") == 0
    assert value("amend_watch_lag_seconds", vendor="zstack") == 0
    calls = {told["call"] for told, _ in samples["amend_vendor_call_seconds_count"]}
    assert {"ticket_list", "ticket_edit"} <= calls
    assert value("amend_http_refused_total", why="signature") >= 1


async def test_what_is_counted_is_there_before_the_first(make: Make) -> None:
    """`increase()` sees nothing of a series that begins with its first count."""
    RECORDS.clear()
    samples = await scraped(await make())
    told = {(each["operation"], each["result"]) for each, _ in samples["amend_records_total"]}
    operations = {each.name for entry in entries() for each in entry.operations}
    assert told == set(product(operations, RESULTS))


async def test_a_watch_that_waits_shows_its_lag_and_a_lost_token_the_link(make: Make) -> None:
    world = await make()
    at = world.bot.store.clock()
    where = {"channel": OPS, "team": world.bot.team, "owner": MARA, "mode": "now"}
    await world.bot.watching.watches.add(
        Watch(
            id="W1",
            watcher="qualys.tickets",
            selection={},
            created_at=at,
            polled_at=at,
            next_at=at + 9000.0,
            **where,
        )
    )
    world.bot.store.clock = lambda: at + 5000.0
    world.bot.token.refused = "token_revoked"
    await world.bot.upkeep.measure()
    samples = await scraped(world)
    lag = {told["vendor"]: value for told, value in samples["amend_watch_lag_seconds"]}
    assert lag["qualys"] == 5000.0
    assert samples["amend_slack_link_up"][0][1] == 0


async def test_a_database_that_is_gone_shows_at_once_and_says_nothing_of_slack(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make()

    async def gone(*_: Any) -> None:
        raise OperationalError("SELECT 1", {}, OSError("the server closed the connection"))

    monkeypatch.setattr(world.bot.store, "ping", gone)
    monkeypatch.setattr(world.bot.outbox, "waiting", gone)
    samples = await scraped(world)
    ready = {told["part"]: value for told, value in samples["amend_ready"]}
    assert ready == {"database": 0, "jobs": 1, "slack": 1}
    assert samples["amend_slack_link_up"][0][1] == 1
    world.bot.token.refused = "token_revoked"
    samples = await scraped(world)
    assert ({"part": "slack"}, 0) in samples["amend_ready"]
    assert samples["amend_slack_link_up"][0][1] == 0


def test_what_cannot_work_calls_somebody() -> None:
    """An alert needs a series that changes: one that is read from the database stands still then."""
    rules = {each["alert"]: each for each in alerts()}
    assert "amend_ready" in rules["AmendNotReady"]["expr"]
    refused = rules["AmendRefusesEverything"]["expr"]
    assert {"amend_http_refused_total", "amend_ack_seconds_count"} <= set(
        re.findall(r"amend_[a-z_]+", refused)
    )
    for name in ("AmendNotReady", "AmendRefusesEverything"):
        assert rules[name]["labels"]["severity"] == "page"


@pytest.mark.parametrize(
    ("every", "lag", "fires"),
    [
        (60, 60, False),
        (60, 3000, False),
        (60, 3700, True),
        (7200, 7300, False),
        (7200, 14400, True),
    ],
)
def test_a_watch_is_behind_by_its_own_interval(every: float, lag: float, fires: bool) -> None:
    """Where watches are read every two hours, one that was read an hour ago is not behind."""
    rules = {each["alert"]: each["expr"] for each in alerts()}
    told = rules["AmendWatchBehind"]
    told = told.replace("max by (vendor) (amend_watch_lag_seconds)", str(lag))
    told = told.replace("scalar(max(amend_poll_seconds))", str(every))
    assert re.fullmatch(r"[0-9.> +*]+", told), "the rest is arithmetic"
    assert eval(told) is fires  # noqa: S307 - digits and signs, as was just looked at


async def test_the_interval_is_that_of_the_settings(make: Make) -> None:
    samples = await scraped(await make(AMEND_POLL_SECONDS="7200"))
    assert samples["amend_poll_seconds"] == [({}, 7200.0)]


async def test_every_expression_asks_for_what_is_there(make: Make) -> None:
    samples = await scraped(await worked(make))
    asked = list(expressions())
    assert len(asked) > 20
    for expression in asked:
        selected = SELECTED.findall(expression)
        assert selected, expression
        for name, matchers in selected:
            assert name in samples, (name, expression)
            labels = {each for told, _ in samples[name] for each in told}
            for matcher in filter(None, matchers.split(",")):
                label = re.split(r"=~|!~|!=|=", matcher)[0].strip()
                assert label in labels, (label, expression)


def test_each_alert_says_what_it_means_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "action"} <= rule["annotations"].keys()
