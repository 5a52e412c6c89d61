"""The doctor: one check a line, each failure with what to do; it never raises or prints a secret."""

from __future__ import annotations

import email.utils
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import structlog
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from slack_sdk.errors import SlackApiError

from bot.bootstrap import entries, load_policy, slack_client
from bot.db.engine import close_engine, open_engine
from bot.db.migrate import alembic_config
from bot.domain.operations import Registry, Vendor
from bot.settings import Settings
from bot.slack.link.manifest import SCOPES

log = structlog.get_logger(__name__)

SKEW = 60.0  # seconds; Slack refuses signatures that are five minutes off


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    ok: bool
    words: str


async def examine(settings: Settings, registry: Registry) -> AsyncIterator[Check]:
    """Every check in turn."""
    yield await _safely("database", lambda: _database(settings))
    async for check in _slack(settings):
        yield check
    yield _secret_key(settings)
    yield await _safely("policy", lambda: _policy(settings))
    if not registry.vendors:
        yield Check("vendors", False, "none is switched on; set QUALYS_URL, for example")
    for vendor in registry.vendors:

        async def reach(check: Callable[[], Awaitable[None]] = vendor.check) -> str:
            await check()
            return "reachable, credentials accepted"

        yield await _safely(vendor.name, reach)
        async for check in _parts(vendor):
            yield check


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
        return Check(name, True, await work())
    except Exception as error:  # a doctor reports, whatever it finds
        words = str(error).splitlines()
        return Check(name, False, words[0] if words else type(error).__name__)


async def _database(settings: Settings) -> str:
    engine = open_engine(settings.database_url)
    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    try:
        async with engine.connect() as connection:
            present = await connection.run_sync(
                lambda sync: MigrationContext.configure(sync).get_current_revision()
            )
    finally:
        await close_engine(engine)
    if present == newest:
        return "answers, newest schema"
    return "answers; `amend migrate` (or the next start) brings its schema up to date"


async def _slack(settings: Settings) -> AsyncIterator[Check]:
    client = slack_client(settings)
    try:
        answer = await client.auth_test()
    except SlackApiError as error:
        yield Check("slack token", False, f"Slack answered {error.response.get('error')}")
        return
    except (OSError, TimeoutError) as error:
        yield Check("slack token", False, f"Slack is not reachable ({type(error).__name__})")
        return
    yield Check("slack token", True, f"accepted as {answer.get('user')} in {answer.get('team')}")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    granted = {each.strip() for each in headers.get("x-oauth-scopes", "").split(",") if each}
    missing = sorted(set(SCOPES) - granted)
    words = f"missing {', '.join(missing)}; install the app again" if missing else "all granted"
    yield Check("slack scopes", not missing, words)
    yield _clock(headers.get("date", ""))
    if settings.socket_mode:
        yield await _safely("slack app token", lambda: _app_token(settings))


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


async def _policy(settings: Settings) -> str:
    load_policy(settings.amend_policy, entries())
    return settings.amend_policy or "no file: the two rules by default"
