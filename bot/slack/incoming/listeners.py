"""Bolt listeners: record, acknowledge, hand on. No vendor is waited for, and no exception leaves."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse

from bot.db.tokens import Tokens as TokenStore
from bot.pipeline import Pipeline
from bot.slack.incoming.buttons import Buttons
from bot.slack.incoming.commands import Commands
from bot.slack.incoming.deeds import Deeds
from bot.slack.incoming.frame import Ack, Body, Frame, Message
from bot.slack.incoming.modals import Modals
from bot.slack.incoming.topics.about import About
from bot.slack.incoming.topics.linking import Linking
from bot.slack.incoming.topics.lookback import Reports
from bot.slack.incoming.topics.people import People
from bot.slack.incoming.topics.programs import Programs
from bot.slack.incoming.topics.registers import Registers
from bot.slack.incoming.topics.requests import Requests
from bot.slack.incoming.topics.watches import Watches
from bot.slack.incoming.turned_away import turned_away
from bot.slack.outgoing.home import Home
from bot.slack.outgoing.voice import SlackVoice
from integrations.text import whole


@dataclass
class Listeners:
    """Everything that Slack can send, and what it leads to."""

    pipeline: Pipeline
    voice: SlackVoice
    deeds: Deeds
    frame: Frame
    home: Home
    watches: Watches
    admins: frozenset[str]
    bundle: Callable[[str, str], Awaitable[bytes]]
    tokens: TokenStore | None
    public_url: str
    commands: Commands = field(init=False)
    buttons: Buttons = field(init=False)
    modals: Modals = field(init=False)
    people: People = field(init=False)
    linking: Linking = field(init=False)

    def __post_init__(self) -> None:
        self.modals = Modals(self.pipeline, self.voice, self.deeds, self.frame)
        self.people = People(self.pipeline, self.modals, self.frame, self.admins)
        self.linking = Linking(self.pipeline, self.modals, self.frame, self.public_url)
        self.watches.modals = self.modals
        programs = Programs(self.pipeline, self.modals, self.tokens)
        about = About(self.pipeline)
        requests = Requests(self.pipeline, self.modals, self.deeds, self.bundle)
        topics = {
            "": about.launcher,
            "help": about.help,
            "whoami": about.whoami,
            "can": about.can,
            "link": self.linking.link,
            "unlink": self.linking.unlink,
            "people": self.people.people,
            "token": programs.token,
            "tokens": programs.tokens,
            "watch": self.watches.watch,
            "unwatch": self.watches.unwatch,
            "watches": self.watches.watches,
            "history": requests.history,
            "requests": requests.requests,
            "show": requests.show,
            "evidence": requests.evidence,
            "cancel": requests.show,
            "undo": requests.undo,
            "retry": requests.retry,
            "report": Reports(self.pipeline, self.voice, self.home.looks).report,
        }
        registers = Registers(self.pipeline, self.voice)
        for each in self.pipeline.parts.registry.registers:
            topics[each.command] = partial(registers.show, each)
        self.commands = Commands(self.pipeline, self.voice, self.modals, self.frame, topics)
        presses = {
            "topic": self.commands.opened,
            "watch_form": self.watches.fill,
            "older": requests.older,
            "people_edit": self.people.edit,
            "people_page": self.people.turn,
            "people_remove": self.people.remove,
            "hand": self.people.hand,
            "unwatch": self.watches.end,
            "let_end": self.watches.let_end,
            "revoke": programs.revoke,
        }
        self.on_token = programs.on_token
        self.buttons = Buttons(
            self.pipeline, self.modals, self.deeds, self.frame, self.watches.over, presses
        )

    def register(self, app: AsyncApp) -> None:
        """Register every listener; the specific ones first, the catch-alls last."""
        guarded = self.frame.guarded
        app.middleware(self._take_on)
        app.command(re.compile(r"^/[a-z]"))(guarded(self.commands.on_command))
        app.shortcut(re.compile(r".*"))(guarded(self.buttons.on_shortcut))
        views = {
            "form": self.modals.on_form,
            "review": self.modals.on_review,
            "reject": self.buttons.on_reject,
            "people_entry": self.people.on_entry,
            "link": self.linking.on_link,
            "hand": self.people.on_hand,
            "watch": self.watches.on_watch,
            "let_end": self.watches.on_let_end,
            "token": self.on_token,
        }
        for name, listener in views.items():
            app.view(name)(guarded(listener))
        app.view(re.compile(r".*"))(guarded(self._acknowledge))
        app.options(re.compile(r".*"))(guarded(self.modals.on_options))
        app.action(re.compile(r".*"))(guarded(self.buttons.on_action))
        app.event("app_home_opened")(guarded(self._on_home))
        app.event(re.compile(r".*"))(guarded(self._acknowledge))

    async def drain(self, seconds: float) -> None:
        """Let running tasks end, for at most `seconds`."""
        await self.frame.drain(seconds)

    async def topic(
        self, key: str, word: str, user: str, channel: str, words: str
    ) -> Message | None:
        """What a mention that names no operation is answered with."""
        return await self.commands.mentioned(key, word, user, channel, words)

    # --- events -----------------------------------------------------------------------------------

    async def _take_on(self, body: Body, next: Any) -> BoltResponse | None:  # noqa: A002
        """Past the bound nothing is taken on, and the acknowledgement says so.

        Bolt acknowledges an event before its listener runs, so a mention is recorded here.

        Where it cannot be recorded it is not acknowledged, and Slack delivers it again.
        """
        if self.frame.busy and (refusal := turned_away(body)):
            return refusal
        payload = _mention(body.get("event"))
        if payload:
            # The message is the person's act: it may come under several event ids.
            key = f"mention:{payload['channel']}:{payload['ts']}"
            taken = await self.frame.take(key, "mention", payload)
            if taken is None:
                return BoltResponse(status=503, body="not recorded")
            if taken:
                self.frame.in_turn(self.deeds.do(key, "mention", payload))
        answer: BoltResponse | None = await next()
        return answer

    async def _on_home(self, ack: Ack, body: Body) -> None:
        await ack()
        event = body.get("event")
        user = str(event.get("user") or "") if isinstance(event, Mapping) else ""
        if user:
            self.frame.in_turn(self.home.publish(user))

    async def _acknowledge(self, ack: Ack, _body: Body) -> None:
        """What is only subscribed to, or closes by itself; unmatched it would be redelivered."""
        await ack()


def _mention(event: Any) -> dict[str, str] | None:
    """A person's mention; None for any other event, or one that lacks a part.

    Slack sends a mention once more where its message is edited: what was asked stands as it was.
    """
    if not isinstance(event, Mapping) or event.get("type") != "app_mention":
        return None
    if event.get("bot_id") or event.get("edited"):
        return None
    names = ("user", "channel", "text", "ts", "thread_ts")
    payload = {name: whole(str(event.get(name) or "")) for name in names}
    payload["team"] = str(event.get("user_team") or event.get("team") or "")
    return payload if all(payload[name] for name in names[:4]) else None
