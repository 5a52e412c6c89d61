"""OAuth 2.0 for vendors where each person signs in: authorization code with PKCE (RFC 6749 and 7636)."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

from integrations.errors import BadCredentials, NoAnswer, Rejected, Temporary, Unreadable
from integrations.http import Http, Reply, Request
from integrations.secrets import spellings

SIGN_IN_AGAIN = "the sign-in has ended there; please sign in again"
REFUSED_AMEND = (
    "it gives Amend no token; an administrator of Amend has to mend how it signs in there"
)
# Of RFC 6749, 5.2. Anything else might be what was sent.
CODES = frozenset(
    {"invalid_client", "invalid_request", "invalid_scope", "unauthorized_client"}
    | {"unsupported_grant_type", "invalid_grant"}
)
MENDED_LATER = 60.0  # seconds; whoever is to mend it takes longer than tries that follow soon
ASKED_FOR_TOO_LONG = 20.0  # seconds; somebody waits for the token with an edit in hand


@dataclass(frozen=True)
class OAuthServer:
    """A vendor's authorization server, and Amend as the client that is registered there.

    `authorize_url` is the page for browsers, `token_url` the endpoint for us. The client signs in
    there by HTTP Basic (RFC 6749, 2.3.1). `http` hides no token: its answers are where they come from.
    """

    http: Http
    authorize_url: str
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    clock: Callable[[], float] = time.time

    def page(self, state: str, challenge: str, back: str) -> str:
        """Where a person's browser goes (RFC 6749, 4.1.1; RFC 7636, 4.3)."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": back,
            "scope": self.scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in self.authorize_url else "?"
        given = {name: value for name, value in asked.items() if value}
        return f"{self.authorize_url}{joint}{urlencode(given)}"

    async def redeem(self, code: str, verifier: str, back: str) -> dict[str, str]:
        """The tokens for a code: `access_token`, `refresh_token` ("" for none) and `ends_at`.

        Raises a `VendorError`; `BadCredentials` for a code that is wrong, used or too old.
        """
        asked = {"code": code, "code_verifier": verifier, "redirect_uri": back}
        return self._tokens(await self._ask({"grant_type": "authorization_code", **asked}))

    async def renew(self, held: Mapping[str, str]) -> dict[str, str]:
        """New tokens for held ones; where the server sends no new refresh token, the old one stays.

        Raises `BadCredentials` where only the person can mend it, and `Temporary`: the edit for which
        a token is wanted has not gone out, whatever became of the tokens.
        """
        token = held.get("refresh_token", "")
        if not token:
            raise BadCredentials(self.http.vendor, SIGN_IN_AGAIN)
        asked = {"grant_type": "refresh_token", "refresh_token": token}
        try:
            return {**held, **self._tokens(await self._ask(asked), token)}
        except (NoAnswer, Unreadable) as error:
            raise Temporary(error.vendor, f"no new token came ({error.words})") from error
        except Rejected as error:
            # What is refused is Amend as a client, and no sign-in of a person's.
            said = f"{error.words} ({error.code})"
            raise Temporary(error.vendor, said, later=MENDED_LATER) from error

    async def _ask(self, form: Mapping[str, str]) -> Reply:
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        basic = base64.b64encode(pair.encode()).decode()
        headers = {
            "Accept": "application/json",
            "Authorization": f"Basic {basic}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode(form).encode()
        request = Request(
            "POST", self.token_url, headers, body, read=ASKED_FOR_TOO_LONG, call="oauth.token"
        )
        return await self.http.send(request, writes=True)

    def _tokens(self, reply: Reply, refresh: str = "") -> dict[str, str]:
        """What an answer of the token endpoint holds (RFC 6749, 5.1 and 5.2)."""
        vendor, said = self.http.vendor, _object(reply.body)
        if reply.status >= 500 or reply.status == 429:
            raise Temporary(vendor, f"no token came (HTTP status {reply.status})")
        if reply.status != 200:
            raise self._refusal(reply, said.get("error"))
        token, kind = said.get("access_token"), str(said.get("token_type") or "")
        if not isinstance(token, str) or not token or kind.lower() != "bearer":
            raise Unreadable(vendor, "there is no bearer token in the answer")
        return {
            "access_token": token,
            "refresh_token": str(said.get("refresh_token") or refresh),
            "ends_at": self._end(said.get("expires_in")),
        }

    def _refusal(self, reply: Reply, error: object) -> BadCredentials | Rejected:
        if error == "invalid_grant":
            return BadCredentials(self.http.vendor, SIGN_IN_AGAIN)
        code = str(error) if error in CODES else f"HTTP status {reply.status}"
        return Rejected(self.http.vendor, REFUSED_AMEND, code=code)

    def _end(self, seconds: Any) -> str:
        """When a token ends (seconds since 1970); "" where the server names no such span."""
        try:
            lasts = float(seconds)
        except (TypeError, ValueError, OverflowError):
            return ""
        return str(self.clock() + lasts) if 0 <= lasts < math.inf else ""


@dataclass(frozen=True)
class Bearer:
    """Sends requests with a person's access token, and once more with a new one where it has ended.

    `fresh` gives credentials that hold now; given the token that was refused, others than it.
    """

    http: Http
    fresh: Callable[[str], Awaitable[Mapping[str, str]]]

    async def send(self, request: Request, *, writes: bool) -> Reply:
        """The answer; 401 only where a new token was refused, too. Raises as both parts do."""
        held = await self.fresh("")
        reply = await self._sent(request, held, writes)
        if reply.status == 401:
            # Whoever is not let in has changed nothing (RFC 6750, 3), so it may go out again.
            reply = await self._sent(request, await self.fresh(held["access_token"]), writes)
        return reply

    async def _sent(self, request: Request, held: Mapping[str, str], writes: bool) -> Reply:
        token = held["access_token"]
        self.http.hide(spellings(token))
        headers = {**request.headers, "Authorization": f"Bearer {token}"}
        signed = Request(
            request.method, request.url, headers, request.body, read=request.read, call=request.call
        )
        return await self.http.send(signed, writes=writes)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
