"""Signing in at a vendor's own page: what a vendor brings so that each person acts as themselves."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.domain.operations import Vendor

Held = Mapping[str, str]
# Credentials that hold now; given the access token that was refused (or ""), others than it.
# Raises `BadCredentials` where the person has to sign in again, `Temporary` where it cannot be known.
Fresh = Callable[[str], Awaitable[Held]]

ACCESS, ACCOUNT, ENDS_AT = "access_token", "account", "ends_at"


@dataclass(frozen=True)
class OAuth:
    """OAuth 2.0 by authorization code and PKCE (RFC 6749, 4.1; RFC 7636), for each person.

    `page` is the address at the vendor where a person signs in, of (state, S256 challenge, where the
    browser comes back). `redeem` turns (code, verifier, the same way back) into credentials, and
    `renew` held ones into new ones. Both give at least `access_token`, `account` (the vendor's name
    of whoever signed in) and `ends_at` (seconds since 1970 as text, "" where the vendor does not
    tell), and raise a `VendorError`: of `renew` only `BadCredentials`, where the person has to sign
    in again, and `Temporary`. `acting` is the vendor under credentials that it asks for anew at
    each call.
    """

    page: Callable[[str, str, str], str]
    redeem: Callable[[str, str, str], Awaitable[Held]]
    renew: Callable[[Held], Awaitable[Held]]
    acting: Callable[[Fresh], Vendor]


def challenge(verifier: str) -> str:
    """What goes to the vendor's page in place of the verifier, by the method S256 (RFC 7636, 4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()
