"""What Cortex Xpanse answers, and what becomes of it: every shape of an error, on every way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr

from integrations.errors import (
    BadCredentials,
    NoAnswer,
    Rejected,
    Temporary,
    UnknownOutcome,
    VendorError,
)
from integrations.xpanse.client import XpanseClient
from integrations.xpanse.config import XpanseSettings

KEY, KEY_ID = "a-key-that-nobody-has", "7"


class Tenant:
    """Answers every call with `status` and `body` (or `text`); `quotes`: with the caller's key."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {"reply": True}
        self.headers: dict[str, str] = {}
        self.text = ""
        self.quotes = False
        self.holds: asyncio.Event | None = None
        self.came: list[Mapping[str, str]] = []
        self.four_came = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        given = dict(request.headers)
        self.came.append({name.lower(): value for name, value in given.items()})
        if len(self.came) == 4:
            self.four_came.set()
        if self.holds is not None:
            await self.holds.wait()
        body = self.body
        if self.quotes:
            sent = self.came[-1]["authorization"]
            coded = base64.b64encode(sent.encode()).decode()
            body = {"reply": {"err_code": 403, "err_msg": f"no: {sent} {coded}"}}
        text = self.text or json.dumps(body)
        return web.Response(
            text=text, status=self.status, headers=self.headers, content_type="application/json"
        )


@pytest_asyncio.fixture
async def tenant() -> AsyncIterator[tuple[Tenant, str]]:
    made = Tenant()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def client_of(url: str, **settings: Any) -> XpanseClient:
    given = {"api_key": SecretStr(KEY), "api_key_id": KEY_ID, **settings}
    return XpanseClient(XpanseSettings(url=url, **given))


async def told(client: XpanseClient, way: str) -> VendorError:
    """The error that a call meets."""
    calls = {
        "edit": lambda: client.update("71", {"status": "new"}),
        "list": lambda: client.incidents(["71"]),
        "users": client.users,
        "check": client.check,
    }
    with pytest.raises(VendorError) as met:
        await calls[way]()
    return met.value


WAYS = ["edit", "list", "users", "check"]
READS = WAYS[1:]


# --- an error inside a 200 ------------------------------------------------------------------------


def inside(code: Any, words: str = "what went wrong") -> list[Any]:
    """The envelopes that are met (facts B.1), with their codes as numbers and as texts."""
    told = {"err_code": code, "err_msg": words, "err_extra": None}
    return [
        {"reply": told},
        {"reply": {**told, "err_code": str(code)}},
        told,
        {"errorCode": code, "message": words, "details": None},
        {"data": told},
    ]


# The number, what a read meets, what an edit meets.
MEANS = [
    (400, Rejected, Rejected),
    (401, BadCredentials, BadCredentials),
    (402, Rejected, Rejected),
    (403, Rejected, Rejected),
    (404, Rejected, Rejected),
    (405, Rejected, Rejected),
    (409, Rejected, Rejected),
    (413, Rejected, Rejected),
    (422, Rejected, Rejected),
    (429, Temporary, Temporary),
    (500, Temporary, UnknownOutcome),
    (503, Temporary, UnknownOutcome),
    (504, Temporary, NoAnswer),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("code", "read", "edit"), MEANS)
async def test_an_error_inside_a_200_means_what_its_number_says(
    tenant: tuple[Tenant, str], way: str, code: int, read: type, edit: type
) -> None:
    server, url = tenant
    for server.body in inside(code):
        client = client_of(url)
        error = await told(client, way)
        assert type(error) is (edit if way == "edit" else read), server.body
        assert "what went wrong" in str(error)
        await client.aclose()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("code", "read", "edit"), MEANS)
async def test_so_does_an_answer_of_that_status(
    tenant: tuple[Tenant, str], way: str, code: int, read: type, edit: type
) -> None:
    server, url = tenant
    server.status = code
    server.body = inside(code)[0]
    client = client_of(url)
    error = await told(client, way)
    assert type(error) is (edit if way == "edit" else read)
    await client.aclose()


@pytest.mark.parametrize("code", ["example", None, 10**30, -1, 4.5, True])
async def test_a_code_that_is_no_number_of_http_leaves_an_edit_open(
    tenant: tuple[Tenant, str], code: Any
) -> None:
    server, url = tenant
    server.body = {"reply": {"err_code": code, "err_msg": "what went wrong"}}
    client = client_of(url)
    error = await told(client, "edit")
    assert type(error) is UnknownOutcome
    assert "what went wrong" in str(error)
    assert type(await told(client, "list")) is Temporary
    await client.aclose()


@pytest.mark.parametrize("status", [200, 401])
async def test_a_key_that_is_refused_is_left_in_peace_however_that_is_said(
    tenant: tuple[Tenant, str], status: int
) -> None:
    server, url = tenant
    server.status, server.body = status, inside(401)[0]
    client = client_of(url)
    for way in WAYS:
        assert type(await told(client, way)) is BadCredentials
    assert len(server.came) == 1
    await client.aclose()


@pytest.mark.parametrize("status", [200, 400, 429, 500])
async def test_a_rate_limit_waits_as_told(tenant: tuple[Tenant, str], status: int) -> None:
    server, url = tenant
    server.status, server.headers = status, {"Retry-After": "7"}
    server.body = {"reply": {"err_code": status, "err_msg": "Rate limit exceeded"}}
    client = client_of(url)
    error = await told(client, "edit")
    assert isinstance(error, Temporary)
    assert error.wait == 7.0
    await client.aclose()


async def test_what_is_no_error_is_none(tenant: tuple[Tenant, str]) -> None:
    server, url = tenant
    server.body = {"reply": True, "warnings": ["a"], "err_code": None, "data": {"more": 1}}
    client = client_of(url)
    assert await client.update("71", {"status": "new"}) == (True, ["a"])
    await client.aclose()


# --- the vendor's words ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", READS)
async def test_only_an_edit_speaks_of_an_incident_that_is_not_there(
    tenant: tuple[Tenant, str], way: str
) -> None:
    server, url = tenant
    server.status, server.body = 404, {"reply": {"err_code": 404, "err_msg": "not found"}}
    client = client_of(url)
    assert "no such incident" not in str(await told(client, way))
    assert "no such incident" in str(await told(client, "edit"))
    await client.aclose()


# update, "Responses", 422: `errors` is an object; facts B.1: `err_extra` is null, a text or a list.
SAID = [
    ({"errors": {"manual_severity": ["Must be one of: low, high."]}}, "manual_severity: Must be"),
    ({"errors": {"json": {"update_data": {"status": ["Not x."]}}}}, "json.update_data.status: Not"),
    ({"errors": {"a": ["one", "two"], "b": {"c": 3}}}, "a: one; a: two; b.c: 3"),
    ({"errors": [{"field": "status", "reason": "unknown"}]}, "field: status; reason: unknown"),
    (
        {
            "err_extra": [
                {
                    "type": "enum",
                    "loc": ["request_data", "update_data", 0, "status"],
                    "msg": "Input should be 'new'",
                    "input": "the text of somebody",
                    "ctx": {"expected": "new"},
                }
            ]
        },
        "request_data.update_data.0.status: Input should be 'new'",
    ),
    ({"err_extra": [{"loc": [], "msg": "whole"}]}, "(whole)"),
    ({"err_extra": ["reached max number of retries"]}, "(reached max number of retries)"),
    ({"err_extra": "reached max number of retries"}, "(reached max number of retries)"),
    ({"details": {"reason": "locked"}}, "(reason: locked)"),
]


@pytest.mark.parametrize(("more", "words"), SAID)
async def test_everything_that_explains_a_refusal_is_told(
    tenant: tuple[Tenant, str], more: dict[str, Any], words: str
) -> None:
    server, url = tenant
    client = client_of(url)
    server.status = 422
    for server.body in (
        {"code": 422, "status": "Unprocessable Entity", "message": "Invalid", **more},
        {"reply": {"err_code": 422, "err_msg": "Invalid", **more}},
    ):
        shown = str(await told(client, "edit"))
        assert words in shown
        assert "Invalid" in shown
        assert "the text of somebody" not in shown
    await client.aclose()


def nested(depth: int) -> Any:
    found: Any = "the bottom"
    for number in range(depth):
        found = {"a": found} if number % 2 else [found]
    return found


def nested_lists(depth: int) -> Any:
    return json.loads("[" * depth + "7" + "]" * depth)


@pytest.mark.parametrize(
    "errors",
    [nested(900), nested_lists(900), {f"field-{number}": ["wrong"] * 20 for number in range(50)}],
)
async def test_however_much_is_said_it_stays_a_sentence(
    tenant: tuple[Tenant, str], errors: Any
) -> None:
    server, url = tenant
    server.status, server.body = 422, {"code": 422, "message": "Invalid", "errors": errors}
    client = client_of(url)
    error = await told(client, "edit")
    assert type(error) is Rejected
    assert "Invalid" in error.words
    assert len(error.words) <= 500
    await client.aclose()


# --- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written", ["1700000000000", "1.7e12", '"1700000000000"', "1700000000000.5"]
)
async def test_a_time_is_read_however_it_is_written(
    tenant: tuple[Tenant, str], written: str
) -> None:
    server, url = tenant
    page = {"total_count": 1, "incidents": [{"incident_id": "71", "modification_time": "WHEN"}]}
    server.text = json.dumps({"reply": page}).replace('"WHEN"', written)
    client = client_of(url)
    assert (await client.incidents(["71"]))["71"].modified == 1_700_000_000_000
    await client.aclose()


ODD = ["1e400", "-1e400", "NaN", "Infinity", '"' + "9" * 5_000 + '"', '"' + "9" * 400 + '.0"', "-5"]


@pytest.mark.parametrize("field", ["modification_time", "total_count"])
@pytest.mark.parametrize("number", ODD)
async def test_a_number_beyond_all_bounds_hides_no_incident(
    tenant: tuple[Tenant, str], number: str, field: str
) -> None:
    server, url = tenant
    shown = {"incident_id": "71", "status": "new", "modification_time": 1_700_000_000_000}
    page = {"total_count": 1, "incidents": [shown]}
    (shown if field == "modification_time" else page)[field] = "ODD"
    server.text = json.dumps({"reply": page}).replace('"ODD"', number)
    client = client_of(url)
    assert set(await client.incidents(["71"])) == {"71"}
    await client.aclose()


@pytest.mark.parametrize("told_to_wait", ["9" * 400, "-1", "1e400", "soon"])
async def test_a_wait_beyond_all_bounds_is_none(
    tenant: tuple[Tenant, str], told_to_wait: str
) -> None:
    server, url = tenant
    server.status, server.headers = 429, {"Retry-After": told_to_wait}
    client = client_of(url)
    error = await told(client, "edit")
    assert isinstance(error, Temporary)
    assert error.wait is None
    await client.aclose()


# --- advanced keys ---------------------------------------------------------------------------------


async def test_a_call_is_signed_with_the_time_at_which_it_leaves(
    tenant: tuple[Tenant, str],
) -> None:
    """facts B.2: a replay window is implied; calls wait behind each other, four at a time."""
    server, url = tenant
    server.body = {"reply": {"total_count": 0, "incidents": []}}
    server.holds = asyncio.Event()
    clock = [1_000.0]
    client = XpanseClient(
        XpanseSettings(url=url, api_key=SecretStr(KEY), api_key_id=KEY_ID, auth="advanced"),
        now=lambda: clock[0],
    )
    calls = [asyncio.create_task(client.incidents(["1"])) for _ in range(8)]
    async with asyncio.timeout(120):
        await server.four_came.wait()
    clock[0] = 2_000.0
    server.holds.set()
    await asyncio.gather(*calls)
    stamps = [each["x-xdr-timestamp"] for each in server.came]
    assert stamps == ["1000000"] * 4 + ["2000000"] * 4
    nonces = {each["x-xdr-nonce"] for each in server.came}
    assert len(nonces) == 8
    for each in server.came:
        text = f"{KEY}{each['x-xdr-nonce']}{each['x-xdr-timestamp']}"
        assert each["authorization"] == hashlib.sha256(text.encode()).hexdigest()
    await client.aclose()


@pytest.mark.parametrize("auth", ["standard", "advanced"])
async def test_what_signed_a_call_is_hidden_where_an_answer_quotes_it(
    tenant: tuple[Tenant, str], auth: str
) -> None:
    server, url = tenant
    server.quotes = True
    client = client_of(url, auth=auth)
    for way in WAYS:
        shown = str(await told(client, way))
        assert "no: (hidden) (hidden)" in shown
        assert server.came[-1]["authorization"] not in shown
    await client.aclose()
