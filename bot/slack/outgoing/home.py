"""App Home: what waits, what runs, what one may do, and how vendors and Amend itself fare."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from bot.db.outbox import Outbox
from bot.db.tables import Request
from bot.db.watching import WatchStore
from bot.domain.operations import Operation, Vendor
from bot.domain.people import Caller
from bot.domain.plans import State
from bot.metrics import percentile
from bot.pipeline import Pipeline
from bot.slack.outgoing.lookback import LooksBack
from bot.slack.outgoing.voice import SlackVoice
from bot.slack.views import cards, helptext
from bot.slack.views.blocks import (
    Block,
    actions,
    button,
    context,
    cut,
    divider,
    escape,
    header,
    section,
    when,
)
from bot.slack.views.histories import outcome_words

log = structlog.get_logger(__name__)

MOST_WAITING = 8
MOST_REQUESTS = 6
CHECKED_FOR = 60.0  # seconds for which a vendor's answer is believed
CHECK_WITHIN = 5.0

_LIVE = (State.RUNNING, State.SCHEDULED, State.PENDING_APPROVAL)


@dataclass
class Home:
    """Published when somebody opens it; at once from what is stored, then with the vendors' state."""

    pipeline: Pipeline
    voice: SlackVoice
    watches: WatchStore
    outbox: Outbox
    looks: LooksBack
    _vendors: dict[str, tuple[float, str]] = field(default_factory=dict)

    async def publish(self, user: str) -> None:
        caller = await self.pipeline.parts.directory.caller(user)
        if caller.barred:
            await self._show(user, cards.denial([caller.barred])["blocks"])
            return
        allowed = await self.pipeline.acting.allowed(user, "")
        first = [
            *await self._waiting(user),
            *await self._mine(user),
            *launch_blocks(allowed, caller),
        ]
        people = await self._people(caller)
        await self._show(user, [*first, *people, *await self._health(checking=True)])
        # What takes longer comes after what can be shown at once.
        vendors = self.pipeline.parts.registry.vendors
        checks = asyncio.gather(*(self._check(each) for each in vendors))
        look = await self._look_back(user, caller.timezone)
        await checks
        await self._show(user, [*first, *look, *people, *await self._health(checking=False)])

    async def _show(self, user: str, blocks: Sequence[Block]) -> None:
        view = {"type": "home", "blocks": list(blocks[:100])}
        await self.voice.client.views_publish(user_id=user, view=view)

    # --- what waits, what is mine -----------------------------------------------------------------

    async def _waiting(self, user: str) -> list[Block]:
        registry = self.pipeline.parts.registry
        pending = [
            each
            for each in await self.pipeline.parts.store.requests_in((State.PENDING_APPROVAL,))
            if registry.by_name(each.operation) is not None  # nobody decides while it is off
        ]
        found: list[Block] = []
        for request in pending[:50]:
            if len(found) == MOST_WAITING:
                break
            if (await self.pipeline.approvals.may(request, user)).allowed:
                found += await self._pending(request)
        return [header("Waiting for you"), *found, divider()] if found else []

    async def _pending(self, request: Request) -> list[Block]:
        operation = self.pipeline.acting.operation(request.operation)
        bound = f"{request.id}:{request.digest}"
        title = f"{operation.vendor_title}: {operation.title.lower()}"
        line = f"*{escape(title)}* · {request.records:,} records · <@{request.requester}>"
        buttons = [
            button("Approve", f"approve:{request.id}", bound, style="primary"),
            button("Reject", f"reject:{request.id}", bound, style="danger"),
            button("Details", f"details:{request.id}", bound),
        ]
        return [section(line), actions(buttons, f"waiting:{request.id}")]

    async def _mine(self, user: str) -> list[Block]:
        store, team = self.pipeline.parts.store, self.pipeline.parts.directory.team
        rows = await store.listed(team, requester=user, limit=MOST_REQUESTS)
        if not rows:
            return []
        return [header("Your requests"), *[await self._request(each) for each in rows], divider()]

    async def _request(self, request: Request) -> Block:
        operation = self.pipeline.parts.registry.by_name(request.operation)
        emoji, words = cards.HEADS[State(request.state)]
        counts = outcome_words(await self.pipeline.parts.ledger.counts(request.id))
        title = operation.title.lower() if operation else request.operation
        vendor = f"{operation.vendor_title}: " if operation else ""
        line = (
            f":{emoji}: *{escape(vendor + title)}* · {words} · {counts}\n"
            f"{request.id} · {when(request.created_at)}"
        )
        kind = "cancel" if request.state in _LIVE else "details"
        bound = f"{request.id}:{request.digest}"
        press = button(kind.capitalize(), f"{kind}:{request.id}", bound)
        return {**section(line), "accessory": press}

    async def _look_back(self, user: str, zone: str) -> list[Block]:
        found = await self.looks.blocks(user, zone)
        return [divider(), header("The last 30 days"), *found] if found else []

    async def _people(self, caller: Caller) -> list[Block]:
        linked = await self.pipeline.parts.vault.linked(caller.team, caller.user)
        shut = await self.pipeline.parts.vault.shut(caller.team, caller.user)
        unscoped = self.pipeline.acting.unscoped(caller)
        known = helptext.whoami(caller, linked, shut, unscoped)["blocks"]
        hint = "`/amend link VENDOR` lets edits run as you, with your own credentials."
        return [divider(), header("Your accounts"), *known, context(hint)]

    # --- health -----------------------------------------------------------------------------------

    async def _check(self, vendor: Vendor) -> None:
        known = self._vendors.get(vendor.name)
        if known and time.monotonic() - known[0] < CHECKED_FOR:
            return
        try:
            async with asyncio.timeout(CHECK_WITHIN):
                await vendor.check()
            words = ""
        except TimeoutError:
            words = f"does not answer within {CHECK_WITHIN:g} s"
        except Exception as error:
            log.info("vendor_check_failed", vendor=vendor.name, error=type(error).__name__)
            words = str(error)
        self._vendors[vendor.name] = (time.monotonic(), words)

    async def _health(self, *, checking: bool) -> list[Block]:
        lines = [self._vendor_line(each, checking) for each in self.pipeline.parts.registry.vendors]
        lines.append(await self._own_line())
        troubled = [each for each in await self.watches.listed() if each.trouble or each.parked]
        if troubled:
            ids = ", ".join(each.id for each in troubled[:5])
            lines.append(f":warning: {len(troubled)} watches in trouble: {ids}")
        return [divider(), header("How things are"), section(cut("\n".join(lines), 2900))]

    def _vendor_line(self, vendor: Vendor, checking: bool) -> str:
        known = self._vendors.get(vendor.name)
        if known is None:
            words = "asking …" if checking else "not asked"
            return f":white_circle: {escape(vendor.title)}: {words}"
        if known[1]:
            return f":red_circle: {escape(vendor.title)}: {escape(cut(known[1], 200))}"
        return f":large_green_circle: {escape(vendor.title)}: answers"

    async def _own_line(self) -> str:
        middle, slowest = percentile(0.5), percentile(0.99)
        acks = "no acknowledgement yet"
        if middle is not None and slowest is not None:
            acks = f"acknowledges in {middle * 1000:.0f} ms, 99 % within {slowest * 1000:.0f} ms"
        age = await self.outbox.oldest()
        queue = (
            "nothing waits for Slack" if age is None else f"the oldest message waits {age:.0f} s"
        )
        return f":robot_face: Amend: {acks} · {queue}"


def launch_blocks(allowed: Sequence[Operation], caller: Caller) -> list[Block]:
    """What this person may do, each with its button."""
    blocks: list[Block] = helptext.launcher(allowed, caller.name)["blocks"]
    return blocks
