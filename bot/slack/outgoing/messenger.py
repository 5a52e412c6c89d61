"""The messenger: drains the outbox into Slack at Slack's pace, once per message."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.db.ledger import Ledger, Row, as_record
from bot.db.outbox import Outbox
from bot.db.tables import Delivery, Request
from bot.domain.errors import AmendError
from bot.domain.operations import Offer, Operation, Outcome, Record, Result
from bot.domain.plans import RESULT_WORDS, RequestFacts, State
from bot.slack.views import cards
from bot.slack.views.receipts import receipt_csv

log = structlog.get_logger(__name__)

PACE = 1.05  # seconds between two writes to one message, and between two posts to one channel
CLAIM = 60.0  # seconds for which a replica holds a message that it is sending
SHOWN = 20  # records that a reply lists; beyond that they go in as a file
_CARDS = {"card", "ask", "offer"}
_NO_ENTRY = {"not_in_channel", "channel_not_found", "is_archived", "restricted_action"}

Notice = Callable[[Delivery], Awaitable["Rendered | None"]]
Facts = Callable[[Request], Awaitable[RequestFacts]]


Mark = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Rendered:
    """A message as it is to stand: `mark` (metadata) finds it again, `file` goes into its thread.

    `no_entry` is told Slack's reason where the channel cannot be posted to any more.
    """

    message: Mapping[str, Any]
    mark: Mark
    thread_ts: str = ""
    name: str = ""
    file: str = ""
    no_entry: Callable[[str], Awaitable[None]] | None = None


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
    notices: Mapping[str, Notice] = field(default_factory=dict)
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
        now = self.clock()
        self._last_post = {c: at for c, at in self._last_post.items() if at + PACE > now}
        channels: dict[str, list[Delivery]] = {}
        for delivery in await self.outbox.due(now, list(self._last_post)):
            channels.setdefault(delivery.channel, []).append(delivery)
        await asyncio.gather(*(self._in_turn(each) for each in channels.values()))
        return 0.25 if await self.outbox.waiting() else 1.0

    async def _in_turn(self, deliveries: Sequence[Delivery]) -> None:
        """What goes to one channel: at most one new message a second, and every edit that is due."""
        for delivery in deliveries:
            if delivery.ts or delivery.channel not in self._last_post:
                await self._one(delivery)

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

    async def _notify(self, delivery: Delivery, notice: Notice) -> tuple[str, str]:
        """A message that belongs to no request; None renders nothing any more."""
        rendered = await notice(delivery)
        if rendered is None:
            return delivery.channel, delivery.ts
        try:
            if delivery.ts:
                await self.client.chat_update(
                    channel=delivery.channel, ts=delivery.ts, **rendered.message
                )
                return delivery.channel, delivery.ts
            delivery.thread_ts = rendered.thread_ts
            found = await self._posted_before(delivery, rendered.mark)
            if found:
                return delivery.channel, found
            place = await self._post_to(delivery.channel, rendered.thread_ts, rendered.message)
        except SlackApiError as error:
            if error.response.get("error") not in _NO_ENTRY or rendered.no_entry is None:
                raise
            await rendered.no_entry(str(error.response.get("error")))
            return delivery.channel, delivery.ts
        if rendered.file:
            await self._file(place[0], place[1], rendered.name, rendered.file)
        return place

    async def _send(self, delivery: Delivery) -> tuple[str, str]:
        if delivery.kind in self.notices:
            return await self._notify(delivery, self.notices[delivery.kind])
        request = await self.request(delivery.request_id)
        if request is None:
            return delivery.channel, delivery.ts
        try:
            facts = await self.facts(request)
            operation = self.operation(request.operation)
        except AmendError:  # its vendor is switched off, so nothing can be said of it
            return delivery.channel, delivery.ts
        kind = delivery.kind.rstrip("0123456789")
        special = {
            "reply": self._reply,
            "follow": self._follow,
            "remind": self._remind,
            "offer": self._offer,
        }.get(kind)
        if special is not None:
            return await special(delivery, request, operation, facts)
        offers = _offers(delivery.kind, facts)
        message = cards.card(operation, facts, now=self.clock(), offers=offers)
        _tell_apart(message, delivery)
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
        self._last_post[channel] = self.clock()
        answer = await self.client.chat_postMessage(
            channel=channel, thread_ts=thread_ts or None, unfurl_links=False, **message
        )
        return str(answer["channel"]), str(answer["ts"])

    async def _posted_before(self, delivery: Delivery, mark: Mark | None = None) -> str:
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
        kind = "amend_request" if delivery.kind in _CARDS else f"amend_{delivery.kind}"
        own = {"request_id": delivery.request_id}
        if delivery.kind in _CARDS:
            own["kind"] = delivery.kind
        wanted, facts = mark or (kind, own)
        for message in answer.get("messages") or []:
            metadata = message.get("metadata") or {}
            payload = metadata.get("event_payload") or {}
            if metadata.get("event_type") == wanted and facts.items() <= payload.items():
                return str(message["ts"])
        return ""

    async def _reply(
        self, delivery: Delivery, request: Request, operation: Operation, facts: RequestFacts
    ) -> tuple[str, str]:
        """The receipt; it stands once, and is edited only when its next step was taken."""
        await self._under_card(delivery, request)
        rows = await self.ledger.foremost(request.id, SHOWN + 1)
        offers = next_steps(operation, facts, rows)
        message = cards.thread_reply(operation, facts, _outcomes(rows[:SHOWN]), offers)
        if delivery.ts:
            await self.client.chat_update(channel=delivery.channel, ts=delivery.ts, **message)
            return delivery.channel, delivery.ts
        channel, ts = await self._post(delivery, request, _marked(message, "reply", request.id))
        if facts.counts.records > SHOWN:
            try:
                await self._upload(request, channel, delivery.thread_ts)
            except SlackApiError as error:
                # The receipt stands; posting it again and again would bring no file either.
                log.warning("file_not_uploaded", error=error.response.get("error"))
        return channel, ts

    async def _under_card(self, delivery: Delivery, request: Request) -> None:
        """Put a message that belongs under the card into its thread. Raises `NotYet`."""
        card = await self.outbox.get(f"{request.id}:card")
        if card is None or not card.ts:
            raise NotYet
        inside = card.thread_ts if card.thread_ts and card.channel == request.channel else ""
        delivery.channel, delivery.thread_ts = card.channel, inside or card.ts

    async def _follow(
        self, delivery: Delivery, request: Request, operation: Operation, _facts: RequestFacts
    ) -> tuple[str, str]:
        """What the vendor did by itself: one message in the thread, edited as it goes on."""
        await self._under_card(delivery, request)
        rows, many = await self.ledger.followed(request.id, SHOWN)
        said = [(row.record_id, row.later) for row in rows]
        message = cards.follow_reply(operation, said, many - len(said))
        if delivery.ts:
            await self.client.chat_update(channel=delivery.channel, ts=delivery.ts, **message)
            return delivery.channel, delivery.ts
        return await self._post(delivery, request, _marked(message, "follow", request.id))

    async def _remind(
        self, delivery: Delivery, request: Request, operation: Operation, facts: RequestFacts
    ) -> tuple[str, str]:
        """A reminder under the card that asks; none where it is decided meanwhile."""
        asked = await self.outbox.get(f"{request.id}:ask")
        if asked is None or not asked.ts:
            raise NotYet
        if delivery.ts or facts.state is not State.PENDING_APPROVAL:
            return delivery.channel, delivery.ts
        delivery.channel, delivery.thread_ts = asked.channel, asked.ts
        message = _marked(cards.reminder(operation, facts, ""), delivery.kind, request.id)
        return await self._post(delivery, request, {**message, "reply_broadcast": True})

    async def _offer(
        self, delivery: Delivery, request: Request, operation: Operation, facts: RequestFacts
    ) -> tuple[str, str]:
        """Where approvals are asked: what this request made, with the buttons to decide on it."""
        rows = await self.ledger.records(request.id, (Result.CHANGED,), 1)
        offers = next_steps(operation, facts, rows)
        made = f"{operation.vendor_title} {operation.noun[0]} {rows[0].made if rows else ''}"
        message = cards.offer_card(operation, facts, made.strip(), offers)
        _tell_apart(message, delivery)
        if delivery.ts:
            await self.client.chat_update(channel=delivery.channel, ts=delivery.ts, **message)
            return delivery.channel, delivery.ts
        return await self._post(delivery, request, message)

    async def _upload(self, request: Request, channel: str, thread_ts: str) -> None:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(["record", "result", "words", "what"])
        async for row in self.ledger.all(request.id):
            result = RESULT_WORDS[Result(row.result)]
            writer.writerow(receipt_csv(row.record_id, result, row.said, row.label))
        await self._file(channel, thread_ts, f"{request.id}.csv", buffer.getvalue())

    async def _file(self, channel: str, thread_ts: str, name: str, content: str) -> None:
        await self.client.files_upload_v2(
            channel=channel, thread_ts=thread_ts, filename=name, title=name, content=content
        )


def _marked(message: Mapping[str, Any], kind: str, request_id: str) -> dict[str, Any]:
    """With metadata by which the message is found again after a crash."""
    payload = {"request_id": request_id}
    return {
        **message,
        "metadata": {"event_type": f"amend_{kind}", "event_payload": payload},
    }


def _tell_apart(message: Mapping[str, Any], delivery: Delivery) -> None:
    """A request's cards may all stand in one channel; each is found again by its kind."""
    message["metadata"]["event_payload"]["kind"] = delivery.kind


def _outcomes(rows: Sequence[Row]) -> list[tuple[Record, Result, str]]:
    return [(as_record(row), Result(row.result), row.said) for row in rows]


def next_steps(operation: Operation, facts: RequestFacts, rows: Sequence[Row]) -> list[Offer]:
    """What can be done now with what a finished request made; nothing once it is decided."""
    if facts.decided_upon or facts.ended is None:
        return []
    return [
        offer
        for row in rows
        if row.made
        for offer in operation.offers(
            as_record(row), Outcome(row.record_id, Result(row.result), row.words, row.made)
        )
    ][:4]


class NotYet(Exception):
    """A reply waits for the card that it belongs under."""


def _offers(kind: str, facts: RequestFacts) -> frozenset[str]:
    """The buttons that apply in the present state."""
    if facts.state is State.PENDING_APPROVAL:
        asked = {"approve", "reject", "details"}
        return frozenset(asked if kind == "ask" else {"cancel", "details"})
    if kind != "card":
        return frozenset({"details"})
    if facts.state in (State.RUNNING, State.SCHEDULED):
        return frozenset() if facts.cancelling else frozenset({"cancel"})
    found = {"details"}
    if facts.missed:
        found.add("retry")
    if facts.undoable:
        found.add("undo")
    return frozenset(found)
