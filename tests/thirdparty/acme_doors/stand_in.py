"""A stand-in for the doors' API on loopback, from API.md and RFC 6749, 6750, 7636 and 9700.

Plain numbers in docstrings, as 4.1.2, are sections of RFC 6749.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn
from urllib.parse import parse_qsl, unquote_plus, urlencode

from deploy.sandbox.vendors.base import Answer, Call, JsonStandIn

AUTHORIZE = "/oauth/authorize"
TOKEN = "/oauth/token"
SERVICE = "porter"
NAMES = {"mara": "Mara Lindqvist", "umar": "Umar Haddad"}
ROLE = "Keeper"
SCOPE = "doors"
CODE_LIVES = 60.0
REQUEST = (
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "code_challenge",
    "code_challenge_method",
    "scope",
)
CHANGES = ({"lock": "open"}, {"lock": "locked"})
UNKEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
# RFC 9700, 4.16 and 4.2.4: no other site frames the page, or learns where it was.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
# RFC 7636, 4.1; and 4.2: a SHA-256 in base64url.
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
# RFC 6749, A.5.
STATE = re.compile(r"[\x20-\x7e]+")
# RFC 6749, 2.3.1 and B: what form encoding leaves, a colon between.
_ENCODED = r"(?:[A-Za-z0-9*._~+-]|%[0-9A-Fa-f]{2})+"
BASIC = re.compile(f"({_ENCODED}):({_ENCODED})")

Methods = Mapping[str, Callable[[], Answer]]

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – Acme Doors</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 0; background: #f3f4f6; color: #1f2933; }}
main {{ max-width: 24rem; margin: 10vh auto; padding: 2rem; background: #fff; border-radius: 8px; }}
h1 {{ font-size: 1.25rem; margin-top: 0; }}
button {{ font: inherit; width: 100%; margin-top: .75rem; padding: .6rem; border: 1px solid #1d4ed8;
  border-radius: 6px; background: #1d4ed8; color: #fff; cursor: pointer; }}
button.deny {{ background: #fff; color: #1d4ed8; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


class Refused(Exception):
    """A call that ends early, with its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass
class Code:
    """What a code was given for."""

    account: str
    client: str
    redirect_uri: str
    challenge: str
    ends: float
    used: bool = False


@dataclass
class Token:
    """An access or refresh token; `sign_in` is the code that it came of, first of all."""

    account: str
    client: str
    sign_in: str
    ends: float
    used: bool = False
    taken: bool = False


class Parameters:
    """What a query or form holds; one without a value counts as left out (3.1)."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def one(self, name: str) -> str:
        """Its value; nothing where it is missing, or there more than once."""
        values = [value for each, value in self._pairs if each == name]
        return values[0] if len(values) == 1 else ""

    @property
    def repeated(self) -> bool:
        """No parameter may come twice (3.1, 3.2)."""
        return len({name for name, _ in self._pairs}) < len(self._pairs)

    def hidden(self) -> str:
        """A request to sign in, as hidden inputs."""
        return "".join(_hidden(name, self.one(name)) for name in REQUEST)


LOOPBACK = re.compile(r"http://127\.0\.0\.1:\d+/")


class DoorsStandIn(JsonStandIn):
    """Three doors, two people who sign in with OAuth, and a service account.

    `calls` are the changes that were made: account, door, lock. `renewals` counts the access tokens
    that were had for a refresh token. `lives`, `redirect_uri` and `clock` are for a test to set; where
    none is set, the first redirect URI on loopback is the one that was registered.
    """

    name = "doors"
    people: ClassVar[Sequence[str]] = ("U0MARA,doors,mara,Keeper,", "U0UMAR,doors,umar,Keeper,")

    def __init__(self, *, port: int = 0, delay: float = 0.0) -> None:
        super().__init__(port=port, delay=delay)
        self.lives = 600.0
        self.redirect_uri = ""
        self.clock: Callable[[], float] = time.time
        self.client_id = "amend"
        self.client_secret = "sandbox-client-secret"
        self.service_token = "sandbox-not-a-secret"
        self.locks = {"D1": "locked", "D2": "locked", "D3": "open"}
        self.by = dict.fromkeys(self.locks, "")
        self.calls: list[tuple[str, str, str]] = []
        self.renewals = 0
        self._codes: dict[str, Code] = {}
        self._access: dict[str, Token] = {}
        self._refresh: dict[str, Token] = {}

    def settings(self) -> dict[str, str]:
        return {
            "DOORS_URL": self.url,
            "DOORS_TOKEN": self.service_token,
            "DOORS_CLIENT_ID": self.client_id,
            "DOORS_CLIENT_SECRET": self.client_secret,
        }

    def revoke(self, account: str) -> None:
        """Take back every access and refresh token of an account."""
        self._take_back(lambda token: token.account == account)

    def end(self, account: str) -> None:
        """End the access tokens of an account, as if their time were over."""
        for token in self._access.values():
            if token.account == account:
                token.ends = -math.inf

    def answer(self, call: Call) -> Answer:
        try:
            found = self._answer(call)
        except Refused as refused:
            found = refused.answer
        if call.path.startswith("/oauth/"):
            found.headers.update(UNKEPT)
        return found

    def refused(self) -> Answer:
        return _unauthorized("")

    def broken(self, fault: str, call: Call) -> Answer | None:
        return None

    def masked(self, call: Call) -> Any:
        return "(signing in)" if call.path == TOKEN else super().masked(call)

    def _answer(self, call: Call) -> Answer:
        if call.path.startswith("/oauth/"):
            return _dispatch(call, self._oauth(call))
        account = self._account(call)
        return _dispatch(call, self._api(call, account))

    def _oauth(self, call: Call) -> Methods:
        paths: dict[str, Methods] = {
            AUTHORIZE: {"GET": lambda: self._ask(call), "POST": lambda: self._consent(call)},
            TOKEN: {"POST": lambda: self._grant(call)},
        }
        return paths.get(call.path, {})

    def _api(self, call: Call, account: str) -> Methods:
        if call.path.startswith("/doors/"):
            door = call.path.removeprefix("/doors/")
            return {"PUT": lambda: self._change(call, account, door)}
        paths: dict[str, Methods] = {
            "/me": {"GET": lambda: Answer(200, {"account": account, "role": _role(account)})},
            "/people": {"GET": lambda: Answer(200, [_person(each) for each in NAMES])},
            "/doors": {"GET": self._doors},
        }
        return paths.get(call.path, {})

    # --- doors -------------------------------------------------------------------------------------

    def _account(self, call: Call) -> str:
        """Whose token came (RFC 6750, 2.1)."""
        scheme, _, text = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(self.refused())
        if text.strip() == self.service_token:
            return SERVICE
        token = self._access.get(text.strip())
        if token is None:
            raise Refused(self.refused())
        if token.taken or self.clock() >= token.ends:
            raise Refused(_unauthorized(', error="invalid_token"'))
        return token.account

    def _doors(self) -> Answer:
        shown = {door: {"lock": lock, "by": self.by[door]} for door, lock in self.locks.items()}
        return Answer(200, shown)

    def _change(self, call: Call, account: str, door: str) -> Answer:
        if door not in self.locks:
            return Answer(404, {"error": "no such door"})
        if _media_type(call) != "application/json" or call.json not in CHANGES:
            return Answer(422, {"error": 'the body must be {"lock": "open"} or {"lock": "locked"}'})
        lock = call.json["lock"]
        self.locks[door], self.by[door] = lock, account
        self.calls.append((account, door, lock))
        return Answer(200, {"says": f"{door} is {lock}, by {account}"})

    # --- who signs in ------------------------------------------------------------------------------

    def _ask(self, call: Call) -> Answer:
        """The page that asks who signs in."""
        asked = Parameters(call.query)
        self._check_request(asked)
        kept = asked.hidden()
        allow = "".join(_form(kept, "allow", each, f"Sign in as {NAMES[each]}") for each in NAMES)
        client = html.escape(self.client_id)
        says = f"<p><strong>{client}</strong> asks to open and lock doors for you. Who are you?</p>"
        return _page(200, "Sign in", says + allow + _form(kept, "deny", "", "Deny"))

    def _consent(self, call: Call) -> Answer:
        """What the person said."""
        form = Parameters(_pairs(call))
        self._check_request(form)
        said, person = form.one("answer"), form.one("person")
        if said == "deny":
            return self._back(form, error="access_denied")
        if said != "allow" or person not in NAMES:
            return self._back(form, error="invalid_request")
        return self._back(form, code=self._new_code(person, form.one("code_challenge")))

    def _check_request(self, asked: Parameters) -> None:
        """A page where client or redirect URI are wrong, or else the error by redirect (4.1.2.1)."""
        if asked.one("client_id") != self.client_id:
            raise Refused(_mistake("This client is not registered here."))
        if not self.redirect_uri and LOOPBACK.match(asked.one("redirect_uri")):
            self.redirect_uri = asked.one("redirect_uri")
        if asked.one("redirect_uri") != self.redirect_uri or not self.redirect_uri:
            raise Refused(_mistake("This is not the redirect URI that the client registered."))
        error = _error_of(asked)
        if error:
            raise Refused(self._back(asked, error=error))

    def _back(self, asked: Parameters, **more: str) -> Answer:
        """A redirect to the client; a query of its redirect URI stays (3.1.2)."""
        if asked.one("state"):
            more["state"] = asked.one("state")
        sign = "&" if "?" in self.redirect_uri else "?"
        place = f"{self.redirect_uri}{sign}{urlencode(more)}"
        headers = {"Location": place, "Referrer-Policy": "no-referrer"}
        return Answer(302, text="", kind="text/html", headers=headers)

    def _new_code(self, person: str, challenge: str) -> str:
        text = secrets.token_urlsafe(32)
        ends = self.clock() + CODE_LIVES
        self._codes[text] = Code(person, self.client_id, self.redirect_uri, challenge, ends)
        return text

    # --- tokens ------------------------------------------------------------------------------------

    def _grant(self, call: Call) -> Answer:
        if _basic(call) != (self.client_id, self.client_secret):
            _refuse_client()
        form = Parameters(_pairs(call))
        self._check_form(form)
        kinds = {"authorization_code": self._redeem, "refresh_token": self._renew}
        kind = kinds.get(_needed(form, "grant_type"))
        if kind is None:
            _refuse("unsupported_grant_type", "there is no such grant")
        return kind(form)

    def _check_form(self, form: Parameters) -> None:
        """No parameter twice, and no second way to sign the client in (2.3, 5.2)."""
        if form.repeated:
            _refuse("invalid_request", "a parameter came twice")
        if form.one("client_secret") or form.one("client_id") not in ("", self.client_id):
            _refuse("invalid_request", "the client signs in by HTTP Basic alone")

    def _redeem(self, form: Parameters) -> Answer:
        """Tokens for a code (4.1.3; RFC 7636, 4.6)."""
        text, place, verifier = (
            _needed(form, name) for name in ("code", "redirect_uri", "code_verifier")
        )
        if not VERIFIER.fullmatch(verifier):
            _refuse("invalid_request", "the code_verifier is not 43 to 128 unreserved characters")
        code = self._first_use(text)
        if self.clock() >= code.ends:
            _refuse("invalid_grant", "the code has ended")
        if place != code.redirect_uri:
            _refuse("invalid_grant", "the redirect_uri is not the one of the code")
        if _challenge(verifier) != code.challenge:
            _refuse("invalid_grant", "the code_verifier does not fit")
        return self._issue(code.account, text)

    def _first_use(self, text: str) -> Code:
        """The code; one that comes again takes back what came of it (4.1.2)."""
        code = self._codes.get(text)
        if code is None or code.client != self.client_id:
            _refuse("invalid_grant", "there is no such code")
        if code.used:
            self._take_back(lambda token: token.sign_in == text)
            _refuse("invalid_grant", "the code was used before")
        code.used = True
        return code

    def _renew(self, form: Parameters) -> Answer:
        """Tokens for a refresh token (6); one that comes again takes back its kin (RFC 9700, 4.14.2)."""
        text = _needed(form, "refresh_token")
        if form.one("scope") not in ("", SCOPE):
            _refuse("invalid_scope", "the scope is more than was granted")
        old = self._refresh.get(text)
        if old is None or old.client != self.client_id:
            _refuse("invalid_grant", "there is no such refresh token")
        if old.used:
            self._take_back(lambda token: token.sign_in == old.sign_in)
        if old.taken:
            _refuse("invalid_grant", "the refresh token was taken back")
        old.used = True
        self.renewals += 1
        return self._issue(old.account, old.sign_in)

    def _issue(self, account: str, sign_in: str) -> Answer:
        """A new access token and a new refresh token (5.1)."""
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        ends = self.clock() + self.lives
        self._access[access] = Token(account, self.client_id, sign_in, ends)
        self._refresh[refresh] = Token(account, self.client_id, sign_in, math.inf)
        value = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": math.floor(self.lives),
            "refresh_token": refresh,
            "scope": SCOPE,
        }
        return Answer(200, value)

    def _take_back(self, concerns: Callable[[Token], bool]) -> None:
        for token in (*self._access.values(), *self._refresh.values()):
            token.taken = token.taken or concerns(token)


def _dispatch(call: Call, methods: Methods) -> Answer:
    if not methods:
        return Answer(404, {"error": "not found"})
    if call.method not in methods:
        allowed = {"Allow": ", ".join(methods)}
        return Answer(405, {"error": "method not allowed"}, headers=allowed)
    return methods[call.method]()


def _role(account: str) -> str:
    return ROLE if account in NAMES else ""


def _person(account: str) -> dict[str, str]:
    mail = f"{account}@northwind.example"
    return {"account": account, "name": NAMES[account], "email": mail, "role": _role(account)}


def _unauthorized(more: str) -> Answer:
    headers = {"WWW-Authenticate": f'Bearer realm="doors"{more}'}
    return Answer(401, {"error": "unauthorized"}, headers=headers)


def _error_of(asked: Parameters) -> str:
    """What is wrong with a request to sign in, as its error (4.1.2.1; RFC 7636, 4.4.1)."""
    checks = (
        (asked.repeated, "invalid_request"),
        (not asked.one("response_type"), "invalid_request"),
        (asked.one("response_type") != "code", "unsupported_response_type"),
        (asked.one("code_challenge_method") != "S256", "invalid_request"),
        (not CHALLENGE.fullmatch(asked.one("code_challenge")), "invalid_request"),
        (not STATE.fullmatch(asked.one("state")), "invalid_request"),
        (asked.one("scope") != SCOPE, "invalid_scope"),
    )
    return next((error for wrong, error in checks if wrong), "")


def _refuse(error: str, why: str) -> NoReturn:
    """An error of the token endpoint (5.2)."""
    raise Refused(Answer(400, {"error": error, "error_description": why}))


def _refuse_client() -> NoReturn:
    headers = {"WWW-Authenticate": 'Basic realm="doors"'}
    raise Refused(Answer(401, {"error": "invalid_client"}, headers=headers))


def _needed(form: Parameters, name: str) -> str:
    value = form.one(name)
    if not value:
        _refuse("invalid_request", f"{name} is missing")
    return value


def _media_type(call: Call) -> str:
    return call.headers.get("content-type", "").partition(";")[0].strip().lower()


def _pairs(call: Call) -> list[tuple[str, str]]:
    """The parameters of a form; none where the body is something else."""
    if _media_type(call) != "application/x-www-form-urlencoded":
        return []
    return parse_qsl(call.body, keep_blank_values=True)


def _basic(call: Call) -> tuple[str, str] | None:
    """The client's id and secret, each form-encoded within HTTP Basic (2.3.1)."""
    scheme, _, text = call.headers.get("authorization", "").partition(" ")
    try:
        plain = base64.b64decode(text.strip(), validate=True).decode("ascii")
    except ValueError:
        return None
    found = BASIC.fullmatch(plain)
    if scheme.lower() != "basic" or found is None:
        return None
    return unquote_plus(found[1]), unquote_plus(found[2])


def _challenge(verifier: str) -> str:
    """`S256` (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _page(status: int, title: str, body: str) -> Answer:
    text = PAGE.format(title=html.escape(title), body=body)
    return Answer(status, text=text, kind="text/html", headers=dict(PAGE_HEADERS))


def _mistake(why: str) -> Answer:
    return _page(400, "This link does not work", f"<p>{html.escape(why)}</p>")


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'


def _form(kept: str, said: str, person: str, label: str) -> str:
    """A form of one button."""
    who = _hidden("person", person) if person else ""
    button = f'<button class="{said}" name="answer" value="{said}">{html.escape(label)}</button>'
    return f'<form method="post" action="{AUTHORIZE}">{kept}{who}{button}</form>\n'
