"""The doctor: one check a line, each failure with what to do; it never raises or prints a secret."""

from __future__ import annotations

import asyncio
import email.utils
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.bootstrap import entries, load_policy, slack_client
from bot.db import audit
from bot.db.engine import close_engine, open_engine, open_reader, sqlite_path
from bot.db.migrate import is_newer, newest, present
from bot.domain.errors import AmendError
from bot.domain.operations import Registry, Vendor
from bot.settings import BadSettings, Settings, require_slack
from bot.slack.link.manifest import SCOPES
from bot.slack.link.reach import proxy_for
from bot.tracing import exporter

log = structlog.get_logger(__name__)

SKEW = 60.0  # seconds; Slack refuses signatures that are five minutes off
WITHIN = 10.0  # seconds for each check; who accepts a connection may say nothing for minutes
SIEM_LATE = 900.0  # seconds; it is tried again after 300 at most
LEAST_DISK = 500 * 1024 * 1024  # bytes free beside a SQLite file


_WATCHES = "SELECT id, trouble, parked FROM watch ORDER BY created_at"


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    ok: bool
    words: str


async def examine(
    settings: Settings, registry: Registry, *, deep: bool = False
) -> AsyncIterator[Check]:
    """Every check in turn; `deep`: also which settings fit each vendor, told by reading."""
    yield _settings(settings)
    yield await _safely("database", lambda: _database(settings))
    yield await _safely("disk", lambda: _disk(settings))
    yield await _safely("watches", lambda: _watches(settings))
    yield _proxy(settings)
    async for check in _slack(settings):
        yield check
    yield _secret_key(settings)
    yield _audit_key(settings)
    if settings.amend_siem_url:
        yield await _safely("siem", lambda: _siem(settings))
    yield await _safely("policy", lambda: _policy(settings))
    if not registry.vendors:
        yield Check("vendors", False, "none is switched on; set QUALYS_URL, for example")
    for vendor in registry.vendors:

        async def reach(check: Callable[[], Awaitable[None]] = vendor.check) -> str:
            await check()
            return "reachable, credentials accepted"

        yield await _safely(vendor.name, reach)
        if vendor.oauth:
            yield _sign_in(settings, vendor)
        async for check in _parts(vendor):
            yield check
        if deep:
            for name, probe in vendor.probes.items():
                yield await _safely(f"{vendor.name} {name}", probe)


def _settings(settings: Settings) -> Check:
    """What ends a start before it begins: here it is a line beside the others."""
    try:
        require_slack(settings)
        exporter()
    except BadSettings as error:
        return Check("settings", False, " ".join(str(error).split()))
    return Check("settings", True, "enough to start")


def _sign_in(settings: Settings, vendor: Vendor) -> Check:
    """Can people's browsers come back from the vendor's own page?"""
    url = settings.amend_public_url
    words = f"people come back to {url}" if url else "AMEND_PUBLIC_URL is not set: nobody can link"
    return Check(f"{vendor.name} sign-in", True, words)


async def _parts(vendor: Vendor) -> AsyncIterator[Check]:
    """What a subscription may lack."""
    for name, prove in vendor.parts.items():

        async def reach(prove: Callable[[], Awaitable[None]] = prove) -> str:
            await prove()
            return "answers"

        yield await _safely(f"{vendor.name} {name}", reach)


async def warn_of_parts(registry: Registry) -> None:
    """At the start: log what a vendor lacks, so that nobody finds it out by a failed request."""
    for vendor in registry.vendors:
        async for check in _parts(vendor):
            if not check.ok:
                log.warning("vendor_part_missing", part=check.name, words=check.words)


async def _safely(name: str, work: Callable[[], Awaitable[str]]) -> Check:
    try:
        async with asyncio.timeout(WITHIN):
            return Check(name, True, await work())
    except TimeoutError:
        return Check(name, False, f"no answer within {WITHIN:g} seconds")
    except SlackApiError as error:
        return Check(name, False, f"Slack answered {error.response.get('error')}")
    except Exception as error:  # a doctor reports, whatever it finds
        words = str(error).splitlines()
        return Check(name, False, words[0] if words else type(error).__name__)


def _not_there(settings: Settings) -> Path | None:
    """The SQLite file that is not there yet; opening it would make an empty one."""
    file = sqlite_path(settings.database_url)
    return None if file is None or file.exists() else file


async def _database(settings: Settings) -> str:
    if file := _not_there(settings):
        return _first_start(file)
    engine = open_engine(settings.database_url)
    try:
        async with engine.connect() as connection:
            began = time.monotonic()
            server = await _server(connection)
            lag = (time.monotonic() - began) * 1000
            revision = await connection.run_sync(present)
    finally:
        await close_engine(engine)
    return f"{server} answers in {lag:.0f} ms{_schema(revision)}"


def _first_start(file: Path) -> str:
    if not file.parent.is_dir():
        message = f"there is no folder {file.parent}"
        raise OSError(message)
    return f"{file.absolute()} is not there yet; the first start makes it"


def _schema(revision: str) -> str:
    if is_newer(revision):
        return "; its schema is newer than this version of Amend, which works on it as it is"
    if revision == newest():
        return ", newest schema"
    return "; `amend migrate` (or the next start) brings its schema up to date"


async def _watches(settings: Settings) -> str:
    """Each watch that fails, or that nobody can be told of any more."""
    if _not_there(settings):
        return "none yet"
    engine = open_reader(settings.database_url)
    try:
        async with engine.connect() as connection:
            found = (await connection.execute(text(_WATCHES))).all()
    except DBAPIError:
        return "none yet"  # the database's own check says what is wrong with it
    finally:
        await close_engine(engine)
    if bad := [f"{each.id} ({each.trouble or each.parked})" for each in found if any(each[1:])]:
        message = f"{len(bad)} of {len(found)} in trouble: {', '.join(bad[:5])}"
        raise ValueError(message)
    return f"{len(found)} without trouble" if found else "none yet"


async def _server(connection: AsyncConnection) -> str:
    """What it is and which version; for a standby, how far it lags behind."""
    if connection.dialect.name == "sqlite":
        return f"SQLite {await connection.scalar(text('SELECT sqlite_version()'))}"
    version = await connection.scalar(text("SHOW server_version"))
    standby = "SELECT CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END"
    if await connection.scalar(text(standby)):
        message = "is a standby, which takes no writes; DATABASE_URL must name the primary"
        raise ValueError(message)
    return f"PostgreSQL {version}"


async def _disk(settings: Settings) -> str:
    """Room for a SQLite file to grow; a PostgreSQL server's disk is not seen from here."""
    file = sqlite_path(settings.database_url)
    if file is None:
        return "the database has its own"
    free = shutil.disk_usage(file.parent).free
    words = f"{free // 2**20:,} MiB free beside the database"
    if free < LEAST_DISK:
        message = f"{words}; at least {LEAST_DISK // 2**20} MiB are needed"
        raise OSError(message)
    return words


def _proxy(settings: Settings) -> Check:
    """By which way Slack is reached; a proxy's own password is never shown."""
    proxy = proxy_for(settings, settings.slack_api_url)
    if proxy is None:
        unused = "HTTPS_PROXY is set, and Slack is exempt from it" if settings.https_proxy else ""
        return Check("proxy", True, unused or "none")
    return Check("proxy", True, f"Slack is reached through {proxy.rpartition('@')[2]}")


async def _slack(settings: Settings) -> AsyncIterator[Check]:
    client = slack_client(settings)
    headers: dict[str, str] = {}

    async def token() -> str:
        answer = await client.auth_test()
        headers.update({name.lower(): value for name, value in answer.headers.items()})
        return f"accepted as {answer.get('user')} in {answer.get('team')}"

    accepted = await _safely("slack token", token)
    yield accepted
    if not accepted.ok:
        return
    granted = {each.strip() for each in headers.get("x-oauth-scopes", "").split(",") if each}
    missing = sorted(set(SCOPES) - granted)
    words = f"missing {', '.join(missing)}; install the app again" if missing else "all granted"
    yield Check("slack scopes", not missing, words)
    yield _clock(headers.get("date", ""))
    if settings.socket_mode:
        yield await _safely("slack app token", lambda: _app_token(settings))
    try:
        policy = load_policy(settings.amend_policy, entries())
    except AmendError:
        return  # the policy's own check says so
    channels = {
        "approvals channel": policy.approvals.channel or settings.amend_approvals_channel,
        "audit channel": settings.amend_audit_channel,
    }
    for name, channel in channels.items():
        if channel:
            yield await _safely(name, partial(_joined, client, channel))
    for group in sorted({each for rule in policy.rules for each in rule.groups}):
        yield await _safely(f"approvers {group}", partial(_peopled, client, group))


async def _joined(client: AsyncWebClient, channel: str) -> str:
    """Told by reading, for nobody wants a test message there: who is in a channel posts to it."""
    try:
        await client.conversations_history(channel=channel, limit=1)
    except SlackApiError as error:
        why = str(error.response.get("error"))
        if why not in {"not_in_channel", "channel_not_found"}:
            raise
        message = f"Slack answered {why} for {channel}; check its id, and invite the bot there"
        raise ValueError(message) from error
    return f"the bot is in {channel}"


async def _peopled(client: AsyncWebClient, group: str) -> str:
    members = (await client.usergroups_users_list(usergroup=group)).get("users") or []
    if not members:
        message = "the user group is empty, so nobody can give its approvals"
        raise ValueError(message)
    return f"{len(members)} in the group"


async def _app_token(settings: Settings) -> str:
    token = settings.slack_app_token.get_secret_value()
    await slack_client(settings).apps_connections_open(app_token=token)
    return "accepted"


def _clock(date: str) -> Check:
    try:
        skew = time.time() - email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return Check("clock", True, "Slack named no time to compare with")
    words = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Slack"
    return Check("clock", abs(skew) <= SKEW, words)


def _secret_key(settings: Settings) -> Check:
    if settings.amend_secret_key.get_secret_value():
        return Check("secret key", True, "set")
    return Check("secret key", True, "not set: nobody can store credentials of their own")


def _audit_key(settings: Settings) -> Check:
    signer = settings.audit_signer
    if signer is None:
        return Check("audit key", True, "not set: the audit trail is chained, and not signed")
    return Check("audit key", True, f"set; checkpoints are signed by {signer.verifier}")


async def _siem(settings: Settings) -> str:
    """What was forwarded, and for how long the next waits; nobody wants a test entry there."""
    if _not_there(settings):
        return "there is nothing to forward yet"
    engine = open_reader(settings.database_url)
    try:
        async with AsyncSession(engine) as session:
            found = await audit.forwarded(session)
    finally:
        await close_engine(engine)
    words = f"it has {found.seq} of {found.end} entries of the audit trail"
    waits = 0.0 if found.since is None else time.time() - found.since
    if waits > SIEM_LATE:
        message = (
            f"{words}; the next waits {waits / 60:.0f} min: see `siem_takes_nothing` in the log"
        )
        raise ValueError(message)
    return words


async def _policy(settings: Settings) -> str:
    load_policy(settings.amend_policy, entries())
    return settings.amend_policy or "no file: the two rules by default"
