"""`qualys.edit_tickets` against the stand-in: what arrives there, and what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from bot.domain.errors import InvalidInput
from bot.domain.operations import Batch, Context, Reach, Record, Result
from bot.domain.parameters import Parameters, read, wire
from bot.domain.people import Account
from deploy.sandbox.vendors.qualys import Call, QualysStandIn
from handlers.qualys.tickets import EditTickets, TicketParameters
from integrations.errors import BadCredentials, UnknownOutcome
from integrations.qualys.client import QualysClient
from integrations.qualys.config import QualysSettings

EDIT = "/msp/ticket_edit.php"
LIST = "/msp/ticket_list.php"
ALL_FOUR = "OPEN,RESOLVED,CLOSED,IGNORED"
MANAGER = Account("qualys", "mlindqvist", "Manager")

# The bodies of the five requests in the vendor's document of ticket_edit.php, as they stand there.
DOCUMENT = (
    "ticket_numbers=23456&add_comment=Host+patched,+ready+for+re-scan",
    "ips=10.10.10.120&reopen_ignored_days=7",
    "states=OPEN&unmodified_since=2018-01-01&ticket_assignee=qualys_tb&change_assignee=qualys_ac",
    "since_ticket_number=00215555&invalid=1&change_assignee=acme_ac",
    "states=OPEN&asset_groups=New+York,London&change_state=IGNORED",
)


async def soon(_: float) -> None:
    """No pause between tries."""


@pytest.fixture
async def vendor() -> AsyncIterator[QualysStandIn]:
    async with QualysStandIn() as running:
        yield running


@pytest.fixture
async def edit(vendor: QualysStandIn) -> AsyncIterator[EditTickets]:
    settings = QualysSettings(
        url=vendor.url, username=vendor.username, password=vendor.password, _env_file=None
    )
    client = QualysClient(settings, sleep=soon)
    yield EditTickets(client)
    await client.aclose()


def typed(**values: Any) -> Parameters:
    return read(TicketParameters, values)


async def plan(
    edit: EditTickets, parameters: Parameters, account: Account = MANAGER, reach: Reach = Reach.ALL
) -> list[Record]:
    return [each async for each in edit.plan(parameters, account, reach)]


def batch(edit: EditTickets, parameters: Parameters, records: list[Record]) -> Batch:
    changes = {name: wire(value) for name, value in edit.changes(parameters).items()}
    return Batch(parameters, changes, [each for each in records if not each.left_out])


def arrived(vendor: QualysStandIn, path: str) -> list[Call]:
    return [each for each in vendor.requests if each.path == path]


@pytest.mark.parametrize("body", DOCUMENT)
async def test_the_requests_of_the_document(
    vendor: QualysStandIn, edit: EditTickets, body: str
) -> None:
    written = dict(parse_qsl(body))
    selection = {name: value for name, value in written.items() if name in edit.params()}
    changes = {name: selection.pop(name) for name in edit.changes(typed(**written))}

    parameters = typed(**written)
    await edit.check(parameters)
    records = await plan(edit, parameters)

    (listed, *more) = arrived(vendor, LIST)
    assert listed.params == {"states": ALL_FOUR, **selection}
    for page in more:
        assert set(page.params) == set(listed.params) | {"since_ticket_number"}

    sent = batch(edit, parameters, records)
    assert sent.records
    outcomes = await edit.apply(sent)
    (call,) = arrived(vendor, EDIT)
    assert call.method == "POST"
    numbers = ",".join(each.id for each in sent.records)
    assert call.params == {"ticket_numbers": numbers, **changes}
    assert [each.id for each in outcomes] == [each.id for each in sent.records]
    assert {each.result for each in outcomes} <= {Result.CHANGED, Result.REFUSED}
    changed = {each.id for each in outcomes if each.result is Result.CHANGED}
    assert changed == {str(each) for each in vendor.edits[0].changed}
    assert changed


async def test_the_first_request_arrives_byte_for_byte(
    vendor: QualysStandIn, edit: EditTickets
) -> None:
    parameters = typed(**dict(parse_qsl(DOCUMENT[0])))
    await edit.apply(batch(edit, parameters, await plan(edit, parameters)))
    (call,) = arrived(vendor, EDIT)
    assert call.form == DOCUMENT[0]


async def test_the_plan_says_what_then_happens(vendor: QualysStandIn, edit: EditTickets) -> None:
    parameters = typed(ticket_numbers="23000-23999", change_state="RESOLVED")
    records = await plan(edit, parameters)
    assert len(records) == 1000
    assert {bool(each.left_out) for each in records} == {True, False}
    sent = batch(edit, parameters, records)
    outcomes = await edit.apply(sent)
    assert {each.result for each in outcomes} == {Result.CHANGED}
    now = await edit.read([each.id for each in records])
    for record in records:
        expected = {**record.state, **record.after}
        assert {name: now[record.id][name] for name in expected} == expected
    again = await plan(edit, parameters)
    assert all(each.left_out for each in again)


async def test_what_the_vendor_skips_is_refused_in_its_words(
    vendor: QualysStandIn, edit: EditTickets
) -> None:
    parameters = typed(ticket_numbers="23456,23457", change_state="RESOLVED")
    records = [
        Record(number, "", {"state": "Open", "assignee": "qualys_tb"}, {"state": "Resolved"})
        for number in ("23456", "23457")
    ]
    first, second = await edit.apply(batch(edit, parameters, records))
    assert (first.id, first.result) == ("23456", Result.CHANGED)
    assert (second.id, second.result) == ("23457", Result.REFUSED)
    assert second.words == vendor.edits[0].skipped[23457] != ""


async def test_a_unit_manager_reaches_the_groups_of_the_scope(
    vendor: QualysStandIn, edit: EditTickets
) -> None:
    account = Account("qualys", "uhaddad", "Unit Manager", ("London", "10.30.8.0/24"))
    parameters = typed(states="OPEN", change_state="RESOLVED")
    records = await plan(edit, parameters, account, Reach.SCOPE)
    for record in records:
        inside = record.label.startswith(("10.20.4.", "10.30.8."))
        assert (record.left_out == "") is inside
        assert inside or record.left_out == "outside your scope (London, 10.30.8.0/24)"
    assert any(each.label.startswith("10.20.4.") for each in records)


async def test_a_title_that_qualys_does_not_know_hides_no_other(edit: EditTickets) -> None:
    account = Account("qualys", "uhaddad", "Unit Manager", ("Atlantis", "London"))
    parameters = typed(states="OPEN", change_state="RESOLVED")
    records = await plan(edit, parameters, account, Reach.SCOPE)
    kept = [each for each in records if not each.left_out]
    assert kept
    assert all(each.label.startswith("10.20.4.") for each in kept)


@pytest.mark.parametrize(
    ("fault", "words", "result"),
    [
        ("reset_after_edit", {"change_state": "RESOLVED"}, Result.CHANGED),
        ("reset", {"change_state": "RESOLVED"}, Result.TO_SEND),
        ("truncated_xml", {"change_state": "RESOLVED"}, Result.CHANGED),
        ("html_200", {"change_state": "RESOLVED"}, Result.TO_SEND),
        ("reset_after_edit", {"add_comment": "Host patched"}, Result.CHANGED),
        ("reset", {"add_comment": "Host patched"}, Result.UNKNOWN),
        ("reset_after_edit", {"reopen_ignored_days": "7"}, Result.CHANGED),
    ],
)
async def test_a_lost_answer_is_decided_by_reading(
    vendor: QualysStandIn, edit: EditTickets, fault: str, words: dict[str, str], result: Result
) -> None:
    number = "23457" if "reopen_ignored_days" in words else "23456"
    parameters = typed(ticket_numbers=number, **words)
    sent = batch(edit, parameters, await plan(edit, parameters))
    since = datetime.now(UTC).isoformat()
    vendor.set_fault(fault, {"only": EDIT})
    with pytest.raises(UnknownOutcome):
        await edit.apply(sent)
    assert len(arrived(vendor, EDIT)) == 1
    assert [each.result for each in await edit.reconcile(sent, since)] == [result]


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ("acme_contact", "must be a user whose role is not Contact"),
        ("acme_gone", "must be an active user"),
        ("qualys_xy", "must be the login of a Qualys user"),
    ],
)
async def test_an_assignee_who_cannot_have_tickets(
    edit: EditTickets, login: str, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        await edit.check(typed(ticket_numbers="23456", change_assignee=login))


async def test_people_and_groups_are_found(edit: EditTickets) -> None:
    people = [each.value for each in await edit.lookup("people", "ac", Context())]
    assert "acme_ac" in people
    assert not {"acme_contact", "acme_gone"} & set(people)
    assert [each.value for each in await edit.lookup("asset_groups", "lon", Context())] == [
        "London"
    ]


async def test_a_refused_account_shows_in_the_plan(
    vendor: QualysStandIn, edit: EditTickets
) -> None:
    vendor.set_fault("bad_credentials")
    with pytest.raises(BadCredentials):
        await plan(edit, typed(ticket_numbers="23456", change_state="RESOLVED"))
    # The list of users is a courtesy: without it the vendor decides.
    await edit.check(typed(ticket_numbers="23456", change_assignee="nobody"))
