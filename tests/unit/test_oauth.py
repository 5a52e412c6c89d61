"""What an authorization server's answers mean: whose fault a refusal is, and when a token ends."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from integrations.errors import BadCredentials, Rejected, Temporary, VendorError
from integrations.oauth import OAuthServer

HELD = {"access_token": "old", "refresh_token": "r"}
TOKEN = {"access_token": "new", "token_type": "bearer"}
NOW = 1_000.0


def server(status: int, body: str) -> OAuthServer:
    async def send(request: Any, *, writes: bool) -> Any:
        return SimpleNamespace(status=status, body=body.encode())

    http: Any = SimpleNamespace(vendor="Doors", send=send)
    place = "https://doors.example"
    return OAuthServer(http, place, place, "amend", "not-a-secret", clock=lambda: NOW)


def refusal(code: str) -> str:
    return json.dumps({"error": code})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, refusal("invalid_grant"), BadCredentials),
        (401, refusal("invalid_client"), Temporary),
        (400, refusal("invalid_request"), Temporary),
        (400, refusal("invalid_scope"), Temporary),
        (400, refusal("unauthorized_client"), Temporary),
        (400, refusal("unsupported_grant_type"), Temporary),
        (400, refusal("something else"), Temporary),
        (403, "forbidden", Temporary),
        (404, "<html>", Temporary),
        (429, "", Temporary),
        (503, "", Temporary),
        (200, "{}", Temporary),
    ],
)
async def test_only_a_grant_that_has_ended_is_the_persons_to_mend(
    status: int, body: str, kind: type[VendorError]
) -> None:
    with pytest.raises(VendorError) as raised:
        await server(status, body).renew(HELD)
    assert type(raised.value) is kind
    ours = status in (400, 401, 403, 404) and kind is Temporary
    assert ("administrator of Amend" in str(raised.value)) is ours


async def test_who_holds_no_refresh_token_signs_in_again() -> None:
    with pytest.raises(BadCredentials):
        await server(200, json.dumps(TOKEN)).renew({"access_token": "old"})


async def test_at_signing_in_our_own_fault_names_the_administrator() -> None:
    with pytest.raises(Rejected, match="administrator of Amend"):
        await server(401, refusal("invalid_client")).redeem("code", "verifier", "https://back")


@pytest.mark.parametrize(
    ("lasts", "ends_at"),
    [
        (60, "1060.0"),
        ("60", "1060.0"),
        (0, "1000.0"),
        (None, ""),
        ("soon", ""),
        ("nan", ""),
        ("inf", ""),
        ("-inf", ""),
        (-1, ""),
        (float("nan"), ""),
        (float("inf"), ""),
        (10**400, ""),
        ([], ""),
    ],
)
async def test_a_token_ends_when_the_server_says_so_in_seconds(lasts: Any, ends_at: str) -> None:
    body = json.dumps({**TOKEN, "expires_in": lasts})
    assert (await server(200, body).renew(HELD))["ends_at"] == ends_at
