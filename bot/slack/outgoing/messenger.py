"""The messenger: drains the outbox into Slack at Slack's pace, once per message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot import tracing
from bot.db.engine import AWAY
from bot.db.ledger import Ledger, Row, as_record
from bot.db.outbox import Outbox
from bot.db.tables import Delivery, Request
from bot.domain.errors import AmendError
from bot.domain.operations import Offer, Operation, Outcome, Record, Result
from bot.domain.plans import RequestFacts, State
from bot.domain.receipts import receipt_head, receipt_row
from bot.slack.outgoing.pacing import Pace
from bot.slack.outgoing.refusals import GONE, NO_ENTRY, NO_THREAD, passes
from bot.slack.views import cards
from bot.slack.views.changes import in_full, is_cut, record_in_full

log = structlog.get_logger(__name__)

PACE = 1.05  # seconds between two writes to one message
IDLE = 1.0  # seconds between two looks where nothing is due
HELD_UP = 0.1  # seconds until the next look where what is due has to wait for a channel
CLAIM = 60.0  # seconds for which a replica holds a message that it is sending
SHOWN = 20  # records that a reply lists; beyond that they go in as a file
_CARDS = {"card", "ask", "offer"}
DECIDING = frozenset({"approve", "run"})  # buttons of those who have to know every word
TRIES = 5  # of a message that Slack refuses, or that cannot be made
AT_MOST = 60.0  # seconds between two tries

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
    pace: Pace = field(default_factory=Pace)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _turns: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Send what is due, for ever. Each channel has its own turn: none holds up another."""
        try:
            while True:
                self._wake.clear()
                pause = IDLE
                try:
                    pause = await self.drain()
                except Exception:  # the loop outlives a database that is locked or gone
                    log.exception("outbox_failed")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        turns = list(self._turns.values())
        for each in turns:
            each.cancel()
        await asyncio.gather(*turns, return_exceptions=True)

    async def drain(self) -> float:
        """Begin to send what is due now; seconds until it is worth looking again."""
        slow = self.pace.slow()
        silent = [*self.pace.silent(), *self._turns]
        channels: dict[str, list[Delivery]] = {}
        due, first = await self.outbox.due(self.clock(), slow=slow, silent=silent)
        for delivery in due:
            channels.setdefault(delivery.channel, []).append(delivery)
        for channel, deliveries in channels.items():
            self._turns[channel] = asyncio.create_task(self._turn(channel, deliveries))
        return IDLE if first is None else min(IDLE, max(HELD_UP, first))

    async def _turn(self, channel: str, deliveries: Sequence[Delivery]) -> None:
        """What goes to one channel, state before words: every edit, and what its pace allows."""
        try:
            for delivery in sorted(deliveries, key=_is_words):
                if delivery.ts or self.pace.may_post(delivery.channel):
                    await self._one(delivery)
        except Exception:  # the database is locked or gone: it is due once more
            log.exception("turn_failed", channel=channel)
        finally:
            self._turns.pop(channel, None)
            self.wake()

    async def _one(self, delivery: Delivery) -> None:
        now, first = self.clock(), not delivery.ts
        if not await self.outbox.claim(delivery, now, now + CLAIM):
            return
        try:
            channel, ts = await self._send(delivery)
        except NotYet:
            wait = min(2.0, 0.1 * 2.0 ** min(delivery.failures, 5))
            again = self.clock() + wait
            await self.outbox.postponed(delivery, again, delivery.failures + 1)
        except Exception as error:
            await self._failed(delivery, error)
        else:
            opens = first and delivery.kind in _CARDS
            if not await self._noted(delivery, channel, ts, opens=opens):
                await self._take_back(delivery.key, channel, ts)

    async def _noted(self, delivery: Delivery, channel: str, ts: str, *, opens: bool) -> bool:
        """Note that it is in Slack, as soon as the database can. False where another process has
        taken it on: nobody but this one knows that its words may stand over newer ones."""
        while True:
            try:
                return await self.outbox.sent(
                    delivery, channel=channel, ts=ts, next_at=self.clock() + PACE, opens=opens
                )
            except AWAY as error:
                log.warning("message_not_noted", key=delivery.key, error=type(error).__name__)
            await asyncio.sleep(IDLE)

    async def _take_back(self, key: str, channel: str, ts: str) -> None:
        """This process was paused while posting, and another one posted in its place: one stays."""
        stands = await self.outbox.get(key)
        if stands is not None and stands.ts and ts and stands.ts != ts:
            with suppress(SlackApiError):
                await self.client.chat_delete(channel=channel, ts=ts)

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        reason = error.response.get("error") if isinstance(error, SlackApiError) else ""
        log.warning(
            "slack_write_failed", kind=delivery.kind, error=type(error).__name__, reason=reason
        )
        passing = passes(error)
        edit_of_nothing = bool(delivery.ts) and reason in GONE
        if edit_of_nothing or (not passing and delivery.failures + 1 >= TRIES):
            log.error("message_given_up", key=delivery.key, reason=reason)
            await self.outbox.given_up(delivery)
            await self.outbox.hurry(delivery.request_id)
            return
        wait = min(AT_MOST, 0.5 * 2.0 ** min(delivery.failures + 1, 7))
        if isinstance(error, SlackApiError) and "Retry-After" in error.response.headers:
            asked = float(error.response.headers["Retry-After"])
            self.pace.block(delivery.channel, asked)
            wait = min(asked, AT_MOST)
        failures = delivery.failures + (not passing or delivery.failures < TRIES - 2)
        await self.outbox.failed(delivery, again_at=self.clock() + wait, failures=failures)

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
            if error.response.get("error") not in NO_ENTRY or rendered.no_entry is None:
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
        with tracing.following("slack.post", request.id, request.operation):
            return await self._put(delivery, request)

    async def _put(self, delivery: Delivery, request: Request) -> tuple[str, str]:
        """What stands now of a request, into its message."""
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
        if delivery.kind == "card" and request.relation == "decision" and not delivery.thread_ts:
            await self._beside(delivery, request.source)
        place = await self._post(delivery, request, message)
        if offers & DECIDING:
            await self._whole(request, operation, facts, *place)
        return place

    async def _whole(
        self, request: Request, operation: Operation, facts: RequestFacts, channel: str, ts: str
    ) -> None:
        """What a card had to cut stands whole in its thread, for who decides there."""
        if not is_cut(operation, facts):
            return
        own = [
            record_in_full(row.record_id, row.state, row.after or {})
            async for row in self.ledger.all(request.id, (Result.TO_SEND,))
            if facts.relation == "undo"
        ]
        name = f"{request.id}-changes.txt"
        try:
            await self._file(channel, ts, name, in_full(operation, facts) + "".join(own))
        except SlackApiError as error:  # Details has them as well
            log.warning("changes_not_uploaded", error=error.response.get("error"))

    async def _beside(self, delivery: Delivery, source: str) -> None:
        """Into the thread of the request that is decided on. Raises `NotYet` before its card stands.

        Who is quick decides while that card is still on its way to Slack.
        """
        card = await self.outbox.get(f"{source}:card")
        if card is None or (not card.ts and card.sent_version >= card.version):
            return  # Slack will never hold that card
        if not card.ts:
            raise NotYet
        delivery.channel, delivery.thread_ts = card.channel, card.thread_ts or card.ts

    async def _post(
        self, delivery: Delivery, request: Request, message: Mapping[str, Any]
    ) -> tuple[str, str]:
        found = await self._posted_before(delivery)
        if found:
            return delivery.channel, found
        try:
            return await self._post_to(delivery.channel, delivery.thread_ts, message)
        except SlackApiError as error:
            reason = str(error.response.get("error"))
            if reason in NO_THREAD and delivery.thread_ts:
                delivery.thread_ts = ""  # what belongs under this message goes into its own thread
                return await self._post_to(delivery.channel, "", message)
            if reason not in NO_ENTRY:
                raise
        if delivery.kind == "ask" and delivery.channel != request.channel:
            return await self._ask_elsewhere(delivery, request, message, NO_ENTRY[reason])
        # Where the bot cannot post, the person who asked gets it in a direct message.
        return await self._post_to(await self._direct(request.requester), "", message)

    async def _ask_elsewhere(
        self, delivery: Delivery, request: Request, message: Mapping[str, Any], why: str
    ) -> tuple[str, str]:
        """Where approvals are asked nobody can be reached: it is asked where the request was made,
        and the person who waits is told, so that an administrator hears of it."""
        place = await self._post_to(request.channel, "", message)
        text = (
            f"<#{delivery.channel}>, where approvals are asked, cannot be posted to: {why}. The"
            f" approval of request {request.id} is asked for in <#{request.channel}> instead."
            " Please tell an administrator."
        )
        await self._post_to(await self._direct(request.requester), "", {"text": text})
        return place

    async def _direct(self, user: str) -> str:
        """The channel of the direct messages with somebody."""
        opened = await self.client.conversations_open(users=user)
        return str(opened["channel"]["id"])

    async def _post_to(
        self, channel: str, thread_ts: str, message: Mapping[str, Any]
    ) -> tuple[str, str]:
        self.pace.posted(channel)
        answer = await self.client.chat_postMessage(
            channel=channel,
            thread_ts=thread_ts or None,
            unfurl_links=False,
            unfurl_media=False,
            **message,
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
        """Put a message that belongs under the card into its thread. Raises `NotYet`.

        Under a card that Slack will never hold there is no thread: the person gets it directly.
        """
        card = await self.outbox.get(f"{request.id}:card")
        if card is not None and not card.ts and card.sent_version >= card.version:
            delivery.channel, delivery.thread_ts = await self._direct(request.requester), ""
            return
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
        place = await self._post(delivery, request, message)
        await self._whole(request, operation, facts, *place)
        return place

    async def _upload(self, request: Request, channel: str, thread_ts: str) -> None:
        """The receipt whose SHA-256 stands in the audit entry that ended the request."""
        rows = [
            receipt_row(row.record_id, row.result, row.words, row.label)
            async for row in self.ledger.all(request.id)
        ]
        receipt = b"".join([receipt_head(), *rows]).decode()
        await self._file(channel, thread_ts, f"{request.id}.csv", receipt)

    async def _file(self, channel: str, thread_ts: str, name: str, content: str) -> None:
        await self.client.files_upload_v2(
            channel=channel, thread_ts=thread_ts, filename=name, title=name, content=content
        )


def _is_words(delivery: Delivery) -> bool:
    """False for a card, which tells the state, and goes first."""
    return delivery.kind not in _CARDS


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
    if facts.state is State.PLANNED:
        return frozenset({"run", "cancel", "details"})
    if facts.state in (State.RUNNING, State.SCHEDULED):
        return frozenset() if facts.cancelling else frozenset({"cancel"})
    found = {"details"}
    if facts.missed:
        found.add("retry")
    if facts.undoable:
        found.add("undo")
    return frozenset(found)
