"""The stand-in of Acme Doors, rule by rule of its API.md, asked in plain HTTP.

Numbers as 4.1.2 are sections of RFC 6749.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus

import httpx
import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from acme_doors.stand_in import DoorsStandIn

FOLDER = Path(__file__).parents[1] / "thirdparty"
AUTHORIZE = "/oauth/authorize"
TOKEN = "/oauth/token"
BACK = "http://127.0.0.1:9/signed-in?team=T1"
# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
STATE = 'a state & "more" <b>+</b>'
SERVICE = {"Authorization": "Bearer sandbox-not-a-secret"}
PLAIN_401 = 'Bearer realm="doors"'
ENDED_401 = 'Bearer realm="doors", error="invalid_token"'


class Clock:
    """It stands still until a test moves it."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Page(HTMLParser):
    """The forms of a page: what each holds, and what its button says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self.labels: list[str] = []
        self._label = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert (about["method"], about["action"]) == ("post", AUTHORIZE)
            self.forms.append({})
        if tag in ("input", "button"):
            assert about["name"] not in self.forms[-1]
            self.forms[-1][about["name"]] = about["value"]
        self._label = tag == "button"

    def handle_data(self, data: str) -> None:
        if self._label:
            self.labels.append(data)
        self._label = False

    def form(self, label: str) -> dict[str, str]:
        (found,) = (
            form for form, says in zip(self.forms, self.labels, strict=True) if label in says
        )
        return found


class Caller:
    """A stand-in, a client registered with it, and bare HTTP."""

    def __init__(self, server: DoorsStandIn) -> None:
        self.server = server
        self.clock = Clock()
        server.clock = self.clock
        server.redirect_uri = BACK
        self.http = httpx.AsyncClient(trust_env=False)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(self.server.url + path, **more)

    async def ask(self, **changed: Any) -> httpx.Response:
        return await self.get(AUTHORIZE, params=request(**changed))

    async def consent(self, **changed: Any) -> httpx.Response:
        form = {**request(), "person": "mara", "answer": "allow", **changed}
        data = {name: value for name, value in form.items() if value is not None}
        return await self.http.post(self.server.url + AUTHORIZE, data=data)

    async def code(self, person: str = "mara") -> str:
        return sent_back(await self.consent(person=person))["code"]

    async def grant(self, basic: str | None = None, **form: Any) -> httpx.Response:
        headers = {"Authorization": basic or signed("amend", "sandbox-client-secret")}
        data = {name: value for name, value in form.items() if value is not None}
        return await self.http.post(self.server.url + TOKEN, data=data, headers=headers)

    async def redeem(
        self, code: str, basic: str | None = None, /, **changed: Any
    ) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
        return await self.grant(basic, **{**form, "code_verifier": VERIFIER, **changed})

    async def renew(self, token: str, **changed: Any) -> httpx.Response:
        return await self.grant(
            **{"grant_type": "refresh_token", "refresh_token": token, **changed}
        )

    async def signed_in(self, person: str = "mara") -> dict[str, Any]:
        return tokens(await self.redeem(await self.code(person)))

    async def me(self, access: str) -> httpx.Response:
        return await self.get("/me", headers={"Authorization": f"Bearer {access}"})

    async def put(self, door: str, access: str = "", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {access}"} if access else SERVICE
        return await self.http.put(f"{self.server.url}/doors/{door}", headers=headers, **more)


def request(**changed: Any) -> dict[str, Any]:
    """The parameters of a right request to sign in; a change to None leaves one out."""
    asked = {
        "response_type": "code",
        "client_id": "amend",
        "redirect_uri": BACK,
        "state": STATE,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "scope": "doors",
        **changed,
    }
    return {name: value for name, value in asked.items() if value is not None}


def signed(client: str, secret: str) -> str:
    """HTTP Basic as 2.3.1 has it."""
    pair = f"{quote_plus(client)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def sent_back(answer: httpx.Response) -> dict[str, str]:
    """What came with a redirect to the client, beside the query of its redirect URI."""
    assert answer.status_code == 302, answer.text
    place = answer.headers["location"]
    assert place.startswith(BACK + "&")
    return dict(parse_qsl(place.removeprefix(BACK + "&"), strict_parsing=True))


def tokens(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def is_refused(answer: httpx.Response, error: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


def is_page_400(answer: httpx.Response) -> None:
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "location" not in answer.headers


def is_401(answer: httpx.Response, says: str) -> None:
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == says
    assert answer.json() == {"error": "unauthorized"}


@pytest_asyncio.fixture
async def caller(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Caller]:
    monkeypatch.syspath_prepend(str(FOLDER))
    from acme_doors.stand_in import DoorsStandIn

    made = Caller(DoorsStandIn())
    async with made.server, made.http:
        yield made


# --- who calls ----------------------------------------------------------------------------------


async def test_its_settings_reach_it(caller: Caller) -> None:
    assert caller.server.settings() == {
        "DOORS_URL": caller.server.url,
        "DOORS_TOKEN": "sandbox-not-a-secret",
        "DOORS_CLIENT_ID": "amend",
        "DOORS_CLIENT_SECRET": "sandbox-client-secret",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic sandbox-not-a-secret"},
        {"Authorization": "sandbox-not-a-secret"},
    ],
)
async def test_a_missing_or_wrong_token_is_401_and_changes_nothing(
    caller: Caller, headers: dict[str, str]
) -> None:
    for path in ("/me", "/people", "/doors", "/nowhere"):
        is_401(await caller.get(path, headers=headers), PLAIN_401)
    url = caller.server.url + "/doors/D1"
    is_401(await caller.http.put(url, headers=headers, json={"lock": "open"}), PLAIN_401)
    assert caller.server.calls == []


async def test_a_token_in_the_query_is_none(caller: Caller) -> None:
    is_401(await caller.get("/me", params={"access_token": "sandbox-not-a-secret"}), PLAIN_401)


async def test_a_refresh_token_is_no_access_token(caller: Caller) -> None:
    mara = await caller.signed_in()
    is_401(await caller.me(mara["refresh_token"]), PLAIN_401)


async def test_me_is_whose_token_it_is(caller: Caller) -> None:
    for person in ("mara", "umar"):
        access = (await caller.signed_in(person))["access_token"]
        assert (await caller.me(access)).json() == {"account": person, "role": "Keeper"}
    assert (await caller.get("/me", headers=SERVICE)).json()["account"] == "porter"
    loose = {"Authorization": "bearer sandbox-not-a-secret"}
    assert (await caller.get("/me", headers=loose)).status_code == 200


# --- doors and people ---------------------------------------------------------------------------


async def test_people(caller: Caller) -> None:
    assert (await caller.get("/people", headers=SERVICE)).json() == [
        {
            "account": "mara",
            "name": "Mara Lindqvist",
            "email": "mara@northwind.example",
            "role": "Keeper",
        },
        {
            "account": "umar",
            "name": "Umar Haddad",
            "email": "umar@northwind.example",
            "role": "Keeper",
        },
    ]


async def test_doors_say_who_changed_them_last(caller: Caller) -> None:
    mara = (await caller.signed_in())["access_token"]
    answer = await caller.put("D1", mara, json={"lock": "open"})
    assert (answer.status_code, answer.json()) == (200, {"says": "D1 is open, by mara"})
    answer = await caller.put("D3", json={"lock": "locked"})
    assert answer.json() == {"says": "D3 is locked, by porter"}
    assert (await caller.get("/doors", headers=SERVICE)).json() == {
        "D1": {"lock": "open", "by": "mara"},
        "D2": {"lock": "locked", "by": ""},
        "D3": {"lock": "locked", "by": "porter"},
    }
    assert caller.server.calls == [("mara", "D1", "open"), ("porter", "D3", "locked")]


@pytest.mark.parametrize("door", ["D9", "", "D1/lock", "d1"])
async def test_no_such_door(caller: Caller, door: str) -> None:
    answer = await caller.put(door, json={"lock": "open"})
    assert (answer.status_code, answer.json()) == (404, {"error": "no such door"})


@pytest.mark.parametrize(
    "body",
    [
        {"json": {"lock": "ajar"}},
        {"json": {"lock": True}},
        {"json": {}},
        {"json": {"lock": "open", "for": "ever"}},
        {"json": ["open"]},
        {"data": {"lock": "open"}},
        {"content": '{"lock": "open"}'},
        {"content": '{"lock": ', "json": None},
    ],
)
async def test_a_change_that_is_none_is_422(caller: Caller, body: dict[str, Any]) -> None:
    answer = await caller.put("D1", **body)
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert caller.server.calls == []


async def test_what_the_document_does_not_name(caller: Caller) -> None:
    assert (await caller.get("/nowhere", headers=SERVICE)).status_code == 404
    assert (await caller.get("/oauth/nowhere")).status_code == 404
    for path, allowed in (("/doors/D1", "PUT"), (TOKEN, "POST")):
        answer = await caller.get(path, headers=SERVICE)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


# --- the page -----------------------------------------------------------------------------------


async def test_the_page_names_the_client_and_asks_who_signs_in(caller: Caller) -> None:
    answer = await caller.ask()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "amend" in answer.text
    assert "<b>" not in answer.text
    page = Page(answer.text)
    for label, person in (("Mara Lindqvist", "mara"), ("Umar Haddad", "umar")):
        assert page.form(label) == {**request(), "person": person, "answer": "allow"}
    assert page.form("Deny") == {**request(), "answer": "deny"}


async def test_its_forms_hold_the_request_and_nothing_else(caller: Caller) -> None:
    page = Page((await caller.ask(answer="allow", person="umar", more="1")).text)
    assert page.form("Deny") == {**request(), "answer": "deny"}


async def test_a_button_sends_the_person_back(caller: Caller) -> None:
    form = Page((await caller.ask()).text).form("Umar Haddad")
    back = sent_back(await caller.http.post(caller.server.url + AUTHORIZE, data=form))
    assert back.keys() == {"code", "state"}
    assert back["state"] == STATE
    access = tokens(await caller.redeem(back["code"]))["access_token"]
    assert (await caller.me(access)).json()["account"] == "umar"


async def test_deny(caller: Caller) -> None:
    expected = {"error": "access_denied", "state": STATE}
    assert sent_back(await caller.consent(answer="deny")) == expected
    assert sent_back(await caller.consent(answer="deny", person=None)) == expected


@pytest.mark.parametrize(
    "changed", [{"person": "porter"}, {"person": None}, {"answer": None}, {"answer": "maybe"}]
)
async def test_an_answer_that_is_none(caller: Caller, changed: dict[str, Any]) -> None:
    back = sent_back(await caller.consent(**changed))
    assert back == {"error": "invalid_request", "state": STATE}


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "other"},
        {"client_id": None},
        {"client_id": ["amend", "amend"]},
        {"redirect_uri": BACK + "&more=1"},
        {"redirect_uri": BACK.replace("signed-in", "Signed-in")},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": None},
        {"redirect_uri": ""},
        {"redirect_uri": [BACK, BACK]},
    ],
)
async def test_a_wrong_client_or_redirect_uri_is_a_page_and_no_redirect(
    caller: Caller, changed: dict[str, Any]
) -> None:
    is_page_400(await caller.ask(**changed))
    is_page_400(await caller.consent(**changed))


async def test_before_a_redirect_uri_is_registered_none_is_right(caller: Caller) -> None:
    caller.server.redirect_uri = ""
    is_page_400(await caller.ask(redirect_uri=""))
    is_page_400(await caller.ask(redirect_uri=None))


async def test_an_answer_that_is_no_form_is_a_page(caller: Caller) -> None:
    form = {**request(), "person": "mara", "answer": "allow"}
    url = caller.server.url + AUTHORIZE
    is_page_400(await caller.http.post(url, json=form))
    is_page_400(await caller.http.post(url, params=form))
    is_page_400(await caller.http.post(url, files={"file": b""}, data=form))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": ["code", "code"]}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": VERIFIER[:-1]}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "doors windows"}, "invalid_scope"),
        ({"scope": ["doors", "doors"]}, "invalid_request"),
        ({"more": ["1", "2"]}, "invalid_request"),
    ],
)
async def test_any_other_mistake_goes_back_by_redirect(
    caller: Caller, changed: dict[str, Any], error: str
) -> None:
    assert sent_back(await caller.ask(**changed)) == {"error": error, "state": STATE}
    assert sent_back(await caller.consent(**changed)) == {"error": error, "state": STATE}


@pytest.mark.parametrize("state", [None, "", ["one", "two"]])
async def test_a_state_must_come_once(caller: Caller, state: Any) -> None:
    assert sent_back(await caller.ask(state=state)) == {"error": "invalid_request"}


# --- codes --------------------------------------------------------------------------------------


async def test_a_code_brings_tokens(caller: Caller) -> None:
    caller.server.lives = 90.9
    answer = await caller.redeem(await caller.code())
    found = tokens(answer)
    assert found["token_type"] == "Bearer"
    assert found["expires_in"] == 90
    assert found["access_token"] != found["refresh_token"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert answer.headers["content-type"].startswith("application/json")


async def test_a_code_lives_for_60_seconds(caller: Caller) -> None:
    early, late = await caller.code(), await caller.code()
    caller.clock.now += 59.9
    tokens(await caller.redeem(early))
    caller.clock.now += 0.2
    is_refused(await caller.redeem(late), "invalid_grant")


async def test_a_code_used_twice_takes_back_every_token_of_its_sign_in(caller: Caller) -> None:
    code = await caller.code()
    first = tokens(await caller.redeem(code))
    second = tokens(await caller.renew(first["refresh_token"]))
    other = await caller.signed_in()
    caller.clock.now += 120
    is_refused(await caller.redeem(code), "invalid_grant")
    is_401(await caller.me(first["access_token"]), ENDED_401)
    is_401(await caller.me(second["access_token"]), ENDED_401)
    is_refused(await caller.renew(second["refresh_token"]), "invalid_grant")
    assert (await caller.me(other["access_token"])).status_code == 200
    tokens(await caller.renew(other["refresh_token"]))


@pytest.mark.parametrize(
    "changed",
    [
        {"code": "no-such-code"},
        {"code_verifier": VERIFIER[:-1] + "A"},
        {"redirect_uri": BACK + "/"},
    ],
)
async def test_what_does_not_fit_the_code(caller: Caller, changed: dict[str, Any]) -> None:
    is_refused(await caller.redeem(await caller.code(), **changed), "invalid_grant")


async def test_a_code_that_came_with_a_wrong_verifier_is_used(caller: Caller) -> None:
    code = await caller.code()
    is_refused(await caller.redeem(code, code_verifier="A" * 43), "invalid_grant")
    is_refused(await caller.redeem(code), "invalid_grant")


@pytest.mark.parametrize(
    "changed",
    [
        {"grant_type": None},
        {"code": None},
        {"code": ""},
        {"redirect_uri": None},
        {"code_verifier": None},
        {"code_verifier": "short"},
        {"code_verifier": "A" * 129},
        {"code_verifier": "A" * 42 + "+"},
        {"grant_type": ["authorization_code", "authorization_code"]},
        {"redirect_uri": [BACK, BACK]},
        {"more": ["1", "2"]},
        {"client_secret": "sandbox-client-secret"},
        {"client_id": "other"},
    ],
)
async def test_a_malformed_request_leaves_the_code_alone(
    caller: Caller, changed: dict[str, Any]
) -> None:
    code = await caller.code()
    is_refused(await caller.redeem(code, **changed), "invalid_request")
    tokens(await caller.redeem(code))


async def test_a_short_verifier_is_refused_even_where_it_fits(caller: Caller) -> None:
    digest = hashlib.sha256(b"short").digest()
    fits = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    code = sent_back(await caller.consent(code_challenge=fits))["code"]
    is_refused(await caller.redeem(code, code_verifier="short"), "invalid_request")


async def test_the_challenge_as_verifier_is_plain_and_refused(caller: Caller) -> None:
    is_refused(await caller.redeem(await caller.code(), code_verifier=CHALLENGE), "invalid_grant")


@pytest.mark.parametrize("kind", ["password", "client_credentials", "Refresh_Token"])
async def test_other_grants(caller: Caller, kind: str) -> None:
    is_refused(await caller.grant(grant_type=kind), "unsupported_grant_type")


async def test_a_body_that_is_no_form(caller: Caller) -> None:
    form = {
        "grant_type": "authorization_code",
        "code": await caller.code(),
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }
    url, basic = caller.server.url + TOKEN, signed("amend", "sandbox-client-secret")
    headers = {"Authorization": basic}
    is_refused(await caller.http.post(url, json=form, headers=headers), "invalid_request")
    is_refused(await caller.http.post(url, params=form, headers=headers), "invalid_request")
    tokens(await caller.http.post(url, data=form, headers=headers))


# --- the client ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "basic",
    [
        signed("amend", "wrong"),
        signed("other", "sandbox-client-secret"),
        signed("", ""),
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"amend").decode(),
        "Basic " + base64.b64encode(b"amend:sandbox-client-secret%").decode(),
        "Bearer sandbox-client-secret",
    ],
)
async def test_a_client_that_is_not_the_one(caller: Caller, basic: str) -> None:
    code = await caller.code()
    answer = await caller.redeem(code, basic)
    is_refused(answer, "invalid_client", 401)
    assert answer.headers["www-authenticate"] == 'Basic realm="doors"'
    tokens(await caller.redeem(code))


async def test_a_client_that_signs_in_in_the_body(caller: Caller) -> None:
    form = {"grant_type": "authorization_code", "code": await caller.code()}
    known = {"client_id": "amend", "client_secret": "sandbox-client-secret"}
    answer = await caller.http.post(caller.server.url + TOKEN, data={**form, **known})
    is_refused(answer, "invalid_client", 401)


async def test_id_and_secret_are_form_encoded_within_basic(caller: Caller) -> None:
    caller.server.client_secret = secret = "a b+c:d%2Fé"
    code = await caller.code()
    plain = "Basic " + base64.b64encode(f"amend:{secret}".encode()).decode()
    is_refused(await caller.redeem(code, plain), "invalid_client", 401)
    tokens(await caller.redeem(code, signed("amend", secret)))


async def test_codes_and_refresh_tokens_are_for_their_client_alone(caller: Caller) -> None:
    code, mara = await caller.code(), await caller.signed_in()
    caller.server.client_id = "other"
    basic = signed("other", "sandbox-client-secret")
    is_refused(await caller.redeem(code, basic), "invalid_grant")
    form = {"grant_type": "refresh_token", "refresh_token": mara["refresh_token"]}
    is_refused(await caller.grant(basic, **form), "invalid_grant")
    caller.server.client_id = "amend"
    tokens(await caller.redeem(code))
    tokens(await caller.renew(mara["refresh_token"]))


# --- tokens -------------------------------------------------------------------------------------


async def test_an_access_token_ends_by_the_clock(caller: Caller) -> None:
    mara = await caller.signed_in()
    assert mara["expires_in"] == 600
    caller.clock.now += 599.9
    assert (await caller.me(mara["access_token"])).status_code == 200
    caller.clock.now += 0.1
    is_401(await caller.me(mara["access_token"]), ENDED_401)
    is_401(await caller.put("D1", mara["access_token"], json={"lock": "open"}), ENDED_401)
    assert caller.server.calls == []
    renewed = tokens(await caller.renew(mara["refresh_token"]))
    assert (await caller.me(renewed["access_token"])).json()["account"] == "mara"


async def test_each_renewal_brings_a_new_refresh_token(caller: Caller) -> None:
    first = await caller.signed_in()
    answer = await caller.renew(first["refresh_token"], scope="doors")
    second = tokens(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert second["token_type"] == "Bearer"
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    tokens(await caller.renew(second["refresh_token"]))
    assert caller.server.renewals == 2


async def test_a_refresh_token_used_twice_takes_back_its_family(caller: Caller) -> None:
    first = await caller.signed_in()
    second = tokens(await caller.renew(first["refresh_token"]))
    other, umar = await caller.signed_in(), await caller.signed_in("umar")
    is_refused(await caller.renew(first["refresh_token"]), "invalid_grant")
    is_401(await caller.me(first["access_token"]), ENDED_401)
    is_401(await caller.me(second["access_token"]), ENDED_401)
    is_refused(await caller.renew(second["refresh_token"]), "invalid_grant")
    assert caller.server.renewals == 1
    for one in (other, umar):
        assert (await caller.me(one["access_token"])).status_code == 200
        tokens(await caller.renew(one["refresh_token"]))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"refresh_token": None}, "invalid_request"),
        ({"refresh_token": ["one", "two"]}, "invalid_request"),
        ({"refresh_token": "no-such-token"}, "invalid_grant"),
        ({"scope": "doors windows"}, "invalid_scope"),
    ],
)
async def test_a_renewal_that_is_refused(
    caller: Caller, changed: dict[str, Any], error: str
) -> None:
    mara = await caller.signed_in()
    is_refused(await caller.renew(mara["refresh_token"], **changed), error)
    assert caller.server.renewals == 0
    tokens(await caller.renew(mara["refresh_token"]))


async def test_an_access_token_is_no_refresh_token(caller: Caller) -> None:
    mara = await caller.signed_in()
    is_refused(await caller.renew(mara["access_token"]), "invalid_grant")


async def test_revoke_takes_back_everything_of_one_account(caller: Caller) -> None:
    mara, again, umar = [await caller.signed_in(each) for each in ("mara", "mara", "umar")]
    caller.server.revoke("mara")
    for one in (mara, again):
        is_401(await caller.me(one["access_token"]), ENDED_401)
        is_refused(await caller.renew(one["refresh_token"]), "invalid_grant")
    assert (await caller.me(umar["access_token"])).status_code == 200
    assert (await caller.me((await caller.signed_in())["access_token"])).status_code == 200


async def test_end_ends_access_tokens_alone(caller: Caller) -> None:
    mara, umar = await caller.signed_in(), await caller.signed_in("umar")
    caller.server.end("mara")
    is_401(await caller.me(mara["access_token"]), ENDED_401)
    assert (await caller.me(umar["access_token"])).status_code == 200
    renewed = tokens(await caller.renew(mara["refresh_token"]))
    assert (await caller.me(renewed["access_token"])).status_code == 200


# --- faults, and what the traffic panel shows ---------------------------------------------------


async def test_a_renewal_whose_answer_is_lost_has_happened(caller: Caller) -> None:
    mara = await caller.signed_in()
    caller.server.set_fault("reset_after_edit", {"times": 1})
    with pytest.raises(httpx.TransportError):
        await caller.renew(mara["refresh_token"])
    assert caller.server.renewals == 1
    is_refused(await caller.renew(mara["refresh_token"]), "invalid_grant")


async def test_bad_credentials_are_refused_as_the_document_says(caller: Caller) -> None:
    caller.server.set_fault("bad_credentials", {"times": 1})
    is_401(await caller.get("/me", headers=SERVICE), PLAIN_401)
    assert (await caller.get("/me", headers=SERVICE)).status_code == 200


async def test_the_traffic_shows_no_code_or_token_that_was_sent(caller: Caller) -> None:
    shown: list[dict[str, Any]] = []
    caller.server.on_traffic = shown.append
    mara = await caller.signed_in()
    await caller.renew(mara["refresh_token"])
    assert [each["request"] for each in shown if TOKEN in each["what"]] == ["(signing in)"] * 2
