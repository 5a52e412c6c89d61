"""The calls of Policy Compliance: what is a list, what is none, and which version answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import date
from urllib.parse import parse_qsl

import httpx
import pytest

from bot.domain.operations import Reach
from bot.domain.parameters import Parameters, given, read
from bot.domain.people import Account
from handlers.qualys.exception_parameters import (
    ExceptionDecision,
    ExceptionRenewal,
    ExceptionRequest,
)
from handlers.qualys.exceptions import id_of, known_user, outside
from handlers.qualys.lists import Remembered, is_whole
from handlers.qualys.register import ExceptionRegister
from handlers.qualys.scope import Scope
from integrations.errors import BadCredentials, Rejected, Temporary, Unreadable, VendorError
from integrations.qualys.client import QualysClient
from integrations.qualys.config import QualysSettings
from integrations.qualys.exceptions import ExceptionClient
from integrations.qualys.models import User

Answer = Callable[[httpx.Request], httpx.Response]
HOST = "<HOST><ID>7</ID><IP>10.0.0.7</IP></HOST>"
HOSTS = f"<HOST_LIST_OUTPUT><RESPONSE><HOST_LIST>{HOST}</HOST_LIST></RESPONSE></HOST_LIST_OUTPUT>"
EXCEPTIONS = "<EXCEPTION_LIST_OUTPUT><RESPONSE/></EXCEPTION_LIST_OUTPUT>"
POSTURE = "<POSTURE_INFO_LIST_OUTPUT><RESPONSE/></POSTURE_INFO_LIST_OUTPUT>"
PAGE = "<html><body>Under maintenance</body></html>"


def error(code: str, words: str) -> str:
    inside = f"<CODE>{code}</CODE><TEXT>{words}</TEXT>"
    return f"<SIMPLE_RETURN><RESPONSE>{inside}</RESPONSE></SIMPLE_RETURN>"


def connected(
    answer: Answer, version: str = "2.0", base: str = "https://q.example"
) -> ExceptionClient:
    async def no_sleep(_: float) -> None:
        pass

    settings = QualysSettings(url=base, username="amend_api", password="sandbox")
    client = QualysClient(settings, transport=httpx.MockTransport(answer), sleep=no_sleep)
    return ExceptionClient(client, settings.url, version)


def always(body: str, status: int = 200) -> Answer:
    return lambda _: httpx.Response(status, text=body)


async def _all(client: ExceptionClient) -> list[object]:
    return [each async for each in client.exceptions({})]


LISTS: dict[str, Callable[[ExceptionClient], Awaitable[object]]] = {
    "exceptions": _all,
    "posture": lambda client: client.posture("1", {}),
    "policies": lambda client: client.policies(),
    "controls": lambda client: client.controls(),
    "hosts": lambda client: client.hosts({}),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PAGE, Temporary),
        ("<MAINTENANCE><TEXT>back soon</TEXT></MAINTENANCE>", Unreadable),
        ("<ASSET_GROUP_LIST_OUTPUT/>", Unreadable),
        ("", Unreadable),
    ],
)
async def test_what_is_no_list_is_not_an_empty_one(
    name: str, body: str, kind: type[VendorError]
) -> None:
    with pytest.raises(kind):
        await LISTS[name](connected(always(body)))


async def test_posture_is_asked_for_with_the_least_detail_that_is_needed() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text=POSTURE)

    assert await connected(answer).posture("801459496", {"host_ids": "7"}) == []
    (request,) = seen
    assert request.method == "GET"
    assert dict(request.url.params) == {
        "action": "list",
        "policy_id": "801459496",
        "host_ids": "7",
        "details": "Basic",
    }


async def test_a_selection_too_long_for_a_url_goes_out_by_post() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text=HOSTS)

    ips = ",".join(f"10.0.{high}.{low}" for high in range(2) for low in range(200))
    await connected(answer).hosts({"ips": ips})
    (request,) = seen
    assert (request.method, request.url.query) == ("POST", b"")
    assert dict(parse_qsl(request.content.decode())) == {
        "action": "list",
        "details": "Basic",
        "ips": ips,
    }


# --- scope ---------------------------------------------------------------------------------------


async def test_a_host_is_in_a_group_or_outside_or_not_known() -> None:
    scope = Scope(["London"])
    inside = connected(always(HOSTS))
    assert await outside(inside, scope, ["10.0.0.7"]) == ""
    assert "outside" in await outside(inside, scope, ["10.0.0.8"])
    unknown = connected(always(error("1905", "ag_titles has invalid value: London"), 400))
    assert "outside" in await outside(unknown, scope, ["10.0.0.7"])


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (always("", 503), Temporary),
        (always(PAGE), Temporary),
        (always("<OTHER/>"), Unreadable),
        (always(error("2012", "not authorised"), 403), Rejected),
        (always(error("2000", "Bad Login/Password"), 401), BadCredentials),
    ],
)
async def test_an_error_of_a_look_up_is_not_outside_the_scope(
    answer: Answer, kind: type[VendorError]
) -> None:
    with pytest.raises(kind):
        await outside(connected(answer), Scope(["London"]), ["10.0.0.7"])


async def test_a_list_of_users_that_is_not_whole_refuses_nobody() -> None:
    async def listed() -> list[User]:
        return [User("acme_um", 1, role="Unit Manager", status="Active")]

    await known_user(Remembered(listed, time.monotonic), "acme_um", "assignee_id", "99")


@pytest.mark.parametrize("mapped", ["acme_um", "ACME_um", "Acme_Um"])
async def test_an_exception_goes_to_the_number_behind_a_login_in_any_case(mapped: str) -> None:
    async def listed() -> list[User]:
        return [User("acme_tb", 7), User("acme_UM", 8)]

    assert await id_of(Remembered(listed, time.monotonic), "assignee_id", mapped) == "8"
    manager = [User("acme_UM", 8, role="Manager")]
    assert is_whole(manager, mapped)


# --- lists that are kept -------------------------------------------------------------------------


class Listing:
    """A list that comes when it is let, or fails."""

    def __init__(self) -> None:
        self.asked, self.comes = 0, asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> list[int]:
        self.asked += 1
        await self.comes.wait()
        if self.error is not None:
            raise self.error
        return [self.asked]


async def test_a_list_that_comes_too_late_for_one_is_there_for_the_next() -> None:
    listing = Listing()
    kept = Remembered(listing, time.monotonic)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await kept.get()
    listing.comes.set()
    assert await kept.get() == [1]
    assert await kept.get() == [1]
    assert listing.asked == 1


async def test_those_who_wait_for_a_list_ask_for_it_once_and_hear_of_its_failure() -> None:
    listing, error = Listing(), Temporary("Qualys", "busy")
    kept = Remembered(listing, time.monotonic)
    waiting = [asyncio.create_task(kept.get()) for _ in range(3)]
    await asyncio.sleep(0)
    listing.error = error
    listing.comes.set()
    assert await asyncio.gather(*waiting, return_exceptions=True) == [error] * 3
    listing.error = None
    assert await kept.get() == [2]


# --- which version -------------------------------------------------------------------------------


def by_version(**bodies: tuple[int, str]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        version = "v2" if "/api/2.0/" in request.url.path else "v3"
        status, body = bodies[version]
        return httpx.Response(status, text=body)

    return answer


async def test_a_version_that_answers_is_fine() -> None:
    await connected(always(EXCEPTIONS)).check()


@pytest.mark.parametrize("gone", [(404, PAGE), (410, ""), (400, error("1905", "no such API"))])
async def test_a_version_that_has_ended_is_told_in_plain_words(gone: tuple[int, str]) -> None:
    with pytest.raises(Rejected) as caught:
        await connected(by_version(v2=gone, v3=(200, EXCEPTIONS))).check()
    assert "ended in October 2026" in str(caught.value)
    assert "set QUALYS_EXCEPTION_API=3.0" in str(caught.value)
    with pytest.raises(Rejected) as caught:
        await connected(by_version(v3=gone, v2=(200, EXCEPTIONS)), "3.0").check()
    assert "set QUALYS_EXCEPTION_API=2.0" in str(caught.value)
    assert "ended" not in str(caught.value)


async def test_a_missing_licence_is_not_a_missing_version() -> None:
    body = error("2012", "User license is not authorized to run this API.")
    with pytest.raises(Rejected, match="Policy Compliance") as caught:
        await connected(always(body, 403)).check()
    assert "QUALYS_EXCEPTION_API" not in str(caught.value)
    with pytest.raises(Rejected, match=r"neither exceptions API 2\.0 nor 3\.0"):
        await connected(always("", 404)).check()


async def test_a_vendor_that_is_down_says_nothing_about_versions() -> None:
    with pytest.raises(Temporary):
        await connected(always("", 503)).check()


# --- the next page -------------------------------------------------------------------------------


def page_at(url: str) -> Answer:
    """Says on the first page that the next is at `url`, and nothing on any other."""
    warning = f"<WARNING><CODE>1980</CODE><URL><![CDATA[\n{url}\n]]></URL></WARNING>"
    first = EXCEPTIONS.replace("<RESPONSE/>", f"<RESPONSE>{warning}</RESPONSE>")
    pages = iter([first, EXCEPTIONS])
    return lambda _: httpx.Response(200, text=next(pages))


NEXT = "/api/2.0/fo/compliance/exception/?action=list&exception_number_min=5"


# facts 5.2: "Check that the URL's host is the configured one"; RFC 3986, 6.2: case and default port.
@pytest.mark.parametrize(
    "base", ["https://q.example", "https://Q.example", "https://q.example:443"]
)
@pytest.mark.parametrize("at", ["https://q.example", "HTTPS://Q.EXAMPLE", "https://q.example:443"])
async def test_the_same_server_is_known_in_every_spelling(base: str, at: str) -> None:
    assert await _all(connected(page_at(at + NEXT), base=base)) == []


@pytest.mark.parametrize(
    "at",
    [
        "http://q.example",
        "https://q.example:8443",
        "https://q.example.evil.example",
        "https://q.example@evil.example",
        "https://somebody@q.example",
        "https://q.example:99999",
        "https://q.example:x",
        "https://[q.example",
        "ftp://q.example",
        "",
    ],
)
async def test_a_next_page_elsewhere_gets_no_credentials(at: str) -> None:
    with pytest.raises(Unreadable, match="another host"):
        await _all(connected(page_at(at + NEXT)))


# --- the register --------------------------------------------------------------------------------


def entry(number: int, control: str, policy: str) -> str:
    return (
        f"<EXCEPTION><EXCEPTION_NUMBER>{number}</EXCEPTION_NUMBER><STATUS>Approved</STATUS>"
        f"<HOST><IP_ADDRESS>10.0.0.7</IP_ADDRESS></HOST><POLICY><ID>{policy}</ID></POLICY>"
        f"<CONTROL><CID>{control}</CID></CONTROL>"
        "<EXPIRATION_DATE>2026-01-20</EXPIRATION_DATE></EXCEPTION>"
    )


STANDING = EXCEPTIONS.replace(
    "<RESPONSE/>",
    f"<RESPONSE>{entry(1, '1113', '7')}{entry(2, '2000', '8')}{entry(3, '11130', '70')}</RESPONSE>",
)


async def registered(**typed: str) -> tuple[list[str], list[dict[str, str]]]:
    """The numbers that `/amend exceptions` lists, and what Qualys was asked for."""
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        body = HOSTS if "/asset/host/" in request.url.path else STANDING
        return httpx.Response(200, text=body)

    register = ExceptionRegister(connected(answer), lambda: date(2026, 1, 5))
    selection = read(register.parameters, typed)
    listing = await register.rows(selection, Account("qualys", "m", "Manager"), Reach.ALL)
    return [row[0] for row in listing.rows], asked


@pytest.mark.parametrize("name", ["control_id", "policy_id"])
@pytest.mark.parametrize(
    ("control", "policy", "numbers"),
    [
        ("1113", "7", ["1"]),
        ("01113", "007", ["1"]),
        ("1110-1120", "5-7", ["1"]),
        ("01000-02000", "07-08", ["1", "2"]),
        ("1113,2000", "7,8", ["1", "2"]),
        ("1,1999-2000", "1,8-9", ["2"]),
        ("111", "1", []),
    ],
)
async def test_a_register_takes_numbers_by_span(
    name: str, control: str, policy: str, numbers: list[str]
) -> None:
    typed = control if name == "control_id" else policy
    assert (await registered(**{name: typed}))[0] == numbers


async def test_what_a_register_narrows_at_the_vendor_is_one_number() -> None:
    # facts 5.2: lists and ranges are told of exception numbers alone.
    _, asked = await registered(policy_id="007")
    assert asked[0]["policy_id"] == "7"
    for typed in ("7,8", "7-8"):
        _, asked = await registered(policy_id=typed)
        assert "policy_id" not in asked[0]
    _, asked = await registered(host_id="007,0010-12")
    assert asked[1]["ids"] == "7,10-12"


WHOLE: dict[type[Parameters], dict[str, str]] = {
    ExceptionRequest: dict.fromkeys(
        ("policy_id", "control_id", "host_id", "technology_id", "assignee_id"), "5"
    ),
    ExceptionDecision: {"exception_numbers": "5", "reassign_to": "5"},
    ExceptionRenewal: {"exception_numbers": "5", "end_date": "2027-03-31"},
}


@pytest.mark.parametrize(
    ("parameters", "name"),
    [(each, name) for each, form in WHOLE.items() for name in form if name != "end_date"],
)
def test_leading_zeros_name_the_same_record(parameters: type[Parameters], name: str) -> None:
    typed = {**WHOLE[parameters], "comments": "why", name: "0059"}
    assert given(read(parameters, typed))[name] in ("59", ("59",))
