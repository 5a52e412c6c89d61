"""Bolt listeners: record, acknowledge, hand on. No vendor is waited for, and no exception leaves."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError

from bot.domain.errors import Denied, InvalidInput
from bot.domain.operations import Context, Operation
from bot.domain.parameters import Parameters, nearest, read
from bot.domain.text import unescape
from bot.metrics import ACK_SECONDS
from bot.pipeline import ACCEPT_WITHIN, Origin, Pipeline
from bot.slack import cards, forms, helptext
from bot.slack.blocks import escape
from bot.slack.deeds import Deeds
from bot.slack.directory import outsider
from bot.slack.typed import understand, understood
from bot.slack.voice import SlackVoice

log = structlog.get_logger(__name__)

NOT_ACCEPTED = "Amend could not record this in time, so it was *not accepted* and nothing will run."
TRY_AGAIN = f"{NOT_ACCEPTED} Please try again in a moment."
LOOKUP_WITHIN = 2.3  # seconds; Slack takes options only inside the acknowledgement's three
TOPICS = ("help", "whoami")

Message = Mapping[str, Any]
Body = dict[str, Any]


@dataclass
class Listeners:
    """Everything that Slack can send, and what it leads to."""

    pipeline: Pipeline
    voice: SlackVoice
    deeds: Deeds
    team: str
    enterprise: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def register(self, app: AsyncApp) -> None:
        """Register every listener; the specific ones first, the catch-alls last."""
        app.middleware(self._take_events)
        app.command(re.compile(r"^/[a-z]"))(self._guarded(self.on_command))
        app.shortcut(re.compile(r".*"))(self._guarded(self.on_shortcut))
        app.view("form")(self._guarded(self.on_form))
        app.view("review")(self._guarded(self.on_review))
        app.view(re.compile(r".*"))(self._guarded(self.on_other_view))
        app.options(re.compile(r".*"))(self._guarded(self.on_options))
        app.action(re.compile(r".*"))(self._guarded(self.on_action))
        app.event("app_home_opened")(self._guarded(self.on_home))
        app.event(re.compile(r".*"))(self._guarded(self.on_event))

    # --- the frame of every listener -------------------------------------------------------------

    def _guarded(self, listener: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """No exception may leave a listener: Bolt would take back an acknowledgement just given."""

        async def run(ack: Any, body: Body) -> None:
            began = time.monotonic()
            acked = _Ack(ack, listener.__name__, began)
            try:
                if outsider(body, self.team, self.enterprise):
                    await acked()
                    return
                await listener(acked, body)
            except Exception:
                log.exception("listener_failed", listener=listener.__name__)
            finally:
                if not acked.given:
                    await acked()

        return _with_arguments(run)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work after the acknowledgement, in a task that is held until it ends."""

        async def safe() -> None:
            try:
                await work
            except Exception:
                log.exception("task_failed")

        task = asyncio.create_task(safe())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Let running tasks end, for at most `seconds`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def take(self, key: str, kind: str, payload: Body) -> bool | None:
        """Record a delivery: True the first time, False for a repeat, None where it failed."""
        try:
            async with asyncio.timeout(2 * ACCEPT_WITHIN):
                deadline = time.monotonic() + ACCEPT_WITHIN
                return await self.pipeline.store.take(key, kind, payload, deadline)
        except Exception as error:
            log.warning("not_recorded", kind=kind, error=type(error).__name__)
            return None

    # --- commands --------------------------------------------------------------------------------

    async def on_command(self, ack: _Ack, body: Body) -> None:
        command = str(body.get("command", "")).lstrip("/").lower()
        text = unescape(str(body.get("text") or "")).strip()
        if command == "amend":
            command, text = _first_word(text)
        operation = self.pipeline.registry.by_command(command)
        if operation is None:
            await self._amend(ack, body, command, text)
        elif not text:
            await ack()
            self.spawn(self._open_form(body, operation, {}))
        else:
            await self._typed(ack, body, operation, text)

    async def _amend(self, ack: _Ack, body: Body, topic: str, rest: str) -> None:
        """`/amend` with a word that is no operation: launcher, help, whoami, or a suggestion."""
        if topic and topic not in TOPICS:
            commands = [each.command for each in self.pipeline.registry.operations]
            near = nearest(topic, [*TOPICS, *commands], 2)
            hint = " or ".join(f"`/amend {each}`" for each in near) or "`/amend help`"
            await ack(_private(f"Amend does not know `{escape(topic)}`. Try {hint}."))
            return
        await ack()
        self.spawn(self._inform(body, topic, rest))

    async def _inform(self, body: Body, topic: str, rest: str) -> None:
        user, channel = _user(body), _channel(body)
        caller = await self.pipeline.directory.caller(user)
        if caller.barred:
            message: Message = cards.denial([caller.barred])
        elif topic == "whoami":
            message = helptext.whoami(caller)
        else:
            allowed = [
                each
                for each in self.pipeline.registry.operations
                if (await self.pipeline.decide(each, user, channel)).allowed
            ]
            if topic == "help":
                message = helptext.help_message(allowed, rest or None)
            else:
                message = helptext.launcher(allowed, caller.name)
        await self.voice.tell(user, channel, message, response_url=body.get("response_url", ""))

    async def _typed(self, ack: _Ack, body: Body, operation: Operation, text: str) -> None:
        """A typed request: its errors at once; else recorded and acknowledged, then planned."""
        try:
            parameters = understand(operation, text)
        except InvalidInput as error:
            await ack(
                {
                    "response_type": "ephemeral",
                    **await self._not_understood(
                        operation, text, error, _user(body), _channel(body)
                    ),
                }
            )
            return
        origin = _origin(body, f"command:{body.get('trigger_id')}")
        if self.pipeline.needs_review(operation, parameters):
            await ack()
            self.spawn(self._review_in_modal(body, operation, parameters, origin))
            return
        request_id = await self._accept(operation, parameters, origin, direct=True)
        if request_id is None:
            await ack(_private(TRY_AGAIN))
        elif request_id == "":
            await ack()
        else:
            await ack(_private(f"Reading {_what(operation, parameters)} …"))
            self.spawn(self._prepare(request_id))

    async def _prepare(self, request_id: str) -> None:
        await self.pipeline.start("prepare", request_id)

    async def _accept(
        self, operation: Operation, parameters: Parameters, origin: Origin, *, direct: bool
    ) -> str | None:
        """The new request's id, "" for a redelivery, None where it could not be recorded."""
        try:
            async with asyncio.timeout(2 * ACCEPT_WITHIN):
                accepted = await self.pipeline.accept(operation, parameters, origin, direct=direct)
                return accepted or ""
        except Exception as error:
            log.warning("not_accepted", error=type(error).__name__)
            return None

    async def _not_understood(
        self, operation: Operation, text: str, error: InvalidInput, user: str, channel: str
    ) -> Message:
        """What is wrong, and the form filled with what was understood: nothing typed is lost."""
        values = understood(operation, text)
        try:
            draft = await asyncio.wait_for(
                self.voice.draft(operation, user, values, channel=channel), ACCEPT_WITHIN
            )
        except Exception:
            draft = None
        return cards.problem_reply(operation, error.problems, form_value=draft)

    async def _review_in_modal(
        self, body: Body, operation: Operation, parameters: Parameters, origin: Origin
    ) -> None:
        title = f"Reading {operation.noun[1]}"
        view_id = await self._open(body, forms.loading_view(title, "Reading what is selected …"))
        if view_id is None:
            return
        placed = Origin(
            origin.key, origin.user, origin.channel, origin.thread_ts, view_id, origin.response_url
        )
        request_id = await self._accept(operation, parameters, placed, direct=False)
        if request_id is None:
            await self.voice.update(view_id, forms.message_view("Not accepted", TRY_AGAIN))
        elif request_id:
            await self.pipeline.start("prepare", request_id)

    # --- forms -----------------------------------------------------------------------------------

    async def _open(self, body: Body, view: Body) -> str | None:
        """Use the trigger at once; its view id, or None where it had expired."""
        try:
            answer = await self.voice.client.views_open(trigger_id=body["trigger_id"], view=view)
        except (SlackApiError, OSError, TimeoutError) as error:
            log.info("view_not_opened", error=type(error).__name__)
            text = "Slack gave up waiting for the form; please do that once more."
            message = {"text": text}
            await self.voice.tell(
                _user(body), _channel(body), message, response_url=body.get("response_url", "")
            )
            return None
        return str(answer["view"]["id"])

    async def _open_form(
        self,
        body: Body,
        operation: Operation,
        values: Mapping[str, Any],
        *,
        channel: str = "",
        thread_ts: str = "",
    ) -> None:
        """Open a shell with the trigger, then fill it once it is known that this person may."""
        view_id = await self._open(body, forms.loading_view(operation.title, "One moment …"))
        if view_id is None:
            return
        user, where = _user(body), channel or _channel(body)
        try:
            await self.pipeline.require(operation, user, where)
            draft = await self.voice.draft(
                operation, user, values, channel=where, thread_ts=thread_ts
            )
        except Denied as error:
            view = forms.message_view("Not allowed", "\n".join(error.reasons))
        except Exception:
            log.exception("form_not_opened")
            view = forms.message_view("Not available", "Amend's database does not answer just now.")
        else:
            view = forms.form_view(operation, values, draft=draft)
        await self.voice.update(view_id, view)

    async def on_form(self, ack: _Ack, body: Body) -> None:
        """A submitted form: its errors on their inputs, else the review in the same modal."""
        view = body["view"]
        about = json.loads(view.get("private_metadata") or "{}")
        operation = self.pipeline.registry.by_name(str(about.get("operation")))
        if operation is None:
            await ack(_to_view("Not available", "This form is not switched on any more."))
            return
        raw = forms.read_form(operation, view["state"]["values"])
        try:
            parameters = read(operation.parameters, raw)
        except InvalidInput as error:
            errors = forms.form_errors(operation, view, error.problems)
            await ack({"response_action": "errors", "errors": errors})
            return
        shell = forms.loading_view(f"Reading {operation.noun[1]}", "Reading what is selected …")
        await ack({"response_action": "update", "view": shell})
        self.spawn(self._plan_form(body, operation, parameters, str(about.get("draft"))))

    async def _plan_form(
        self, body: Body, operation: Operation, parameters: Parameters, draft_id: str
    ) -> None:
        view = body["view"]
        draft = await self.pipeline.store.draft(draft_id)
        if draft is None or draft.slack_user != _user(body) or draft.operation != operation.name:
            text = "This form is not yours, or too old. Please open a new one."
            await self.voice.update(view["id"], forms.message_view("Not accepted", text))
            return
        key = f"form:{view['id']}:{view.get('hash', '')}"
        origin = Origin(key, _user(body), draft.channel, draft.thread_ts, view["id"])
        request_id = await self._accept(operation, parameters, origin, direct=False)
        if request_id is None:
            await self.voice.update(view["id"], forms.message_view("Not accepted", TRY_AGAIN))
        elif request_id:
            await self.pipeline.start("prepare", request_id)

    async def on_review(self, ack: _Ack, body: Body) -> None:
        """A submitted review starts the request: recorded first, then acknowledged."""
        about = json.loads(body["view"].get("private_metadata") or "{}")
        payload = {
            "user": _user(body),
            "request": str(about.get("request")),
            "digest": str(about.get("digest")),
        }
        key = f"submit:{payload['request']}:{payload['user']}"
        await self._start_deed(ack, key, "submit", payload, {"response_action": "clear"})

    async def _start_deed(
        self, ack: _Ack, key: str, kind: str, payload: Body, accepted: Body | None
    ) -> None:
        """Record a deed, acknowledge it, then do it; a repeat is acknowledged and has no effect."""
        taken = await self.take(key, kind, payload)
        if taken is None:
            await ack({"response_action": "push", **_view("Not accepted", TRY_AGAIN)})
            return
        await ack(accepted)
        if taken:
            self.spawn(self.deeds.do(key, kind, payload))

    async def on_other_view(self, ack: _Ack, _body: Body) -> None:
        await ack()

    async def on_options(self, ack: _Ack, body: Body) -> None:
        """Entries of a vendor's list as one types; an empty list rather than a late one."""
        about = json.loads((body.get("view") or {}).get("private_metadata") or "{}")
        operation = self.pipeline.registry.by_name(str(about.get("operation")))
        typed = str(body.get("value") or "")
        entries: Any = ()
        spec = operation.params().get(str(body.get("block_id"))) if operation else None
        if operation is not None and spec is not None and spec.lookup:
            try:
                async with asyncio.timeout(LOOKUP_WITHIN):
                    decision = await self.pipeline.require(operation, _user(body), "")
                    state = ((body.get("view") or {}).get("state") or {}).get("values") or {}
                    context = Context(forms.read_form(operation, state), decision.account)
                    entries = await operation.lookup(spec.lookup, typed, context)
            except Exception as error:
                log.info("lookup_failed", error=type(error).__name__)
        await ack({"options": forms.lookup_options(entries, typed)})

    # --- buttons, shortcuts ----------------------------------------------------------------------

    async def on_action(self, ack: _Ack, body: Body) -> None:
        action = (body.get("actions") or [{}])[0]
        name, _, suffix = str(action.get("action_id", "")).partition(":")
        value = str(action.get("value") or "")
        if name in ("approve", "reject", "cancel"):
            await self._press(ack, body, name, value, action)
            return
        await ack()
        if name == "form":
            self.spawn(self._form_of_draft(body, value))
        elif name == "launch":
            operation = self.pipeline.registry.by_name(suffix)
            if operation is not None:
                self.spawn(self._open_form(body, operation, {}))
        elif name == "review":
            self.spawn(self._review_of(body, value))
        elif name == "details":
            self.spawn(self._details(body, value))

    async def _press(self, ack: _Ack, body: Body, name: str, value: str, action: Body) -> None:
        request_id, _, digest = value.partition(":")
        payload = {
            "user": _user(body),
            "request": request_id,
            "digest": digest,
            "channel": _channel(body),
            "response_url": body.get("response_url", ""),
        }
        key = f"{name}:{body.get('trigger_id') or action.get('action_ts')}"
        taken = await self.take(key, name, payload)
        await ack()
        if taken is None:
            await self._say(body, TRY_AGAIN)
        elif taken:
            self.spawn(self.deeds.do(key, name, payload))

    async def _say(self, body: Body, text: str) -> None:
        await self.voice.tell(
            _user(body), _channel(body), {"text": text}, response_url=body.get("response_url", "")
        )

    async def _form_of_draft(self, body: Body, draft_id: str) -> None:
        draft = await self.pipeline.store.draft(draft_id)
        if draft is None or draft.slack_user != _user(body):
            await self._say(body, "This form is not yours, or too old. Please type it once more.")
            return
        operation = self.pipeline.operation(draft.operation)
        await self._open_form(
            body, operation, draft.values, channel=draft.channel, thread_ts=draft.thread_ts
        )

    async def _review_of(self, body: Body, request_id: str) -> None:
        view_id = await self._open(body, forms.loading_view("Review", "One moment …"))
        if view_id is None:
            return
        request = await self.pipeline.store.request(request_id)
        if request is None or request.requester != _user(body):
            text = "Only the person who asked can review this request."
            await self.voice.update(view_id, forms.message_view("Review", text))
            return
        await self.voice.planned_in(view_id, request, await self.pipeline.facts(request))

    async def _details(self, body: Body, request_id: str) -> None:
        view_id = await self._open(body, forms.loading_view("Details", "One moment …"))
        request = await self.pipeline.store.request(request_id.partition(":")[0])
        if view_id is None or request is None:
            return
        try:
            operation = self.pipeline.operation(request.operation)
            await self.pipeline.require(operation, _user(body), request.channel)
        except Denied as error:
            view = forms.message_view("Not allowed", "\n".join(error.reasons))
        else:
            view = await self.deeds.details(request)
        await self.voice.update(view_id, view)

    async def on_shortcut(self, ack: _Ack, body: Body) -> None:
        """Global: the first operation's form. On a message: filled with the records it names."""
        await ack()
        operations = self.pipeline.registry.operations
        message = body.get("message") or {}
        text = str(message.get("text") or "")
        found = [(each, ids) for each in operations if (ids := each.find(unescape(text)))]
        operation, ids = found[0] if found else (operations[0], ())
        values = {operation.records_in: ",".join(ids)} if ids else {}
        thread = str(message.get("thread_ts") or message.get("ts") or "")
        self.spawn(self._open_form(body, operation, values, thread_ts=thread))

    # --- events ----------------------------------------------------------------------------------

    async def _take_events(self, body: Body, next: Any) -> BoltResponse | None:  # noqa: A002
        """Bolt acknowledges an event before its listener runs, so a mention is recorded here.

        Where it cannot be recorded it is not acknowledged, and Slack delivers it again.
        """
        event = body.get("event") or {}
        if event.get("type") == "app_mention" and not event.get("bot_id"):
            payload = {
                name: str(event.get(name) or "")
                for name in ("user", "channel", "text", "ts", "thread_ts")
            }
            payload["team"] = str(event.get("user_team") or event.get("team") or "")
            key = f"event:{body.get('event_id')}"
            taken = await self.take(key, "mention", payload)
            if taken is None:
                return BoltResponse(status=503, body="not recorded")
            if taken:
                self.spawn(self.deeds.do(key, "mention", payload))
        answer: BoltResponse | None = await next()
        return answer

    async def on_home(self, ack: _Ack, body: Body) -> None:
        await ack()
        user = str((body.get("event") or {}).get("user") or "")
        self.spawn(self.deeds.home(user))

    async def on_event(self, ack: _Ack, _body: Body) -> None:
        """Events that are only subscribed to; unmatched ones would be redelivered."""
        await ack()


class _Ack:
    """Bolt's `ack`, given at most once, with its time measured."""

    def __init__(self, ack: Any, listener: str, began: float) -> None:
        self._ack, self._listener, self._began = ack, listener, began
        self.given = False

    async def __call__(self, answer: Any = None) -> None:
        if self.given:
            return
        self.given = True
        ACK_SECONDS.labels(self._listener).observe(time.monotonic() - self._began)
        if answer is None:
            await self._ack()
        else:
            await self._ack(**answer)


def _with_arguments(run: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Bolt injects arguments by name: exactly these two."""

    async def listener(ack: Any, body: Body) -> None:
        await run(ack, body)

    return listener


def _what(operation: Operation, parameters: Parameters) -> str:
    ids = getattr(parameters, operation.records_in)
    return f"{operation.noun[0]} {escape(','.join(ids))} at {operation.vendor_title}"


def _private(text: str) -> Body:
    return {"response_type": "ephemeral", "text": text}


def _view(title: str, text: str) -> Body:
    return {"view": forms.message_view(title, text)}


def _to_view(title: str, text: str) -> Body:
    return {"response_action": "update", **_view(title, text)}


def _first_word(text: str) -> tuple[str, str]:
    head, _, rest = text.partition(" ")
    return head.lower(), rest.strip()


def _user(body: Mapping[str, Any]) -> str:
    user = body.get("user")
    return str(user["id"]) if isinstance(user, Mapping) else str(body.get("user_id") or "")


def _channel(body: Mapping[str, Any]) -> str:
    channel = body.get("channel")
    if isinstance(channel, Mapping):
        return str(channel.get("id") or "")
    container = body.get("container") or {}
    return str(body.get("channel_id") or container.get("channel_id") or "")


def _origin(body: Mapping[str, Any], key: str) -> Origin:
    return Origin(
        key=key,
        user=_user(body),
        channel=_channel(body),
        response_url=str(body.get("response_url") or ""),
    )
