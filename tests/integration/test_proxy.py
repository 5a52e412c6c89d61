"""Slack behind a proxy: a real CONNECT proxy, TLS inside it, and a private authority, on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from slack_bolt.async_app import AsyncApp

from bot.bootstrap import Bot, slack_client
from bot.db.engine import open_engine
from bot.db.migrate import migrate
from bot.db.store import Store
from bot.domain.operations import Registry
from bot.domain.policy import Policy
from bot.settings import Settings
from bot.slack.link.reach import answering, proxy_for
from bot.slack.link.socket import SocketLink

HOST = "slack.example"  # no resolver knows it: only the proxy leads there
PROXY = "http://proxy.example:3128"


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed authority's PEM for `HOST`, and the server's side of it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.DNSName(HOST)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, secret = folder / "authority.pem", folder / "key.pem"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority, secret)
    return authority, context


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    except OSError:
        pass
    writer.close()


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that leads every CONNECT to `port`; its URL, and the targets that were asked for."""
    asked: list[str] = []

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(" ".join(head.split()[:2]))
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, outer), pump(inner, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


async def test_calls_and_uploads_and_the_socket_go_through_the_proxy_with_a_private_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = certificate(tmp_path)
    uploaded: list[bytes] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        if name == "socket":
            link = web.WebSocketResponse()
            await link.prepare(request)
            async for _ in link:
                pass
            return link
        if name == "upload":
            uploaded.append(await request.read())
            return web.Response(text="OK")
        answers = {
            "files.getUploadURLExternal": {
                "upload_url": f"https://{HOST}/upload",
                "file_id": "F1",
            },
            "apps.connections.open": {"url": f"wss://{HOST}/socket"},
            "files.completeUploadExternal": {"files": [{"id": "F1"}]},
        }
        return web.json_response({"ok": True, **answers.get(name, {"team": "T"})})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    async with proxied(runner.addresses[0][1]) as (proxy, asked), ClientSession() as session:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        settings = Settings(
            slack_bot_token=SecretStr("xoxb-fake"),
            slack_api_url=f"https://{HOST}/api/",
            https_proxy=proxy,
            no_proxy="",
        )
        client = slack_client(settings, session)
        assert (await client.auth_test())["team"] == "T"
        await client.files_upload_v2(channel="C1", filename="receipt.csv", content="a,b")
        assert any(b"a,b" in each for each in uploaded)
        answer = answering(client, settings, f"https://{HOST}/upload")
        assert (await answer.send_dict({"text": "to a response_url"})).status_code == 200
        assert any(b"to a response_url" in each for each in uploaded)
        assert len(asked) == 1, "one connection serves all of them"
        before = len(asked)
        bolt = AsyncApp(client=client, signing_secret="unused")
        link = SocketLink(bolt, "xapp-fake")
        async with asyncio.timeout(120):
            await link.open()
        assert await link.alive()
        await link.close()
        assert len(asked) > before, "the WebSocket goes through it too"
        assert set(asked) == {f"CONNECT {HOST}:443"}
    await runner.cleanup()


async def test_the_siem_is_reached_as_slack_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = certificate(tmp_path)
    taken: list[str] = []

    async def take(request: web.Request) -> web.Response:
        taken.extend(each["api"]["operation"] for each in await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/events", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    store = Store(open_engine(f"sqlite:///{tmp_path / 'amend.db'}"))
    await migrate(store.engine)
    await store.note("U0MARA", "seen:here", "", {})
    async with proxied(runner.addresses[0][1]) as (proxy, asked), ClientSession() as session:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        settings = Settings(
            _env_file=None, amend_siem_url=f"https://{HOST}/events", https_proxy=proxy, no_proxy=""
        )
        bot = Bot(settings, Registry([]), Policy.default())
        bot.store, bot._session = store, session
        (forwarding,) = bot._witnesses()
        await forwarding.tick()
    assert taken == ["seen:here"]
    assert asked == [f"CONNECT {HOST}:443"]
    await store.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("url", "no_proxy", "expected"),
    [
        ("https://slack.com/api/", "", PROXY),
        ("https://slack.com/api/", "other.example", PROXY),
        ("https://slack.com/api/", "slack.com", None),
        ("https://eu.slack.com/api/", ".slack.com", None),
        ("https://slack.com/api/", "*", None),
        ("http://127.0.0.1:8080/api/", "", None),
        ("http://localhost:8080/api/", "", None),
    ],
)
def test_who_is_reached_directly(url: str, no_proxy: str, expected: str | None) -> None:
    settings = Settings(https_proxy=PROXY, no_proxy=no_proxy)
    assert proxy_for(settings, url) == expected


def test_a_slack_on_loopback_is_never_asked_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    settings = Settings(slack_api_url="http://127.0.0.1:8080/api/")
    assert slack_client(settings).proxy is None
