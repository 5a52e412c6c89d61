"""What is taken as an address is taken by the clients that will use it, and by no accident more."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import httpx
import pytest
import yarl
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import make_url

from bot import databases
from integrations.addresses import is_exemption, is_host, web_address

SIGNS = "../:@[]#?%.-_*,0aü℀ \t\n\x7f\u200b"
WORDS = [
    "https://",
    "http://",
    "..",
    "%zz",
    "me:pw",
    "xn--",
    "h.example",
    "300",
    "8443",
    "99999",
    "a" * 64,
]
PLACES = ["127.0.0.1", "::1", "::ffff:1.2.3.4", "10.0.0.0/8"]
PIECES = st.sampled_from([*SIGNS, *WORDS, *PLACES])
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@given(TEXTS.map(lambda text: f"https://{text}"))
@example("https://[::1]:8443/api")
@example("https://-ü")
@example("https://bücher.example/a?b=c")
def test_what_is_taken_as_an_address_every_client_takes(text: str) -> None:
    parts = web_address(text)
    if parts is not None:
        assert httpx.URL(text).host
        assert yarl.URL(text).host
        assert parts.port is None or 0 < parts.port < 65536


@pytest.mark.parametrize(
    "url",
    [
        "https://qualysapi.qualys.com",
        "https://QUALYSAPI.example:443/path/",
        "http://[2001:db8::7]:8080",
        "https://bücher.example",
        "http://zstack_node:8080/zstack",
        "http://localhost",
        "https://h.example./",
        "https://me:p%40ss@proxy.example:3128",
    ],
)
def test_an_ordinary_address_is_taken(url: str) -> None:
    assert web_address(url) == urlsplit(url)


@pytest.mark.parametrize("host", ["127.0.0.2", "::", "fe80::1%eth0", "localhost", "amend-7f", "h."])
def test_what_can_be_listened_on_is_a_host(host: str) -> None:
    assert is_host(host)


@given(TEXTS)
@example("[::1]")
@example("fd00::/8")
@example("fe80::1%eth0")
@example("https://a.example:8443")
def test_what_is_taken_as_exempt_from_the_proxy_the_vendors_client_takes(text: str) -> None:
    if is_exemption(text):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NO_PROXY", text)
            patch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
            httpx.Client(verify=ssl.create_default_context()).close()


@pytest.mark.parametrize(
    "each",
    [
        "*",
        "localhost",
        ".internal",
        "*.internal",
        "10.0.0.0/8",
        "10.0.0.7",
        "::1",
        "a.example:8443",
    ],
)
def test_what_sites_write_into_no_proxy_is_taken(each: str) -> None:
    assert is_exemption(each)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql:///amend",
        "postgresql:///amend?host=/var/run/postgresql",
        "postgresql://amend:p%40ss@db.example:5432/amend?sslmode=verify-full&target_session_attrs=any",
        "postgresql:///amend?host=a.example:5432&host=b.example:5433",
        "postgresql://amend@[2001:db8::7]:5432/amend",
        "sqlite:///amend.db",
    ],
)
def test_an_ordinary_database_is_taken(url: str) -> None:
    assert databases.checked(url) == url


@given(TEXTS.filter(lambda text: "@" not in text))
@example("pa/ss#wo?rd")
@example("p%40ss")
def test_whatever_is_read_as_the_databases_password_is_known_as_a_secret(password: str) -> None:
    url = f"postgresql://amend:{password}@db.example/amend"
    try:
        read = str(make_url(url).password or "")
    except ValueError:
        return
    assert read in databases.passwords(url)
    assert password in databases.passwords(url) or read == ""


@pytest.mark.parametrize("option", ["password", "sslpassword"])
@given(password=TEXTS)
@example(password="p%40ss")
@example(password="p+ss&more=1")
def test_so_is_a_password_among_the_options(option: str, password: str) -> None:
    url = f"postgresql://amend@db.example/amend?sslmode=require&{option}={password}"
    try:
        read = make_url(url).query.get(option) or ""
    except ValueError:
        return
    known = databases.passwords(url)
    assert all(each in known for each in ([read] if isinstance(read, str) else read))


@given(TEXTS.map(lambda text: f"postgresql://{text}"))
def test_a_servers_address_is_taken_or_refused_and_never_told(url: str) -> None:
    try:
        databases.checked(url)
    except ValueError as error:
        assert str(error).startswith("must be like")
