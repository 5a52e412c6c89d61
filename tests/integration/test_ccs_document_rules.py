"""The stand-in of CCS, rule by rule of the vendor's documents, asked in plain HTTP.

Places: "update" is the document "Update Remediation Ticket Details", "search" and "get" are its
sister pages, "guide" is the CCS REST API Guide 1.0 (tokens), "samples" the vendor's public programs.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio

from deploy.sandbox.vendors.ccs import CcsStandIn, Site

TOKENS = "/ccs/api/v1/oauth/tokens"
TICKETS = "/ccs/api/v1/RemediationTickets/"
TICKET = "INCA0000001"
JSON = {"Content-Type": "application/json"}

# update, "HTTPS response codes".
NO_NUMBER = "Ticket number is invalid or empty."
NO_STATE = "Provide valid ticket state."
NOTHING = "Provide ticket details to update."
NO_DETAILS = "Provide valid ticket details."
NO_TICKET = "Ticket not found. Provide valid ticket number."
FORBIDDEN = "You are not authorized to perform this task. Access is denied."
BROKEN = (
    "Server encountered an error while serving request. "
    "Please contact administrator if problem persists."
)


class Caller:
    """A stand-in, a clock that a test turns, and bare HTTP."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.server = CcsStandIn(tickets=60, verifies_in=30.0, now=lambda: self.time)
        self.http = httpx.AsyncClient(trust_env=False)

    async def sign_in(self, **changed: str) -> httpx.Response:
        form = {
            "grant_type": "password",
            "username": self.server.username,
            "password": self.server.password,
            **changed,
        }
        url = self.server.url + TOKENS
        return await self.http.post(url, content=urlencode(form), headers=JSON)

    async def refresh(self, token: str) -> httpx.Response:
        form = urlencode({"grant_type": "refresh_token", "refresh_token": token})
        return await self.http.post(self.server.url + TOKENS, content=form, headers=JSON)

    def use(self, token: str) -> None:
        """All further calls bring this access token."""
        self.http.headers["Authorization"] = f"Bearer {token}"

    async def patch(self, body: Any, path: str = TICKETS) -> httpx.Response:
        return await self.http.patch(self.server.url + path, json=body)

    async def edit(self, **values: Any) -> httpx.Response:
        return await self.patch({"TicketNumber": TICKET, **values})

    async def get(self, **params: str) -> httpx.Response:
        return await self.http.get(self.server.url + TICKETS.rstrip("/"), params=params)

    async def ticket(self, number: str = TICKET) -> dict[str, Any]:
        found: dict[str, Any] = (await self.get(TicketNumber=number)).json()
        return found

    async def numbers(self, **params: str) -> list[str]:
        """The numbers on one page of a search."""
        found = (await self.get(**params)).json()["TicketDataList"]
        return [each["TicketNumber"] for each in found]


@pytest_asyncio.fixture
async def guest() -> AsyncIterator[Caller]:
    """Somebody who has not signed in."""
    made = Caller()
    async with made.server, made.http:
        yield made


@pytest_asyncio.fixture
async def caller(guest: Caller) -> Caller:
    guest.use((await guest.sign_in()).json()["access_token"])
    return guest


# --- signing in ---------------------------------------------------------------------------------


async def test_a_form_under_the_name_of_json_gives_both_tokens(guest: Caller) -> None:
    # update, "Sample Python script", getToken: 200, "access_token" and "refresh_token".
    answer = await guest.sign_in()
    assert answer.status_code == 200
    assert answer.json()["access_token"]
    assert answer.json()["refresh_token"]
    # guide 1.2: "access token is valid for 60 minutes".
    assert answer.json()["expires_in"] == 3600


# update, "Sample Python script": anything but 200 is "Token Generation Failed".
@pytest.mark.parametrize(
    "changed",
    [
        {"password": "wrong"},
        {"username": "northwind\\nobody"},
        {"username": "", "password": ""},
        {"grant_type": "client_credentials"},
        {"grant_type": ""},
    ],
)
async def test_no_token_without_the_password_grant(guest: Caller, changed: dict[str, str]) -> None:
    answer = await guest.sign_in(**changed)
    assert answer.status_code != 200
    assert "access_token" not in answer.text


# update, "Sample Python script": "password = <Base64 encoded>"; samples of 2019 send it in clear.
@pytest.mark.parametrize(("encoded", "status"), [(True, 200), (False, 401)])
async def test_a_site_of_the_document_takes_the_password_in_base64(
    guest: Caller, encoded: bool, status: int
) -> None:
    guest.server.site = Site(base64_password=True)
    clear = guest.server.password
    sent = base64.b64encode(clear.encode()).decode() if encoded else clear
    assert (await guest.sign_in(password=sent)).status_code == status


# guide 1.2: the access token holds for 60 minutes, the refresh token for 90.
@pytest.mark.parametrize(
    ("after", "access", "refresh"),
    [(3_599, 200, 200), (3_601, 401, 200), (5_399, 401, 200), (5_401, 401, 401)],
)
async def test_each_token_has_its_lifetime(
    guest: Caller, after: float, access: int, refresh: int
) -> None:
    told = (await guest.sign_in()).json()
    guest.use(told["access_token"])
    guest.time += after
    assert (await guest.get(TicketNumber=TICKET)).status_code == access
    assert (await guest.refresh(told["refresh_token"])).status_code == refresh
    # guide 1.2: "If both … expire", with one's credentials again.
    assert (await guest.sign_in()).status_code == 200


async def test_a_refresh_gives_a_new_pair(guest: Caller) -> None:
    # guide 1.2: "a new access token and a new refresh token".
    old = (await guest.sign_in()).json()
    new = (await guest.refresh(old["refresh_token"])).json()
    assert new["access_token"] != old["access_token"]
    assert new["refresh_token"] != old["refresh_token"]
    guest.use(new["access_token"])
    assert (await guest.edit(Priority="Low")).status_code == 204
    assert (await guest.refresh(new["refresh_token"])).status_code == 200


async def test_a_restart_kills_access_tokens_and_leaves_refresh_tokens(guest: Caller) -> None:
    # guide 1.2: "valid till Application Server Service is running … using the refresh token".
    told = (await guest.sign_in()).json()
    guest.use(told["access_token"])
    guest.server.forget_tokens()
    assert (await guest.get(TicketNumber=TICKET)).status_code == 401
    assert (await guest.refresh(told["refresh_token"])).status_code == 200


# update, "Authentication" and the script's header 'Authorization: "Bearer " + token'.
@pytest.mark.parametrize("form", ["", "{}", "Basic {}", "Bearer x{}", "Bearer", "Token {}"])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_without_a_bearer_token_it_is_401(guest: Caller, method: str, form: str) -> None:
    token = (await guest.sign_in()).json()["access_token"]
    headers = {"Authorization": form.format(token)} if form else {}
    body = {"TicketNumber": TICKET, "Priority": "Low"}
    url = f"{guest.server.url}{TICKETS}?TicketNumber={TICKET}"
    answer = await guest.http.request(method, url, json=body, headers=headers)
    assert answer.status_code == 401


async def test_another_role_may_neither_see_nor_edit(guest: Caller) -> None:
    # update, search and get, "Authorization requirements": Remediation Administrator; 403.
    told = await guest.sign_in(username="northwind\\uhaddad", password="sandbox-uhaddad")
    guest.use(told.json()["access_token"])
    answers = [
        await guest.edit(Priority="High"),
        await guest.get(TicketNumber=TICKET),
        await guest.get(Fields="(TicketState=1)"),
    ]
    assert [each.status_code for each in answers] == [403, 403, 403]
    assert all(FORBIDDEN in each.text for each in answers)
    # A refresh makes nobody an administrator.
    again = (await guest.refresh(told.json()["refresh_token"])).json()
    guest.use(again["access_token"])
    assert (await guest.edit(Priority="High")).status_code == 403


# --- updating -----------------------------------------------------------------------------------

# update, "URL"; update, "Sample Python script"; search and get, "URL".
URLS = [TICKETS, "/ccs/api/v1/remediationtickets/", "/ccs/api/v1/RemediationTickets"]


@pytest.mark.parametrize("path", URLS)
async def test_each_printed_address_is_the_same_204_without_a_body(
    caller: Caller, path: str
) -> None:
    # update, "Response body": "204 (No content)".
    answer = await caller.patch({"TicketNumber": TICKET, "TicketState": 5}, path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await caller.ticket())["TicketState"] == 5


# update, "Sample HTTPS request" (its backslash escaped, as JSON wants it) and "Sample Python script".
SAMPLES = [
    (
        r'{"TicketNumber":"INCA0000009", "TicketState":"2", "ticketDescription":"Description text",'
        r' "Priority":"Medium", "AssignedTo":"example domain\\sysadmin"}',
        (2, "Description text", "Medium", "example domain\\sysadmin"),
    ),
    (
        ' {"TicketNumber":"INCA0000001","ticketDescription":"Description updated","Priority":"Low",'
        '"AssignedTo":"AzadRai", "TicketState":"4"}',
        (4, "Description updated", "Low", "AzadRai"),
    ),
]


@pytest.mark.parametrize(("body", "becomes"), SAMPLES)
async def test_the_documents_own_requests_are_taken(
    caller: Caller, body: str, becomes: tuple[Any, ...]
) -> None:
    url = caller.server.url + TICKETS
    assert (await caller.http.patch(url, content=body, headers=JSON)).status_code == 204
    number = "INCA0000009" if "INCA0000009" in body else TICKET
    found = await caller.ticket(number)
    names = ("TicketState", "TicketDescription", "Priority", "AssignedTo")
    assert tuple(found[name] for name in names) == becomes


# update, first lines: "any of or all the following details"; what is not sent stays.
FIELDS = [
    ("TicketState", 5),
    ("TicketDescription", "Patched in March"),
    ("Priority", "Low"),
    ("Priority", "Medium"),
    ("AssignedTo", "northwind\\oreyes"),
]


@pytest.mark.parametrize(("name", "value"), FIELDS)
async def test_one_field_alone_is_enough_and_changes_no_other(
    caller: Caller, name: str, value: Any
) -> None:
    before = await caller.ticket()
    assert (await caller.edit(**{name: value})).status_code == 204
    assert await caller.ticket() == {**before, name: value}


# update, table: "TicketDescription"; update, samples: "ticketDescription".
@pytest.mark.parametrize("key", ["TicketDescription", "ticketDescription"])
async def test_a_description_is_replaced_under_either_spelling(caller: Caller, key: str) -> None:
    assert (await caller.edit(**{key: "new words"})).status_code == 204
    assert (await caller.ticket())["TicketDescription"] == "new words"


# update, "Control Compliance Suite ticket statuses"; the table says Integer, the samples send text.
@pytest.mark.parametrize("form", [int, str])
@pytest.mark.parametrize("state", [1, 2, 3, 4, 5])
async def test_five_states_are_taken_as_numbers_and_as_text(
    caller: Caller, state: int, form: type
) -> None:
    assert (await caller.edit(TicketState=form(state))).status_code == 204
    assert (await caller.ticket())["TicketState"] == state


async def test_a_priority_may_be_an_integer(caller: Caller) -> None:
    # update, table: "Priority … Integer"; which number is which name is told nowhere.
    assert (await caller.edit(Priority=1)).status_code == 204


# update, table: "user ID, email ID, or user name"; first sample: domain\user.
@pytest.mark.parametrize(
    "user", ["oreyes", "onca.reyes@northwind.example", "Onca Reyes", "northwind\\oreyes"]
)
async def test_an_assignee_may_be_named_in_each_way(caller: Caller, user: str) -> None:
    assert (await caller.edit(AssignedTo=user)).status_code == 204
    assert (await caller.ticket())["AssignedTo"] == user


# update, "HTTPS response codes", 400 and 404: the body, the status, the words.
ERRORS: list[tuple[Any, int, str]] = [
    ({"TicketState": 4}, 400, NO_NUMBER),
    ({"TicketNumber": "", "TicketState": 4}, 400, NO_NUMBER),
    ({"TicketNumber": "  ", "TicketState": 4}, 400, NO_NUMBER),
    ({"TicketNumber": None, "TicketState": 4}, 400, NO_NUMBER),
    ({"TicketNumber": 1, "TicketState": 4}, 400, NO_NUMBER),  # table: String
    ({"TicketNumber": [TICKET], "TicketState": 4}, 400, NO_NUMBER),
    ([{"TicketNumber": TICKET, "TicketState": 4}], 400, NO_NUMBER),  # "a single ticket at a time"
    ({"TicketNumber": TICKET, "TicketState": 0}, 400, NO_STATE),
    ({"TicketNumber": TICKET, "TicketState": 6}, 400, NO_STATE),
    ({"TicketNumber": TICKET, "TicketState": -1}, 400, NO_STATE),
    ({"TicketNumber": TICKET, "TicketState": "6"}, 400, NO_STATE),
    ({"TicketNumber": TICKET, "TicketState": "Open"}, 400, NO_STATE),
    ({"TicketNumber": TICKET, "TicketState": 1.5}, 400, NO_STATE),
    ({"TicketNumber": TICKET}, 400, NOTHING),
    ({"TicketNumber": TICKET, "Priority": {"level": "Low"}}, 400, NO_DETAILS),
    ({"TicketNumber": TICKET, "TicketDescription": ["x"]}, 400, NO_DETAILS),  # table: String
    ({"TicketNumber": TICKET, "TicketDescription": 7}, 400, NO_DETAILS),
    ({"TicketNumber": TICKET, "AssignedTo": {"id": "oreyes"}}, 400, NO_DETAILS),
    ({"TicketNumber": "INCA9999999", "TicketState": 4}, 404, NO_TICKET),
]


@pytest.mark.parametrize(("body", "status", "words"), ERRORS)
async def test_each_refusal_has_its_code_and_words_and_changes_nothing(
    caller: Caller, body: Any, status: int, words: str
) -> None:
    before = await caller.ticket()
    answer = await caller.patch(body)
    assert answer.status_code == status
    assert words in answer.text
    assert await caller.ticket() == before


async def test_one_wrong_field_stops_the_right_ones(caller: Caller) -> None:
    # update, "HTTPS response codes": only 204 is "updated successfully".
    before = await caller.ticket()
    assert (await caller.edit(TicketState=9, AssignedTo="oreyes")).status_code == 400
    assert await caller.ticket() == before


# update, "HTTPS response codes", 403 (also for a permission on assets or standard) and 500.
@pytest.mark.parametrize(
    ("fault", "status", "words"), [("forbidden", 403, FORBIDDEN), ("error_500", 500, BROKEN)]
)
async def test_a_server_in_trouble_says_the_documents_words(
    caller: Caller, fault: str, status: int, words: str
) -> None:
    caller.server.set_fault(fault)
    answer = await caller.edit(Priority="Low")
    assert answer.status_code == status
    assert words in answer.text
    assert (await caller.sign_in()).status_code == 200


# Where the document contradicts itself, a site may hold with one side: what it then refuses and takes.
SIDES: list[tuple[Site, dict[str, Any], str, dict[str, Any]]] = [
    # table: "Priority … Mandatory"
    (Site(needs_priority=True), {"TicketState": 4}, NO_DETAILS, {"Priority": "Low"}),
    # table: Integer; samples: "2" and "4"
    (Site(state_as="number"), {"TicketState": "4"}, NO_STATE, {"TicketState": 4}),
    (Site(state_as="text"), {"TicketState": 4}, NO_STATE, {"TicketState": "4"}),
    # table: Integer; samples: "Medium" and "Low"
    (Site(priority_as="number"), {"Priority": "Low"}, NO_DETAILS, {"Priority": 1}),
    (Site(priority_as="text"), {"Priority": 1}, NO_DETAILS, {"Priority": "Low"}),
    # table: TicketDescription; samples: ticketDescription
    (
        Site(description_key="TicketDescription"),
        {"ticketDescription": "x"},
        NOTHING,
        {"TicketDescription": "x"},
    ),
    (
        Site(description_key="ticketDescription"),
        {"TicketDescription": "x"},
        NOTHING,
        {"ticketDescription": "x"},
    ),
]


@pytest.mark.parametrize(("site", "refused", "words", "taken"), SIDES)
async def test_a_site_may_hold_with_one_side_of_a_contradiction(
    caller: Caller, site: Site, refused: dict[str, Any], words: str, taken: dict[str, Any]
) -> None:
    caller.server.site = site
    answer = await caller.edit(**refused)
    assert (answer.status_code, words in answer.text) == (400, True)
    assert (await caller.edit(**taken)).status_code == 204


# update, below the table of statuses: the job "is run only after you update the ticket state to 2".
@pytest.mark.parametrize(
    ("state", "soon", "later"), [(2, 2, {3, 4}), (1, 1, {1}), (3, 3, {3}), (4, 4, {4}), (5, 5, {5})]
)
async def test_verification_follows_state_2_alone_and_takes_its_time(
    caller: Caller, state: int, soon: int, later: set[int]
) -> None:
    await caller.edit(TicketState=state)
    assert (await caller.ticket())["TicketState"] == soon
    caller.time += 600
    assert (await caller.ticket())["TicketState"] in later


# --- reading ------------------------------------------------------------------------------------


async def test_a_ticket_is_looked_up_by_its_number(caller: Caller) -> None:
    # get, "URL": RemediationTickets?TicketNumber={TicketNumber}
    answer = await caller.get(TicketNumber="INCA0000009")
    assert (answer.status_code, answer.json()["TicketNumber"]) == (200, "INCA0000009")


# search, table: "Fields … Mandatory"; "URL": in parentheses.
@pytest.mark.parametrize(
    "params", [{}, {"Page": "0", "PageSize": "2"}, {"Fields": "TicketState=1"}]
)
async def test_a_search_needs_its_fields(caller: Caller, params: dict[str, str]) -> None:
    assert (await caller.get(**params)).status_code == 400


# search, "Fields": '=' alone, a comma is AND, with and without the blanks of the printed URL; samples.
SEARCHES = [
    ("(TicketState=1)", {"TicketState": 1}),
    ("(TicketState=1,TicketProviderType=2)", {"TicketState": 1, "TicketProviderType": 2}),
    ("(TicketState=1,Priority=Low)", {"TicketState": 1, "Priority": "Low"}),
    ("(TicketState = 1, Priority = Low)", {"TicketState": 1, "Priority": "Low"}),
    ("(TicketNumber=INCA0000007)", {"TicketNumber": "INCA0000007"}),
]


@pytest.mark.parametrize(("fields", "wanted"), SEARCHES)
async def test_a_search_finds_what_has_every_value_and_nothing_else(
    caller: Caller, fields: str, wanted: dict[str, Any]
) -> None:
    everything = [await caller.ticket(f"INCA{number:07}") for number in range(1, 61)]
    fitting = [each for each in everything if wanted.items() <= each.items()]
    assert fitting
    found = (await caller.get(Fields=fields, Page="0", PageSize="100")).json()["TicketDataList"]
    assert found == fitting


async def test_a_value_is_decoded_once(caller: Caller) -> None:
    # search, "URL": an ordinary query; no second encoding is told of.
    await caller.edit(TicketDescription="done to 50%25")
    assert await caller.numbers(Fields="(TicketDescription=done to 50%25)") == [TICKET]


# search, "URL": Page and PageSize; samples: page and pagesize, counted from 0.
@pytest.mark.parametrize(("page", "size"), [("Page", "PageSize"), ("page", "pagesize")])
async def test_pages_are_counted_from_0_under_either_spelling(
    caller: Caller, page: str, size: str
) -> None:
    fields = {"Fields": "(TicketProviderType=2)"}
    whole = await caller.numbers(**fields, **{page: "0", size: "6"})
    halves = [await caller.numbers(**fields, **{page: str(each), size: "3"}) for each in (0, 1)]
    assert [len(each) for each in halves] == [3, 3]
    assert halves[0] + halves[1] == whole


async def test_the_last_page_is_told_and_there_is_nothing_behind_it(caller: Caller) -> None:
    # The vendor's list of assets answers with `TotalPages`.
    params = {"Fields": "(TicketProviderType=2)", "PageSize": "25"}
    first = (await caller.get(**params, Page="0")).json()
    assert first["TotalPages"] == 3
    assert len(await caller.numbers(**params, Page="2")) == 10
    assert await caller.numbers(**params, Page="3") == []
