"""`ccs.update_ticket` at servers that answer in each form that the sources leave open."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr, ValidationError

from bot.domain.errors import InvalidInput
from bot.domain.operations import Batch, Outcome, Reach, Record, Result
from bot.domain.parameters import read
from bot.domain.people import Account
from bot.domain.plans import drift
from deploy.sandbox.vendors.ccs import CcsStandIn, Site
from handlers.ccs.tickets import TicketWatcher, UpdateTicket
from integrations.ccs.client import CcsClient
from integrations.ccs.config import CcsSettings
from integrations.errors import Rejected, VendorError

TICKET = "INCA0000001"
ADMIN = Account("ccs", "northwind\\mlindqvist", "Remediation Administrator")


@pytest_asyncio.fixture
async def server() -> AsyncIterator[CcsStandIn]:
    async with CcsStandIn(tickets=130, verifies_in=900.0) as made:
        yield made


class Desk:
    """One operation under one account, and the few verbs that tests need."""

    def __init__(self, server: CcsStandIn, **settings: Any) -> None:
        made = CcsSettings(
            url=server.url,
            username=server.username,
            password=SecretStr(server.password),
            **settings,
        )
        self.client = CcsClient(made)
        self.operation = UpdateTicket(self.client, made.priority_name)

    async def planned(self, **values: str) -> Batch:
        parameters = read(self.operation.parameters, {"TicketNumber": TICKET, **values})
        records: list[Record] = [
            each async for each in self.operation.plan(parameters, ADMIN, Reach.ALL)
        ]
        wire = {name: str(value) for name, value in self.operation.changes(parameters).items()}
        return Batch(parameters, wire, records, "0" * 32)

    async def edited(self, **values: str) -> Outcome:
        (outcome,) = await self.operation.apply(await self.planned(**values))
        return outcome


@pytest_asyncio.fixture
async def desk(server: CcsStandIn) -> AsyncIterator[Desk]:
    made = Desk(server)
    yield made
    await made.client.aclose()


# --- no reading end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 405])
async def test_204_is_changed_also_where_nothing_can_be_read(
    server: CcsStandIn, desk: Desk, status: int
) -> None:
    server.site = Site(reads=status)
    batch = await desk.planned(TicketState="Failed")
    (record,) = batch.records
    assert (record.left_out, record.after) == ("", {"state": "Failed"})
    assert "cannot be read" in record.label
    assert "cannot be read" in str(await desk.operation.notes(batch.parameters, batch.records))
    assert await desk.operation.read([TICKET]) == {TICKET: {}}, "nothing that could have moved"
    (outcome,) = await desk.operation.apply(batch)
    assert outcome.result is Result.CHANGED
    assert server.tickets[TICKET].state == 4
    assert desk.operation.revert(record).changes == {}


async def test_a_ticket_that_is_not_there_is_not_listed(desk: Desk) -> None:
    batch = await desk.planned(TicketNumber="INCA9999999", TicketState="4")
    assert batch.records[0].left_out == "CCS does not list this ticket"


async def test_an_error_object_is_an_error(server: CcsStandIn, desk: Desk) -> None:
    server.site = Site(error_in_200=True)
    with pytest.raises(Rejected, match="evaluation store is not available"):
        await desk.planned(TicketState="4")


# --- one of several that may not be read -------------------------------------------------------------

# document, "HTTPS response codes", and "Authorization requirements": permission is a ticket's own.
FORBIDDEN = "You are not authorized to perform this task. Access is denied."
NO_NUMBER = "Ticket number is invalid or empty."
HIDDEN = [
    (Site(hides=("INCA0000002",)), "INCA0000002", FORBIDDEN),
    (Site(takes="INCA[0-9]{7}"), "FOO", NO_NUMBER),
]


@pytest.mark.parametrize(("site", "other", "words"), HIDDEN)
async def test_one_ticket_that_may_not_be_read_is_left_out_alone(
    server: CcsStandIn, desk: Desk, site: Site, other: str, words: str
) -> None:
    server.site = site
    typed = f"INCA0000001,{other},INCA0000004,INCA9999999"
    records = (await desk.planned(TicketNumber=typed, TicketState="5")).records
    assert [each.id for each in records if not each.left_out] == ["INCA0000001", "INCA0000004"]
    assert words in records[1].left_out
    assert records[3].left_out == "CCS does not list this ticket"


@pytest.mark.parametrize(("site", "other", "words"), HIDDEN)
async def test_one_ticket_that_may_no_longer_be_read_has_moved_and_no_other(
    server: CcsStandIn, desk: Desk, site: Site, other: str, words: str
) -> None:
    server.site = site
    found = await desk.operation.read(["INCA0000001", other, "INCA9999999"])
    assert found.keys() == {"INCA0000001", other}
    assert found["INCA0000001"]["state"] == "Open"
    was = Record(other, "", {"state": "Open", "priority": "Low"}, {"state": "Failed"})
    assert words in drift(was, found[other])
    server.tickets["INCA0000001"].state = 3
    parameters = read(desk.operation.parameters, {"TicketNumber": TICKET, "TicketState": "2"})
    told = await desk.operation.follow_up(parameters, ["INCA0000001", other])
    assert told == {"INCA0000001": "verification passed: Verified"}


# --- other forms on reading ---------------------------------------------------------------------------

FORMS = [
    (Site(domain="CORP"), {"AssignedTo": "jdoe"}, ""),
    (Site(domain="CORP"), {"AssignedTo": "jdoe@corp.example"}, ""),
    (Site(priority_numbers=True), {"Priority": "High"}, "shows priority as 3"),
    (Site(state_names=True), {"TicketState": "5"}, ""),
    (Site(keys={"AssignedTo": "Assignee", "TicketState": "State"}), {"TicketState": "4"}, ""),
    (Site(keys={"AssignedTo": "Whoever"}), {"AssignedTo": "jdoe"}, ""),
    (Site(keys={"TicketNumber": "TICKETNUMBER"}), {"Priority": "High"}, ""),
]


@pytest.mark.parametrize(("site", "values", "remark"), FORMS)
async def test_another_form_on_reading_is_a_remark_at_most(
    server: CcsStandIn, desk: Desk, site: Site, values: dict[str, str], remark: str
) -> None:
    server.site = site
    outcome = await desk.edited(**values)
    assert outcome.result is Result.CHANGED
    assert remark in outcome.words
    assert bool(outcome.words) is bool(remark)


@pytest.mark.parametrize("site", [Site(domain="CORP"), Site(state_names=True)])
async def test_a_lost_answer_is_found_in_another_form(
    server: CcsStandIn, desk: Desk, site: Site
) -> None:
    server.site = site
    batch = await desk.planned(AssignedTo="jdoe", TicketState="4")
    await desk.operation.apply(batch)
    (outcome,) = await desk.operation.reconcile(batch, "")
    assert outcome.result is Result.CHANGED


async def test_a_lost_answer_whose_field_is_not_shown_stays_open(
    server: CcsStandIn, desk: Desk
) -> None:
    server.site = Site(keys={"AssignedTo": "Whoever"})
    batch = await desk.planned(AssignedTo="jdoe", TicketState="4")
    await desk.operation.apply(batch)
    (outcome,) = await desk.operation.reconcile(batch, "")
    assert outcome.result is Result.UNKNOWN


@pytest.mark.parametrize("typed", ["2", "medium", "MEDIUM"])
async def test_a_sites_priorities_are_the_same_by_number_and_by_name(
    server: CcsStandIn, typed: str
) -> None:
    server.site = Site(priority_numbers=True, priority_as="number")
    desk = Desk(server, priorities="1=Low, 2=Medium, 3=High", priority_type="number")
    outcome = await desk.edited(Priority=typed, TicketNumber="INCA0000003")
    assert (outcome.result, outcome.words) == (Result.CHANGED, "")
    assert server.requests[-2].json["Priority"] == 2
    (record,) = (await desk.planned(Priority="Medium", TicketNumber="INCA0000003")).records
    assert record.already
    await desk.client.aclose()


# --- forms on writing ---------------------------------------------------------------------------------

# CONTRACT 3 and the document's contradictions: the site that needs it, and the setting for it.
STRICT = [
    (Site(state_as="number"), {"state_type": "number"}, {"TicketState": "4"}),
    (Site(state_as="text"), {}, {"TicketState": "4"}),
    (Site(priority_as="text"), {}, {"Priority": "High"}),
    (Site(priority_as="number"), {"priority_type": "number"}, {"Priority": "3"}),
    (
        Site(description_key="TicketDescription"),
        {"description_key": "TicketDescription"},
        {"TicketDescription": "x"},
    ),
    (Site(description_key="ticketDescription"), {}, {"TicketDescription": "x"}),
    (Site(needs_priority=True), {"send_priority": "always"}, {"TicketState": "4"}),
    (Site(base64_password=True), {"password_encoding": "base64"}, {"TicketState": "4"}),
]


@pytest.mark.parametrize(("site", "settings", "values"), STRICT)
async def test_each_setting_suits_the_server_that_needs_it(
    server: CcsStandIn, site: Site, settings: dict[str, str], values: dict[str, str]
) -> None:
    server.site = site
    desk = Desk(server, **settings)
    assert (await desk.edited(**values)).result is Result.CHANGED
    await desk.client.aclose()


@pytest.mark.parametrize("bad", ["Low", "1=Low,Medium", "one=Low"])
def test_priorities_that_cannot_be_read_stop_the_start(bad: str) -> None:
    with pytest.raises(ValidationError, match="1=Low"):
        CcsSettings(url="https://c.example", username="u", password=SecretStr("p"), priorities=bad)


# --- numbers and pages --------------------------------------------------------------------------------


async def test_ticket_numbers_are_taken_in_any_case(server: CcsStandIn, desk: Desk) -> None:
    batch = await desk.planned(TicketNumber="inca0000009, INCA0000009", Priority="High")
    assert [each.id for each in batch.records] == ["INCA0000009"]
    assert (await desk.operation.apply(batch))[0].result is Result.CHANGED


async def test_a_server_that_spells_a_number_in_its_own_way(server: CcsStandIn, desk: Desk) -> None:
    for each in server.tickets.values():
        each.number = each.number.lower()
    assert (await desk.edited(Priority="High")).result is Result.CHANGED


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("size", [7, 100, 1000])
async def test_every_page_is_read_whatever_its_size(
    server: CcsStandIn, desk: Desk, size: int, counts: bool
) -> None:
    server.site = Site(page_size=size, counts_pages=counts)
    found = [
        each.number async for page in desk.client.search({"TicketState": "1"}) for each in page
    ]
    opened = [each.number for each in server.tickets.values() if each.state == 1]
    assert sorted(found) == sorted(opened)


async def test_a_server_that_gives_the_same_page_for_ever_ends(
    server: CcsStandIn, desk: Desk
) -> None:
    server.site = Site(counts_pages=False)
    whole = server.answer

    def same(call: Any) -> Any:
        call.params.pop("Page", None)
        return whole(call)

    server.answer = same  # type: ignore[method-assign]
    found = [each async for page in desk.client.search({"TicketState": "1"}) for each in page]
    assert len(found) == sum(each.state == 1 for each in server.tickets.values())


async def test_a_watch_reads_names_where_ccs_shows_numbers(server: CcsStandIn, desk: Desk) -> None:
    watcher = TicketWatcher(desk.client, lambda: datetime.now(UTC))
    seen = [each async for each in watcher.poll(read(watcher.parameters, {}), "")]
    states = {each.state for each in seen if hasattr(each, "state")}
    assert states == {"Open", "Failed"}


# --- what is sent is what was reviewed ----------------------------------------------------------------


# facts A.6: sending state 2 again may start the verification job again.
@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ({"TicketState": "2", "TicketDescription": "new"}, {"ticketDescription": "new"}),
        ({"TicketState": "2", "AssignedTo": "jdoe"}, {"AssignedTo": "jdoe"}),
        ({"TicketState": "4", "AssignedTo": "AzadRai"}, {"TicketState": "4"}),
        ({"TicketState": "4", "TicketDescription": "old"}, {"TicketState": "4"}),
        # document: "Priority: Mandatory", so that what was typed goes along.
        ({"TicketState": "4", "Priority": "Low"}, {"TicketState": "4", "Priority": "Low"}),
        ({"TicketState": "2", "Priority": "High"}, {"Priority": "High"}),
    ],
)
async def test_what_is_so_already_is_not_sent_again(
    server: CcsStandIn, desk: Desk, typed: dict[str, str], sent: dict[str, str]
) -> None:
    ticket = server.tickets[TICKET]
    ticket.state, ticket.description = 2, "old"
    ticket.priority, ticket.assignee = "Low", "AzadRai"
    assert (await desk.edited(**typed)).result is Result.CHANGED
    (edit,) = [each.json for each in server.requests if each.method == "PATCH"]
    assert edit == {"TicketNumber": TICKET, **sent}
    assert (ticket.due == 0.0) is ("TicketState" not in sent or sent["TicketState"] != "2")


async def test_what_cannot_be_read_is_sent_as_it_was_typed(server: CcsStandIn, desk: Desk) -> None:
    server.site = Site(keys={"TicketState": "Hidden"})
    server.tickets[TICKET].state = 2
    await desk.edited(TicketState="2", Priority="High")
    assert server.requests[-2].json == {
        "TicketNumber": TICKET,
        "TicketState": "2",
        "Priority": "High",
    }


# --- tokens -------------------------------------------------------------------------------------------


def quoting(status: int, *, door: int = 200) -> Callable[[httpx.Request], httpx.Response]:
    """A CCS that repeats what it was sent in each of its errors; `door` is how a refresh ends."""
    granted = itertools.count(1)

    def answer(request: httpx.Request) -> httpx.Response:
        sent = f"{request.headers.get('Authorization')} {request.content.decode()} {request.url}"
        refreshes = b"grant_type=refresh_token" in request.content
        if "tokens" not in request.url.path or (refreshes and door != 200):
            return httpx.Response(door if refreshes else status, text=f"Denied: {sent}")
        number = next(granted)
        pair = {"access_token": f"access/+{number}==", "refresh_token": f"refresh/+{number}=="}
        return httpx.Response(200, json=pair)

    return answer


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("door", [200, 400, 429, 503])
async def test_no_error_shows_a_token_that_the_server_repeats(status: int, door: int) -> None:
    now = 0.0
    settings = CcsSettings(url="https://c.example", username="u", password=SecretStr("sandbox-1"))
    transport = httpx.MockTransport(quoting(status, door=door))
    client = CcsClient(settings, transport=transport, clock=lambda: now)
    for _ in range(3):
        for call in (partial(client.update, changes={"TicketState": "2"}), client.ticket):
            with pytest.raises(VendorError) as caught:
                await call(TICKET)
            assert not re.search(r"(access|refresh)[/%]", f"{caught.value!r} {caught.value}")
        now += 56 * 60.0  # the access token has ended, the refresh token has not
    await client.aclose()


async def test_a_server_that_gives_the_same_tokens_again_signs_us_in() -> None:
    taken = iter([401, 200])

    def answer(request: httpx.Request) -> httpx.Response:
        if "tokens" in request.url.path:
            return httpx.Response(200, json={"access_token": "same-1", "refresh_token": "same-2"})
        assert request.headers["Authorization"] == "Bearer same-1"
        return httpx.Response(next(taken), json={"TicketNumber": TICKET})

    settings = CcsSettings(url="https://c.example", username="u", password=SecretStr("sandbox-1"))
    client = CcsClient(settings, transport=httpx.MockTransport(answer))
    assert await client.ticket(TICKET) is not None
    await client.aclose()


# --- a search -----------------------------------------------------------------------------------------


# facts A.4: in a search "comma means AND", so that a value cannot have one.
@pytest.mark.parametrize("name", ["AssignedTo", "Priority"])
async def test_a_watch_for_a_value_with_a_comma_is_refused_by_the_rule(
    desk: Desk, name: str
) -> None:
    watcher = TicketWatcher(desk.client, lambda: datetime.now(UTC))
    with pytest.raises(InvalidInput) as caught:
        read(watcher.parameters, {name: "Doe, John"})
    (problem,) = caught.value.problems
    assert problem.name == name
    assert problem.message == (
        f"`{name}` cannot have a comma in a watch: CCS reads it as the beginning of another condition."
    )
    assert read(watcher.parameters, {name: "Doe John"})
    # An edit has no such rule: it sends a value as it is.
    changed = {"TicketNumber": TICKET, name: "Doe, John"}
    assert getattr(read(desk.operation.parameters, changed), name) == "Doe, John"
