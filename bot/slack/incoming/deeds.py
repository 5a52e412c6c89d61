"""Deeds: what was recorded before its acknowledgement is done here, also after a crash."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as AllTaken

from bot.db.ledger import Row, as_record
from bot.db.tables import Delivered, Draft, Request
from bot.domain.errors import AmendError, InvalidInput, NotAccepted, NotAllowed
from bot.domain.operations import Operation, Result
from bot.domain.plans import OVER, RESULT_WORDS, State
from bot.domain.text import by_id, unescape
from bot.pipeline import Origin, Pipeline
from bot.pipeline.deciding import no_longer
from bot.slack.incoming.frame import first_word
from bot.slack.incoming.typed import Typed, understood, wants_help
from bot.slack.outgoing.voice import SlackVoice
from bot.slack.views import cards, forms
from bot.slack.views.blocks import Block, fit, section
from bot.slack.views.changes import record_block, whole_blocks

log = structlog.get_logger(__name__)

Payload = Mapping[str, Any]

AT_ONCE = 8  # deeds that are done again at the same time
DEED_WITHIN = 60.0  # seconds for one of them
TRIES = 5
PAUSES = (10.0, 30.0, 120.0, 600.0)  # seconds after each failure but the last
GIVEN_UP = (
    "Amend failed on this five times, so it was given up and had no effect. Please tell an"
    " administrator: the log names the fault."
)
# The database being away says nothing about the deed.
NOT_ITS_FAULT = (OperationalError, InterfaceError, AllTaken)


@dataclass
class Deeds:
    """Carries out recorded deeds. Each may run twice after a crash, and has one effect."""

    pipeline: Pipeline
    voice: SlackVoice
    bot_user: str
    topic: Callable[[str, str, str, str, str], Awaitable[Mapping[str, Any] | None]]
    # How often a deed has failed in this process, and when (monotonic) it is tried again.
    _tried: dict[str, tuple[int, float]] = field(default_factory=dict)
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def do(self, key: str, kind: str, payload: Payload) -> None:
        """One deed, by its kind; marked done unless it failed."""
        work = {
            "submit": self.submit,
            "approve": self.approve,
            "reject": self.reject,
            "cancel": self.cancel,
            "run": self.run,
            "hand": self.hand,
            "mention": self.mention,
        }[kind]
        try:
            await work(key, payload)
        except NotAccepted:
            raise  # the database was too slow: once more
        except AmendError as error:  # a no is an answer, and trying again would bring it again
            await self._answer(payload, str(error))
        await self.pipeline.parts.store.done(key)

    async def take_up(self, older: float = 0.0) -> None:
        """Do what was acknowledged at least so many seconds ago and not finished.

        Each apart from the others and within its time: one that hangs or fails holds up none.
        """
        now = time.monotonic()
        due = [
            each
            for each in await self.pipeline.parts.store.undone(older)
            if self._tried.get(each.key, (0, now))[1] <= now
        ]
        await asyncio.gather(*(self._again(each) for each in due))

    async def _again(self, delivered: Delivered) -> None:
        try:
            async with self._at_once, asyncio.timeout(DEED_WITHIN):
                await self.do(delivered.key, delivered.kind, delivered.payload)
        except NOT_ITS_FAULT:
            log.warning("deed_not_done_yet", kind=delivered.kind)
        except Exception:
            log.exception("deed_failed", kind=delivered.kind)
            await self._failed(delivered)
        else:
            self._tried.pop(delivered.key, None)

    async def _failed(self, delivered: Delivered) -> None:
        """Again after growing pauses; given up and told after the last try."""
        tries = self._tried.get(delivered.key, (0, 0.0))[0] + 1
        if tries < TRIES:
            self._tried[delivered.key] = tries, time.monotonic() + PAUSES[tries - 1]
            return
        self._tried.pop(delivered.key, None)
        await self.pipeline.parts.store.done(delivered.key)
        try:
            await self._answer(delivered.payload, GIVEN_UP)
        except Exception:
            log.exception("deed_not_told", kind=delivered.kind)

    async def submit(self, _key: str, payload: Payload) -> None:
        await self.pipeline.submit(
            payload["request"],
            payload["digest"],
            payload["user"],
            wished=payload.get("run_at"),
            in_quiet=bool(payload.get("in_quiet")),
            reason=str(payload.get("reason") or ""),
        )
        request = await self.pipeline.parts.store.request(payload["request"])
        if request is None or request.requester != payload["user"]:
            return
        if request.state == State.EXPIRED and request.expires_at is None:
            words = "This review was left for more than a day. Please ask again."
            await self._answer({**payload, "channel": request.channel}, words)
            return
        await self.pipeline.follow(request.id)

    async def run(self, _key: str, payload: Payload) -> None:
        """The owner's press on what their program proposed: from here on as if they had asked."""
        request = await self.pipeline.parts.store.request(payload["request"])
        if request is None or request.requester != payload["user"]:
            owner = f" It is <@{request.requester}>'s to run." if request else ""
            refusal = NotAllowed([f"Only the person whose program asked can run this.{owner}"])
            await self.pipeline.acting.turned_away(
                payload["user"], "run", refusal, request.id if request else ""
            )
            await self._answer(payload, str(refusal))
            return
        moved = await self.pipeline.submit(
            request.id, payload["digest"], payload["user"], reason=request.reason
        )
        if moved is None and request.state in (State.PLANNED, *OVER):
            await self._answer(payload, no_longer(request))
            return
        await self.pipeline.follow(request.id)
        await self.voice.show(request.id)

    async def approve(self, _key: str, payload: Payload) -> None:
        words = await self.pipeline.approvals.approve(
            payload["request"], payload["digest"], payload["user"]
        )
        await self._answer(payload, words)

    async def reject(self, _key: str, payload: Payload) -> None:
        words = await self.pipeline.approvals.reject(
            payload["request"], payload["digest"], payload["user"], payload.get("reason", "")
        )
        await self._answer(payload, words)

    async def why_not(self, request: Request | None, digest: str, user: str) -> str:
        """Why this person cannot decide on a request now; "" where they can."""
        if request is None or request.state != State.PENDING_APPROVAL or request.digest != digest:
            return no_longer(request)
        decision = await self.pipeline.approvals.may(request, user)
        if decision.allowed:
            return ""
        if not decision.unsure:
            refusal = NotAllowed(decision.reasons)
            await self.pipeline.acting.turned_away(user, "reject", refusal, request.id)
        return " ".join(decision.reasons)

    async def place_of(self, source: str, channel: str, thread: str) -> tuple[str, str]:
        """Where a next step is carried out: in the thread of the request that it follows.

        Whose card is on its way to Slack has no thread yet: the messenger waits for it.
        """
        request = await self.pipeline.parts.store.request(source) if source else None
        if request is None:
            return channel, thread
        card = await self.voice.outbox.get(f"{source}:card")
        if card is None or not card.ts:
            return request.channel, request.thread_ts
        return card.channel, card.thread_ts or card.ts

    async def cancel(self, _key: str, payload: Payload) -> None:
        """The button's card tells the rest; what was typed gets its answer in any case."""
        cancel = self.stopped if payload.get("typed") else self.pipeline.cancel
        await self._answer(payload, await cancel(payload["request"], payload["user"]))

    async def stopped(self, request_id: str, user: str) -> str:
        """A stop that somebody typed, and how it ended, in a sentence."""
        why = await self.pipeline.cancel(request_id, user)
        request = await self.pipeline.parts.store.request(request_id)
        if why or request is None:
            return why
        ends = "stops after the calls under way" if request.cancelling else "is cancelled"
        return f"Request {request_id} {ends}."

    async def _answer(self, payload: Payload, words: str) -> None:
        if words:
            await self.voice.tell(
                payload["user"],
                payload.get("channel") or "",  # else directly
                {"text": words},
                response_url=payload.get("response_url", ""),
            )

    async def hand(self, key: str, payload: Payload) -> None:
        """A request that somebody may not make goes to somebody who may, filled in."""
        user, to = payload["user"], payload["to"]
        draft = await self.pipeline.parts.store.draft(payload["draft"])
        if draft is None or draft.slack_user != user:
            return
        here = {"user": user, "channel": draft.channel}
        operation = self.pipeline.acting.operation(draft.operation)
        try:
            await self.pipeline.acting.require_standing(user)
        except AmendError as error:
            await self.pipeline.acting.turned_away(user, "hand", error)
            await self._answer(here, str(error))
            return
        try:
            await self.pipeline.acting.require(operation, to, draft.channel)
        except AmendError as error:
            head = "Choose somebody else for it. " if isinstance(error, NotAllowed) else ""
            await self._answer(here, f"{head}{error}")
            return
        copy = handed_copy(draft, key, to)
        await self.pipeline.parts.store.hand_on(copy, user)
        await self.voice.direct(to, cards.handed(operation, user, draft.values, copy.id))
        await self._answer(here, f"<@{to}> has it now, filled in and ready to review.")

    # --- a mention in a thread --------------------------------------------------------------------

    async def mention(self, key: str, payload: Payload) -> None:
        """`@Amend qualys 23456 change_state=RESOLVED`: as typed, with the answer in the thread."""
        text = payload["text"].replace(f"<@{self.bot_user}>", " ", 1)
        head, rest = first_word(text)
        word = unescape(head).lstrip("/")
        operation = self.pipeline.parts.registry.by_command(word)
        thread = payload["thread_ts"] or payload["ts"]
        if operation is None or wants_help(unescape(rest), operation):
            await self._topic(key, payload, word, unescape(by_id(rest)).strip(), thread)
            return
        try:
            typed = Typed(self.pipeline, self.voice)
            found = await typed.understand(operation, rest, payload["user"])
        except InvalidInput as error:
            await self._not_understood(payload, operation, unescape(rest), error, thread)
            return
        parameters = found.parameters
        origin = Origin(key, payload["user"], payload["channel"], thread)
        direct = not (found.guessed or self.pipeline.needs_review(operation, parameters))
        request_id = await self.pipeline.accept(operation, parameters, origin, direct=direct)
        if request_id:
            await self.pipeline.parts.start("prepare", request_id)

    async def _topic(self, key: str, payload: Payload, word: str, rest: str, thread: str) -> None:
        """What is no edit is answered in the thread, privately; a stop is carried out as well."""
        user, channel = payload["user"], payload["channel"]
        if wants_help(rest, None):
            answer = await self.topic(key, "help", user, channel, word)
        elif word == "cancel" and rest:
            answer = {"text": await self.stopped(rest.upper(), user)}
        else:
            answer = await self.topic(key, word, user, channel, rest)
        if answer is not None:
            await self.voice.tell(user, channel, answer, thread_ts=thread)

    async def _not_understood(
        self, payload: Payload, operation: Operation, text: str, error: InvalidInput, thread: str
    ) -> None:
        values = understood(operation, text)
        draft = await self.voice.draft(
            operation, payload["user"], values, channel=payload["channel"], thread_ts=thread
        )
        message = cards.problem_reply(operation, error.problems, values, draft)
        await self.voice.tell(payload["user"], payload["channel"], message, thread_ts=thread)

    # --- what people look at ----------------------------------------------------------------------

    async def receipt(self, request: Request) -> dict[str, Any]:
        """A request's receipt again, as a message for one person."""
        operation = self.pipeline.acting.operation(request.operation)
        rows = await self.pipeline.parts.ledger.foremost(request.id, 20)
        facts = await self.pipeline.facts(request)
        outcomes = [(as_record(row), Result(row.result), row.said) for row in rows]
        card = cards.card(operation, facts, now=time.time(), offers=frozenset({"details"}))
        reply = cards.thread_reply(operation, facts, outcomes)
        return {"text": card["text"], "blocks": fit([*card["blocks"], *reply["blocks"]])}

    async def details(self, request: Request) -> dict[str, Any]:
        """A request's changes whole and its first records with what became of each, as a modal."""
        operation = self.pipeline.acting.operation(request.operation)
        own = request.relation == "undo"
        rows = await self.pipeline.parts.ledger.foremost(request.id, 12 if own else 25)
        changes = whole_blocks(operation, await self.pipeline.facts(request))
        blocks = [*changes, *(_detail(row, moves=own) for row in rows)]
        if request.records > len(rows):
            rest = request.records - len(rows)
            blocks.append(section(f"… and {rest} more in the thread's file."))
        view = forms.message_view(f"Request {request.id}", "No records.")
        return {**view, "blocks": blocks or view["blocks"]}


def handed_copy(draft: Draft, key: str, to: str) -> Draft:
    """What is handed on, as a draft of the person who gets it: one for each deed, by its `key`."""
    return Draft(
        id=f"D{sha256(key.encode()).hexdigest()[:16]}",
        slack_user=to,
        operation=draft.operation,
        values=dict(draft.values),
        channel=draft.channel,
        thread_ts=draft.thread_ts,
        created_at=time.time(),
    )


def _detail(row: Row, *, moves: bool) -> Block:
    """A record with what became of it, and with its `moves` where they are its own."""
    words = f": {row.said}" if row.said else ""
    became = f"{RESULT_WORDS[Result(row.result)]}{words}"
    return record_block(as_record(row), became, moves=moves)
