"""The stand-in of Qualys against the vendor's documents, rule by rule, with bare HTTP.

Each comment names the vendor's page and the place in it: "Edit Tickets" is ticket_edit.php, "Ticket
Selection" the selection parameters that it shares with ticket_list.php, "Request Exception" and its
three sister pages the exceptions of Policy Compliance. What no page states is not expected here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from lxml import etree

from deploy.sandbox.vendors.qualys import QualysStandIn

EDIT, LIST, USERS = "/msp/ticket_edit.php", "/msp/ticket_list.php", "/msp/user_list.php"
EXCEPTION = "/api/2.0/fo/compliance/exception/"
NEWER_EXCEPTION = "/api/3.0/fo/compliance/exception/"
SESSION = "/api/2.0/fo/session/"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SERVICE = ("amend_api", "sandbox-not-a-secret")
EVERY_STATE = {"states": "OPEN,RESOLVED,CLOSED,IGNORED"}

# The bodies of the two requests of "Request Exception"; the second lacks an "&" there.
INSTANCE_EXAMPLE = (
    "action=request&control_id=16832&host_id=3753479&policy_id=1366063&technology_id=390"
    "&assignee_id=996765&reopen_on_evidence_change=0&comments=comment"
    "&instance_string=MSSQL 2022:1:1433:MSSQLSERVER:master"
)
PLAIN_EXAMPLE = (
    "action=request&control_id=1113&host_id=28595192824&policy_id=801459496&technology_id=45"
    "&assignee_id=2449482824&reopen_on_evidence_change=1&comments=new exception"
)
# The bodies of the five requests of "Edit Tickets".
EDIT_EXAMPLES = (
    "ticket_numbers=23456&add_comment=Host+patched,+ready+for+re-scan",
    "ips=10.10.10.120&reopen_ignored_days=7",
    "states=OPEN&unmodified_since=2018-01-01&ticket_assignee=qualys_tb&change_assignee=qualys_ac",
    "since_ticket_number=00215555&invalid=1&change_assignee=acme_ac",
    "states=OPEN&asset_groups=New+York,London&change_state=IGNORED",
)
PARSER = etree.XMLParser(resolve_entities=False, no_network=True)
Params = Mapping[str, str]
Xml = Any


class Clock:
    """The vendor's clock."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Api:
    """Calls as the documents' examples make them: Basic, a form, `X-Requested-With`."""

    vendor: QualysStandIn
    http: httpx.AsyncClient
    clock: Clock

    async def __call__(
        self,
        path: str,
        params: Params | str | None,
        user: str = "",
        method: str = "POST",
        **more: Any,
    ) -> httpx.Response:
        options = {"auth": (user, f"sandbox-{user}") if user else SERVICE, **more}
        options.setdefault("headers", {"X-Requested-With": "Curl"})
        if method != "POST":
            return await self.http.request(method, path, params=params, **options)
        if isinstance(params, str):
            options["headers"]["Content-Type"] = "application/x-www-form-urlencoded"
            return await self.http.post(path, content=params, **options)
        return await self.http.post(path, data=dict(params or {}), **options)

    async def edit(self, params: Params | str, user: str = "") -> httpx.Response:
        return await self(EDIT, params, user)

    async def tickets(self, user: str = "", **filters: str) -> dict[int, Xml]:
        """All tickets that are selected, page by page, by number."""
        found: dict[int, Xml] = {}
        options = {"show_host_id": "1", **filters}
        while True:
            root = xml(await self(LIST, options, user))
            assert root.find("ERROR") is None, etree.tostring(root)
            found |= {int(each.findtext("NUMBER")): each for each in root.iter("TICKET")}
            last = root.find("TRUNCATION")
            if last is None:
                return found
            options["since_ticket_number"] = last.get("last")

    async def ticket(self, number: int) -> Xml:
        return (await self.tickets(ticket_numbers=str(number)))[number]

    async def exception(self, action: str, user: str = "", **params: str) -> httpx.Response:
        return await self(EXCEPTION, {"action": action, **params}, user)

    async def requested(self, example: str = PLAIN_EXAMPLE) -> str:
        """The number of a new exception."""
        (number,) = items(xml(await self(EXCEPTION, example)), "EXCEPTION_NUMBER")
        return number

    async def listed(self, user: str = "", **filters: str) -> list[str]:
        """The numbers of all exceptions that are listed."""
        root = xml(await self.exception("list", user, details="None", **filters))
        assert root.tag == "EXCEPTION_LIST_OUTPUT", etree.tostring(root)
        return [each.text for each in root.iter("EXCEPTION_NUMBER")]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    clock = Clock()
    async with (
        QualysStandIn(now=clock) as vendor,
        httpx.AsyncClient(base_url=vendor.url, trust_env=False, timeout=120) as http,
    ):
        yield Api(vendor, http, clock)


def xml(answer: httpx.Response) -> Xml:
    return etree.fromstring(answer.content, PARSER)


def items(root: Xml, key: str) -> list[str]:
    """The values of a key in a SIMPLE_RETURN."""
    return [each.findtext("VALUE") for each in root.iter("ITEM") if each.findtext("KEY") == key]


def code(answer: httpx.Response) -> str:
    """The error code of any of the shapes; empty for a success."""
    root = xml(answer)
    for where in ("ERROR", "RETURN"):
        if (found := root.find(where)) is not None:
            return str(found.get("number"))
    return str(root.findtext("RESPONSE/CODE") or "")


def changed(answer: httpx.Response) -> list[int]:
    assert code(answer) == "", answer.text
    return [int(each.text) for each in xml(answer).iterfind("CHANGES//TICKET_NUMBER")]


def state(ticket: Xml) -> tuple[str, str]:
    return ticket.findtext("CURRENT_STATE"), ticket.findtext("CURRENT_STATUS") or ""


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def us(days: int) -> str:
    """A day from the vendor's today on, as the exceptions' parameters take it."""
    return (NOON + timedelta(days=days)).strftime("%m/%d/%Y")


# --- Edit Tickets ----------------------------------------------------------------------------------


# Edit Tickets: the five requests under "Sample".
@pytest.mark.parametrize("body", EDIT_EXAMPLES)
async def test_every_request_of_the_document_edits_something(api: Api, body: str) -> None:
    answer = await api.edit(body)
    assert answer.status_code == 200
    assert changed(answer)


# Edit Tickets: DTD; the answer has the moment, and the count and numbers of what was changed.
async def test_an_edit_answers_with_what_it_changed(api: Api) -> None:
    answer = await api.edit({"ticket_numbers": "23456", "add_comment": "Patched"})
    root = xml(answer)
    assert root.tag == root.getroottree().docinfo.root_name == "TICKET_EDIT_OUTPUT"
    assert root.getroottree().docinfo.system_url.endswith("/ticket_edit_output.dtd")
    assert moment(root.findtext("HEADER/DATETIME")) == NOON
    assert root.find("CHANGES").get("count") == "1"
    assert root.findtext("CHANGES/TICKET_NUMBER_LIST/TICKET_NUMBER") == "23456"


# Edit Tickets, as the vendor's public scripts call it: a GET with the parameters in its query.
async def test_an_edit_may_be_a_get(api: Api) -> None:
    params = {"ticket_numbers": "23456", "add_comment": "Patched"}
    assert changed(await api(EDIT, params, method="GET")) == [23456]


# Edit Tickets, "Input Parameters": at least one of each kind "must be specified".
@pytest.mark.parametrize(
    "params",
    [{"ticket_numbers": "23456"}, {"add_comment": "Patched"}, {}],
    ids=["no edit", "no selection", "nothing"],
)
async def test_an_edit_needs_a_selection_and_a_change(api: Api, params: Params) -> None:
    await refuses(api, params)


async def refuses(api: Api, params: Params, user: str = "") -> None:
    """The edit is an error, in its normal root with HTTP 200, and nothing is edited."""
    before = {n: (t.condition, t.assignee, t.modified) for n, t in api.vendor.tickets.items()}
    answer = await api.edit(params, user)
    root = xml(answer)
    assert (answer.status_code, root.tag) == (200, "TICKET_EDIT_OUTPUT")
    assert root.find("ERROR").get("number")
    assert root.find("CHANGES") is None
    after = {n: (t.condition, t.assignee, t.modified) for n, t in api.vendor.tickets.items()}
    assert after == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # Edit Tickets, change_state: valid are OPEN, RESOLVED and IGNORED.
        ("change_state", "CLOSED"),
        ("change_state", "FIXED"),
        ("change_state", "REOPENED"),
        ("change_state", ""),
        # Edit Tickets, add_comment: "a maximum of 2,000 characters (ascii)".
        ("add_comment", "x" * 2001),
        ("add_comment", "geprüft"),
        # Edit Tickets, reopen_ignored_days: "an integer from 1 to 730".
        ("reopen_ignored_days", "0"),
        ("reopen_ignored_days", "731"),
        ("reopen_ignored_days", "-1"),
        ("reopen_ignored_days", "1.5"),
        ("reopen_ignored_days", "²"),
        ("reopen_ignored_days", "soon"),
    ],
)
async def test_an_edit_refuses_a_value_that_is_none(api: Api, name: str, value: str) -> None:
    await refuses(api, {**EVERY_STATE, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # Edit Tickets: each of the four may stand alone, up to the limits of its value.
        ("change_state", "RESOLVED"),
        ("change_state", "IGNORED"),
        ("change_assignee", "qualys_ac"),
        ("add_comment", "x" * 2000),
        ("reopen_ignored_days", "1"),
        ("reopen_ignored_days", "730"),
    ],
)
async def test_an_edit_takes_each_change_alone(api: Api, name: str, value: str) -> None:
    numbers = "23457" if name == "reopen_ignored_days" else "23456"
    assert changed(await api.edit({"ticket_numbers": numbers, name: value})) == [int(numbers)]


# Edit Tickets, "Ticket limit": 20,000 in one request, an error for more.
@pytest.mark.parametrize(("many", "fits"), [(20_000, True), (20_001, False)])
async def test_an_edit_takes_20000_tickets(api: Api, many: int, fits: bool) -> None:
    one = api.vendor.tickets[23456]
    numbers = range(1_000_001, 1_000_001 + many)
    api.vendor.tickets |= {n: replace(one, number=n, history=[*one.history]) for n in numbers}
    params = {"since_ticket_number": "1000001", "add_comment": "Patched"}
    if fits:
        assert len(changed(await api.edit(params))) == many
    else:
        await refuses(api, params)


@pytest.mark.parametrize(
    ("user", "group", "may"),
    [
        # Edit Tickets, "Permissions": Managers all IPs, Unit Managers those of their business unit.
        ("mlindqvist", "New York", True),
        ("mlindqvist", "London", True),
        ("uhaddad", "London", True),
        ("uhaddad", "New York", False),
    ],
)
async def test_who_edits_what(api: Api, user: str, group: str, may: bool) -> None:
    ticket = next(iter(await api.tickets(asset_groups=group, states="OPEN")))
    answer = await api.edit({"ticket_numbers": str(ticket), "add_comment": "Patched"}, user)
    assert changed(answer) == [ticket] * may


# Edit Tickets, "Permissions": Scanners and Readers may not edit; no other role is named.
@pytest.mark.parametrize(
    "user", ["sito", "acme_ac", "kaudit"], ids=["Scanner", "Reader", "Auditor"]
)
async def test_who_edits_nothing(api: Api, user: str) -> None:
    await refuses(api, {"ticket_numbers": "23456", "add_comment": "Patched"}, user)


@pytest.mark.parametrize(
    ("assignee", "assigned"),
    [
        # Edit Tickets, change_assignee: a role other than Contact, and the host in the account.
        ("qualys_tb", True),
        ("mlindqvist", True),
        ("acme_contact", False),
        ("uhaddad", False),
        ("nobody_at_all", False),
    ],
)
async def test_whom_a_ticket_goes_to(api: Api, assignee: str, assigned: bool) -> None:
    (number, before), *_ = (await api.tickets(asset_groups="New York", states="OPEN")).items()
    await api.edit({"ticket_numbers": str(number), "change_assignee": assignee})
    former = before.findtext("ASSIGNEE/LOGIN")
    now = (await api.ticket(number)).findtext("ASSIGNEE/LOGIN")
    assert now == (assignee if assigned else former)


@pytest.mark.parametrize(
    ("before", "target", "after"),
    [
        # Edit Tickets, change_state: OPEN is Open or Open/Reopened, IGNORED is Closed/Ignored.
        ("OPEN", "RESOLVED", ("RESOLVED", "")),
        ("OPEN", "IGNORED", ("CLOSED", "IGNORED")),
        ("REOPENED", "RESOLVED", ("RESOLVED", "")),
        ("REOPENED", "IGNORED", ("CLOSED", "IGNORED")),
        # Help "Reopening Tickets": users reopen Resolved and, at any time, Closed/Ignored tickets.
        ("RESOLVED", "OPEN", ("OPEN", "REOPENED")),
        ("IGNORED", "OPEN", ("OPEN", "REOPENED")),
        # Edit Tickets, change_state: Closed/Fixed and Closed/Ignored "cannot be changed to Resolved".
        ("FIXED", "RESOLVED", ("CLOSED", "FIXED")),
        ("IGNORED", "RESOLVED", ("CLOSED", "IGNORED")),
    ],
)
async def test_a_state_goes_to_a_state(
    api: Api, before: str, target: str, after: tuple[str, str]
) -> None:
    api.vendor.tickets[23456].condition = before
    answer = await api.edit({"ticket_numbers": "23456", "change_state": target})
    moved = state(await api.ticket(23456)) != after or before != after[1]
    assert changed(answer) == [23456] * moved
    assert state(await api.ticket(23456)) == after


# Edit Tickets, change_state, add_comment: "in all selected tickets".
async def test_a_change_is_made_in_all_selected_tickets(api: Api) -> None:
    selected = await api.tickets(states="OPEN", asset_groups="Berlin")
    params = {"states": "OPEN", "asset_groups": "Berlin", "change_state": "RESOLVED"}
    assert changed(await api.edit(params)) == sorted(selected)
    assert not await api.tickets(states="OPEN", asset_groups="Berlin")


# Edit Tickets: all its parameters may come together; the common call that ignores for some days.
async def test_tickets_are_ignored_with_a_comment_for_some_days(api: Api) -> None:
    many = {"change_state": "IGNORED", "add_comment": "Accepted", "reopen_ignored_days": "32"}
    assert changed(await api.edit({"ticket_numbers": "23456", **many})) == [23456]
    ticket = await api.ticket(23456)
    assert state(ticket) == ("CLOSED", "IGNORED")
    assert moment(ticket.findtext("DUE_DATETIME")).date() == (NOON + timedelta(days=32)).date()


# Edit Tickets, reopen_ignored_days: what happens when the due date, N days from today, is reached.
@pytest.mark.parametrize(
    ("days", "fixed", "condition", "overdue"),
    [
        (6, False, ("CLOSED", "IGNORED"), False),
        (8, False, ("OPEN", "REOPENED"), True),
        (8, True, ("CLOSED", "FIXED"), False),
    ],
    ids=["not yet", "the issue still exists", "the issue was resolved"],
)
async def test_an_ignored_ticket_comes_back(
    api: Api, days: int, fixed: bool, condition: tuple[str, str], overdue: bool
) -> None:
    assert changed(await api.edit({"ticket_numbers": "23457", "reopen_ignored_days": "7"}))
    api.vendor.fixed_while_ignored |= {23457} if fixed else set()
    api.clock.at = NOON + timedelta(days=days)
    assert state(await api.ticket(23457)) == condition
    assert (23457 in await api.tickets(ticket_numbers="23457", overdue="1")) == overdue


# Edit Tickets, reopen_ignored_days: it reopens Closed/Ignored tickets, so no other one.
async def test_a_ticket_that_was_opened_by_hand_is_left_alone_on_its_day(api: Api) -> None:
    await api.edit({"ticket_numbers": "23457", "reopen_ignored_days": "7"})
    await api.edit({"ticket_numbers": "23457", "change_state": "OPEN"})
    await api.edit({"ticket_numbers": "23457", "change_state": "IGNORED"})
    api.clock.at = NOON + timedelta(days=8)
    assert state(await api.ticket(23457)) == ("CLOSED", "IGNORED")


# Making API Calls: of a parameter that is given twice the last one counts; names have a case.
async def test_parameters_given_twice_and_in_capitals(api: Api) -> None:
    twice = "ticket_numbers=23457&ticket_numbers=23456&add_comment=Patched"
    assert changed(await api.edit(twice)) == [23456]
    await refuses(api, {"TICKET_NUMBERS": "23456", "add_comment": "Patched"})


# --- Ticket Selection ------------------------------------------------------------------------------


def written(ticket: Xml, *paths: str) -> str:
    return " ".join(ticket.findtext(path) or "" for path in paths).lower()


def number(ticket: Xml) -> int:
    return int(ticket.findtext("NUMBER"))


def last_touched(ticket: Xml) -> datetime:
    return max(moment(each.findtext("DATETIME")) for each in ticket.iter("HISTORY"))


def severe(ticket: Xml, kind: str, *levels: str) -> bool:
    found = ticket.find("VULNINFO")
    return found.findtext("TYPE") == kind and found.findtext("SEVERITY") in levels


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        # ticket_numbers: numbers and ranges, comma separated.
        (
            {"ticket_numbers": "23456,23460-23470"},
            lambda t: number(t) in {23456, *range(23460, 23471)},
        ),
        # since_ticket_number, until_ticket_number: greater or less than or equal to the value.
        ({"since_ticket_number": "215555"}, lambda t: number(t) >= 215555),
        ({"since_ticket_number": "00215555"}, lambda t: number(t) >= 215555),
        ({"until_ticket_number": "23456"}, lambda t: number(t) <= 23456),
        # ticket_assignee: a login.
        ({"ticket_assignee": "sito"}, lambda t: t.findtext("ASSIGNEE/LOGIN") == "sito"),
        # invalid: 1 for the invalid ones alone, 0 for the valid ones alone.
        ({"invalid": "1"}, lambda t: t.findtext("INVALID") == "1"),
        ({"invalid": "0"}, lambda t: t.findtext("INVALID") == "0"),
        # states: OPEN also has the reopened ones, CLOSED is Closed/Fixed, IGNORED Closed/Ignored.
        ({"states": "OPEN"}, lambda t: state(t)[0] == "OPEN"),
        ({"states": "RESOLVED"}, lambda t: state(t) == ("RESOLVED", "")),
        ({"states": "CLOSED"}, lambda t: state(t) == ("CLOSED", "FIXED")),
        ({"states": "IGNORED"}, lambda t: state(t) == ("CLOSED", "IGNORED")),
        ({"states": "OPEN,RESOLVED"}, lambda t: state(t)[0] in ("OPEN", "RESOLVED")),
        # modified_since_datetime: modified on or after; a date, or a date and time in UTC.
        (
            {"modified_since_datetime": "2026-01-01"},
            lambda t: last_touched(t) >= datetime(2026, 1, 1, tzinfo=UTC),
        ),
        (
            {"modified_since_datetime": "2026-01-01T12:30:00Z"},
            lambda t: last_touched(t) >= datetime(2026, 1, 1, 12, 30, tzinfo=UTC),
        ),
        # unmodified_since_datetime: the others; the sample of "Edit Tickets" spells it shorter.
        (
            {"unmodified_since_datetime": "2018-01-01"},
            lambda t: last_touched(t) < datetime(2018, 1, 1, tzinfo=UTC),
        ),
        (
            {"unmodified_since": "2018-01-01"},
            lambda t: last_touched(t) < datetime(2018, 1, 1, tzinfo=UTC),
        ),
        # ips: addresses and ranges, comma separated.
        (
            {"ips": "10.10.10.120,10.20.4.110-10.20.4.119"},
            lambda t: (
                t.findtext("DETECTION/IP")
                in {"10.10.10.120", *(f"10.20.4.{n}" for n in range(110, 120))}
            ),
        ),
        # asset_groups: titles, comma separated; All is every IP of the account.
        (
            {"asset_groups": "New York,London"},
            lambda t: t.findtext("DETECTION/IP").startswith(("10.10.10.", "10.20.4.")),
        ),
        ({"asset_groups": "All"}, lambda _: True),
        # dns_contains, netbios_contains, vuln_title_contains, vendor_ref_contains: part of a text.
        ({"dns_contains": "nyc-web"}, lambda t: "nyc-web" in written(t, "DETECTION/DNSNAME")),
        ({"netbios_contains": "LON-DC"}, lambda t: "lon-dc" in written(t, "DETECTION/NBHNAME")),
        ({"vuln_title_contains": "Log4j"}, lambda t: "log4j" in written(t, "VULNINFO/TITLE")),
        (
            {"vuln_title_contains": "Service,"},
            lambda t: "service," in written(t, "VULNINFO/TITLE"),
        ),
        # vuln_severities, potential_vuln_severities: levels from 1 to 5, each of its own kind.
        ({"vuln_severities": "4,5"}, lambda t: severe(t, "VULN", "4", "5")),
        ({"potential_vuln_severities": "4"}, lambda t: severe(t, "POTENTIAL", "4")),
        # qids: comma separated.
        (
            {"qids": "38739,38909"},
            lambda t: t.findtext("VULNINFO/QID") in ("38739", "38909"),
        ),
        # host_id: that of one asset.
        ({"host_id": "700010"}, lambda t: t.findtext("DETECTION/HOST_ID") == "700010"),
        # Edit Tickets, third sample: parameters narrow together.
        (
            {"states": "OPEN", "ticket_assignee": "qualys_tb"},
            lambda t: state(t)[0] == "OPEN" and t.findtext("ASSIGNEE/LOGIN") == "qualys_tb",
        ),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
async def test_what_a_selection_selects(
    api: Api, filters: Params, fits: Callable[[Xml], bool]
) -> None:
    every = await api.tickets(**EVERY_STATE)
    wanted = sorted(number for number, ticket in every.items() if fits(ticket))
    assert wanted
    assert sorted(await api.tickets(**{**EVERY_STATE, **filters})) == wanted


# Ticket Selection, overdue: the due date has passed or has not; both are selected without it.
async def test_what_is_overdue_and_what_is_not(api: Api) -> None:
    late, other = await api.tickets(overdue="1"), await api.tickets(overdue="0")
    assert late
    assert all(moment(each.findtext("DUE_DATETIME")) < NOON for each in late.values())
    ahead = [n for n, t in other.items() if moment(t.findtext("DUE_DATETIME")) >= NOON]
    assert ahead
    assert not set(late) & set(other)
    assert set(late) | set(other) == set(await api.tickets(**EVERY_STATE))


# Ticket Selection, vuln_details_contains, vendor_ref_contains: part of what the ticket may not show.
@pytest.mark.parametrize(
    "filters", [{"vuln_details_contains": "may run code"}, {"vendor_ref_contains": "RHSA-2021"}]
)
async def test_a_text_that_is_not_in_the_list_selects(api: Api, filters: Params) -> None:
    assert 0 < len(await api.tickets(**filters)) < len(await api.tickets(**EVERY_STATE))


# Ticket Selection, invalid: invalid tickets of other users can be selected, not one's own.
async def test_invalid_tickets_of_ones_own_are_not_selected(api: Api) -> None:
    mine = await api.tickets("mlindqvist", invalid="1", ticket_assignee="mlindqvist")
    others = await api.tickets("oreyes", invalid="1", ticket_assignee="mlindqvist")
    assert not mine
    assert others


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # ticket_numbers, since_ticket_number, until_ticket_number, host_id: whole numbers.
        ("ticket_numbers", "abc"),
        ("ticket_numbers", "23456,"),
        ("since_ticket_number", "-1"),
        ("until_ticket_number", "1.5"),
        ("host_id", "nyc"),
        # overdue, invalid: 0 or 1.
        ("overdue", "2"),
        ("invalid", "true"),
        # states: OPEN, RESOLVED, CLOSED, IGNORED.
        ("states", "FIXED"),
        ("states", "OPEN,REOPENED"),
        # modified_since_datetime: YYYY-MM-DD[THH:MM:SSZ].
        ("modified_since_datetime", "01/02/2018"),
        ("modified_since_datetime", "2018-1-2"),
        ("modified_since_datetime", "2018-01-02T03:04:05.000Z"),
        ("modified_since_datetime", "2018-02-30"),
        ("unmodified_since_datetime", "2018-01-02 03:04:05"),
        # ips: IPv4 addresses.
        ("ips", "10.10.10.999"),
        ("ips", "nyc-web-00.northwind.example"),
        # vuln_severities, potential_vuln_severities: 1 to 5.
        ("vuln_severities", "0"),
        ("potential_vuln_severities", "6"),
        # qids: a maximum of 10.
        ("qids", ",".join(str(38000 + n) for n in range(11))),
        # All that match a part of a text: 100 characters, ASCII.
        ("dns_contains", "x" * 101),
        ("netbios_contains", "x" * 101),
        ("vuln_title_contains", "x" * 101),
        ("vuln_details_contains", "ü"),
        ("vendor_ref_contains", "x" * 101),
    ],
)
async def test_a_selection_refuses_a_value_that_is_none(api: Api, name: str, value: str) -> None:
    await refuses(api, {name: value, "add_comment": "Patched"})
    answer = await api(LIST, {name: value})
    assert (answer.status_code, xml(answer).tag) == (200, "REMEDIATION_TICKETS")
    assert code(answer)


# Ticket Selection, qids, *_contains: what just fits.
@pytest.mark.parametrize(
    ("name", "value"),
    [("qids", ",".join(str(38000 + n) for n in range(10))), ("dns_contains", "x" * 100)],
)
async def test_a_selection_takes_what_just_fits(api: Api, name: str, value: str) -> None:
    assert code(await api(LIST, {name: value})) == ""


# --- List Tickets ----------------------------------------------------------------------------------


# List Tickets: at least one filter is needed; the options of the output are none.
@pytest.mark.parametrize("params", [{}, {"show_host_id": "1"}])
async def test_a_list_needs_a_filter(api: Api, params: Params) -> None:
    assert code(await api(LIST, params))


# List Tickets: GET and POST.
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_list_is_got_or_posted(api: Api, method: str) -> None:
    answer = await api(LIST, {"ticket_numbers": "23456"}, method=method)
    assert [each.text for each in xml(answer).iter("NUMBER")] == ["23456"]


# List Tickets, ticket_list_output.dtd: header with the selection, and what a ticket tells.
async def test_the_shape_of_a_list(api: Api) -> None:
    root = xml(await api(LIST, {"ticket_numbers": "23456", "states": "OPEN"}))
    assert root.tag == root.getroottree().docinfo.root_name == "REMEDIATION_TICKETS"
    assert root.getroottree().docinfo.system_url.endswith("/ticket_list_output.dtd")
    assert [each.tag for each in root] == ["HEADER", "TICKET_LIST"]
    assert root.findtext("HEADER/USER_LOGIN") == SERVICE[0]
    assert moment(root.findtext("HEADER/DATETIME")) == NOON
    assert root.findtext("HEADER/WHERE/STATES") == "OPEN"
    (ticket,) = root.iterfind("TICKET_LIST/TICKET")
    for path in ("CREATION_DATETIME", "DUE_DATETIME", "STATS/LAST_OPEN_DATETIME"):
        assert moment(ticket.findtext(path))
    for path in ("ASSIGNEE/NAME", "ASSIGNEE/EMAIL", "DETECTION/IP", "VULNINFO/TITLE"):
        assert ticket.findtext(path)
    assert ticket.findtext("HISTORY_LIST/HISTORY/STATE/NEW")


# List Tickets, CURRENT_STATE and CURRENT_STATUS of each state; a plain Open one has no status.
@pytest.mark.parametrize(
    ("condition", "shown"),
    [
        ("OPEN", ("OPEN", None)),
        ("REOPENED", ("OPEN", "REOPENED")),
        ("FIXED", ("CLOSED", "FIXED")),
        ("IGNORED", ("CLOSED", "IGNORED")),
    ],
)
async def test_how_a_state_is_shown(
    api: Api, condition: str, shown: tuple[str, str | None]
) -> None:
    api.vendor.tickets[23456].condition = condition
    ticket = await api.ticket(23456)
    assert (ticket.findtext("CURRENT_STATE"), ticket.findtext("CURRENT_STATUS")) == shown


# "Get all Remediation tickets": pages of 1,000 by number, the last one without TRUNCATION.
async def test_a_list_is_cut_after_1000_tickets(api: Api) -> None:
    first = xml(await api(LIST, EVERY_STATE))
    shown = [int(each.text) for each in first.iter("NUMBER")]
    assert shown == sorted(api.vendor.tickets)[:1000]
    assert first[-1].tag == "TRUNCATION"
    assert first[-1].text == "Truncated after 1000 records"
    every = await api.tickets(**EVERY_STATE)
    assert list(every) == sorted(api.vendor.tickets)
    last = xml(await api(LIST, {**EVERY_STATE, "since_ticket_number": str(max(every) - 5)}))
    assert last.find("TRUNCATION") is None


# List Tickets: nothing selected is no error, and has no tickets.
async def test_an_empty_list_is_no_error(api: Api) -> None:
    root = xml(await api(LIST, {"ticket_numbers": "1"}))
    assert [each.tag for each in root] == ["HEADER"]


# List Tickets, show_vuln_details and show_host_id: 1 shows them, 0 is the default.
@pytest.mark.parametrize(
    ("option", "path"),
    [
        ("show_vuln_details", "DETAILS/DIAGNOSIS"),
        ("show_vuln_details", "DETAILS/CONSEQUENCE"),
        ("show_vuln_details", "DETAILS/SOLUTION"),
        ("show_host_id", "DETECTION/HOST_ID"),
    ],
)
async def test_an_option_of_the_list_shows_more(api: Api, option: str, path: str) -> None:
    params = {"ticket_numbers": "23456"}
    for more, shown in (({}, False), ({option: "0"}, False), ({option: "1"}, True)):
        root = xml(await api(LIST, {**params, **more}))
        assert bool(root.findtext(f"TICKET_LIST/TICKET/{path}")) == shown
    assert code(await api(LIST, {**params, option: "2"}))


# Ticket information, "Permissions": Unit Managers their unit's IPs, Scanners and Readers their own.
@pytest.mark.parametrize(
    ("user", "fits"),
    [
        ("mlindqvist", lambda _: True),
        ("uhaddad", lambda ip: ip.startswith(("10.20.4.", "10.30.8."))),
        ("qualys_tb", lambda ip: ip.startswith(("10.10.10.", "10.20.4."))),
        ("acme_ac", lambda _: True),
    ],
    ids=["Manager", "Unit Manager", "Scanner", "Reader with the group All"],
)
async def test_who_sees_which_tickets(api: Api, user: str, fits: Callable[[str], bool]) -> None:
    every = await api.tickets(**EVERY_STATE)
    wanted = sorted(n for n, each in every.items() if fits(each.findtext("DETECTION/IP")))
    assert sorted(await api.tickets(user, **EVERY_STATE)) == wanted


# --- Authentication --------------------------------------------------------------------------------


# Authentication, "Basic authentication"; Contacts have no login.
@pytest.mark.parametrize(
    "auth",
    [None, ("amend_api", "wrong"), ("nobody", "x"), ("acme_contact", "sandbox-acme_contact")],
)
@pytest.mark.parametrize("path", [EDIT, LIST, EXCEPTION])
async def test_no_call_without_an_account(api: Api, path: str, auth: Any) -> None:
    assert code(await api(path, {**EVERY_STATE, "action": "list"}, auth=auth))


# Authentication: X-Requested-With "must be included in all API v2 calls"; any value protects.
@pytest.mark.parametrize("path", [EXCEPTION, NEWER_EXCEPTION, SESSION])
async def test_a_call_of_the_second_generation_needs_its_header(api: Api, path: str) -> None:
    login = {"action": "login", "username": SERVICE[0], "password": SERVICE[1]}
    params = login if path == SESSION else {"action": "list"}
    assert code(await api(path, params, headers={}))
    for name, value in (("X-Requested-With", "anything"), ("x-requested-with", "Curl Sample")):
        assert code(await api(path, params, headers={name: value})) == ""


async def signed_in(api: Api) -> dict[str, Any]:
    """How a call comes that has a session instead of Basic."""
    login = {"action": "login", "username": SERVICE[0], "password": SERVICE[1]}
    answer = await api(SESSION, login, auth=None)
    assert xml(answer).tag == "SIMPLE_RETURN"
    assert code(answer) == ""
    name, _, rest = answer.headers["Set-Cookie"].partition("=")
    assert name == "QualysSession"
    api.http.cookies.clear()
    cookie = f"{name}={rest.partition(';')[0]}"
    return {"auth": None, "headers": {"X-Requested-With": "Curl", "Cookie": cookie}}


# Authentication, "Session based authentication": calls with /2.0/ in the URL support it.
async def test_a_session_serves_calls_of_version_2(api: Api) -> None:
    session = await signed_in(api)
    assert code(await api(EXCEPTION, {"action": "list"}, **session)) == ""
    assert code(await api(NEWER_EXCEPTION, {"action": "list"}, **session))


# Edit Tickets, List Tickets, List Users: "Session based authentication is not supported".
@pytest.mark.parametrize("path", [EDIT, LIST, USERS])
async def test_a_session_serves_no_ticket_and_no_user(api: Api, path: str) -> None:
    session = await signed_in(api)
    params = {"ticket_numbers": "23456", "add_comment": "Patched"}
    answer = await api(path, params if path == EDIT else {}, **session)
    assert code(answer)
    assert not api.vendor.edits


# Authentication, session: the login is checked, and posted.
@pytest.mark.parametrize(
    ("method", "password"), [("POST", "wrong"), ("GET", SERVICE[1])], ids=["password", "GET"]
)
async def test_a_session_is_opened_by_a_good_login(api: Api, method: str, password: str) -> None:
    login = {"action": "login", "username": SERVICE[0], "password": password}
    answer = await api(SESSION, login, auth=None, method=method)
    assert code(answer)
    assert "Set-Cookie" not in answer.headers


# Authentication, session: it ends with the logout, or after 60 minutes.
@pytest.mark.parametrize(("minutes", "logout"), [(0, True), (61, False)])
async def test_a_session_ends(api: Api, minutes: int, logout: bool) -> None:
    session = await signed_in(api)
    if logout:
        assert code(await api(SESSION, {"action": "logout"}, **session)) == ""
    api.clock.at += timedelta(minutes=minutes)
    assert code(await api(EXCEPTION, {"action": "list"}, **session))


# --- API Limits, HTTP response headers -------------------------------------------------------------


@pytest.fixture
async def narrow() -> AsyncIterator[Api]:
    """A subscription with few calls: two an hour, one at a time."""
    clock = Clock()
    async with (
        QualysStandIn(rate=2, at_once=1, now=clock) as vendor,
        httpx.AsyncClient(base_url=vendor.url, trust_env=False, timeout=120) as http,
    ):
        yield Api(vendor, http, clock)


def limits(answer: httpx.Response) -> dict[str, str]:
    known = ("x-ratelimit-", "x-concurrency-")
    return {name: value for name, value in answer.headers.items() if name.startswith(known)}


# HTTP response headers, first sample: a call that is not blocked, on either generation of calls.
@pytest.mark.parametrize("path", [LIST, EXCEPTION])
async def test_the_headers_of_a_good_call(narrow: Api, path: str) -> None:
    answer = await narrow(path, {"action": "list"} if path == EXCEPTION else EVERY_STATE)
    assert answer.status_code == 200
    assert limits(answer) == {
        "x-ratelimit-limit": "2",
        "x-ratelimit-window-sec": "3600",
        "x-ratelimit-remaining": "1",
        "x-ratelimit-towait-sec": "0",
        "x-concurrency-limit-limit": "1",
        "x-concurrency-limit-running": "1",
    }


# HTTP response headers, second sample, and Appendix D, 1965: more calls than the window allows.
async def test_a_call_above_the_rate_waits(narrow: Api) -> None:
    for user in ("mlindqvist", "oreyes"):  # API Limits: per subscription, all its users together
        assert code(await narrow(LIST, EVERY_STATE, user)) == ""
    answer = await narrow(LIST, EVERY_STATE)
    assert (answer.status_code, xml(answer).tag, code(answer)) == (409, "SIMPLE_RETURN", "1965")
    (wait,) = items(xml(answer), "SECONDS_TO_WAIT")
    assert 0 < int(wait) <= 3600
    assert limits(answer) == {
        "x-ratelimit-limit": "2",
        "x-ratelimit-window-sec": "3600",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-towait-sec": wait,
        "x-concurrency-limit-limit": "1",
        "x-concurrency-limit-running": "1",
    }
    # API Limits: each API has its own count.
    assert code(await narrow(EXCEPTION, {"action": "list"})) == ""


async def arrived(api: Api, many: int) -> None:
    while len(api.vendor.requests) < many:  # noqa: ASYNC110 - a call tells nobody that it waits
        await asyncio.sleep(0.01)


# HTTP response headers, third sample, and Appendix D, 1960: it tells nothing of what remains.
async def test_a_call_too_many_at_a_time_is_blocked(narrow: Api) -> None:
    narrow.vendor.set_fault("slow", {"times": 1, "seconds": 0.5})
    first = asyncio.create_task(narrow(LIST, EVERY_STATE))
    await arrived(narrow, 1)
    answer = await narrow(LIST, EVERY_STATE)
    assert (answer.status_code, xml(answer).tag, code(answer)) == (409, "SIMPLE_RETURN", "1960")
    assert items(xml(answer), "CALLS_TO_FINISH")
    found = limits(answer)
    assert found["x-concurrency-limit-running"] == found["x-concurrency-limit-limit"] == "1"
    assert not {"x-ratelimit-remaining", "x-ratelimit-towait-sec"} & set(found)
    assert code(await first) == ""


# API Limits: concurrency is checked first and wins.
async def test_concurrency_wins_over_the_rate(narrow: Api) -> None:
    assert code(await narrow(LIST, EVERY_STATE)) == ""
    narrow.vendor.set_fault("slow", {"times": 1, "seconds": 0.5})
    second = asyncio.create_task(narrow(LIST, EVERY_STATE))
    await arrived(narrow, 2)
    assert code(await narrow(LIST, EVERY_STATE)) == "1960"
    assert code(await second) == ""
    assert code(await narrow(LIST, EVERY_STATE)) == "1965"


# API Limits, HTTP response headers: for all APIs "except session".
async def test_sessions_are_not_counted(narrow: Api) -> None:
    login = {"action": "login", "username": SERVICE[0], "password": SERVICE[1]}
    answers = [await narrow(SESSION, login, auth=None) for _ in range(4)]
    assert [code(each) for each in answers] == [""] * 4
    assert not any(limits(each) for each in answers)


# --- Request Exception -----------------------------------------------------------------------------


# Request Exception, both samples and their XML output.
@pytest.mark.parametrize("path", [EXCEPTION, NEWER_EXCEPTION])
@pytest.mark.parametrize("body", [INSTANCE_EXAMPLE, PLAIN_EXAMPLE])
async def test_every_request_of_the_document_creates_an_exception(
    api: Api, path: str, body: str
) -> None:
    answer = await api(path, body)
    root = xml(answer)
    assert answer.status_code == 200
    assert root.tag == root.getroottree().docinfo.root_name == "SIMPLE_RETURN"
    assert root.getroottree().docinfo.system_url.endswith("/api/2.0/simple_return.dtd")
    (response,) = root
    assert [each.tag for each in response] == ["DATETIME", "TEXT", "ITEM_LIST"]
    assert moment(response.findtext("DATETIME")) == NOON
    assert response.findtext("TEXT") == "Exception created successfully"
    (number,) = items(root, "EXCEPTION_NUMBER")
    assert number in await api.listed(status="pending")


def plain(**others: str) -> dict[str, str]:
    """The second sample, with other values; an empty one leaves the parameter out."""
    given = dict(part.split("=", 1) for part in PLAIN_EXAMPLE.split("&"))
    return {name: value for name, value in {**given, **others}.items() if value}


# Request Exception, action: "create" is also supported.
async def test_an_exception_is_created_too(api: Api) -> None:
    assert items(xml(await api(EXCEPTION, plain(action="create"))), "EXCEPTION_NUMBER")


# Request Exception: "By default the expiry date matches the creation date".
async def test_an_exception_ends_on_the_day_it_is_created(api: Api) -> None:
    number = await api.requested()
    assert number in await api.listed(expired_after_date=us(-1), expired_before_date=us(1))


async def refused(api: Api, wanted: str, params: Params, user: str = "", **more: Any) -> None:
    """The call is an error of the code, with its HTTP status; nothing is created or changed."""
    before = repr(api.vendor.compliance.exceptions)
    answer = await api(EXCEPTION, params, user, **more)
    root = xml(answer)
    assert (answer.status_code, root.tag, code(answer)) == (400, "SIMPLE_RETURN", wanted)
    assert moment(root.findtext("RESPONSE/DATETIME")) == NOON
    assert root.findtext("RESPONSE/TEXT")
    assert repr(api.vendor.compliance.exceptions) == before


@pytest.mark.parametrize(
    ("wanted", "others"),
    [
        # Request Exception: required parameters; Appendix D: 1903 is a required one that is missing.
        ("1903", {"action": ""}),
        ("1903", {"control_id": ""}),
        ("1903", {"host_id": ""}),
        ("1903", {"policy_id": ""}),
        ("1903", {"technology_id": ""}),
        ("1903", {"assignee_id": ""}),
        ("1903", {"comments": ""}),
        # Appendix D: 1901 is a parameter that is not supported.
        ("1901", {"end_date": "12/31/2027"}),
        ("1901", {"Comments": "in capitals"}),
        # Release 1.4: tags came with version 3.0.
        ("1901", {"tag_set_include": "7588415"}),
        # Appendix D: 1905 is a value that is invalid; the IDs are integers, the flags 0 or 1.
        ("1905", {"action": "approve"}),
        ("1905", {"control_id": "abc"}),
        ("1905", {"host_id": "10.10.10.120"}),
        ("1905", {"policy_id": "abc"}),
        ("1905", {"technology_id": "linux"}),
        ("1905", {"assignee_id": "qualys_tb"}),
        ("1905", {"reopen_on_evidence_change": "2"}),
        ("1905", {"reopen_on_evidence_change": "yes"}),
        ("1905", {"echo_request": "2"}),
        # policy_id: "the policy that contains the control"; technology_id: that of the host.
        ("1905", {"policy_id": "1366063"}),
        ("1905", {"technology_id": "41"}),
        # instance_string: one of the host.
        ("1905", {"instance_string": "oracle10:1:1521:ora10204u"}),
        # assignee_id: a user "who has access to the hosts"; the second is another unit's manager.
        ("1905", {"assignee_id": "1"}),
        ("1905", {"assignee_id": "500102"}),
        ("1905", {"assignee_id": "500108"}),
    ],
    ids=str,
)
async def test_a_request_that_is_refused(api: Api, wanted: str, others: Params) -> None:
    await refused(api, wanted, plain(**others))


# Request Exception, instance_string, "Note": required for a control of an instance technology.
async def test_a_control_of_an_instance_needs_its_instance(api: Api) -> None:
    whole, _, instance = INSTANCE_EXAMPLE.rpartition("&instance_string=")
    await refused(api, "1903", dict(part.split("=", 1) for part in whole.split("&")))
    assert instance
    assert await api.requested(INSTANCE_EXAMPLE)


# Request Exception, instance_string: 'may be "os"'.
async def test_the_instance_may_be_the_operating_system(api: Api) -> None:
    answer = await api(EXCEPTION, plain(instance_string="os"))
    assert items(xml(answer), "EXCEPTION_NUMBER")


@pytest.mark.parametrize(
    ("user", "body", "may"),
    [
        # Permissions - Exceptions: request, by role; the hosts are in New York and in London.
        ("mlindqvist", PLAIN_EXAMPLE, True),
        ("kaudit", PLAIN_EXAMPLE, True),
        ("uhaddad", INSTANCE_EXAMPLE, True),
        ("uhaddad", PLAIN_EXAMPLE, False),
        ("qualys_tb", PLAIN_EXAMPLE, True),
        ("acme_ac", PLAIN_EXAMPLE, True),
    ],
)
async def test_who_requests_an_exception(api: Api, user: str, body: str, may: bool) -> None:
    assert (code(await api(EXCEPTION, body, user)) == "") == may


# Request, List, Update and Delete Exceptions: echo_request=1 shows the parameters, 0 is the default.
@pytest.mark.parametrize("action", ["request", "list", "update", "delete"])
async def test_a_request_is_echoed(api: Api, action: str) -> None:
    params = plain()
    if action != "request":
        params = {"action": action, "exception_numbers": await api.requested()}
    if action == "update":
        params["comments"] = "new exception"
    root = xml(await api(EXCEPTION, {**params, "echo_request": "1"}))
    (first, second) = root
    assert (first.tag, second.tag) == ("REQUEST", "RESPONSE")
    echoed = {each.findtext("KEY"): each.findtext("VALUE") for each in root.iter("PARAM")}
    assert echoed.items() >= params.items()
    assert first.findtext("USER_LOGIN") == SERVICE[0]
    other = xml(await api.exception("list", echo_request="0"))
    assert [each.tag for each in other] == ["RESPONSE"]


# Request, Update and Delete Exceptions: [POST]; Appendix D: 1908 is a method that does not fit.
@pytest.mark.parametrize("action", ["request", "create", "update", "delete"])
async def test_a_change_is_posted(api: Api, action: str) -> None:
    number = await api.requested()
    more = {"exception_numbers": number, "comments": "x"}
    params = plain(action=action) if action in ("request", "create") else {"action": action, **more}
    await refused(api, "1908", params, method="GET")


# --- List Exceptions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        # exception_number, exception_numbers: one; several, with ranges.
        ({"exception_number": "{n}"}, True),
        ({"exception_number": "1"}, False),
        ({"exception_numbers": "1,{n}"}, True),
        ({"exception_numbers": "289-{n}"}, True),
        ({"exception_numbers": "289-292"}, False),
        # exception_number_min, exception_number_max: greater or less than or equal to it.
        ({"exception_number_min": "{n}"}, True),
        ({"exception_number_max": "{n}"}, True),
        ({"exception_number_max": "300"}, False),
        # ip: that of the host.
        ({"ip": "10.10.10.200"}, True),
        ({"ip": "10.10.10.201"}, False),
        # status: pending, approved, rejected or expired.
        ({"status": "pending"}, True),
        ({"status": "approved"}, False),
        ({"status": "rejected"}, False),
        ({"status": "expired"}, False),
        # control_id: 23 also matches 234 and 2343, by the beginning.
        ({"control_id": "1113"}, True),
        ({"control_id": "11"}, True),
        ({"control_id": "113"}, False),
        # control_statement: part of the text; policy_id; technology_name.
        ({"control_statement": "PermitRootLogin"}, True),
        ({"control_statement": "password length"}, False),
        ({"policy_id": "801459496"}, True),
        ({"policy_id": "1366063"}, False),
        ({"technology_name": "Red Hat Enterprise Linux 7"}, True),
        ({"technology_name": "Cisco IOS 15"}, False),
        # assignee_id, created_by, modified_by: user IDs.
        ({"assignee_id": "2449482824"}, True),
        ({"assignee_id": "996765"}, False),
        ({"created_by": "500100"}, True),
        ({"created_by": "500101"}, False),
        ({"modified_by": "500100"}, True),
        ({"modified_by": "500101"}, False),
        # created_after_date, updated_after_date, expired_before_date, expired_after_date.
        ({"created_after_date": us(-1)}, True),
        ({"created_after_date": us(1)}, False),
        ({"updated_after_date": us(-1)}, True),
        ({"updated_after_date": us(1)}, False),
        ({"expired_before_date": us(1)}, True),
        ({"expired_before_date": us(-1)}, False),
        ({"expired_after_date": us(-1)}, True),
        ({"expired_after_date": us(1)}, False),
    ],
    ids=str,
)
async def test_what_a_filter_of_exceptions_finds(api: Api, filters: Params, found: bool) -> None:
    new = await api.requested()
    given = {name: value.replace("{n}", new) for name, value in filters.items()}
    assert (new in await api.listed(**given)) == found


@pytest.mark.parametrize(
    ("wanted", "name", "value"),
    [
        # List Exceptions: integers, an IP address, the four states, 0 or 1.
        ("1905", "exception_numbers", "abc"),
        ("1905", "exception_number_min", "abc"),
        ("1905", "exception_number_max", "1.5"),
        ("1905", "ip", "10.10.10"),
        ("1905", "status", "open"),
        ("1905", "is_active", "2"),
        ("1905", "policy_id", "CIS"),
        ("1905", "assignee_id", "qualys_tb"),
        ("1905", "created_by", "sito"),
        # All dates: mm/dd/yyyy.
        ("1905", "created_after_date", "2026-12-01"),
        ("1905", "updated_after_date", "1/5/2026"),
        ("1905", "expired_before_date", "31/12/2026"),
        ("1905", "expired_after_date", "tomorrow"),
        # details: None, Basic or All; truncation_limit: 1 to 1000000.
        ("1905", "details", "Everything"),
        ("1905", "truncation_limit", "0"),
        ("1905", "truncation_limit", "1000001"),
        ("1905", "truncation_limit", "many"),
        # Appendix D: 1901 is a parameter that is not supported.
        ("1901", "ips", "10.10.10.120"),
    ],
)
async def test_a_list_of_exceptions_that_is_refused(
    api: Api, wanted: str, name: str, value: str
) -> None:
    await refused(api, wanted, {"action": "list", name: value})


# List Exceptions: [GET] [POST], and no other; the root of its output.
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_exceptions_are_listed_by_get_and_by_post(api: Api, method: str) -> None:
    root = xml(await api(EXCEPTION, {"action": "list"}, method=method))
    assert root.tag == root.getroottree().docinfo.root_name == "EXCEPTION_LIST_OUTPUT"
    await refused(api, "1908", {"action": "list"}, method="PUT")


# List Exceptions, details: None for numbers alone, Basic (default) without history, All with it.
async def test_how_much_of_an_exception_is_told(api: Api) -> None:
    number = await api.requested()
    none, basic, default, every = [
        (await api.exception("list", exception_number=number, **more)).text
        for more in ({"details": "None"}, {"details": "Basic"}, {}, {"details": "All"})
    ]
    assert number in none
    assert "Pending" not in none
    assert basic == default
    assert "Pending" in basic
    assert "new exception" not in basic
    assert "new exception" in every


# List Exceptions, truncation_limit: 1000 when not specified; the warning names the next page.
async def test_a_long_list_of_exceptions_goes_on_at_its_url(api: Api) -> None:
    every = await api.listed()
    query = "action=list&details=None&truncation_limit=200"
    url, shown = f"{api.vendor.url}{EXCEPTION}?{query}", list[str]()
    while url:
        root = xml(await api(url, None, method="GET"))
        page = [each.text for each in root.iter("EXCEPTION_NUMBER")]
        shown += page
        warning = root.find("RESPONSE/WARNING")
        url = "" if warning is None else warning.findtext("URL").strip()
        if url:
            assert len(page) == 200
            assert warning.findtext("CODE") == "1980"
            assert warning.findtext("TEXT").startswith("200 record limit exceeded")
    assert shown == every


# List Exceptions, truncation_limit: "the truncation limit is set to 1000 records".
async def test_a_list_of_exceptions_is_cut_after_1000(api: Api) -> None:
    exceptions = api.vendor.compliance.exceptions
    one = exceptions[1]
    exceptions |= {n: replace(one, number=n) for n in range(5_001, 6_501)}
    root = xml(await api.exception("list", details="None", exception_number_min="5001"))
    assert len(list(root.iter("EXCEPTION_NUMBER"))) == 1000
    assert root.find("RESPONSE/WARNING/URL") is not None
    more = await api.listed(exception_number_min="5001", truncation_limit="1500")
    assert len(more) == 1500


# Permissions - Exceptions: list, by role.
@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("mlindqvist", (True, True)),
        ("kaudit", (True, True)),
        ("uhaddad", (False, True)),
        ("qualys_tb", (True, True)),
        ("acme_ac", (True, True)),
    ],
)
async def test_who_sees_which_exceptions(api: Api, user: str, shown: tuple[bool, bool]) -> None:
    new_york, london = await api.requested(PLAIN_EXAMPLE), await api.requested(INSTANCE_EXAMPLE)
    found = await api.listed(user)
    assert (new_york in found, london in found) == shown


# --- Update Exceptions -----------------------------------------------------------------------------


async def update(api: Api, user: str = "", **params: str) -> httpx.Response:
    return await api.exception("update", user, **{"comments": "status change", **params})


# Update Exceptions, sample and its XML output.
async def test_an_update_answers_with_what_it_changed(api: Api) -> None:
    number = await api.requested()
    answer = await update(api, exception_numbers=number, status="Approved", end_date=us(300))
    root = xml(answer)
    assert (answer.status_code, root.tag) == (200, "BATCH_RETURN")
    dtd = "/api/2.0/fo/compliance/exception/exception_batch_return.dtd"
    assert root.getroottree().docinfo.system_url.endswith(dtd)
    assert moment(root.findtext("RESPONSE/DATETIME")) == NOON
    (batch,) = root.iterfind("RESPONSE/BATCH_LIST/BATCH")
    assert [each.tag for each in batch] == ["TEXT", "NUMBER_SET"]
    assert batch.findtext("TEXT") == "Successfully Updated"
    assert batch.findtext("NUMBER_SET/NUMBER") == number
    assert number in await api.listed(status="approved", expired_after_date=us(299))


# Update Exceptions, exception_numbers: "comma separated", with ranges.
@pytest.mark.parametrize("form", ["{0},{1}", "{0}-{1}"])
async def test_several_exceptions_are_updated_at_once(api: Api, form: str) -> None:
    both = [await api.requested(PLAIN_EXAMPLE), await api.requested(INSTANCE_EXAMPLE)]
    await update(api, exception_numbers=form.format(*both), status="Rejected")
    assert set(both) <= set(await api.listed(status="rejected"))


# Update Exceptions, status: valid are Pending, Approved and Rejected.
@pytest.mark.parametrize("status", ["Pending", "Approved", "Rejected"])
async def test_the_states_that_can_be_set(api: Api, status: str) -> None:
    number = await api.requested()
    assert code(await update(api, exception_numbers=number, status=status)) == ""
    assert number in await api.listed(status=status.lower())


@pytest.mark.parametrize(
    ("wanted", "params"),
    [
        # Update Exceptions: exception_numbers and comments are required.
        ("1903", {"exception_numbers": ""}),
        ("1903", {"comments": "", "status": "Approved"}),
        # status: no other value; Expired is not one of them.
        ("1905", {"status": "Expired"}),
        ("1905", {"status": "Closed"}),
        # end_date: "a future date in mm/dd/yyyy format", or 0.
        ("1905", {"end_date": us(-1)}),
        ("1905", {"end_date": us(0)}),
        ("1905", {"end_date": "2027-12-31"}),
        ("1905", {"end_date": "1/5/2028"}),
        ("1905", {"end_date": "31/12/2027"}),
        ("1905", {"end_date": "Never"}),
        # reassign_to: the ID of a user "who has access to the hosts".
        ("1905", {"reassign_to": "qualys_tb"}),
        ("1905", {"reassign_to": "1"}),
        ("1905", {"reassign_to": "500102"}),
        # reopen_on_evidence_change, echo_request: 0 or 1.
        ("1905", {"reopen_on_evidence_change": "2"}),
        ("1905", {"echo_request": "yes"}),
        # Appendix D: 1901 is a parameter that is not supported.
        ("1901", {"assignee_id": "500101"}),
    ],
    ids=str,
)
async def test_an_update_that_is_refused(api: Api, wanted: str, params: Params) -> None:
    number = await api.requested()
    given = {"action": "update", "exception_numbers": number, "comments": "x", **params}
    await refused(api, wanted, {name: value for name, value in given.items() if value})


# Update Exceptions, end_date: 0 is a never ending exception.
async def test_an_exception_may_never_end(api: Api) -> None:
    number = await api.requested()
    await update(api, exception_numbers=number, status="Approved", end_date="0")
    api.clock.at = NOON + timedelta(days=5_000)
    assert number in await api.listed(status="approved")


# Exceptions, life cycle: an approved one is Expired once its end date has passed.
@pytest.mark.parametrize(("days", "status"), [(7, "approved"), (8, "expired")])
async def test_an_approved_exception_expires(api: Api, days: int, status: str) -> None:
    number = await api.requested()
    await update(api, exception_numbers=number, status="Approved", end_date=us(7))
    api.clock.at = NOON + timedelta(days=days)
    assert number in await api.listed(status=status)


# Update Exceptions, reassign_to: "reassign exceptions to another user".
async def test_an_exception_is_reassigned(api: Api) -> None:
    number = await api.requested()
    assert code(await update(api, exception_numbers=number, reassign_to="500105")) == ""
    assert number in await api.listed(assignee_id="500105")


# Update Exceptions: logged in the history with the caller's name and the time.
async def test_an_update_is_in_the_history(api: Api) -> None:
    number = await api.requested()
    await update(api, "mlindqvist", exception_numbers=number, comments="Seen & <accepted>")
    answer = await api.exception("list", exception_number=number, details="All")
    told = [etree.tostring(each, encoding="unicode") for each in xml(answer).iter("HISTORY")]
    assert len(told) == 2
    (mine,) = [each for each in told if "mlindqvist" in each]
    assert "Seen &amp; &lt;accepted&gt;" in mine
    assert "2026-11-20T12:00:00Z" in mine


@pytest.mark.parametrize(
    ("user", "may_comment", "may_decide"),
    [
        # Permissions - Exceptions: update, by role; the host is in London.
        ("mlindqvist", True, True),
        ("kaudit", True, True),
        ("uhaddad", True, True),
        # "Updates are limited to adding comments."
        ("sito", True, False),
        ("acme_ac", True, False),
    ],
)
@pytest.mark.parametrize(
    "change",
    [{"status": "Approved"}, {"end_date": us(9)}, {"reassign_to": "500105"}],
    ids=["status", "end_date", "reassign_to"],
)
async def test_who_updates_an_exception(
    api: Api, user: str, may_comment: bool, may_decide: bool, change: Params
) -> None:
    number = await api.requested(INSTANCE_EXAMPLE)
    assert (code(await update(api, user, exception_numbers=number)) == "") == may_comment
    answer = await update(api, user, exception_numbers=number, **change)
    assert (code(answer) == "") == may_decide


# Permissions - Exceptions: a Unit Manager's hosts are those of the unit; this one is another's.
@pytest.mark.parametrize("action", ["update", "delete"])
async def test_a_unit_manager_changes_nothing_outside_the_unit(api: Api, action: str) -> None:
    number = await api.requested(PLAIN_EXAMPLE)
    more = {"comments": "x", "status": "Rejected"} if action == "update" else {}
    await api.exception(action, "uhaddad", exception_numbers=number, **more)
    assert number in await api.listed(status="pending")


# --- Delete Exceptions -----------------------------------------------------------------------------


# Delete Exceptions, sample and its XML output: two numbers that follow each other are a range.
async def test_exceptions_are_deleted(api: Api) -> None:
    first, second = await api.requested(PLAIN_EXAMPLE), await api.requested(INSTANCE_EXAMPLE)
    answer = await api.exception("delete", exception_numbers=f"{first}-{second}")
    root = xml(answer)
    assert (answer.status_code, root.tag) == (200, "BATCH_RETURN")
    (batch,) = root.iterfind("RESPONSE/BATCH_LIST/BATCH")
    assert batch.findtext("TEXT") == "Exception(s) deleted successfully"
    assert batch.findtext("NUMBER_SET/NUMBER_RANGE") == f"{first}-{second}"
    assert not {first, second} & set(await api.listed())


# Delete Exceptions: exception_numbers is required; Appendix D: 1901, 1903, 1905.
@pytest.mark.parametrize(
    ("wanted", "params"),
    [
        ("1903", {}),
        ("1905", {"exception_numbers": "abc"}),
        ("1901", {"exception_numbers": "1", "comments": "x"}),
    ],
)
async def test_a_delete_that_is_refused(api: Api, wanted: str, params: Params) -> None:
    await refused(api, wanted, {"action": "delete", **params})


# Permissions - Exceptions: delete, by role; the host is in London.
@pytest.mark.parametrize(
    ("user", "may"),
    [
        ("mlindqvist", True),
        ("kaudit", True),
        ("uhaddad", True),
        ("sito", False),
        ("acme_ac", False),
    ],
)
async def test_who_deletes_an_exception(api: Api, user: str, may: bool) -> None:
    number = await api.requested(INSTANCE_EXAMPLE)
    answer = await api.exception("delete", user, exception_numbers=number)
    assert (code(answer) == "") == may
    assert (number in await api.listed()) == (not may)
