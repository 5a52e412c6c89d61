"""A vendor that says our sign-in back: nobody reads it, in whatever spelling it comes."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from integrations.errors import BadCredentials
from integrations.secrets import Mask, spellings
from integrations.signing_in import LEFT_IN_PEACE, Breaker
from integrations.text import whole

ECHOES: list[Callable[[str], str]] = [
    str,
    json.dumps,
    repr,
    lambda text: json.dumps(text, ensure_ascii=False),
    lambda text: json.dumps(json.dumps(text))[3:-3] if text.isascii() and text.isalnum() else text,
    html.escape,
    lambda text: html.escape(text, quote=False),
    urllib.parse.quote,
    urllib.parse.quote_plus,
    lambda text: urllib.parse.quote(text, safe=""),
    lambda text: urllib.parse.urlencode({"password": text}),
    lambda text: urllib.parse.quote(text, safe="").lower() if text.islower() else text,
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.b64encode(f"jd:{text}".encode()).decode(),
]


@given(
    secret=st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=4, max_size=24
    ),
    echo=st.sampled_from(ECHOES),
)
def test_no_spelling_of_a_secret_is_left(secret: str, echo: Callable[[str], str]) -> None:
    assume(
        secret not in "<error>Bad login jd: \u2013 try again</error>"
    )  # else it stands there, too
    told = f"<error>Bad login jd:{echo(secret)} \u2013 try again</error>"
    shown = Mask(spellings(secret, "jd"))(told.encode()).decode()
    assert echo(secret) not in shown
    assert shown.startswith("<error>Bad login jd:")
    assert "try again" in shown


def test_the_ampersand_that_got_away() -> None:
    shown = Mask(spellings("p&ss<w>rd", "jd"))(b"Bad login jd:p&amp;ss&lt;w&gt;rd, p%26ss%3cw%3erd")
    assert shown == b"Bad login jd:(hidden), (hidden)"


def test_a_mask_of_nothing_hides_nothing() -> None:
    assert Mask(spellings(""))(b"a text") == b"a text"


@given(st.text(st.characters()))
def test_what_cannot_be_stored_never_comes_in(text: str) -> None:
    found = whole(text)
    assert "\0" not in found
    assert found.encode("utf-8").decode() == found
    assert whole(found) == found


def refuse(breaker: Breaker) -> None:
    with pytest.raises(BadCredentials), breaker.attempt():
        raise BadCredentials("Qualys", "Bad login")


def test_a_refused_account_is_left_in_peace_and_then_tried_by_one() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    refuse(breaker)
    tried = 0
    for now[0] in (1.0, 59.0, LEFT_IN_PEACE + 1, LEFT_IN_PEACE + 2, LEFT_IN_PEACE * 2):
        try:
            breaker.enter()
            tried += 1
        except BadCredentials as error:
            assert "Bad login" in str(error)
    assert tried == 1
    breaker.accepted()
    breaker.enter()
    breaker.enter()
