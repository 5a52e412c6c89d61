"""The Qualys client against the stand-in on loopback, with its faults switched on and off."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from deploy.sandbox.vendors.qualys import QualysStandIn
from integrations.errors import (
    BadCredentials,
    NoAnswer,
    Rejected,
    Temporary,
    UnknownOutcome,
    Unreadable,
    VendorError,
)
from integrations.http import Http, Request, Timeouts
from integrations.qualys.client import QualysClient
from integrations.qualys.config import QualysSettings

QUICK = Timeouts(connect=1.0, read=0.3, total=10.0)
ALL = "OPEN,RESOLVED,CLOSED,IGNORED"
EDIT = "/msp/ticket_edit.php"
LIST = "/msp/ticket_list.php"
HANG = {"seconds": 5}

DOCUMENT_EXAMPLES = [
    "ticket_numbers=23456&add_comment=Host+patched,+ready+for+re-scan",
    "ips=10.10.10.120&reopen_ignored_days=7",
    "states=OPEN&unmodified_since=2018-01-01&ticket_assignee=qualys_tb&change_assignee=qualys_ac",
    "since_ticket_number=00215555&invalid=1&change_assignee=acme_ac",
    "states=OPEN&asset_groups=New+York,London&change_state=IGNORED",
]


class Sleeps(list[float]):
    """A sleep that only notes how long it would have been."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
async def vendor() -> AsyncIterator[QualysStandIn]:
    async with QualysStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
async def client(vendor: QualysStandIn, sleeps: Sleeps) -> AsyncIterator[QualysClient]:
    made = QualysClient(settings(vendor), sleep=sleeps, timeouts=QUICK)
    yield made
    await made.aclose()


def settings(vendor: QualysStandIn, **changed: Any) -> QualysSettings:
    given = {"url": vendor.url, "username": vendor.username, "password": vendor.password}
    return QualysSettings(**{**given, **changed})


def calls(vendor: QualysStandIn, path: str) -> int:
    return sum(each.path == path for each in vendor.requests)


async def test_all_pages_come_once_each_in_order(
    client: QualysClient, vendor: QualysStandIn
) -> None:
    numbers = [each.number async for each in client.tickets({"states": ALL})]
    assert numbers == sorted(vendor.tickets)
    assert calls(vendor, LIST) == 3
    assert [each.params.get("since_ticket_number") for each in vendor.requests[:2]] == [
        None,
        "23999",
    ]


async def test_a_ticket_is_what_the_vendor_has(client: QualysClient, vendor: QualysStandIn) -> None:
    found = await client.tickets_by_number([23456, 999_999_999])
    assert list(found) == [23456]
    ticket, kept = found[23456], vendor.tickets[23456]
    assert (ticket.condition, ticket.ip) == ("OPEN", "10.10.10.120")
    assert ticket.title == kept.vulnerability.title
    assert (ticket.due, ticket.modified) == (kept.due, kept.modified)
    assert ticket.assignee_login == "qualys_tb"


async def test_numbers_are_asked_for_in_thousands_with_every_state(
    client: QualysClient, vendor: QualysStandIn
) -> None:
    found = await client.tickets_by_number(vendor.tickets)
    assert list(found) == sorted(vendor.tickets)
    assert [len(each.params["ticket_numbers"].split(",")) for each in vendor.requests] == [
        1000,
        1000,
    ]
    assert {each.params["states"] for each in vendor.requests} == {ALL}


@pytest.mark.parametrize("example", DOCUMENT_EXAMPLES)
async def test_each_example_of_the_document_arrives_as_it_is_written(
    client: QualysClient, vendor: QualysStandIn, example: str
) -> None:
    params = dict(parse_qsl(example))
    changing = ("change_assignee", "change_state", "add_comment", "reopen_ignored_days")
    filters = {name: value for name, value in params.items() if name not in changing}
    changes = {name: value for name, value in params.items() if name in changing}
    numbers = [each.number async for each in client.tickets(filters)]
    assert numbers
    assert dict(vendor.requests[0].params) == filters
    reply = await client.edit(numbers, changes)
    assert reply.changed
    listed = ",".join(map(str, numbers))
    assert dict(vendor.requests[-1].params) == {"ticket_numbers": listed, **changes}
    assert vendor.requests[-1].headers["X-Requested-With"] == "Amend"
    assert sorted([*reply.changed, *reply.skipped]) == numbers


async def test_the_first_example_is_equal_to_the_byte(
    client: QualysClient, vendor: QualysStandIn
) -> None:
    await client.edit([23456], {"add_comment": "Host patched, ready for re-scan"})
    assert vendor.requests[-1].form == DOCUMENT_EXAMPLES[0]
    ticket = (await client.tickets_by_number([23456]))[23456]
    assert ticket.history[0].comment == "Host patched, ready for re-scan"


@pytest.mark.parametrize("example", DOCUMENT_EXAMPLES)
async def test_the_stand_in_takes_each_example_as_curl_sends_it(
    vendor: QualysStandIn, example: str
) -> None:
    request = Request(
        "POST",
        vendor.url + EDIT,
        {"X-Requested-With": "Curl", "Content-Type": "application/x-www-form-urlencoded"},
        example.encode(),
        (vendor.username, vendor.password),
    )
    http = Http("Qualys")
    reply = await http.send(request, writes=True)
    await http.aclose()
    assert reply.status == 200
    assert b"<CHANGES" in reply.body
    assert vendor.edits[-1].changed


async def test_a_forbidden_transition_is_skipped_with_its_reason(
    client: QualysClient, vendor: QualysStandIn
) -> None:
    reply = await client.edit([23456, 23457], {"change_state": "RESOLVED"})
    assert reply.changed == (23456,)
    assert "Closed/Ignored" in reply.skipped[23457]
    assert vendor.tickets[23456].condition == "RESOLVED"


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ({"unmodified": "2018-01-01"}, "1901"),
        ({"states": "PARKED"}, "1905"),
        ({"ips": "10.10.10.300"}, "1905"),
        ({"asset_groups": "Nowhere"}, "1905"),
        ({"qids": ",".join(map(str, range(1, 12)))}, "1905"),
        ({"show_host_id": "1"}, "1922"),
    ],
)
async def test_a_refusal_with_http_200_is_no_empty_list(
    client: QualysClient, filters: dict[str, str], code: str
) -> None:
    with pytest.raises(Rejected) as caught:
        _ = [each async for each in client.tickets(filters)]
    assert caught.value.code == code


@pytest.mark.parametrize(
    "filters",
    [
        {"modified_since": "2026-01-01"},
        {"modified_since_datetime": "2026-01-01T00:00:00Z"},
        {"unmodified_since_datetime": "2018-01-01"},
        {"overdue": "1"},
        {"invalid": "0", "dns_contains": "NYC-web"},
        {"netbios_contains": "lon-"},
        {"vuln_severities": "5", "potential_vuln_severities": "5"},
        {"qids": "38739,91345"},
        {"ips": "10.10.10.115-10.10.10.121,10.20.4.110"},
        {"asset_groups": "Linux servers"},
        {"vuln_title_contains": "openssl"},
        {"vuln_details_contains": "attacker"},
        {"vendor_ref_contains": "RHSA"},
        {"until_ticket_number": "23010", "since_ticket_number": "23005"},
        {"ticket_numbers": "23001,23005-23007"},
        {"host_id": "700010"},
    ],
)
async def test_every_selection_parameter_selects_some_and_not_all(
    client: QualysClient, vendor: QualysStandIn, filters: dict[str, str]
) -> None:
    numbers = [each.number async for each in client.tickets(filters)]
    assert 0 < len(numbers) < len(vendor.tickets)


async def test_users_and_asset_groups_are_listed(client: QualysClient) -> None:
    users = {each.login: each for each in await client.users()}
    assert users["mlindqvist"].name == "Mara Lindqvist"
    assert users["uhaddad"].business_unit == "EMEA"
    assert users["uhaddad"].asset_groups == ("London",)
    assert users["acme_contact"].role == "Contact"
    assert users["acme_gone"].status == "Inactive"
    assert all(isinstance(each.id, int) and each.id for each in users.values())
    assert await client.asset_groups("SERV") == ["Linux servers", "Windows servers"]


async def test_a_wrong_password_is_told_as_such(vendor: QualysStandIn) -> None:
    client = QualysClient(settings(vendor, password="other-word"))
    with pytest.raises(BadCredentials) as caught:
        await client.check()
    await client.aclose()
    assert "other-word" not in str(caught.value)
    assert len(vendor.requests) == 1


async def test_a_person_sees_and_edits_what_the_vendor_lets_them(vendor: QualysStandIn) -> None:
    unit = QualysClient(settings(vendor, username="uhaddad", password="sandbox-uhaddad"))
    ips = {each.ip.rpartition(".")[0] async for each in unit.tickets({"states": ALL})}
    await unit.aclose()
    assert ips == {"10.20.4", "10.30.8"}
    reader = QualysClient(settings(vendor, username="acme_ac", password="sandbox-acme_ac"))
    await reader.check()
    with pytest.raises(Rejected):
        await reader.edit([23456], {"change_state": "IGNORED"})
    await reader.aclose()


WRITE_FAULTS: list[tuple[str, type[VendorError], bool]] = [
    ("timeout", NoAnswer, False),
    ("reset", NoAnswer, False),
    ("reset_after_edit", NoAnswer, True),
    ("http_500", UnknownOutcome, False),
    ("http_503", UnknownOutcome, False),
    ("html_200", NoAnswer, False),
    ("error_200", Rejected, False),
    ("truncated_xml", Unreadable, True),
    ("hostile_xml", Unreadable, False),
    ("bad_credentials", BadCredentials, False),
]


@pytest.mark.parametrize(("fault", "kind", "applied"), WRITE_FAULTS)
async def test_an_edit_without_a_trustworthy_answer_is_never_sent_twice(
    client: QualysClient,
    vendor: QualysStandIn,
    sleeps: Sleeps,
    fault: str,
    kind: type[VendorError],
    applied: bool,
) -> None:
    vendor.set_fault(fault, {**HANG, "only": EDIT})
    with pytest.raises(VendorError) as caught:
        await client.edit([23456], {"add_comment": "once"})
    assert type(caught.value) is kind
    assert vendor.password not in str(caught.value)
    assert calls(vendor, EDIT) == 1
    assert not sleeps
    vendor.set_fault(None)
    afterwards = QualysClient(settings(vendor))
    history = (await afterwards.tickets_by_number([23456]))[23456].history
    await afterwards.aclose()
    assert [each.comment for each in history].count("once") == int(applied)


@pytest.mark.parametrize(
    ("fault", "wait", "later"), [("conflict_wait", 3.0, None), ("conflict_running", None, 61.0)]
)
async def test_a_blocked_edit_is_left_to_whoever_can_look_again_first(
    client: QualysClient,
    vendor: QualysStandIn,
    sleeps: Sleeps,
    fault: str,
    wait: float | None,
    later: float | None,
) -> None:
    vendor.set_fault(fault, {"times": 1})
    with pytest.raises(Temporary) as caught:
        await client.edit([23456], {"add_comment": "once"})
    assert (caught.value.wait, caught.value.later) == (wait, later)
    assert not sleeps
    assert vendor.edits == []


async def test_a_long_wait_is_handed_on_at_once(
    client: QualysClient, vendor: QualysStandIn, sleeps: Sleeps
) -> None:
    vendor.set_fault("conflict_wait", {"seconds": 181})
    with pytest.raises(Temporary) as caught:
        await client.edit([23456], {"add_comment": "later"})
    assert caught.value.wait == 181
    assert not sleeps
    with pytest.raises(Temporary) as caught:
        await client.edit([23456], {"add_comment": "later"})
    assert (caught.value.wait or 0) > 170
    assert calls(vendor, EDIT) == 1, "the vendor is left in peace until then"


async def test_where_others_run_for_long_a_read_names_a_minute(
    client: QualysClient, vendor: QualysStandIn, sleeps: Sleeps
) -> None:
    vendor.set_fault("conflict_running")
    with pytest.raises(Temporary) as caught:
        await client.tickets_by_number([23456])
    assert caught.value.wait == 61
    assert sleeps == [1.0, 2.0]


@pytest.mark.parametrize("fault", ["timeout", "reset", "http_500", "http_503", "conflict_running"])
async def test_a_read_is_tried_three_times(
    client: QualysClient, vendor: QualysStandIn, sleeps: Sleeps, fault: str
) -> None:
    vendor.set_fault(fault, {**HANG, "times": 2} if fault == "timeout" else {"times": 2})
    assert list(await client.tickets_by_number([23456])) == [23456]
    assert sleeps == [1.0, 2.0]
    vendor.set_fault(fault, {"times": 3})
    with pytest.raises(Temporary):
        await client.users()
    assert calls(vendor, "/msp/user_list.php") == 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("html_200", Temporary),
        ("truncated_xml", Unreadable),
        ("hostile_xml", Unreadable),
        ("error_200", Rejected),
        ("bad_credentials", BadCredentials),
    ],
)
async def test_a_read_that_cannot_be_trusted_is_not_an_empty_list(
    client: QualysClient, vendor: QualysStandIn, fault: str, kind: type[VendorError]
) -> None:
    vendor.set_fault(fault)
    with pytest.raises(kind):
        await client.tickets_by_number([23456])
    with pytest.raises(kind):
        await client.users()


async def test_a_slow_answer_within_the_timeout_is_an_answer(
    client: QualysClient, vendor: QualysStandIn
) -> None:
    vendor.set_fault("slow", {"seconds": 0.05})
    await client.check()


async def test_nothing_is_sent_where_nobody_listens(sleeps: Sleeps) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    client = QualysClient(
        QualysSettings(url=url, username="a", password="b"), sleep=sleeps, timeouts=QUICK
    )
    with pytest.raises(Temporary, match="cannot be reached"):
        await client.edit([1], {"change_state": "OPEN"})
    await client.aclose()
    assert not sleeps


async def test_two_calls_at_a_time_and_no_more() -> None:
    async with QualysStandIn(at_once=2) as vendor:
        client = QualysClient(settings(vendor), sleep=Sleeps())
        vendor.set_fault("slow", {"seconds": 0.03})
        await asyncio.gather(*(client.check() for _ in range(8)))
        await client.aclose()
        assert len(vendor.requests) == 8, "none was blocked and repeated"


async def test_a_used_up_limit_is_waited_for_before_the_next_call() -> None:
    async with QualysStandIn(rate=1) as vendor:
        client = QualysClient(settings(vendor), sleep=Sleeps())
        await client.check()
        with pytest.raises(Temporary) as caught:
            await client.check()
        assert (caught.value.wait or 0) > 3000
        await client.users()
        await client.aclose()


async def test_a_list_that_does_not_go_on_is_not_taken_for_the_whole() -> None:
    ticket = "<TICKET><NUMBER>{}</NUMBER><CURRENT_STATE>OPEN</CURRENT_STATE></TICKET>"
    listed = f"<TICKET_LIST>{ticket.format(1)}{ticket.format(2)}</TICKET_LIST>"
    page = f'<REMEDIATION_TICKETS>{listed}<TRUNCATION last="2"/></REMEDIATION_TICKETS>'
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=page))
    made = QualysSettings(url="https://q.example", username="a", password="b")
    client = QualysClient(made, transport=transport)
    with pytest.raises(Unreadable, match="nothing new"):
        _ = [each async for each in client.tickets({"states": "OPEN"})]
    await client.aclose()


async def test_traffic_is_told_without_secrets(client: QualysClient, vendor: QualysStandIn) -> None:
    entries: list[dict[str, Any]] = []
    vendor.on_traffic = entries.append
    await client.edit([23456], {"add_comment": "seen"})
    assert entries[0]["what"] == f"POST {EDIT}"
    assert (entries[0]["status"], entries[0]["vendor"]) == (200, "qualys")
    assert entries[0]["request"] == {"ticket_numbers": "23456", "add_comment": "seen"}
    assert vendor.password not in str(entries)
    assert "Authorization" not in str(vendor.requests)
