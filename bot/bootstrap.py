"""The composition root: the one place that joins settings, vendors, store, engine and Slack."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import structlog
from aiohttp import ClientSession, ClientTimeout, web
from pydantic import ValidationError
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.db.engine import open_engine
from bot.db.ledger import Ledger
from bot.db.migrate import migrate
from bot.db.outbox import Outbox
from bot.db.store import Store
from bot.db.tables import Request
from bot.db.vault import Vault
from bot.db.watching import WatchStore
from bot.domain.operations import Registry, Vendor, VendorEntry
from bot.domain.plans import State
from bot.domain.policy import Policy
from bot.jobs.engine import Engine
from bot.jobs.runner import Runner
from bot.jobs.trouble import Trouble
from bot.jobs.watching import Watching
from bot.jobs.witness import Checkpoints, Forwarding
from bot.metrics import OUTBOX_WAITING, REQUESTS
from bot.pipeline import Parts, Pipeline, bounds
from bot.settings import BadSettings, Settings, explain
from bot.slack.incoming.deeds import Deeds
from bot.slack.incoming.frame import Frame
from bot.slack.incoming.listeners import Listeners
from bot.slack.incoming.topics.watches import Watches
from bot.slack.link.directory import SlackDirectory
from bot.slack.link.server import build_server
from bot.slack.link.socket import SocketLink
from bot.slack.outgoing import checkpoints
from bot.slack.outgoing.home import Home
from bot.slack.outgoing.messenger import Messenger
from bot.slack.outgoing.notices import Notices
from bot.slack.outgoing.voice import SlackVoice

log = structlog.get_logger(__name__)

SWEEP = 10.0  # seconds between two looks for work that nobody carries on
REVIEWED_WITHIN = 24 * 3600.0  # seconds; a plan that nobody submitted by then is forgotten
DEED_LASTS = 60.0  # seconds; a deed that was not done by then failed, and is done again
PATIENCE = 3.0  # seconds for a workflow of the same request that is about to end
TOKEN_CHECKED = 60.0  # seconds between two questions whether Slack still takes the token
REFUSALS = frozenset(
    {"invalid_auth", "token_revoked", "token_expired", "account_inactive", "not_authed"}
)
STOP_WITHIN = 6.0  # seconds that running tasks get at the end


def entries() -> list[VendorEntry]:
    """Every vendor that is installed, by name."""
    found = [point.load() for point in entry_points(group="amend.vendors")]
    return sorted(found, key=lambda entry: str(entry.name))


def connect(known: list[VendorEntry]) -> Registry:
    """The vendors that are switched on by their settings. Raises `BadSettings`."""
    vendors: list[Vendor] = []
    for entry in known:
        try:
            vendor = entry.connect()
        except ValidationError as error:
            raise explain(error, prefix=f"{entry.name}_") from None
        except ValueError as error:
            raise BadSettings(str(error)) from None
        if vendor is not None:
            vendors.append(vendor)
    return Registry(tuple(vendors))


def load_policy(path: str, known: list[VendorEntry]) -> Policy:
    """The policy file, or the default. Raises `BadSettings` or `PolicyError`."""
    if not path:
        return Policy.default()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        message = f"AMEND_POLICY: {path} cannot be read."
        raise BadSettings(message) from None
    operations = {op.name: op.params() for entry in known for op in entry.operations}
    return Policy.load(text, operations, {entry.name: entry.roles for entry in known})


def slack_client(settings: Settings, session: ClientSession | None = None) -> AsyncWebClient:
    """A Web API client on the configured base URL, with one shared session."""
    client = AsyncWebClient(
        token=settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        session=session,
        timeout=20,
    )
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    return client


@dataclass
class Bot:
    """The running bot. `start` leaves it ready; `stop` parks what runs."""

    settings: Settings
    registry: Registry
    policy: Policy
    port: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _socket: SocketLink | None = None
    _token_refused: str = ""
    _token_checked: float = field(default_factory=time.monotonic)

    async def start(self) -> None:
        """Bring up database, Slack link, engine and server. Raises `BadSettings` for a bad token."""
        settings = self.settings
        database = settings.database_url
        self.store = Store(
            open_engine(database), open_engine(database, busy_seconds=bounds.ACCEPT_WITHIN * 0.8)
        )
        await migrate(self.store.engine)
        await self.store.tidy()
        # The environment's proxy is not for loopback, and Slack's emulators live there.
        self._session = ClientSession(timeout=ClientTimeout(total=20))
        self.client = slack_client(settings, self._session)
        who = await self._introduce()
        self._join(who)
        if settings.database_url.startswith("sqlite"):
            await self.outbox.release()
            await self.watching.watches.release()
        await self.engine.launch(self.work)
        await self._serve()
        self._tasks = [
            asyncio.create_task(self.messenger.run()),
            asyncio.create_task(self._sweep_for_ever()),
            asyncio.create_task(self.watching.run()),
            *(asyncio.create_task(_again_and_again(each.tick)) for each in self.witnesses),
        ]
        await self.pipeline.parts.vault.rotate()
        await self.deeds.take_up()

    async def _introduce(self) -> Mapping[str, Any]:
        """Who we are at Slack. Waits while Slack is down; a refused token stops the start."""
        while True:
            try:
                answer = await self.client.auth_test()
            except SlackApiError as error:
                if error.response.status_code < 500 and error.response.status_code != 429:
                    words = error.response.get("error", "refused")
                    message = f"SLACK_BOT_TOKEN: Slack answered {words}."
                    raise BadSettings(message) from None
            except (OSError, TimeoutError):
                pass
            else:
                found: Mapping[str, Any] = answer.data  # type: ignore[assignment]
                return found
            log.warning("slack_not_reachable")
            await asyncio.sleep(2.0)

    def _join(self, who: Mapping[str, Any]) -> None:
        settings = self.settings
        team, enterprise = str(who["team_id"]), str(who.get("enterprise_id") or "")
        self.team = team
        ledger = Ledger(self.store)
        keys = [each.strip() for each in settings.amend_secret_key.get_secret_value().split(",")]
        vault = Vault(self.store, [each for each in keys if each])
        watches = WatchStore(self.store)
        self.outbox = Outbox(self.store)
        self.directory = SlackDirectory(self.client, self.store, team, enterprise)
        self.engine = Engine(settings.database_url, _executor(settings.database_url))

        def operation(name: str) -> Any:
            return self.pipeline.acting.operation(name)

        voice = SlackVoice(
            self.client,
            self.outbox,
            self.store,
            operation,
            self.policy.approvals.channel or settings.amend_approvals_channel,
            self._wake,
        )
        parts = Parts(
            self.store,
            ledger,
            self.registry,
            self.directory,
            self.policy,
            voice,
            self._begin,
            vault,
            attribution=settings.amend_attribution == "on",
        )
        self.pipeline = Pipeline(parts)
        notices = Notices(watches, self.outbox, self.registry, voice)
        self.witnesses = self._witnesses()
        self.messenger = Messenger(
            self.client,
            self.outbox,
            ledger,
            self.store.request,
            self.pipeline.facts,
            operation,
            notices={
                "change": notices.change,
                "step": notices.step,
                "digest": notices.digest,
                "checkpoint": partial(checkpoints.render, self.store),
            },
        )
        self.work = _Work(
            self.pipeline,
            Runner(
                self.store,
                ledger,
                self.pipeline,
                lost_answer=float(settings.amend_lost_answer_seconds),
            ),
        )
        self.watching = Watching(
            watches, self.registry, float(settings.amend_poll_seconds), self._wake
        )
        frame = Frame(self.store, team, enterprise)
        bot_user = str(who.get("user_id") or "")
        self.deeds = Deeds(self.pipeline, voice, bot_user, self._topic)
        self.listeners = Listeners(
            self.pipeline,
            voice,
            self.deeds,
            frame,
            Home(self.pipeline, voice, watches, self.outbox),
            Watches(self.pipeline, watches, voice, frame, settings.admins),
            settings.admins,
        )
        self.app = self._bolt(who)
        self.listeners.register(self.app)

    def _witnesses(self) -> list[Checkpoints | Forwarding]:
        """Those that the settings ask for."""
        settings, found = self.settings, list[Checkpoints | Forwarding]()
        if settings.audit_signer:
            every, channel = float(settings.amend_audit_every), settings.amend_audit_channel
            found.append(Checkpoints(self.store, settings.audit_signer, every, channel, self._wake))
        if settings.amend_siem_url:
            token = settings.amend_siem_token.get_secret_value()
            found.append(Forwarding(self.store, self._session, settings.amend_siem_url, token))
        return found

    async def _topic(
        self, word: str, user: str, channel: str, words: str
    ) -> Mapping[str, Any] | None:
        return await self.listeners.topic(word, user, channel, words)

    def _wake(self) -> None:
        self.messenger.wake()

    async def _begin(self, kind: str, request_id: str) -> None:
        await self.engine.start(kind, request_id, patience=PATIENCE)

    def _bolt(self, who: Mapping[str, Any]) -> AsyncApp:
        result = AuthorizeResult(
            enterprise_id=who.get("enterprise_id"),
            team_id=who.get("team_id"),
            bot_id=who.get("bot_id"),
            bot_user_id=who.get("user_id"),
            bot_token=self.settings.slack_bot_token.get_secret_value(),
        )

        async def authorize(**_: Any) -> AuthorizeResult:
            return result

        # Signatures are checked by the server before Bolt sees a request.
        return AsyncApp(
            client=self.client,
            authorize=authorize,
            signing_secret=self.settings.slack_signing_secret.get_secret_value() or "unused",
            request_verification_enabled=False,
        )

    async def _serve(self) -> None:
        secret = self.settings.slack_signing_secret.get_secret_value()
        server = build_server(self.app, secret, self.readiness)
        self._runner = web.AppRunner(server, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.amend_host, self.settings.amend_port)
        try:
            await site.start()
        except OSError as error:
            message = (
                f"AMEND_PORT: {self.settings.amend_port} cannot be listened on ({error.strerror})."
            )
            raise BadSettings(message) from None
        self.port = self._runner.addresses[0][1]
        if self.settings.socket_mode:
            self._socket = SocketLink(self.app, self.settings.slack_app_token.get_secret_value())
            opening = asyncio.create_task(self._socket.open())
            self._tasks.append(opening)

    async def readiness(self) -> dict[str, str]:
        """Why this process is not ready, by part; empty when it is."""
        reasons = {}
        try:
            await asyncio.wait_for(self.store.ping(), 2.0)
        except Exception as error:
            reasons["database"] = type(error).__name__
        if not await self.engine.alive():
            reasons["jobs"] = "the job engine does not answer"
        if self._socket is not None and not await self._socket.alive():
            reasons["slack"] = "the Socket Mode link is down or deaf"
        elif self._token_refused:
            reasons["slack"] = f"Slack refuses the token: {self._token_refused}"
        return reasons

    async def _check_token(self) -> None:
        """A token may be revoked while we run; Slack being away for a while says nothing of it."""
        if time.monotonic() < self._token_checked + TOKEN_CHECKED:
            return
        self._token_checked = time.monotonic()
        try:
            await self.client.auth_test()
        except SlackApiError as error:
            reason = str(error.response.get("error") or "")
            self._token_refused = reason if reason in REFUSALS else self._token_refused
        except (OSError, TimeoutError):
            return
        else:
            self._token_refused = ""

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self._check_token()
                await self._sweep()
            except Exception:  # a locked database must not end the sweep
                log.warning("sweep_failed")
            await asyncio.sleep(SWEEP)

    async def _sweep(self) -> None:
        """Start what was accepted and is carried on by nobody; expire what nobody decided."""
        now = self.store.clock()
        for request in await self.store.requests_in((State.RECEIVED, State.RUNNING)):
            kind = "prepare" if request.state == State.RECEIVED else "carry_out"
            if now - request.created_at > SWEEP / 2 and now >= (request.retry_at or 0.0):
                await self.engine.start(kind, request.id)
        for request in await self.store.requests_in((State.SCHEDULED,)):
            if request.run_at is not None and request.run_at < now + SWEEP:
                await self.engine.start("carry_out" if request.digest else "prepare", request.id)
        for request in await self.store.requests_in((State.PENDING_APPROVAL,)):
            await self._wait_on(request, now)
        await self.deeds.take_up(DEED_LASTS)
        for request in await self.store.requests_in((State.PLANNED,)):
            if (request.planned_at or now) < now - REVIEWED_WITHIN:
                await self.pipeline.preparer.abandon(request)
        OUTBOX_WAITING.set(await self.outbox.waiting())
        for state, many in (await self.store.count_requests()).items():
            REQUESTS.labels(state).set(many)

    async def _wait_on(self, request: Request, now: float) -> None:
        """Nobody has decided yet: it expires, or a reminder is due."""
        await self.pipeline.approvals.recount(request)
        if request.expires_at and request.expires_at < now:
            await self.pipeline.approvals.expire(request.id)
        elif request.remind_at and request.remind_at < now:
            await self.pipeline.approvals.remind(request)

    async def _sign_at_last(self) -> None:
        """A planned stop leaves nothing unsigned. The next start posts what is not posted yet."""
        for each in self.witnesses:
            if isinstance(each, Checkpoints):
                await each.sign()

    async def stop(self) -> None:
        """Stop taking work, let tasks end, park what runs."""
        if self._socket is not None:
            await self._socket.close()
        await self._runner.cleanup()
        await self.listeners.drain(STOP_WITHIN / 2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.watching.close()
        await self.work.runner.parking.park(STOP_WITHIN / 2)
        await self.engine.close()
        await self._sign_at_last()
        await self.pipeline.acting.close()
        for vendor in self.registry.vendors:
            await vendor.close()
        await self._session.close()
        await self.store.close()


@dataclass
class _Work:
    """What the engine's workflows call: the pipeline's plan and the runner's steps."""

    pipeline: Pipeline
    runner: Runner
    trouble: Trouble = field(init=False)

    def __post_init__(self) -> None:
        self.trouble = Trouble(self.pipeline, self.runner)

    async def prepare(self, request_id: str) -> float | None:
        return await self.trouble.within(request_id, self.pipeline.prepare)

    async def outlook(self, request_id: str) -> tuple[float, str, bool]:
        return await self.runner.outlook(request_id)

    async def waits(self, request_id: str) -> None:
        await self.runner.waits(request_id)

    async def begin(self, request_id: str) -> bool:
        return await self.trouble.within(request_id, self.runner.begin)

    async def run_slice(self, request_id: str) -> float | None:
        return await self.trouble.within(request_id, self.runner.run_slice)

    async def resume(self, request_id: str) -> None:
        await self.runner.resume(request_id)

    async def finish(self, request_id: str) -> None:
        await self.trouble.within(request_id, self.runner.finish)

    async def follow_up(self, request_id: str) -> float | None:
        return await self.runner.follow_up(request_id)


async def _again_and_again(tick: Callable[[], Awaitable[float]]) -> None:
    """`tick` says after how many seconds it wants to be called again; a failure ends nothing."""
    while True:
        pause = SWEEP
        try:
            pause = await tick()
        except Exception as error:
            log.warning("tick_failed", error=type(error).__name__)
        await asyncio.sleep(pause)


def _executor(database_url: str) -> str:
    """One fixed name beside a SQLite file; on PostgreSQL each replica has its own."""
    if database_url.startswith("sqlite"):
        return "solo"
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def settle() -> None:
    """What is loaded by now stays for good, so the collector need not go through it ever again.

    Going through it holds everything up for a tenth of a second, time and again during bulk work.
    """
    gc.collect()
    gc.freeze()


def build(settings: Settings) -> Bot:
    """A bot from settings, not started yet. Raises `BadSettings` or `PolicyError`."""
    known = entries()
    registry = connect(known)
    for vendor in registry.vendors:
        for warning in vendor.warnings:
            log.warning(warning)
    return Bot(settings, registry, load_policy(settings.amend_policy, known))
