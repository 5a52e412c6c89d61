"""What a vendor may say back of our sign-in, hidden before anybody reads it, in every spelling."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

HIDDEN = b"(hidden)"
MOST_ADDED = 200  # spellings, of some ten secrets
SHORTEST = 4  # letters; a shorter secret is a word of its own, and hiding it would eat texts

_QUOTES = {'"': "&quot;", "'": "&apos;"}


def spellings(secret: str, *names: str) -> frozenset[bytes]:
    """A secret as plain text, JSON, Python, XML, in a URL and in base64; `names` are those it belongs to,
    whose pair `NAME:SECRET` goes over the wire in Basic authentication."""
    if len(secret) < SHORTEST:
        return frozenset()
    pairs = [f"{name}:{secret}" for name in names]
    in_python = repr(f"{secret}'\"")[1:-4]  # as Python shows a text that has both quotes in it
    found = {
        secret,
        *(json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)),
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        in_python,
        in_python.replace("\\'", "'"),
        escape(secret),
        escape(secret, _QUOTES),
        escape(secret, {'"': "&#34;", "'": "&#39;"}),
        html.escape(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        quote(secret),
        *(base64.b64encode(each.encode()).decode() for each in (secret, *pairs)),
        *(base64.urlsafe_b64encode(each.encode()).decode() for each in (secret, *pairs)),
    }
    return frozenset(each.encode() for each in found)


class Mask:
    """Hides all spellings of some secrets in bytes, also where a URL writes its hex in small letters.

    Of what is added later the last `MOST_ADDED` spellings are kept: tokens come and go.
    """

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        self._secrets = frozenset(secrets)
        self._added: dict[bytes, None] = {}
        self._pattern = self._all()

    def add(self, secrets: Iterable[bytes]) -> None:
        """Hide these as well."""
        new = set(secrets) - self._secrets - self._added.keys()
        if not new:
            return
        self._added |= dict.fromkeys(new)
        for oldest in list(self._added)[:-MOST_ADDED]:
            del self._added[oldest]
        self._pattern = self._all()

    def _all(self) -> re.Pattern[bytes] | None:
        # The longest first: a spelling may hold another.
        longest = sorted({*self._secrets, *self._added}, key=len, reverse=True)
        return re.compile(b"|".join(map(_pattern, longest))) if longest else None

    def __call__(self, body: bytes) -> bytes:
        return self._pattern.sub(HIDDEN, body) if self._pattern else body


def _pattern(secret: bytes) -> bytes:
    parts = re.split(rb"(%[0-9A-Fa-f]{2})", secret)
    return b"".join(
        b"(?i:" + re.escape(each) + b")" if at % 2 else re.escape(each)
        for at, each in enumerate(parts)
    )
