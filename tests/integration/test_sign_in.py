"""Signing in the other ways: a private CA at CCS, an advanced key at Xpanse, an access key at ZStack."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import os
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from bot.bootstrap import connect
from bot.domain.operations import Vendor
from bot.settings import BadSettings, load_settings
from deploy.sandbox.vendors.xpanse import XpanseStandIn
from integrations.ccs.client import CcsClient
from integrations.ccs.config import CcsSettings
from integrations.errors import BadCredentials, VendorError
from integrations.xpanse.client import XpanseClient
from integrations.xpanse.config import XpanseSettings
from integrations.zstack import protocol
from integrations.zstack.config import ZstackSettings


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of our own for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private CA")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "ca.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, secret


@pytest_asyncio.fixture
async def private(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """A CCS that only signs people in, behind TLS of a private CA: (URL, the CA's file)."""
    pem, secret = certificate(tmp_path)

    async def grant(_: web.Request) -> web.Response:
        return web.json_response({"access_token": "a", "refresh_token": "r"})

    app = web.Application()
    app.router.add_post("/ccs/api/v1/oauth/tokens", grant)
    app.router.add_get("/ccs/api/v1/RemediationTickets/", _none)
    app.router.add_get("/ccs/api/v1/RemediationTickets", _none)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}", pem
    await runner.cleanup()


async def _none(_: web.Request) -> web.Response:
    return web.json_response([])


def ccs(url: str, **more: object) -> CcsClient:
    known = {"url": url, "username": "amend", "password": SecretStr("sandbox")}
    return CcsClient(CcsSettings(**{**known, **more}))  # type: ignore[arg-type]


async def test_the_private_ca_of_ccs_is_trusted_where_it_is_named(
    private: tuple[str, Path],
) -> None:
    url, pem = private
    client = ccs(url, ca_bundle=str(pem))
    await client.check()
    await client.aclose()


async def test_without_it_nothing_is_sent_there(private: tuple[str, Path]) -> None:
    client = ccs(private[0])
    with pytest.raises(VendorError):
        await client.check()
    await client.aclose()


async def test_verification_is_off_only_when_asked(private: tuple[str, Path]) -> None:
    client = ccs(private[0], verify_tls=False)
    await client.check()
    await client.aclose()


async def test_an_advanced_key_is_hashed_with_nonce_and_time() -> None:
    stand_in = XpanseStandIn(kind="advanced")
    await stand_in.start()
    known = {"url": stand_in.url, "api_key_id": stand_in.api_key_id, "auth": "advanced"}
    right = XpanseClient(XpanseSettings(api_key=SecretStr(stand_in.api_key), **known))  # type: ignore[arg-type]
    await right.check()
    sent = stand_in.requests[-1].headers
    nonce, stamp = sent["x-xdr-nonce"], sent["x-xdr-timestamp"]
    assert len(nonce) == 64
    assert len(stamp) == 13, "milliseconds"
    words = f"{stand_in.api_key}{nonce}{stamp}".encode()
    assert sent["authorization"] == hashlib.sha256(words).hexdigest()
    wrong = XpanseClient(XpanseSettings(api_key=SecretStr("wrong"), **known))  # type: ignore[arg-type]
    with pytest.raises(BadCredentials):
        await wrong.check()
    for each in (right, wrong):
        await each.aclose()
    await stand_in.stop()


def test_a_zstack_access_key_signs_method_date_and_path() -> None:
    settings = ZstackSettings(
        url="https://zstack.example:8443",
        access_key_id="KEY",
        access_key_secret=SecretStr("not-a-secret"),
    )
    assert settings.by_key
    made = protocol.signed(settings, "GET", "/v1/tickets", "Tue, 24 Nov 2026 12:00:00 PRC")
    words = b"GET\nTue, 24 Nov 2026 12:00:00 PRC\n/v1/tickets"
    code = base64.b64encode(hmac.new(b"not-a-secret", words, hashlib.sha1).digest()).decode()
    assert made == {
        "Authorization": f"ZStack KEY:{code}",
        "Date": "Tue, 24 Nov 2026 12:00:00 PRC",
    }


# --- proxies and certificate authorities, for every vendor alike ---------------------------------

VENDORS = {
    "QUALYS": {"URL": "https://q.example", "USERNAME": "a", "PASSWORD": "sandbox"},
    "CCS": {"URL": "https://c.example", "USERNAME": "a", "PASSWORD": "sandbox"},
    "XPANSE": {"URL": "https://x.example", "API_KEY": "sandbox", "API_KEY_ID": "1"},
    "ZSTACK": {"URL": "https://z.example", "ACCOUNT": "a", "PASSWORD": "sandbox"},
}


def connected(name: str, monkeypatch: pytest.MonkeyPatch, **more: str) -> Vendor:
    """A vendor as the bot connects it, by its settings alone."""
    monkeypatch.chdir("/")
    for setting, value in {**VENDORS[name], **more}.items():
        monkeypatch.setenv(f"{name}_{setting}", value)
    (found,) = entry_points(group="amend.vendors", name=name.lower())
    (vendor,) = connect([found.load()]).vendors
    return vendor


@pytest.mark.parametrize("name", VENDORS)
async def test_a_private_ca_is_trusted_where_it_is_named(
    name: str, private: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, pem = private
    for bundle, trusted in (("", False), (str(pem), True)):
        vendor = connected(name, monkeypatch, URL=url, CA_BUNDLE=bundle)
        words = ""
        try:
            await vendor.check()
        except VendorError as error:
            words = str(error)
        await vendor.close()
        assert ("could not be verified" not in words) is trusted, words


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_ca_that_cannot_be_read_stops_the_start_by_name(
    name: str, text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadSettings, match=f"^{name}_CA_BUNDLE: must be a PEM file") as caught:
        connected(name, monkeypatch, CA_BUNDLE=str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SSL_CERT_FILE", "/nowhere/ca.pem"), ("HTTPS_PROXY", "proxy.example:3128")],
)
def test_what_holds_for_all_stops_the_start_by_name_too(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadSettings, match=f"^{variable}: must be"):
        load_settings()


def test_what_the_file_says_of_the_network_reaches_the_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text(
        "HTTPS_PROXY=http://me:proxysecret@127.0.0.1:3128\nNO_PROXY=a.example\n"
    )
    found = load_settings()
    assert os.environ["HTTPS_PROXY"] == "http://me:proxysecret@127.0.0.1:3128"
    assert os.environ["NO_PROXY"] == "a.example"
    assert "proxysecret" in found.secrets


def test_the_databases_password_is_a_secret_as_it_stands_in_its_url_and_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://amend:not%40secret@db.example/amend")
    assert {"not%40secret", "not@secret"} <= set(load_settings().secrets)


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that notes whom it is asked for and connects to nobody: (URL, hosts)."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        asked.append(line.split()[1].decode().partition(":")[0])
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("name", VENDORS)
async def test_every_vendor_goes_through_the_proxy_and_loopback_never(
    name: str,
    proxy: tuple[str, list[str]],
    private: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, asked = proxy
    for lower in ("https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(lower, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", url)
    monkeypatch.setattr(asyncio, "sleep", _soon)
    vendor = connected(name, monkeypatch)
    with pytest.raises(VendorError, match="the proxy did not connect"):
        await vendor.check()
    await vendor.close()
    assert set(asked) == {VENDORS[name]["URL"].removeprefix("https://")}
    asked.clear()
    local = connected(name, monkeypatch, URL=private[0])
    with pytest.raises(VendorError):
        await local.check()
    await local.close()
    assert asked == []


_SLEEP = asyncio.sleep


async def _soon(_: float) -> None:
    await _SLEEP(0)


def test_without_a_port_ccs_listens_where_its_document_says() -> None:
    def url(text: str) -> str:
        return CcsSettings(url=text, username="a", password=SecretStr("b")).url

    assert url("https://ccs.example/") == "https://ccs.example:12431"
    assert url("https://[2001:db8::7]") == "https://[2001:db8::7]:12431"
    assert url("https://ccs.example:443") == "https://ccs.example:443"
    assert url("http://127.0.0.1") == "http://127.0.0.1"
