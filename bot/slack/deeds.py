"""Deeds: what was recorded before its acknowledgement is done here, also after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bot.db.ledger import as_record
from bot.db.tables import Request
from bot.domain.errors import InvalidInput
from bot.domain.operations import Operation, Result
from bot.domain.parameters import nearest
from bot.domain.plans import RESULT_WORDS
from bot.domain.text import unescape
from bot.pipeline import Origin, Pipeline
from bot.slack import cards, forms, helptext
from bot.slack.blocks import escape
from bot.slack.typed import understand, understood
from bot.slack.voice import SlackVoice

log = structlog.get_logger(__name__)

Payload = Mapping[str, Any]


@dataclass
class Deeds:
    """Carries out recorded deeds. Each may run twice after a crash, and has one effect."""

    pipeline: Pipeline
    voice: SlackVoice
    bot_user: str

    async def do(self, key: str, kind: str, payload: Payload) -> None:
        """One deed, by its kind; marked done unless it failed."""
        work = {
            "submit": self.submit,
            "approve": self.approve,
            "reject": self.reject,
            "cancel": self.cancel,
            "mention": self.mention,
        }[kind]
        await work(key, payload)
        await self.pipeline.store.done(key)

    async def take_up(self) -> None:
        """After a start: do what was acknowledged and not finished."""
        for delivered in await self.pipeline.store.undone():
            try:
                await self.do(delivered.key, delivered.kind, delivered.payload)
            except Exception:
                log.exception("deed_failed", kind=delivered.kind)

    async def submit(self, _key: str, payload: Payload) -> None:
        await self.pipeline.submit(payload["request"], payload["digest"], payload["user"])
        request = await self.pipeline.store.request(payload["request"])
        if request is not None and request.requester == payload["user"]:
            await self.pipeline.follow(request.id)

    async def approve(self, _key: str, payload: Payload) -> None:
        words = await self.pipeline.approve(payload["request"], payload["digest"], payload["user"])
        await self._answer(payload, words)

    async def reject(self, _key: str, payload: Payload) -> None:
        words = await self.pipeline.reject(
            payload["request"], payload["digest"], payload["user"], ""
        )
        await self._answer(payload, words)

    async def cancel(self, _key: str, payload: Payload) -> None:
        await self._answer(payload, await self.pipeline.cancel(payload["request"], payload["user"]))

    async def _answer(self, payload: Payload, words: str) -> None:
        if words:
            await self.voice.tell(
                payload["user"],
                payload["channel"],
                {"text": words},
                response_url=payload.get("response_url", ""),
            )

    # --- a mention in a thread -------------------------------------------------------------------

    async def mention(self, key: str, payload: Payload) -> None:
        """`@Amend qualys 23456 change_state=RESOLVED`: as typed, with the answer in the thread."""
        text = payload["text"].replace(f"<@{self.bot_user}>", " ", 1)
        head, _, rest = unescape(text).strip().partition(" ")
        operation = self.pipeline.registry.by_command(head.lower().lstrip("/"))
        thread = payload["thread_ts"] or payload["ts"]
        if operation is None:
            await self._suggest(payload, head, thread)
            return
        try:
            parameters = understand(operation, rest)
        except InvalidInput as error:
            await self._not_understood(payload, operation, rest, error, thread)
            return
        origin = Origin(key, payload["user"], payload["channel"], thread)
        direct = not self.pipeline.needs_review(operation, parameters)
        request_id = await self.pipeline.accept(operation, parameters, origin, direct=direct)
        if request_id:
            await self.pipeline.start("prepare", request_id)

    async def _suggest(self, payload: Payload, word: str, thread: str) -> None:
        commands = [each.command for each in self.pipeline.registry.operations]
        near = nearest(word, commands, 1) or commands[:1]
        hint = f"Try `@Amend {near[0]} …`, or `/amend help`." if near else "Try `/amend help`."
        text = f"Amend does not know `{escape(word)}`. {hint}" if word else hint
        await self.voice.tell(payload["user"], payload["channel"], {"text": text}, thread_ts=thread)

    async def _not_understood(
        self, payload: Payload, operation: Operation, text: str, error: InvalidInput, thread: str
    ) -> None:
        draft = await self.voice.draft(
            operation,
            payload["user"],
            understood(operation, text),
            channel=payload["channel"],
            thread_ts=thread,
        )
        message = cards.problem_reply(operation, error.problems, form_value=draft)
        await self.voice.tell(payload["user"], payload["channel"], message, thread_ts=thread)

    # --- what people look at ---------------------------------------------------------------------

    async def details(self, request: Request) -> dict[str, Any]:
        """A request's first records with what became of each, as a modal."""
        rows = await self.pipeline.ledger.records(request.id, list(Result), 25)
        lines = []
        for row in rows:
            record = as_record(row)
            words = f": {escape(row.words)}" if row.words else ""
            result = RESULT_WORDS[Result(row.result)]
            lines.append(f"*{escape(record.id)}* {escape(record.label)} · {result}{words}")
        if request.records > len(rows):
            lines.append(f"… and {request.records - len(rows)} more in the thread's file.")
        return forms.message_view(f"Request {request.id}", "\n".join(lines) or "No records.")

    async def home(self, user: str) -> None:
        """Publish the app's home: what this person may do."""
        caller = await self.pipeline.directory.caller(user)
        if caller.barred:
            blocks = cards.denial([caller.barred])["blocks"]
        else:
            allowed = [
                each
                for each in self.pipeline.registry.operations
                if (await self.pipeline.decide(each, user, "")).allowed
            ]
            blocks = [
                *helptext.launcher(allowed, caller.name)["blocks"],
                *helptext.whoami(caller)["blocks"],
            ]
        await self.voice.client.views_publish(user_id=user, view={"type": "home", "blocks": blocks})
