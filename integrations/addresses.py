"""Addresses that somebody set: what every client of ours takes, told before the first call fails.

Python's own `urlsplit` takes nearly any text, and complains of a few with that text in its words, which
may hold a password. No word of an address is in an error here.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

LAST_PORT = 65535

# A name's labels as DNS and what lets containers find each other have them.
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+))(?::([0-9]{1,5}))?")
_EXEMPT = re.compile(r"\*|(?:https?://)?(?:\*?\.)?([A-Za-z0-9_.-]+)(?::([0-9]{1,5})|/[0-9]{1,2})?")


def is_loopback(host: str) -> bool:
    """True for localhost and the loopback ranges."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """True for an IP address, and for a name that could be looked up."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _is_name(text)
    return True


def _is_name(text: str) -> bool:
    try:
        plain = text.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    # The clients' IDNA is newer than Python's, and has no label beyond ASCII with a hyphen at an end.
    if not text.isascii() and any(each != each.strip("-") for each in text.split(".")):
        return False
    # What ends in a number is an address (RFC 3696, section 2), and this one is none.
    ends_in_a_number = plain.rstrip(".").rpartition(".")[2].isdigit()
    return _NAME.fullmatch(plain) is not None and not ends_in_a_number


def in_one_piece(text: str) -> bool:
    """True for what can go out in a header as it is: a token as its issuer showed it."""
    return text.isascii() and text.isprintable() and " " not in text


def web_address(text: str) -> SplitResult | None:
    """The parts of an http(s) URL with a host and, where it has a port, a real one; else None."""
    if not text.isprintable() or any(each.isspace() for each in text):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    place = _PLACE.fullmatch(parts.netloc.rpartition("@")[2])
    if parts.scheme not in ("http", "https") or place is None:
        return None
    host, port = place[1] or place[2], int(place[3] or 1)
    return parts if is_host(host) and 0 < port <= LAST_PORT else None


def server_address(
    text: str, example: str, *, plain_http: bool = False, query: bool = False
) -> SplitResult:
    """The parts of a server's URL, whose path may be followed by ours.

    `http://` is taken on loopback, and elsewhere with `plain_http`. Raises `ValueError`.
    """
    parts = web_address(text)
    if parts is None:
        message = f"must be a URL like {example}"
        raise ValueError(message)
    if parts.scheme == "http" and not (plain_http or is_loopback(parts.hostname or "")):
        raise ValueError("must be https:// (http:// is taken on loopback only)")
    if "@" in parts.netloc or parts.fragment or (parts.query and not query):
        raise ValueError("must hold neither a login nor a query")
    return parts


def is_exemption(text: str) -> bool:
    """True for an entry of `NO_PROXY` that every client reads: a name (`.below`, too), an address, `*`.

    A net of IPv4 is taken, though few clients heed it; at one of IPv6 the vendors' client fails.
    """
    if "%" in text or not text.isprintable():  # a zone, in which any text may stand
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        found = _EXEMPT.fullmatch(text)
    else:
        return True
    return found is not None and int(found[2] or 1) <= LAST_PORT
