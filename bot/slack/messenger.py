"""The messenger: drains the outbox into Slack at Slack's pace, once per message."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.db.ledger import Ledger, as_record
from bot.db.outbox import Outbox
from bot.db.tables import Delivery, Request
from bot.domain.operations import Operation, Record, Result
from bot.domain.plans import RESULT_WORDS, RequestFacts, State
from bot.slack import cards
from bot.slack.receipts import receipt_csv

log = structlog.get_logger(__name__)

PACE = 1.05  # seconds between two writes to one message, and between two posts to one channel
CLAIM = 60.0  # seconds for which a replica holds a message that it is sending
SHOWN = 20  # records that a reply lists; beyond that they go in as a file
_NO_ENTRY = {"not_in_channel", "channel_not_found", "is_archived", "restricted_action"}

Facts = Callable[[Request], Awaitable[RequestFacts]]


@dataclass
class Messenger:
    """Renders each wanted message from the present state and puts it into Slack.

    A post is not idempotent: where a process died while posting, the channel's history is searched
    for the message's metadata first.
    """

    client: AsyncWebClient
    outbox: Outbox
    ledger: Ledger
    request: Callable[[str], Awaitable[Request | None]]
    facts: Facts
    operation: Callable[[str], Operation]
    clock: Callable[[], float] = time.time
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _last_post: dict[str, float] = field(default_factory=dict)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            self._wake.clear()
            pause = 1.0
            try:
                pause = await self.drain()
            except Exception:  # the loop outlives a database that is locked or gone
                log.exception("outbox_failed")
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    async def drain(self) -> float:
        """Send everything that is due now; seconds until it is worth looking again."""
        for delivery in await self.outbox.due(self.clock()):
            await self._one(delivery)
        return 0.25 if await self.outbox.waiting() else 1.0

    async def _one(self, delivery: Delivery) -> None:
        now = self.clock()
        if not await self.outbox.claim(delivery, now, now + CLAIM):
            return
        try:
            channel, ts = await self._send(delivery)
        except Exception as error:
            await self._again(delivery, error)
            return
        await self.outbox.sent(
            delivery.key, delivery.version, channel=channel, ts=ts, next_at=self.clock() + PACE
        )

    async def _again(self, delivery: Delivery, error: Exception) -> None:
        failures = delivery.failures + 1
        wait = min(60.0, 0.5 * 2.0 ** min(failures, 7))
        if isinstance(error, SlackApiError):
            wait = float(error.response.headers.get("Retry-After", wait))
        elif not isinstance(error, NotYet):
            log.warning("slack_write_failed", kind=delivery.kind, error=type(error).__name__)
        if isinstance(error, NotYet):
            wait, failures = 0.2, delivery.failures
        await self.outbox.failed(delivery.key, again_at=self.clock() + wait, failures=failures)

    async def _send(self, delivery: Delivery) -> tuple[str, str]:
        request = await self.request(delivery.request_id)
        if request is None:
            return delivery.channel, delivery.ts
        facts = await self.facts(request)
        operation = self.operation(request.operation)
        if delivery.kind == "reply":
            return await self._reply(delivery, request, operation, facts)
        offers = _offers(delivery.kind, facts)
        message = cards.card(operation, facts, now=self.clock(), offers=offers)
        if delivery.ts:
            await self.client.chat_update(channel=delivery.channel, ts=delivery.ts, **message)
            return delivery.channel, delivery.ts
        return await self._post(delivery, request, message)

    async def _post(
        self, delivery: Delivery, request: Request, message: Mapping[str, Any]
    ) -> tuple[str, str]:
        found = await self._posted_before(delivery)
        if found:
            return delivery.channel, found
        await self._channel_pace(delivery.channel)
        try:
            return await self._post_to(delivery.channel, delivery.thread_ts, message)
        except SlackApiError as error:
            if error.response.get("error") not in _NO_ENTRY:
                raise
        # Where the bot cannot post, the person who asked gets it in a direct message.
        direct = await self.client.conversations_open(users=request.requester)
        return await self._post_to(direct["channel"]["id"], "", message)

    async def _post_to(
        self, channel: str, thread_ts: str, message: Mapping[str, Any]
    ) -> tuple[str, str]:
        answer = await self.client.chat_postMessage(
            channel=channel, thread_ts=thread_ts or None, unfurl_links=False, **message
        )
        return str(answer["channel"]), str(answer["ts"])

    async def _channel_pace(self, channel: str) -> None:
        wait = self._last_post.get(channel, 0.0) + PACE - self.clock()
        self._last_post[channel] = self.clock() + max(wait, 0.0)
        if wait > 0:
            await asyncio.sleep(wait)

    async def _posted_before(self, delivery: Delivery) -> str:
        """The ts of a message that an earlier process posted without living to note it."""
        if delivery.attempting is None:
            return ""
        span: dict[str, Any] = {
            "oldest": f"{delivery.attempting - 5:.6f}",
            "include_all_metadata": True,
        }
        try:
            if delivery.thread_ts:
                answer = await self.client.conversations_replies(
                    channel=delivery.channel, ts=delivery.thread_ts, limit=100, **span
                )
            else:
                answer = await self.client.conversations_history(
                    channel=delivery.channel, limit=100, **span
                )
        except (SlackApiError, OSError, TimeoutError):
            return ""
        wanted = "amend_reply" if delivery.kind == "reply" else "amend_request"
        for message in answer.get("messages") or []:
            metadata = message.get("metadata") or {}
            payload = metadata.get("event_payload") or {}
            if metadata.get("event_type") == wanted and (
                payload.get("request_id") == delivery.request_id
            ):
                return str(message["ts"])
        return ""

    async def _reply(
        self, delivery: Delivery, request: Request, operation: Operation, facts: RequestFacts
    ) -> tuple[str, str]:
        if delivery.ts:
            return delivery.channel, delivery.ts
        card = await self.outbox.get(f"{request.id}:card")
        if card is None or not card.ts:
            raise NotYet
        delivery.channel = card.channel
        delivery.thread_ts = (
            card.thread_ts if card.thread_ts and (card.channel == request.channel) else card.ts
        )
        rows = await self.ledger.records(request.id, list(Result), SHOWN + 1)
        shown: list[tuple[Record, Result, str]] = [
            (as_record(row), Result(row.result), row.words) for row in rows[:SHOWN]
        ]
        message = cards.thread_reply(operation, facts, shown)
        message["metadata"] = {
            "event_type": "amend_reply",
            "event_payload": {"request_id": request.id},
        }
        channel, ts = await self._post(delivery, request, message)
        if facts.counts.records > SHOWN:
            await self._upload(request, channel, delivery.thread_ts)
        return channel, ts

    async def _upload(self, request: Request, channel: str, thread_ts: str) -> None:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(["record", "result", "words", "what"])
        async for row in self.ledger.all(request.id):
            result = RESULT_WORDS[Result(row.result)]
            writer.writerow(receipt_csv(row.record_id, result, row.words, row.label))
        await self.client.files_upload_v2(
            channel=channel,
            thread_ts=thread_ts,
            filename=f"{request.id}.csv",
            title=f"Receipt of {request.id}",
            content=buffer.getvalue(),
        )


class NotYet(Exception):
    """A reply waits for the card that it belongs under."""


def _offers(kind: str, facts: RequestFacts) -> frozenset[str]:
    """The buttons that apply in the present state."""
    if facts.state is State.PENDING_APPROVAL:
        asked = {"approve", "reject", "details"}
        return frozenset(asked if kind == "ask" else {"cancel", "details"})
    if facts.state in (State.RUNNING, State.SCHEDULED) and kind == "card":
        return frozenset({"cancel"})
    return frozenset({"details"})
