"""`xpanse.update_incident` at tenants that differ where the document leaves it open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr, ValidationError

from bot.domain.errors import InvalidInput
from bot.domain.operations import Batch, Outcome, Reach, Record, Result, Sighting
from bot.domain.parameters import read
from bot.domain.people import Account
from deploy.sandbox.vendors.base import Call
from deploy.sandbox.vendors.xpanse import USERS, StandInIncident, XpanseStandIn
from handlers.xpanse.incidents import UpdateIncident
from handlers.xpanse.watches import IncidentWatcher
from integrations.errors import BadCredentials
from integrations.xpanse import config
from integrations.xpanse.client import XpanseClient
from integrations.xpanse.config import XpanseSettings

ADMIN = Account("xpanse", "mara.lindqvist@northwind.example", "Instance Administrator")
MAIL = USERS[2][0]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[XpanseStandIn]:
    async with XpanseStandIn() as made:
        yield made


class Desk:
    """One operation under one key, and the few verbs that tests need."""

    def __init__(self, server: XpanseStandIn, **settings: Any) -> None:
        given = {"api_key": SecretStr(server.api_key), "api_key_id": server.api_key_id, **settings}
        self.client = XpanseClient(XpanseSettings(url=server.url, **given))
        self.operation = UpdateIncident(self.client)

    async def planned(self, **values: str) -> Batch:
        parameters = read(self.operation.parameters, {"incident_id": "71", **values})
        records: list[Record] = [
            each async for each in self.operation.plan(parameters, ADMIN, Reach.ALL)
        ]
        wire = {name: str(value) for name, value in self.operation.changes(parameters).items()}
        return Batch(parameters, wire, records, "0" * 32)

    async def edited(self, **values: str) -> Outcome:
        (outcome,) = await self.operation.apply(await self.planned(**values))
        return outcome


@pytest_asyncio.fixture
async def desk(server: XpanseStandIn) -> AsyncIterator[Desk]:
    made = Desk(server)
    yield made
    await made.client.aclose()


# --- what counts as a change --------------------------------------------------------------------


async def test_a_full_name_alone_is_a_change_and_goes_back_with_its_address(
    server: XpanseStandIn, desk: Desk
) -> None:
    server.incidents["71"].assignee = MAIL
    batch = await desk.planned(assigned_user_mail=MAIL, assigned_user_pretty_name="Onca R.")
    (record,) = batch.records
    assert (record.left_out, record.after) == ("", {"full name": "Onca R."})
    await desk.operation.apply(batch)
    assert server.incidents["71"].assignee_name == "Onca R."
    (again,) = (
        await desk.planned(assigned_user_mail=MAIL, assigned_user_pretty_name="Onca R.")
    ).records
    assert again.already
    changed = Record("71", "", {**record.state, "full name": "O. Reyes"}, record.after)
    assert desk.operation.revert(changed).changes == {
        "assigned_user_pretty_name": "O. Reyes",
        "assigned_user_mail": MAIL,
    }


@pytest.mark.parametrize("status", ["", "under_investigation", "resolved"])
async def test_a_resolve_comment_goes_with_any_status_or_none(
    server: XpanseStandIn, desk: Desk, status: str
) -> None:
    """document: "Descriptive comment explaining the incident change." and no other rule."""
    values = {"resolve_comment": "Port closed"} | ({"status": status} if status else {})
    assert (await desk.edited(**values)).result is Result.CHANGED
    assert server.incidents["71"].resolve_comment == "Port closed"
    (record,) = (await desk.planned(**values)).records
    assert record.already


@pytest.mark.parametrize("shows", [True, False])
async def test_a_lost_answer_is_found_also_where_names_are_not_shown(
    server: XpanseStandIn, desk: Desk, shows: bool
) -> None:
    server.shows_names = shows
    batch = await desk.planned(status="resolved", resolve_comment="Port closed")
    await desk.operation.apply(batch)
    (outcome,) = await desk.operation.reconcile(batch, "")
    assert outcome.result is Result.CHANGED


# facts B.5, B.4: sources write statuses and severities in either case; addresses have none.
SAME = [("status", "status"), ("assigned_user_mail", "assignee"), ("manual_severity", "severity")]
# Texts are somebody's words: another case is another text.
TEXTS = [
    ("resolve_comment", "resolve_comment", "port closed", "Port Closed"),
    ("assigned_user_pretty_name", "assignee_name", "onca reyes", "Onca Reyes"),
    ("resolve_comment", "resolve_comment", "strasse", "straße"),
]


@pytest.mark.parametrize(("name", "field"), SAME)
async def test_what_differs_in_case_only_is_so_already(
    server: XpanseStandIn, desk: Desk, name: str, field: str
) -> None:
    typed = {"status": "resolved", "assigned_user_mail": MAIL, "manual_severity": "high"}[name]
    setattr(server.incidents["71"], field, typed.upper())
    (record,) = (await desk.planned(**{name: typed})).records
    assert record.already


@pytest.mark.parametrize(("name", "field", "held", "typed"), TEXTS)
async def test_a_text_in_another_case_is_another_text(
    server: XpanseStandIn, desk: Desk, name: str, field: str, held: str, typed: str
) -> None:
    server.incidents["71"].assignee = MAIL
    setattr(server.incidents["71"], field, held)
    mail = {"assigned_user_mail": MAIL} if name == "assigned_user_pretty_name" else {}
    batch = await desk.planned(**mail, **{name: typed})
    assert not batch.records[0].already
    (missing,) = await desk.operation.reconcile(batch, "")
    assert missing.result is Result.TO_SEND, "what stands there is not what was to be sent"
    await desk.operation.apply(batch)
    assert getattr(server.incidents["71"], field) == typed
    (found,) = await desk.operation.reconcile(batch, "")
    assert found.result is Result.CHANGED


REPLIES = [
    ({"comment": "look"}, Result.UNKNOWN),
    ({"comment": "look", "status": "resolved"}, Result.UNKNOWN),
    ({"status": "resolved"}, Result.REFUSED),
    ({"resolve_comment": "done"}, Result.REFUSED),
]


@pytest.mark.parametrize(("values", "result"), REPLIES)
async def test_reply_false_is_unknown_where_nobody_can_look(
    server: XpanseStandIn, desk: Desk, values: dict[str, str], result: Result
) -> None:
    server.set_fault("reply_false", {"only": "update_incident"})
    outcome = await desk.edited(**values)
    assert outcome.result is result
    assert "The incident is locked" in outcome.words


# --- settings -----------------------------------------------------------------------------------


async def test_a_tenants_own_statuses_are_a_setting(
    server: XpanseStandIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput, match="status"):
        await desk.planned(status="resolved_-_no_risk")
    monkeypatch.setenv("XPANSE_STATUSES", "resolved_-_no_risk, resolved_-_risk_accepted")
    config.statuses.cache_clear()
    server.statuses = (*server.statuses, "resolved_-_no_risk")
    try:
        assert (await desk.edited(status="RESOLVED_-_NO_RISK")).result is Result.CHANGED
        assert server.incidents["71"].status == "resolved_-_no_risk"
    finally:
        monkeypatch.delenv("XPANSE_STATUSES")
        config.statuses.cache_clear()


def test_statuses_that_cannot_be_read_stop_the_start() -> None:
    with pytest.raises(ValidationError, match="status names"):
        XpanseSettings(
            url="https://x.example", api_key=SecretStr("k"), api_key_id="1", statuses="no risk"
        )


@pytest.mark.parametrize(("takes", "setting"), [("", "empty"), ("none", "none")])
async def test_each_way_to_unassign_suits_the_tenant_that_needs_it(
    server: XpanseStandIn, takes: str, setting: str
) -> None:
    server.empties = (takes,)
    server.incidents["71"].assignee = MAIL
    desk = Desk(server, unassign=setting)
    assert (await desk.edited(assigned_user_mail="")).result is Result.CHANGED
    assert server.incidents["71"].assignee == ""
    await desk.client.aclose()


@pytest.mark.parametrize("presented", ["standard", "advanced"])
@pytest.mark.parametrize("kind", ["standard", "advanced"])
async def test_each_kind_of_key_is_taken_as_it_is_set(
    server: XpanseStandIn, kind: str, presented: str
) -> None:
    server.kind = kind
    desk = Desk(server, auth=presented)
    if kind == presented:
        await desk.client.check()
    else:
        with pytest.raises(BadCredentials):
            await desk.client.check()
    await desk.client.aclose()


# --- pages --------------------------------------------------------------------------------------


async def test_nothing_is_lost_while_incidents_move(server: XpanseStandIn, desk: Desk) -> None:
    """Between two pages the oldest ones are edited, and go to the end of the list."""
    answer, moved = server.answer, iter(range(1, 400))

    def and_then_some_move(call: Call) -> Any:
        found = answer(call)
        for _ in range(30):
            server.change(str(next(moved)), status="resolved")
        return found

    server.answer = and_then_some_move  # type: ignore[method-assign]
    seen = {each.id async for page in desk.client.changed(1) for each in page}
    assert seen == set(server.incidents)


@pytest.mark.parametrize("size", [10, 100])
@pytest.mark.parametrize("one_time", [False, True])
async def test_every_page_is_read_also_where_many_have_one_time(
    server: XpanseStandIn, desk: Desk, size: int, one_time: bool
) -> None:
    server.page_size = size
    if one_time:
        for each in list(server.incidents.values())[100:300]:
            each.modified = server.incidents["100"].modified
    seen = [each.id async for page in desk.client.changed(0) for each in page]
    assert sorted(seen) == sorted(server.incidents)
    found = await desk.client.incidents([str(number) for number in range(1, 151)])
    assert len(found) == 150


async def test_more_than_the_count_can_say_are_read(server: XpanseStandIn, desk: Desk) -> None:
    server.incidents = {
        str(number): StandInIncident(str(number), "x", "new", "", "", 1_000 + number)
        for number in range(10_050)
    }
    watcher = IncidentWatcher(desk.client)
    seen = [each async for each in watcher.poll(read(watcher.parameters, {}), "")]
    assert sum(isinstance(each, Sighting) for each in seen) == 10_050


# --- watches ------------------------------------------------------------------------------------

# facts B.5: what the vendor's own sources write where the document has three words.
RESOLVING = [
    "resolved",
    "RESOLVED_TRUE_POSITIVE",
    "resolved_-_no_longer_observed",
    "resolved_-_no_risk",
    "Resolved - Risk Accepted",
]


@pytest.mark.parametrize("state", RESOLVING)
def test_resolved_is_any_state_that_resolves(state: str) -> None:
    watcher = IncidentWatcher.__new__(IncidentWatcher)
    states = watcher.states(read(watcher.parameters, {"status": "resolved"}))
    assert state in states
    assert "new" not in states
    assert "under_investigation" not in states
    assert "" not in states
    others = watcher.states(read(watcher.parameters, {"status": "new,under_investigation"}))
    assert state not in others
    assert not watcher.states(read(watcher.parameters, {})), "empty is all"


@pytest.mark.parametrize("state", ["new", "NEW", "New"])
def test_a_state_is_met_in_any_case(state: str) -> None:
    watcher = IncidentWatcher.__new__(IncidentWatcher)
    assert state in watcher.states(read(watcher.parameters, {"status": "new"}))
    seen = Sighting("71", "x", state, "2026-01-01T00:00:00+00:00")
    assert [each.key for each in watcher.offers(seen)] == ["investigate", "resolve"]


def test_a_tenants_own_resolution_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPANSE_STATUSES", "resolved_-_no_risk")
    config.statuses.cache_clear()
    try:
        watcher = IncidentWatcher.__new__(IncidentWatcher)
        states = watcher.states(read(watcher.parameters, {"status": "resolved_-_no_risk"}))
        assert "Resolved_-_No_Risk" in states
        assert "resolved" not in states
    finally:
        monkeypatch.delenv("XPANSE_STATUSES")
        config.statuses.cache_clear()


@pytest.mark.parametrize("written", ["high", "High", "HIGH"])
async def test_a_severity_is_met_in_any_case(
    server: XpanseStandIn, desk: Desk, written: str
) -> None:
    """The document writes severities small, the vendor's other client in capitals."""
    server.incidents = {
        "1": StandInIncident("1", "x", "new", written, "", 1_000),
        "2": StandInIncident("2", "x", "new", "low", "", 2_000),
        "3": StandInIncident("3", "x", "new", "", "", 3_000),
    }
    watcher = IncidentWatcher(desk.client)
    chosen = read(watcher.parameters, {"manual_severity": "high"})
    seen = [each async for each in watcher.poll(chosen, "")]
    assert [each.id for each in seen if isinstance(each, Sighting)] == ["1"]
