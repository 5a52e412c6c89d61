"""Slash commands: an operation's own words, or one of `/amend`'s topics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.domain.errors import AmendError, Denied, InvalidInput, NotAllowed
from bot.domain.operations import Operation
from bot.domain.parameters import nearest
from bot.domain.reading import means_something
from bot.domain.text import by_id, unescape
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
from bot.slack.incoming.typed import HELP_WORDS, Typed, understood, wants_help
from bot.slack.outgoing.voice import SlackVoice
from bot.slack.views import cards
from bot.slack.views.blocks import escape

DECIDE_WITHIN = 0.3  # seconds inside the acknowledgement
DECISIONS = frozenset({"approve", "reject", "deny", "decline"})
# Topics that may open a form, so that they need a trigger; all others are answered with words.
WITH_FORMS = frozenset({"watch", "undo", "retry", "link", "people", "token"})
INSTEAD = {
    "status": "requests",
    "state": "requests",
    "list": "requests",
    "running": "requests",
    "log": "history",
    "stop": "cancel REQUEST",
    "revert": "undo REQUEST",
    "permissions": "whoami",
    "notify": "watch VENDOR",
    "stats": "report",
    "subscribe": "watch VENDOR",
    "login": "link VENDOR",
}


@dataclass(frozen=True)
class Asked:
    """A topic that somebody typed after `/amend`, with what followed it.

    `key` is the same for each try of the same act.
    """

    user: str
    channel: str
    words: str
    body: Body
    topic: str = ""
    key: str = ""


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
        raw = str(body.get("text") or "").strip()
        if command == "amend":
            command, raw = first_word(raw)
        text = unescape(raw).strip()
        operation = self.pipeline.parts.registry.by_command(command)
        if command in HELP_WORDS or wants_help(text, operation):
            await self._topic(ack, body, "help", text if command in HELP_WORDS else command)
            return
        if operation is None:
            await self._topic(ack, body, command, unescape(by_id(raw)).strip())
        elif not text:
            await ack()
            self.frame.spawn(self.modals.open_form(body, operation, {}))
        else:
            await self._typed(ack, body, operation, raw)

    # --- topics -----------------------------------------------------------------------------------

    async def _topic(self, ack: Ack, body: Body, word: str, rest: str) -> None:
        topic = self.topics.get(word)
        if topic is None:
            operations = self.pipeline.parts.registry.operations
            await ack(private(not_a_topic(word, rest, operations, list(self.topics))))
            return
        if word == "cancel":
            await self._cancel(ack, body, rest)
            return
        await ack()
        asked = _asked(body, word, rest)
        # What opens a form must use its trigger at once; plain answers are given in turn.
        start = self.frame.spawn if word in WITH_FORMS else self.frame.in_turn
        start(self._answer(topic, asked))

    async def mentioned(
        self, key: str, word: str, user: str, channel: str, rest: str
    ) -> Message | None:
        """A topic's answer to a mention, which has no trigger: a button opens what has a form.

        `key` is the mention's, the same for each try.
        """
        topic = self.topics.get(word)
        if topic is None:
            operations = self.pipeline.parts.registry.operations
            return {"text": not_a_topic(word, rest, operations, list(self.topics))}
        if word in WITH_FORMS and not (word == "watch" and first_word(rest)[1]):
            return cards.opens(word, first_word(rest)[0])
        return await self.answer_of(topic, Asked(user, channel, rest, {}, word, key))

    async def opened(self, body: Body, value: str) -> None:
        """The button that answers a mention: the topic, with a trigger for its form."""
        word, rest = first_word(value)
        topic = self.topics.get(word)
        if topic is not None:
            await self._answer(topic, _asked(body, word, rest))

    async def _answer(self, topic: Topic, asked: Asked) -> None:
        answer = await self.answer_of(topic, asked)
        if answer is not None:
            url = response_url_of(asked.body)
            await self.voice.tell(asked.user, asked.channel, answer, response_url=url)

    async def answer_of(self, topic: Topic, asked: Asked) -> Message | None:
        """A topic's answer for this person; a refusal is an answer too."""
        caller = await self.pipeline.parts.directory.caller(asked.user)
        try:
            if caller.barred:
                raise NotAllowed([caller.barred])
            return await topic(asked)
        except Denied as error:
            await self.pipeline.acting.turned_away(asked.user, asked.topic, error)
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
            "typed": True,
        }
        key = f"cancel:{body.get('trigger_id')}"
        taken = await self.frame.take(key, "cancel", payload)
        # No word of "stopping", which nothing could replace: what came of it is the answer.
        await ack(private(TRY_AGAIN) if taken is None else None)
        if taken:
            self.frame.in_turn(self.modals.deeds.do(key, "cancel", payload))

    # --- operations -------------------------------------------------------------------------------

    async def _typed(self, ack: Ack, body: Body, operation: Operation, raw: str) -> None:
        """A typed request: its errors at once; else recorded and acknowledged, then planned.

        Who may not do it at all is told so first: nothing is read, and no review opens.
        """
        try:
            typed = Typed(self.pipeline, self.voice)
            found = await typed.understand(operation, raw, user_of(body))
        except InvalidInput as error:
            reply = await self._not_understood(body, operation, unescape(raw), error)
            await ack({"response_type": "ephemeral", **reply})
            return
        parameters = found.parameters
        origin = origin_of(body, f"command:{body.get('trigger_id')}")
        reviewed = found.guessed or self.pipeline.needs_review(operation, parameters)
        if reviewed and not await self._is_denied(operation, body):
            await ack()
            self.frame.spawn(self.modals.review_typed(body, operation, parameters, origin))
            return
        request_id, why = await self.modals.accept(
            operation, parameters, origin, direct=not reviewed
        )
        # No word of "reading": Slack lets nobody replace the answer to a command, so that it would
        # stand for ever above what came of it.
        await ack(private(why) if why else None)
        if request_id:
            self.frame.in_turn(self._prepare(request_id))

    async def _is_denied(self, operation: Operation, body: Body) -> bool:
        """True where it is known at once that this person may not; the request says why."""
        try:
            async with asyncio.timeout(DECIDE_WITHIN):
                decision = await self.pipeline.acting.decide(
                    operation, user_of(body), channel_of(body)
                )
        except Exception:
            return False
        return not decision.allowed

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


def _asked(body: Body, word: str, rest: str) -> Asked:
    key = f"topic:{body.get('trigger_id')}"
    return Asked(user_of(body), channel_of(body), rest, body, word, key)


def not_a_topic(
    word: str, rest: str, operations: Sequence[Operation], topics: Sequence[str]
) -> str:
    """What to do instead of `/amend WORD`; decisions are never typed."""
    commands = [each.command for each in operations if each.command]
    if word in DECISIONS:
        request = f" {escape(rest.split(maxsplit=1)[0].upper())}" if rest else ""
        return (
            f"Open `/amend show{request or ' REQUEST'}`, or the card: {word} is a button there,"
            " because a decision holds for exactly the plan that is shown."
        )
    if word in INSTEAD:
        return f"Type `/amend {INSTEAD[word]}`. Amend does not know `{escape(word)}`."
    verbs = [
        f"`{each.typed_as()} {escape(word)} …`"
        for each in operations
        if each.command and means_something(each, word)
    ]
    near = nearest(word, [*filter(None, topics), *commands], 2)
    hint = " or ".join(verbs or [f"`/amend {each}`" for each in near]) or "`/amend help`"
    return f"Try {hint}. Amend does not know `{escape(word)}`."
