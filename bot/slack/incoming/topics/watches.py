"""Watches: a channel is told of changes; set up in words or in a form, listed, ended."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import structlog

from bot.db.tables import Watch
from bot.db.watching import WatchStore, beginning, watch_id
from bot.domain.errors import AmendError, Denied, InvalidInput, NotAllowed, NotNow, Problem, invalid
from bot.domain.operations import Watcher
from bot.domain.parameters import Parameters, nearest
from bot.domain.reading import read_filters, salvage_filters
from bot.domain.reminders import is_to_come, let_go
from bot.domain.text import Words
from bot.pipeline import Pipeline
from bot.slack.incoming.commands import Asked
from bot.slack.incoming.frame import (
    TRY_AGAIN,
    Ack,
    Body,
    Frame,
    Message,
    channel_of,
    first_word,
    user_of,
)
from bot.slack.incoming.modals import Modals
from bot.slack.incoming.typed import Typed
from bot.slack.outgoing.voice import SlackVoice
from bot.slack.views import forms, watchforms
from bot.slack.views.blocks import code, escape
from integrations.errors import VendorError

log = structlog.get_logger(__name__)

MAYBE_WATCHED = (
    "Amend's database does not answer just now, so this may be watched or not: `/amend watches`"
    " tells, once it does."
)
NOTED_WITHIN = 2.0  # seconds inside the acknowledgement
ASKED_WITHIN = 1.5  # seconds for the vendor's word; a trigger lasts three


@dataclass
class Watches:
    """Who may do something at the vendor in this channel may have the channel told of changes."""

    pipeline: Pipeline
    store: WatchStore
    voice: SlackVoice
    frame: Frame
    admins: frozenset[str]
    modals: Modals | None = field(default=None)

    async def watch(self, asked: Asked) -> Message | None:
        """`watch VENDOR [NAME=VALUE …] [mode=hourly] [quiet=22:00-06:00]`; a form without text."""
        command, rest = first_word(asked.words)
        watcher = self._watcher(command)
        await self._require(watcher, asked.user, asked.channel)
        if not rest and self.modals is not None and asked.body.get("trigger_id"):
            view = watchforms.watch_view(watcher, asked.channel)
            await self.modals.open(asked.body, view)
            return None
        zone = (await self.pipeline.parts.directory.caller(asked.user)).timezone
        try:
            words = read_filters(watcher, rest, sorted(watchforms.OWN_NAMES))
            raw = dict(words.values)
            settings = watchforms.settings_of(raw, zone)
            selection = await self._selected(watcher, Words(words.records, raw), asked.user)
        except InvalidInput as error:
            return watchforms.not_understood(str(error), f"{watcher.command} {rest}")
        watch = self._made(asked.key, watcher, asked.user, asked.channel, selection, settings)
        return {"text": await self._add(watch)}

    async def fill(self, body: Body, value: str) -> None:
        """The button under words that were not understood: the form, with what was."""
        command, rest = first_word(value)
        watcher = self._watcher(command)
        await self._require(watcher, user_of(body), channel_of(body))
        if self.modals is not None:
            understood = salvage_filters(watcher, rest, sorted(watchforms.OWN_NAMES))
            values = await self._typed.salvaged(watcher, understood, user_of(body))
            await self.modals.open(body, watchforms.watch_view(watcher, channel_of(body), values))

    async def _selected(self, watcher: Watcher, words: Words, user: str) -> Parameters:
        """What was typed as a selection. Raises `InvalidInput`."""
        if words.records and not watcher.records_in:
            names = ", ".join(f"`{each}`" for each in watcher.params())
            message = (
                f"`{words.records[0]}` has no name before it; known are {names}, as NAME=VALUE."
            )
            raise invalid(message)
        return await self._typed.selected(watcher, words, user)

    @property
    def _typed(self) -> Typed:
        return Typed(self.pipeline, self.voice)

    def _watcher(self, command: str) -> Watcher:
        known = [w for vendor in self.pipeline.parts.registry.vendors for w in vendor.watchers]
        found = self.pipeline.parts.registry.watcher(command)
        if found is None:
            names = [each.command for each in known]
            near = nearest(command, names, 1) or names
            hint = ", ".join(f"`/amend watch {each}`" for each in near)
            unknown = f"Nothing called `{escape(command)}` can be watched. " if command else ""
            asks = f"What shall be watched? {hint}" if hint else "No vendor can be watched here."
            raise invalid(f"{unknown}{asks}")
        return found

    async def _require(self, watcher: Watcher, user: str, channel: str) -> None:
        decision = await self.pipeline.looking.watching(watcher, user, channel)
        if decision.unsure:
            raise NotNow(decision.reasons)
        if not decision.allowed:
            raise NotAllowed(decision.reasons)

    def _made(
        self,
        act: str,
        watcher: Watcher,
        user: str,
        channel: str,
        selection: Parameters,
        settings: watchforms.WatchSettings,
    ) -> Watch:
        """The watch that an act, by its key, sets up."""
        return Watch(
            id=watch_id(act),
            team=self.pipeline.parts.directory.team,
            channel=channel,
            owner=user,
            watcher=watcher.name,
            selection=selection.model_dump(mode="json", exclude_none=True),
            mode=settings.mode,
            quiet=settings.quiet,
            created_at=self.store.store.clock(),
        )

    async def _add(self, watch: Watch) -> str:
        """Keep the watch and have its channel told so; the sentence for who set it up."""
        others = [each for each in await self.store.listed(watch.channel) if each.id != watch.id]
        if same := next((each.id for each in others if _alike(each, watch)), ""):
            return f"This channel is told of it already; `/amend unwatch {same}` ends that."
        if len(others) >= watchforms.MOST:
            return f"This channel has {watchforms.MOST} watches already; `/amend unwatch` ends one."
        await self.store.add(watch, beginning(watch))
        self.voice.wake()
        return f"This channel is told from now on. `/amend unwatch {watch.id}` ends it."

    async def on_watch(self, ack: Ack, body: Body) -> None:
        """A submitted watch."""
        about = json.loads(body["view"].get("private_metadata") or "{}")
        watcher = self._watcher(str(about.get("watcher")))
        state = body["view"]["state"]["values"]
        raw = watchforms.read_watch(watcher, state)
        try:
            settings = watchforms.settings_of(raw, "UTC")
            selection = await self._typed.chosen(watcher, raw, user_of(body))
        except InvalidInput as error:
            problems = error.problems or (Problem("", str(error)),)
            errors = watchforms.errors_of(body["view"], problems)
            await ack({"response_action": "errors", "errors": errors})
            return
        await ack()
        self.frame.spawn(self._added(body, watcher, str(about.get("channel")), selection, settings))

    async def _added(
        self,
        body: Body,
        watcher: Watcher,
        channel: str,
        selection: Any,
        settings: watchforms.WatchSettings,
    ) -> None:
        user = user_of(body)
        try:
            await self._require(watcher, user, channel)
            zone = (await self.pipeline.parts.directory.caller(user)).timezone
            placed = settings.placed(zone)
            act = f"watch:{body['view']['id']}"
            text = await self._add(self._made(act, watcher, user, channel, selection, placed))
        except AmendError as error:
            await self.pipeline.acting.turned_away(user, "watch", error)
            text = str(error)
        except Exception as error:
            log.warning("watch_not_added", error=type(error).__name__)
            text = MAYBE_WATCHED
        await self.voice.tell(user, channel, {"text": text})

    async def watches(self, asked: Asked) -> Message:
        """`watches`: those of this channel, each with its button."""
        rows = await self.store.listed(asked.channel)
        known = self.pipeline.parts.registry
        return watchforms.watches_message([(row, known.watcher(row.watcher)) for row in rows])

    async def unwatch(self, asked: Asked) -> Message:
        """`unwatch VENDOR` or `unwatch ID`: ends it here."""
        word = asked.words.strip()
        rows = await self.store.listed(asked.channel)
        watcher = self.pipeline.parts.registry.watcher(word.lower())
        name = watcher.name if watcher else word.lower()
        found = [each for each in rows if each.id == word.upper() or each.watcher == name]
        if len(found) != 1:
            ids = ", ".join(code(each.id) for each in found or rows)
            hint = f"Name one of {ids}." if ids else "This channel has no watches."
            return {"text": f"Which one? {hint}"}
        return {"text": await self._ended(found[0].id, asked.user, asked.channel)}

    async def let_end(self, body: Body, value: str) -> None:
        """The button under a reminder: why may it end?"""
        watch_id, _, rest = value.partition(":")
        record, _, ends = rest.rpartition(":")
        user, channel = user_of(body), channel_of(body)
        if self.modals is None:
            return
        if over := await self.over(value):
            await self.modals.say(body, over)
            return
        view_id = await self.modals.open(body, forms.loading_view("Let it end", "One moment …"))
        if view_id is None:
            return
        try:
            watcher = await self._may_let_end(watch_id, record, user, channel)
        except AmendError as error:
            await self.pipeline.acting.turned_away(user, "let_end", error)
            await self.voice.update(view_id, forms.message_view("Let it end", str(error)))
            return
        name = f"{watcher.vendor_title} {watcher.noun[0]} {record}"
        about = {"watch": watch_id, "record": record, "ends": ends, "channel": channel}
        await self.voice.update(view_id, watchforms.let_end_view(name, about))

    async def over(self, about: str) -> str:
        """Why a reminder's buttons do nothing any more, "" where they do; `about` is
        `WATCH:RECORD:DAY`."""
        watch_id, _, rest = about.partition(":")
        record, _, ends = rest.rpartition(":")
        watch = await self.store.get(watch_id) if about else None
        watcher = self.pipeline.parts.registry.watcher(watch.watcher) if watch else None
        if watcher is None:
            return ""
        known = await self.store.end_known(watch_id, record)
        if known == let_go(ends):
            return f"Somebody has let {escape(record)} end; its reminders are over."
        if is_to_come(ends, known) and await self._ends_still(watcher, record, ends):
            return ""
        return f"{escape(record)} does not end on {escape(ends)} any more, or has ended."

    async def _ends_still(self, watcher: Watcher, record: str, ends: str) -> bool:
        """As the vendor has it; where it does not say in time, the watch's word holds."""
        try:
            async with asyncio.timeout(ASKED_WITHIN):
                still = await watcher.still_ends(record, ends)
        except (VendorError, TimeoutError):
            return True
        if not still:
            await self.store.ends_over([watcher.name], [record])
            self.voice.wake()
        return still

    async def _may_let_end(self, watch_id: str, record: str, user: str, channel: str) -> Watcher:
        """The watch's kind. Raises `Denied` for who could not renew the record either, and `NotNow`
        where that cannot be known."""
        watch = await self.store.get(watch_id)
        watcher = self.pipeline.parts.registry.watcher(watch.watcher) if watch else None
        if watcher is None or not watcher.lets_end:
            raise Denied(["This watch has ended."])
        operation = await self.pipeline.acting.as_person(watcher.lets_end, user)
        decision = await self.pipeline.acting.require(operation, user, channel)
        if decision.account is None or decision.reach is None:
            raise Denied(decision.reasons)
        try:
            outside = await operation.out_of_scope_now([record], decision.account, decision.reach)
        except VendorError as error:
            reason = f"It cannot be known now whether it lies in your scope: {escape(str(error))}"
            raise NotNow([reason]) from error
        if record in outside:
            raise NotAllowed([f"You may not let it end: {escape(outside[record])}."])
        return watcher

    async def on_let_end(self, ack: Ack, body: Body) -> None:
        """The submitted reason: noted in the audit trail, then acknowledged; reminders end."""
        about = json.loads(body["view"].get("private_metadata") or "{}")
        why, user = watchforms.read_let_end(body["view"]["state"]["values"]), user_of(body)
        channel, record = str(about.get("channel")), str(about.get("record"))
        try:
            async with asyncio.timeout(NOTED_WITHIN):
                watch_id = str(about.get("watch"))
                await self._may_let_end(watch_id, record, user, channel)
                done = await self.store.let_end(watch_id, record, str(about.get("ends")), user, why)
            problem = "" if done else "This has been settled meanwhile; nothing was noted."
            self.voice.wake()
        except AmendError as error:
            await self.pipeline.acting.turned_away(user, "let_end", error)
            problem = str(error)
        except TimeoutError:
            problem = TRY_AGAIN.replace("*", "")
        if problem:
            await ack({"response_action": "errors", "errors": {"reason": problem[:2000]}})
            return
        await ack()
        text = f"<@{user}> lets {escape(record)} end: {escape(why)}"
        self.frame.spawn(self._said(channel, text))

    async def _said(self, channel: str, text: str) -> None:
        await self.voice.client.chat_postMessage(channel=channel, text=text)

    async def end(self, body: Body, watch_id: str) -> None:
        """The button beside a watch."""
        text = await self._ended(watch_id, user_of(body), channel_of(body))
        url = str(body.get("response_url") or "")
        await self.voice.tell(user_of(body), channel_of(body), {"text": text}, response_url=url)

    async def _ended(self, watch_id: str, user: str, channel: str) -> str:
        watch = await self.store.get(watch_id)
        if watch is None or watch.channel != channel:
            return "There is no such watch in this channel."
        watcher = self.pipeline.parts.registry.watcher(watch.watcher)
        if user != watch.owner and user not in self.admins and watcher is not None:
            await self._require(watcher, user, channel)
        await self.store.end(watch_id, user)
        return f"Watch {watch_id} has ended."


def _alike(standing: Watch, wanted: Watch) -> bool:
    """Does a watch tell what is wanted? A time zone alone makes no quiet hours, and what is parked
    tells nothing."""
    mine, theirs = (
        (each.watcher, each.selection, each.mode, each.quiet if each.quiet.get("from") else {})
        for each in (standing, wanted)
    )
    return mine == theirs and not standing.parked
