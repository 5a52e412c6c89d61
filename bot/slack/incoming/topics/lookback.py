"""`report`: a look back in numbers, once or week by week."""

from __future__ import annotations

from dataclasses import dataclass

from slack_sdk.errors import SlackApiError

from bot.db.tables import Watch
from bot.db.watching import REPORT, beginning, watch_id
from bot.domain.errors import InvalidInput, invalid
from bot.domain.lookback import DAYS, LEAST_DAYS, MOST_DAYS, next_weekly, weekly
from bot.domain.parameters import nearest
from bot.domain.text import parse
from bot.pipeline import Pipeline
from bot.slack.incoming.commands import Asked
from bot.slack.incoming.frame import Message
from bot.slack.outgoing.lookback import LooksBack
from bot.slack.outgoing.voice import SlackVoice
from bot.slack.views.blocks import code, escape
from bot.slack.views.watchforms import MOST


@dataclass(frozen=True)
class _Wanted:
    vendor: str
    days: int
    every: str


@dataclass
class Reports:
    """Posts into the channel what its people may see."""

    pipeline: Pipeline
    voice: SlackVoice
    looks: LooksBack

    async def report(self, asked: Asked) -> Message | None:
        """`report [VENDOR] [days=30] [every=mon@09:00]`."""
        try:
            wanted = self._read(asked.words)
        except InvalidInput as error:
            return {"text": escape(str(error))}
        vendors = await self.looks.visible(asked.user, asked.channel, wanted.vendor)
        zone = (await self.pipeline.parts.directory.caller(asked.user)).timezone
        if wanted.every:
            return {"text": await self._repeated(asked, wanted, zone)}
        message = await self.looks.message(vendors, wanted.days, zone)
        return await self._posted(asked.channel, message)

    async def _posted(self, channel: str, message: Message) -> Message | None:
        try:
            await self.voice.client.chat_postMessage(channel=channel, **message)
        except SlackApiError:
            return {"text": "Amend cannot post in this channel; please invite it first."}
        return None

    def _read(self, text: str) -> _Wanted:
        """What was typed. Raises `InvalidInput`."""
        words = parse(text)
        given = {name.lower(): value for name, value in words.values.items()}
        if unknown := set(given) - {"days", "every"}:
            message = f"`{min(unknown)}` is not known here; `days` and `every` are."
            raise invalid(message)
        days, every = given.get("days", str(DAYS)), given.get("every", "")
        if not days.isdecimal() or not LEAST_DAYS <= int(days) <= MOST_DAYS:
            message = f"`days` takes a whole number from {LEAST_DAYS} to {MOST_DAYS}, not `{days}`."
            raise invalid(message, "days")
        if every:
            weekly(every)
        return _Wanted(self._vendor(words.records), int(days), every)

    def _vendor(self, records: tuple[str, ...]) -> str:
        if not records:
            return ""
        registry, word = self.pipeline.parts.registry, records[0].lower()
        operation = registry.by_command(word)
        name = operation.vendor if operation else word
        names = [each.name for each in registry.vendors]
        if len(records) > 1 or name not in names:
            near = nearest(word, names, 1) or names
            hints = " or ".join(f"`/amend report {each}`" for each in near)
            raise invalid(f"Of which vendor? Try {hints}, or `/amend report` for all.")
        return name

    async def _repeated(self, asked: Asked, wanted: _Wanted, zone: str) -> str:
        store = self.looks.watches
        listed = {each.id for each in await store.listed(asked.channel)}
        if len(listed) >= MOST and watch_id(asked.key) not in listed:
            return f"This channel has {MOST} watches already; `/amend unwatch` ends one."
        watch = Watch(
            id=watch_id(asked.key),
            team=self.pipeline.parts.directory.team,
            channel=asked.channel,
            owner=asked.user,
            watcher=REPORT,
            selection={"vendor": wanted.vendor, "days": wanted.days, "every": wanted.every},
            quiet={"timezone": zone},
            next_at=next_weekly(wanted.every, zone, store.store.clock()),
            created_at=store.store.clock(),
        )
        await store.add(watch, beginning(watch))
        self.voice.wake()
        return f"It comes from now on. `/amend unwatch {watch.id}` ends it; see {code('watches')}."
