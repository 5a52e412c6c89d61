"""Slash commands: an operation's own words, or one of `/amend`'s topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bot.domain.errors import AmendError, Denied, InvalidInput
from bot.domain.operations import Operation
from bot.domain.parameters import Parameters, nearest
from bot.domain.text import unescape
from bot.pipeline import Pipeline
from bot.slack.incoming.frame import (
    TRY_AGAIN,
    Ack,
    Body,
    Frame,
    Message,
    channel_of,
    first_word,
    origin_of,
    private,
    response_url_of,
    user_of,
)
from bot.slack.incoming.modals import Modals
from bot.slack.incoming.typed import understand, understood
from bot.slack.outgoing.voice import SlackVoice
from bot.slack.views import cards
from bot.slack.views.blocks import escape


@dataclass(frozen=True)
class Asked:
    """A topic that somebody typed after `/amend`, with what followed it."""

    user: str
    channel: str
    words: str
    body: Body


Topic = Callable[[Asked], Awaitable[Message | None]]


@dataclass
class Commands:
    """`topics` are the words after `/amend` that are no operation; "" is `/amend` alone."""

    pipeline: Pipeline
    voice: SlackVoice
    modals: Modals
    frame: Frame
    topics: Mapping[str, Topic] = field(default_factory=dict)

    async def on_command(self, ack: Ack, body: Body) -> None:
        command = str(body.get("command", "")).lstrip("/").lower()
        text = unescape(str(body.get("text") or "")).strip()
        if command == "amend":
            command, text = first_word(text)
        operation = self.pipeline.parts.registry.by_command(command)
        if operation is None:
            await self._topic(ack, body, command, text)
        elif not text:
            await ack()
            self.frame.spawn(self.modals.open_form(body, operation, {}))
        else:
            await self._typed(ack, body, operation, text)

    # --- topics -----------------------------------------------------------------------------------

    async def _topic(self, ack: Ack, body: Body, word: str, rest: str) -> None:
        topic = self.topics.get(word)
        if topic is None:
            operations = self.pipeline.parts.registry.operations
            known = [*filter(None, self.topics), *(each.command for each in operations)]
            near = nearest(word, [each for each in known if each], 2)
            hint = " or ".join(f"`/amend {each}`" for each in near) or "`/amend help`"
            await ack(private(f"Amend does not know `{escape(word)}`. Try {hint}."))
            return
        if word == "cancel":
            await self._cancel(ack, body, rest)
            return
        await ack()
        asked = Asked(user_of(body), channel_of(body), rest, body)
        self.frame.spawn(self._answer(topic, asked))

    async def _answer(self, topic: Topic, asked: Asked) -> None:
        answer = await self.answer_of(topic, asked)
        if answer is not None:
            url = response_url_of(asked.body)
            await self.voice.tell(asked.user, asked.channel, answer, response_url=url)

    async def answer_of(self, topic: Topic, asked: Asked) -> Message | None:
        """A topic's answer for this person; a refusal is an answer too."""
        caller = await self.pipeline.parts.directory.caller(asked.user)
        try:
            return cards.denial([caller.barred]) if caller.barred else await topic(asked)
        except Denied as error:
            return cards.denial(error.reasons)
        except AmendError as error:
            return {"text": str(error)}

    async def _cancel(self, ack: Ack, body: Body, words: str) -> None:
        """A stop is a decision: recorded before it is acknowledged."""
        request_id = words.strip().upper()
        if not request_id:
            await ack(private("Which one? `/amend cancel REQUEST`; `/amend requests` lists yours."))
            return
        payload = {
            "user": user_of(body),
            "channel": channel_of(body),
            "request": request_id,
            "response_url": response_url_of(body),
        }
        key = f"cancel:{body.get('trigger_id')}"
        taken = await self.frame.take(key, "cancel", payload)
        await ack(private(TRY_AGAIN if taken is None else f"Stopping {escape(request_id)} …"))
        if taken:
            self.frame.spawn(self.modals.deeds.do(key, "cancel", payload))

    # --- operations -------------------------------------------------------------------------------

    async def _typed(self, ack: Ack, body: Body, operation: Operation, text: str) -> None:
        """A typed request: its errors at once; else recorded and acknowledged, then planned."""
        try:
            parameters = understand(operation, text)
        except InvalidInput as error:
            reply = await self._not_understood(body, operation, text, error)
            await ack({"response_type": "ephemeral", **reply})
            return
        origin = origin_of(body, f"command:{body.get('trigger_id')}")
        if self.pipeline.needs_review(operation, parameters):
            await ack()
            self.frame.spawn(self.modals.review_typed(body, operation, parameters, origin))
            return
        request_id = await self.modals.accept(operation, parameters, origin, direct=True)
        if request_id is None:
            await ack(private(TRY_AGAIN))
        elif request_id == "":
            await ack()
        else:
            await ack(private(f"Reading {_what(operation, parameters)} …"))
            self.frame.spawn(self._prepare(request_id))

    async def _prepare(self, request_id: str) -> None:
        await self.pipeline.parts.start("prepare", request_id)

    async def _not_understood(
        self, body: Body, operation: Operation, text: str, error: InvalidInput
    ) -> Message:
        """What is wrong, and the form filled with what was understood: nothing typed is lost."""
        values = understood(operation, text)
        draft = await self.voice.draft_in_time(
            operation, user_of(body), values, channel=channel_of(body)
        )
        return cards.problem_reply(operation, error.problems, values, draft)


def _what(operation: Operation, parameters: Parameters) -> str:
    ids = getattr(parameters, operation.records_in)
    shown = ids if isinstance(ids, str | int) else ",".join(ids)
    return f"{operation.noun[0]} {escape(str(shown))} at {operation.vendor_title}"
