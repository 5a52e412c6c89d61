"""The composition root: the one place that joins settings, vendors, store, engine and Slack."""

from __future__ import annotations

import asyncio
import errno
import gc
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from aiohttp import ClientSession, ClientTimeout, web
from pydantic import ValidationError
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler

from bot import tracing
from bot.courtesy import Courtesy
from bot.db import audit, evidence
from bot.db.audit import Witness
from bot.db.engine import AWAY, close_engine, open_engine, open_reader
from bot.db.fence import LeaseLost
from bot.db.leases import Leases
from bot.db.ledger import Ledger
from bot.db.migrate import migrate
from bot.db.outbox import Outbox
from bot.db.retention import FIRST_AFTER, LOOKS_EVERY, Retention
from bot.db.store import Store
from bot.db.tokens import Tokens
from bot.db.vault import Vault
from bot.db.watching import BEGINS, REPORT, WatchStore
from bot.domain.operations import Registry, Vendor, VendorEntry
from bot.domain.parameters import declared
from bot.domain.policy import Policy, PolicyError
from bot.health import DATABASE, JOBS, PARTS, SLACK, Health
from bot.jobs.budgets import Budgets
from bot.jobs.engine import VERSION, Engine
from bot.jobs.runner import Runner
from bot.jobs.supervisor import Chore, Pause, Supervisor
from bot.jobs.trouble import NOT_ITS_FAULT, Trouble
from bot.jobs.upkeep import SWEEP, Upkeep
from bot.jobs.watching import Watching
from bot.jobs.witness import Checkpoints, Forwarding
from bot.metrics import POLL
from bot.pipeline import Parts, Pipeline, bounds
from bot.settings import BadSettings, Settings, explain
from bot.slack.incoming.deeds import Deeds
from bot.slack.incoming.frame import Frame
from bot.slack.incoming.listeners import Listeners
from bot.slack.incoming.topics.watches import Watches
from bot.slack.link.directory import SlackDirectory
from bot.slack.link.reach import answering, authorities, proxy_for, route
from bot.slack.link.server import build_server, runner
from bot.slack.link.socket import SocketLink
from bot.slack.link.token import Token
from bot.slack.outgoing import checkpoints
from bot.slack.outgoing.client import SlackClient
from bot.slack.outgoing.home import Home
from bot.slack.outgoing.lookback import LooksBack
from bot.slack.outgoing.messenger import Messenger
from bot.slack.outgoing.notices import Notices
from bot.slack.outgoing.voice import SlackVoice
from bot.stopping import STOP_WITHIN, Budget

if TYPE_CHECKING:
    from bot.asking.door import Door

log = structlog.get_logger(__name__)

DEED_LASTS = 60.0  # seconds; a deed that was not done by then failed, and is done again
SEALED_AFTER = 3600.0  # seconds; by then a rollout is over, and every replica knows the first key
SEALED_EVERY = 24 * 3600.0  # seconds between two looks whether a new key is to seal credentials
DRAIN_WITHIN, PARK_WITHIN = 2.0, 3.0  # seconds at the end for listeners, and for calls under way
PATIENCE = 3.0  # seconds for a workflow of the same request that is about to end
TOKEN_CHECKED = 60.0  # seconds between two questions whether Slack still takes the token
TRIED_AGAIN = 1.0  # seconds between two tries at what is not there yet at the start

T = TypeVar("T")


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


def policy_names(known: list[VendorEntry]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a policy may speak of: each operation's parameters, and each vendor's roles."""
    operations = {op.name: declared(op.parameters) for entry in known for op in entry.operations}
    return operations, {entry.name: entry.roles for entry in known}


def load_policy(path: str, known: list[VendorEntry]) -> Policy:
    """The policy file that AMEND_POLICY names, or the default. Raises `BadSettings`."""
    try:
        return read_policy(path, known) if path else Policy.default()
    except BadSettings as error:
        message = f"AMEND_POLICY: {error}"
        raise BadSettings(message) from None


def read_policy(path: str | Path, known: list[VendorEntry]) -> Policy:
    """Raises `BadSettings`, which names the file and, where it can be read, the line."""
    try:
        return Policy.load(policy_text(path), *policy_names(known))
    except PolicyError as error:
        message = f"{path}, line {error.line}: {error.words}"
        raise BadSettings(message) from None


def policy_text(path: str | Path) -> str:
    """Raises `BadSettings`."""
    shown = str(path) if str(path).isprintable() else ascii(str(path))
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        message = f"{shown} cannot be read: it is not UTF-8."
    except (OSError, ValueError):
        message = f"{shown} cannot be read."
    raise BadSettings(message) from None


def slack_client(settings: Settings, session: ClientSession | None = None) -> SlackClient:
    """A Web API client on the configured base URL, with one shared session."""
    client = SlackClient(
        token=settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        session=session,
        timeout=20,
    )
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    route(client, settings)
    return client


def not_yet(error: Exception) -> str:
    """Why something is not there yet: a file's trouble in its words; a server's may name people."""
    own = getattr(error, "orig", None)
    words = f": {own}" if isinstance(own, sqlite3.Error) else ""
    return f"not reached yet ({type(error).__name__}{words})"


@dataclass
class Bot:
    """The running bot. `start` leaves it ready; `stop` parks what runs."""

    settings: Settings
    registry: Registry
    policy: Policy
    port: int = 0
    health: Health = field(default_factory=Health)
    supervisor: Supervisor = field(default_factory=Supervisor)
    courtesy: Courtesy = field(default_factory=Courtesy)
    _endings: list[tuple[str, Callable[[], Coroutine[Any, Any, object]], float | None]] = field(
        default_factory=list
    )
    _app: AsyncApp | None = None
    _link: SocketLink | None = None
    _runner: web.AppRunner | None = None
    _door: Door | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _deeds_older: float = 0.0
    _replica: str = field(init=False)

    def __post_init__(self) -> None:
        self._replica = _executor(self.settings.database_url)

    async def start(self) -> None:
        """Listen, then bring up database, Slack and engine; each is tried until it is there.

        Raises `BadSettings` where that cannot be listened on, and where the database is none.
        """
        for part in PARTS:
            self.health.awaits(part, "not started yet")
        if flush := tracing.export():
            self._endings.append(("traces", partial(asyncio.to_thread, flush), 1.5))
        await self._serve()
        self.store = await self._patiently(DATABASE, self._open_database, AWAY)
        self._endings.append(("store", self.store.close, None))
        self.health.watches(DATABASE, self._wrong_with_database)
        # The environment's proxy is not for loopback, and Slack's emulators live there.
        self._session = ClientSession(timeout=ClientTimeout(total=20))
        self._endings.append(("session", self._session.close, None))
        self.client = slack_client(self.settings, self._session)
        self.token = Token(self.client)
        who = await self._patiently(SLACK, self.token.introduce, (Exception,), self.token.why)
        self._join(who)
        self._endings.append(("vendors", self._close_vendors, 1.0))
        await self._patiently(JOBS, self._launch, AWAY)
        self._endings.append(("engine", self._park, None))
        self._begin_work()
        self._connect(self.app)

    async def _open_door(self) -> Door:
        """For the first program that knocks: its SDK costs a third of a start's time, and 20 MB."""
        async with self._opening:
            if self._door is None:
                module = await asyncio.to_thread(import_module, "bot.asking.door")
                door: Door = module.Door(self.pipeline, self.tokens, self.courtesy)
                await door.open()
                self._endings.append(("programs", door.close, 1.0))
                self._door = door
            return self._door

    async def _patiently(
        self,
        part: str,
        bring_up: Callable[[], Awaitable[T]],
        passing: tuple[type[Exception], ...],
        why: Callable[[Exception], str] = not_yet,
    ) -> T:
        """What `bring_up` gives, tried until it is there; the reason is told meanwhile."""
        while True:
            try:
                return await bring_up()
            except passing as error:
                self.health.awaits(part, why(error))
                log.warning("not_started_yet", part=part, why=why(error))
            await asyncio.sleep(TRIED_AGAIN)

    async def _open_database(self) -> Store:
        url = self.settings.database_url
        quick = open_engine(url, busy_seconds=bounds.ACCEPT_WITHIN * 0.8, replica=self._replica)
        store = Store(
            open_engine(url, replica=self._replica), quick, reader=open_reader(url, self._replica)
        )
        try:
            await migrate(store.engine)
        except BaseException:
            await store.close()
            raise
        return store

    async def _launch(self) -> None:
        if self.settings.database_url.startswith("sqlite"):
            await self.outbox.release()
            await self.watching.watches.release()
        try:
            await self.engine.launch(self.work)
        except BaseException:
            await self.engine.close()
            raise
        facts = {"version": version("amend"), "policy": _sha256(self.settings.amend_policy)}
        await self.store.note(audit.AMEND, "amend:started", "", facts)
        self.health.watches(JOBS, self._wrong_with_jobs)

    def _connect(self, app: AsyncApp) -> None:
        """From here on Slack's deliveries are taken."""
        self._app = app
        if self.settings.socket_mode:
            self._link = SocketLink(app, self.settings.slack_app_token.get_secret_value())
            opening = asyncio.create_task(self._link.open())
            self._endings.append(("link", partial(_closed, self._link, opening), 1.0))
        self.health.watches(SLACK, self._wrong_with_slack)

    async def _wrong_with_database(self) -> str:
        await self.store.ping()
        return ""

    async def _wrong_with_jobs(self) -> str:
        return "" if await self.engine.alive() else "the job engine does not answer"

    async def _wrong_with_slack(self) -> str:
        if self._link is not None and not await self._link.alive():
            return "the Socket Mode link is down or deaf"
        return f"Slack refuses the token: {self.token.refused}" if self.token.refused else ""

    async def _take_up_deeds(self) -> None:
        """At the start at once what an earlier process left, then what was not done in time."""
        older, self._deeds_older = self._deeds_older, DEED_LASTS
        await self.deeds.take_up(older)

    async def _forget(self) -> Pause:
        return Pause(await self.retention.step())

    async def _seal_anew(self) -> None:
        await self.pipeline.parts.vault.rotate()

    async def _repeat_reports(self) -> None:
        await self.looks.repeat()
        self._wake()

    def _begin_work(self) -> None:
        self._endings.append(("chores", self.supervisor.stop, 1.0))
        self.upkeep = Upkeep(
            self.store,
            self.engine,
            self.pipeline,
            self.outbox,
            self.watching.watches,
            [each.name for each in self.registry.vendors],
            self.work.leases,
            bool(self.settings.amend_siem_url),
        )
        days = self.settings.amend_retention_days
        self.retention = Retention(self.store, days, self.engine.purge)
        self.supervisor.start(
            [
                *self.upkeep.chores(),
                Chore("credentials", self._seal_anew, SEALED_EVERY, first=SEALED_AFTER),
                Chore("deeds", self._take_up_deeds, SWEEP),
                Chore("retention", self._forget, LOOKS_EVERY, first=FIRST_AFTER),
                Chore("token", self.token.check, TOKEN_CHECKED, first=TOKEN_CHECKED),
                Chore("messages", self.messenger.run, SWEEP),
                Chore("watches", self.watching.run, SWEEP),
                Chore("reports", self._repeat_reports, SWEEP),
                *(Chore("witness", each.tick, SWEEP) for each in self.witnesses),
            ]
        )

    def _join(self, who: Mapping[str, Any]) -> None:
        settings = self.settings
        team, enterprise = str(who["team_id"]), str(who.get("enterprise_id") or "")
        self.team = team
        ledger = Ledger(self.store)
        keys = [each.strip() for each in settings.amend_secret_key.get_secret_value().split(",")]
        vault = Vault(self.store, [each for each in keys if each])
        executor = self._replica
        # One owner of a SQLite file is kept by its lock; replicas keep leases.
        shared = not settings.database_url.startswith("sqlite")
        leases = Leases(self.store, executor, VERSION) if shared else None
        watches = WatchStore(self.store, executor)
        self.outbox = Outbox(self.store, executor)
        self.directory = SlackDirectory(self.client, self.store, team, enterprise)
        self.engine = Engine(settings.database_url, executor, leases)

        def operation(name: str) -> Any:
            return self.pipeline.acting.operation(name)

        voice = SlackVoice(
            self.client,
            self.outbox,
            self.store,
            operation,
            self.policy.approvals.channel or settings.amend_approvals_channel,
            self._wake,
            partial(answering, self.client, settings),
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
        self.looks = LooksBack(self.pipeline, watches)
        notices = Notices(watches, self.outbox, self.registry, voice, self.pipeline.looking)
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
                "ends": notices.ends,
                BEGINS: notices.begins,
                REPORT: self.looks.render,
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
                budgets=Budgets(self.store if shared else None),
            ),
            leases,
            self.courtesy,
        )
        every = float(settings.amend_poll_seconds)
        POLL.set(every)
        self.watching = Watching(watches, self.registry, every, self._wake, notices.trouble)
        self.tokens = Tokens(self.store)
        frame = Frame(self.store, team, enterprise, courtesy=self.courtesy)
        bot_user = str(who.get("user_id") or "")
        self.deeds = Deeds(self.pipeline, voice, bot_user, self._topic)
        self.listeners = Listeners(
            self.pipeline,
            voice,
            self.deeds,
            frame,
            Home(self.pipeline, voice, watches, self.outbox, self.looks),
            Watches(self.pipeline, watches, voice, frame, settings.admins),
            settings.admins,
            self._bundle,
            self.tokens if settings.amend_mcp == "on" else None,
            settings.amend_public_url,
        )
        self.app = self._bolt(who)
        self.listeners.register(self.app)

    def _witnesses(self) -> list[Checkpoints | Forwarding]:
        """Those that the settings ask for."""
        settings, found = self.settings, list[Checkpoints | Forwarding]()
        if self._witness:
            every = float(settings.amend_audit_every)
            found.append(Checkpoints(self.store, self._witness, every, self._wake))
        if settings.amend_siem_url:
            url, token = settings.amend_siem_url, settings.amend_siem_token.get_secret_value()
            way = proxy_for(settings, url), authorities(url)
            found.append(Forwarding(self.store, self._session, url, token, *way))
        return found

    @property
    def _witness(self) -> Witness | None:
        return Witness.of(self.settings.audit_signer, self.settings.amend_audit_channel)

    async def _bundle(self, request_id: str, actor: str) -> bytes:
        """A request's evidence, as a ZIP."""
        reader = open_reader(self.settings.database_url, self._replica)
        witness = self._witness
        try:
            with TemporaryDirectory() as folder:
                out = Path(folder) / "evidence.zip"
                await evidence.make(
                    self.store, reader, request_id, out, actor=actor, witness=witness
                )
                return out.read_bytes()
        finally:
            await close_engine(reader)
            self._wake()

    async def _topic(
        self, key: str, word: str, user: str, channel: str, words: str
    ) -> Mapping[str, Any] | None:
        return await self.listeners.topic(key, word, user, channel, words)

    def _wake(self) -> None:
        self.messenger.wake()

    async def _begin(self, kind: str, request_id: str) -> None:
        # Nothing comes before a plan, so that there is no end to wait for.
        patience = 0.0 if kind == "prepare" else PATIENCE
        await self.engine.start(kind, request_id, patience=patience)

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
            name="amend",  # without one Bolt reads the sources of all its callers for it
            client=self.client,
            authorize=authorize,
            signing_secret=self.settings.slack_signing_secret.get_secret_value() or "unused",
            request_verification_enabled=False,
        )

    async def _serve(self) -> None:
        secret = self.settings.slack_signing_secret.get_secret_value()
        programs = self._ask if self.settings.amend_mcp == "on" else None
        sign_in = any(each.oauth for each in self.registry.vendors)
        server = build_server(
            self._dispatch, secret, self.health.reasons, programs, sign_in=sign_in
        )
        self._runner = runner(server)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.amend_host, self.settings.amend_port)
        try:
            await site.start()
        except OSError as error:
            raise _not_listening(self.settings, error) from None
        self.port = self._runner.addresses[0][1]

    async def _dispatch(self, request: AsyncBoltRequest) -> BoltResponse:
        """What Slack sends before we are there is refused, so that it sends it again."""
        if self._app is None:
            return BoltResponse(status=503, body="Amend is starting.")
        return await self._app.async_dispatch(request)

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        """A program asks; before we are there it is told to come again."""
        if self._app is None:
            return web.Response(status=503, text="Amend is starting.")
        door = self._door or await self._open_door()
        return await door.answer(request)

    async def stop(self, within: float = STOP_WITHIN) -> None:
        """Stop taking work, let what runs end or park it, within so many seconds, whatever hangs."""
        budget = Budget(within)
        if self._runner is not None:
            await budget.end("server", self._runner.cleanup(), 2.0)
        for part, ending, most in reversed(self._endings):
            await budget.end(part, ending(), most)
        self._endings.clear()

    async def _park(self) -> None:
        """Calls under way may come home; everything else goes on after the next start."""
        await self.listeners.drain(DRAIN_WITHIN)
        await self.watching.close()
        await self.work.runner.parking.park(PARK_WITHIN)
        await self.engine.close()
        await self._sign_at_last()

    async def _sign_at_last(self) -> None:
        """A planned stop leaves nothing unsigned. The next start posts what is not posted yet."""
        for each in self.witnesses:
            if isinstance(each, Checkpoints):
                await each.sign()

    async def _close_vendors(self) -> None:
        await self.pipeline.acting.close()
        for vendor in self.registry.vendors:
            await vendor.close()


def _not_listening(settings: Settings, error: OSError) -> BadSettings:
    """A port may be taken, or not ours to take; what else is wrong is wrong with the host."""
    at_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
    name, value = ("PORT", settings.amend_port) if at_port else ("HOST", settings.amend_host)
    why = error.strerror or "it is none of this machine's addresses"
    return BadSettings(f"AMEND_{name}: {value} cannot be listened on ({why}).")


@dataclass
class _Work:
    """What the engine's workflows call: the pipeline's plan and the runner's steps.

    Where replicas share a database each step holds its request. Raises `LeaseLost` otherwise.
    """

    pipeline: Pipeline
    runner: Runner
    leases: Leases | None = None
    courtesy: Courtesy = field(default_factory=Courtesy)
    trouble: Trouble = field(init=False)

    def __post_init__(self) -> None:
        self.trouble = Trouble(self.pipeline, self.runner)

    def _held(self, request_id: str) -> AbstractAsyncContextManager[None]:
        return self.leases.held(request_id) if self.leases is not None else nullcontext()

    async def _within(self, request_id: str, step: Callable[[str], Awaitable[T]]) -> T | None:
        async with self._held(request_id):
            return await self.trouble.within(request_id, step)

    async def prepare(self, request_id: str) -> float | None:
        async with self.courtesy.in_turn():
            return await self._within(request_id, self.pipeline.prepare)

    async def is_direct(self, request_id: str) -> bool:
        """Does it run without a review? That stands since it was accepted."""
        request = await self.pipeline.parts.store.request(request_id)
        return request is not None and request.direct

    async def outlook(self, request_id: str) -> tuple[float, str, bool]:
        async with self._held(request_id):
            return await self.runner.outlook(request_id)

    async def waits(self, request_id: str) -> None:
        await self.runner.waits(request_id)

    async def begin(self, request_id: str) -> bool:
        return bool(await self._within(request_id, self.runner.begin))

    async def run_slice(self, request_id: str) -> float | None:
        return await self._within(request_id, self.runner.run_slice)

    async def resume(self, request_id: str) -> None:
        async with self._held(request_id):
            await self.runner.resume(request_id)

    async def finish(self, request_id: str) -> None:
        await self._within(request_id, self.runner.finish)

    async def follow_up(self, request_id: str) -> float | None:
        """A database that is away, or another replica at it, ends no following."""
        try:
            async with self._held(request_id):
                return await self.runner.follow_up(request_id)
        except (*NOT_ITS_FAULT, LeaseLost):
            return self.runner.follow_every


async def _closed(link: SocketLink, opening: asyncio.Task[None]) -> None:
    opening.cancel()
    await link.close()


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
    """A bot from settings, not started yet. Raises `BadSettings`."""
    known = entries()
    return Bot(settings, connect(known), load_policy(settings.amend_policy, known))


def _sha256(path: str) -> str:
    """The policy file that is in force, by its SHA-256; "" for none."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""
