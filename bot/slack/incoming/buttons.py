"""Buttons and shortcuts: what a press leads to."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot import tracing
from bot.domain.errors import AmendError
from bot.domain.operations import ME
from bot.domain.text import unescape
from bot.pipeline import Pipeline
from bot.slack.incoming.deeds import Deeds
from bot.slack.incoming.frame import (
    TRY_AGAIN,
    Ack,
    Body,
    Frame,
    channel_of,
    response_url_of,
    user_of,
)
from bot.slack.incoming.modals import Modals
from bot.slack.views import decisions, forms

# What a button on a request's card holds: the request, and as a rule the digest of its plan.
_REQUEST = re.compile(r"R[2-9A-Z]{7}(:|\Z)")

Press = Callable[[Body, str], Awaitable[None]]


# The parts of messages, blocks and attachments that hold words, and those that hold such parts.
_SAYS = ("text", "title", "pretext", "value", "fallback", "title_link", "from_url", "url")
_HOLDS = ("text", "blocks", "attachments", "fields", "elements", "title", "rows")


@dataclass
class Buttons:
    """`presses` are further buttons by name: they get the payload and the button's value.

    `over` says why the buttons of a reminder (`WATCH:RECORD:DAY`) do nothing any more, "" if they do.
    """

    pipeline: Pipeline
    modals: Modals
    deeds: Deeds
    frame: Frame
    over: Callable[[str], Awaitable[str]]
    presses: Mapping[str, Press] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.presses = {
            "form": self.modals.form_of_draft,
            "launch": self._launch,
            "review": self.modals.review_of,
            "details": self._details,
            "retry": self._retry,
            "undo": self._undo,
            "reject": self._reject,
            **self.presses,
        }

    async def on_action(self, ack: Ack, body: Body) -> None:
        action = (body.get("actions") or [{}])[0]
        name, _, _suffix = str(action.get("action_id", "")).partition(":")
        value = str(action.get("value") or "")
        if _REQUEST.match(value):
            tracing.clicked(value.partition(":")[0])
        if value.startswith("{"):
            await ack()
            self.frame.spawn(self._offered(body, value))
        elif name in ("approve", "cancel", "run"):
            await self._decide(ack, body, name, value, action)
        elif (body.get("view") or {}).get("callback_id") == "form":
            await ack()
            self.frame.spawn(self.modals.refine(body))
        else:
            await ack()
            press = self.presses.get(name)
            if press is not None:
                self.frame.spawn(self._pressed(name, press, body, value))

    async def _pressed(self, name: str, press: Press, body: Body, value: str) -> None:
        try:
            await press(body, value)
        except AmendError as error:
            await self.pipeline.acting.turned_away(user_of(body), name, error)
            await self.modals.say(body, str(error))

    # --- decisions: recorded before they are acknowledged -----------------------------------------

    async def _decide(self, ack: Ack, body: Body, name: str, value: str, action: Body) -> None:
        request_id, _, digest = value.partition(":")
        payload = {
            "user": user_of(body),
            "request": request_id,
            "digest": digest,
            "channel": channel_of(body),
            "response_url": response_url_of(body),
        }
        key = f"{name}:{body.get('trigger_id') or action.get('action_ts')}"
        taken = await self.frame.take(key, name, payload)
        await ack()
        if taken is None:
            await self.modals.say(body, TRY_AGAIN)
        elif taken:
            self.frame.in_turn(self.deeds.do(key, name, payload))

    async def _reject(self, body: Body, value: str) -> None:
        """A rejection has a reason: its form, for who may decide here."""
        request_id, _, digest = value.partition(":")
        view_id = await self.modals.open(body, forms.loading_view("Reject", "One moment …"))
        if view_id is None:
            return
        request = await self.pipeline.parts.store.request(request_id)
        why = await self.deeds.why_not(request, digest, user_of(body))
        view = forms.message_view("Reject", why)
        if not why and request is not None:
            view = decisions.reject_view(request_id, digest, channel_of(body))
        await self.modals.voice.update(view_id, view)

    async def on_reject(self, ack: Ack, body: Body) -> None:
        """The submitted reason: recorded, then acknowledged."""
        payload = {**decisions.read_reject(body["view"]), "user": user_of(body)}
        key = f"reject:{body['view']['id']}"
        await self.modals.deed(ack, key, "reject", payload, None)

    # --- everything else --------------------------------------------------------------------------

    async def _launch(self, body: Body, value: str) -> None:
        operation = self.pipeline.parts.registry.by_name(value)
        if operation is not None:
            await self.modals.open_form(body, operation, {})

    async def _details(self, body: Body, value: str) -> None:
        await self.modals.details_of(body, value.partition(":")[0])

    async def _retry(self, body: Body, value: str) -> None:
        await self.modals.again(body, value.partition(":")[0], "retry")

    async def _undo(self, body: Body, value: str) -> None:
        await self.modals.again(body, value.partition(":")[0], "undo")

    async def _offered(self, body: Body, value: str) -> None:
        """A next step: the form of its operation, filled; whoever presses must be allowed to."""
        offer = _read_offer(value)
        operation = self.pipeline.parts.registry.by_name(str(offer.get("operation")))
        if operation is None:
            await self.modals.say(body, "This is not switched on any more.")
            return
        source = str(offer.get("source") or "")
        if source and await self.pipeline.parts.store.decision_on(source):
            await self.modals.say(body, "This has been decided already.")
            return
        if over := await self.over(str(offer.get("ends") or "")):
            await self.modals.say(body, over)
            return
        channel, thread = await self.deeds.place_of(source, channel_of(body), _thread_of(body))
        values = {name: str(each) for name, each in dict(offer.get("values") or {}).items()}
        if ME in values.values():
            own = await self.pipeline.acting.account(operation.vendor, user_of(body))
            values = {name: own if each == ME else each for name, each in values.items()}
        await self.modals.open_form(
            body,
            operation,
            values,
            channel=channel,
            thread_ts=thread,
            source=source,
        )

    async def on_shortcut(self, ack: Ack, body: Body) -> None:
        """Global: the launcher. On a message: the form, filled with the records that it names."""
        await ack()
        operations = [each for each in self.pipeline.parts.registry.operations if each.command]
        message = body.get("message") or {}
        text = unescape("\n".join(texts_of(message)))
        found = [(each, ids) for each in operations if (ids := each.find(text))]
        if not message or len(found) != 1:
            self.frame.spawn(self._choose(body, found or [(each, ()) for each in operations]))
            return
        operation, ids = found[0]
        values = {operation.records_in: ",".join(ids)}
        thread = _thread_of(body)
        self.frame.spawn(self.modals.open_form(body, operation, values, thread_ts=thread))

    async def _choose(self, body: Body, found: Any) -> None:
        """Where it is not clear which operation is meant: a small launcher in a modal."""
        if len(found) == 1:
            operation, ids = found[0]
            values = {operation.records_in: ",".join(ids)} if ids else {}
            thread = _thread_of(body) if ids else ""
            await self.modals.open_form(body, operation, values, thread_ts=thread)
            return
        view_id = await self.modals.open(body, forms.loading_view("Amend", "One moment …"))
        if view_id is None:
            return
        user, channel = user_of(body), channel_of(body)
        allowed = {each.name for each in await self.pipeline.acting.allowed(user, channel)}
        thread = _thread_of(body) if body.get("message") else ""
        drafts = [
            (
                each,
                await self.modals.voice.draft(
                    each,
                    user,
                    {each.records_in: ",".join(ids)} if ids else {},
                    channel=channel,
                    thread_ts=thread,
                ),
            )
            for each, ids in found
            if each.name in allowed
        ]
        await self.modals.voice.update(view_id, decisions.choice_view(drafts))


def texts_of(message: Any) -> list[str]:
    """Everything that a message says: other apps leave `text` empty and fill blocks or attachments."""
    if isinstance(message, list):
        return [text for each in message for text in texts_of(each)]
    if not isinstance(message, Mapping) or message.get("type") == "button":
        return []
    said = [str(message[name]) for name in _SAYS if isinstance(message.get(name), str)]
    inside = [texts_of(message.get(name)) for name in _HOLDS]
    return [*said, *(text for each in inside for text in each)]


def _read_offer(value: str) -> dict[str, Any]:
    try:
        found = json.loads(value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _thread_of(body: Body) -> str:
    message = body.get("message") or {}
    return str(message.get("thread_ts") or message.get("ts") or "")
