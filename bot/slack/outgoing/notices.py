"""Notifications: one message a record, edited as it goes on; digests; and channels that are gone."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.db.outbox import Outbox
from bot.db.tables import Delivery, News, Watch
from bot.db.watching import ENDS, REPORT, WatchStore
from bot.domain.operations import Registry, Sighting, Watcher
from bot.domain.receipts import receipt_csv
from bot.domain.reminders import is_to_come
from bot.pipeline.looking import Looking
from bot.slack.outgoing.messenger import NotYet, Rendered
from bot.slack.outgoing.voice import SlackVoice
from bot.slack.views.blocks import Block, button, code, context, cut, escape, fit, many, section
from bot.slack.views.cards import offer_block
from bot.slack.views.histories import at_words
from bot.slack.views.tables import data_table, fallback
from bot.slack.views.watchforms import watch_summary

Message = dict[str, Any]

SHOWN = 12  # changes that a digest lists
IN_TABLE = 50  # ends that a digest lists
IN_FILE = 20  # changes beyond which a digest has a file


@dataclass
class Notices:
    """Renders what a watch has to say from what the database holds now."""

    watches: WatchStore
    outbox: Outbox
    registry: Registry
    voice: SlackVoice
    looking: Looking

    async def begins(self, delivery: Delivery) -> Rendered | None:
        """Who has the channel told, and of what."""
        watch = await self.watches.get(delivery.request_id)
        if watch is None:
            return None
        sign = ":bar_chart:" if watch.watcher == REPORT else ":eyes:"
        about = watch_summary(self.registry.watcher(watch.watcher), watch)
        text = f"{sign} <@{watch.owner}> has this channel told of {about}"
        mark = ("amend_watch", {"watch": watch.id})
        metadata = {"event_type": mark[0], "event_payload": mark[1]}
        message = {"text": text, "metadata": metadata}
        return Rendered(message, mark, no_entry=self._gone(watch))

    async def change(self, delivery: Delivery) -> Rendered | None:
        """A record's message, with its newest change and the buttons for its present state."""
        found = await self._of(delivery, delivery.key.partition(":of:")[2])
        if found is None:
            return None
        watch, watcher, news = found
        message = change_message(watcher, news[-1], len(news))
        mark = {"vendor": news[-1].vendor, "record": news[-1].record_id, "at": news[0].at}
        return Rendered(message, ("amend_change", mark), no_entry=self._gone(watch))

    async def step(self, delivery: Delivery) -> Rendered | None:
        """A line of history in the thread under the record's message."""
        seq = int(delivery.key.rpartition(":")[2])
        news = await self.watches.at(delivery.request_id, seq)
        found = await self._still(delivery)
        if found is None or news is None:
            return None
        watch, _ = found
        parent = await self.outbox.get(f"{watch.id}:of:{news.record_id}")
        if parent is None or (not parent.ts and not watch.parked):
            raise NotYet
        if not parent.ts:
            return None
        text = f"{at_words(news.at)}: {_move(news)}"
        facts = {"watch": watch.id, "seq": seq}
        metadata = {"event_type": "amend_step", "event_payload": facts}
        message = {"text": text, "blocks": [section(text)], "metadata": metadata}
        return Rendered(message, ("amend_step", facts), thread_ts=parent.ts)

    async def ends(self, delivery: Delivery) -> Rendered | None:
        """A reminder is a message of its own: an edit of an old one would tell nobody."""
        seq = int(delivery.key.rpartition(":")[2])
        news = await self.watches.at(delivery.request_id, seq)
        found = await self._still(delivery)
        if found is None or news is None:
            return None
        watch, watcher = found
        known = await self.watches.end_known(watch.id, news.record_id)
        message = ends_message(watcher, news, watch.id, over=not is_to_come(news.at, known))
        mark = {"vendor": news.vendor, "record": news.record_id, "at": news.at, "seq": seq}
        return Rendered(message, ("amend_change", mark), no_entry=self._gone(watch))

    async def digest(self, delivery: Delivery) -> Rendered | None:
        """Several changes at once: what moved where, the first of them, and all in a file."""
        news = await self.watches.in_digest(delivery.request_id, delivery.key)
        found = await self._still(delivery)
        if found is None or not news:
            return None
        watch, watcher = found
        facts = {"watch": watch.id, "digest": delivery.key}
        if news[0].to_state == ENDS:
            renews = self.registry.by_name(watcher.lets_end)
            message = ends_digest(watcher, news, facts, renews.typed_as() if renews else "")
        else:
            message = digest_message(watcher, news, facts)
        file = _csv(news) if len(news) > IN_FILE else ""
        mark = ("amend_changes", facts)
        return Rendered(message, mark, "", "changes.csv", file, self._gone(watch))

    async def trouble(self, watch: Watch, why: str) -> None:
        """Its owner hears that a watch fails again and again."""
        text = (
            f"Your watch {code(watch.id)} on <#{watch.channel}> fails again and again:"
            f" {escape(why)}. It goes on by itself, less often the longer it lasts; nothing that"
            " changes meanwhile is lost. `/amend watches` shows how it fares."
        )
        await self.voice.direct(watch.owner, {"text": text})

    async def _of(
        self, delivery: Delivery, record: str
    ) -> tuple[Watch, Watcher, Sequence[News]] | None:
        news = await self.watches.of_record(delivery.request_id, record)
        told = [each for each in news if each.told and not each.digest]
        found = await self._still(delivery)
        return (*found, told) if found and told else None

    async def _still(self, delivery: Delivery) -> tuple[Watch, Watcher] | None:
        """The watch that speaks, where its owner may have the channel told still; else it is parked.

        Raises `NotYet` where that cannot be known now.
        """
        watch = await self.watches.get(delivery.request_id)
        watcher = self.registry.watcher(watch.watcher) if watch else None
        if watch is None or watcher is None:
            return None
        decision = await self.looking.watching(watcher, watch.owner, watch.channel)
        if decision.unsure:
            raise NotYet
        if decision.allowed:
            return watch, watcher
        words = f"who set it up may not watch {watcher.vendor_title} here any more"
        why = (
            f"you may not watch {watcher.vendor_title} there any more. {' '.join(decision.reasons)}"
        )
        await self._park(watch, words, why)
        return None

    def _gone(self, watch: Watch) -> Any:
        """What happens where the channel cannot be posted to: the owner hears of it, once."""

        async def park(reason: str) -> None:
            words = {
                "not_in_channel": "Amend is no longer a member of it",
                "is_archived": "it is archived",
            }.get(reason, "Slack no longer lets Amend post there")
            again = "Invite Amend again and set it up anew with `/amend watch`."
            await self._park(watch, words, f"{words}. {again}")

        return park

    async def _park(self, watch: Watch, words: str, told: str) -> None:
        """No more of it, and its owner hears so, once."""
        if await self.watches.park(watch.id, words):
            text = f"Your watch {code(watch.id)} on <#{watch.channel}> is parked: {told}"
            await self.voice.direct(watch.owner, {"text": text})


def change_message(watcher: Watcher, news: News, times: int) -> Message:
    """What changed from → to, by whom, since when; and what can be done now."""
    name = _name(watcher, news)
    blocks: list[Block] = [section(f"*{name}* {_move(news)}\n{escape(cut(news.label, 300))}")]
    since = f"{at_words(news.at)}" + (f" · {times} changes, see thread" if times > 1 else "")
    blocks.append(context(since))
    sighting = Sighting(news.record_id, news.label, news.to_state, news.at, news.by, news.url)
    offers = watcher.offers(sighting)
    if offers:
        blocks.append(offer_block(offers, ""))
    metadata = {"event_type": "amend_change", "event_payload": _told(news)}
    text = f"{watcher.vendor_title} {watcher.noun[0]} {escape(news.record_id)}: {_move(news)}"
    return {"text": text, "blocks": blocks, "metadata": metadata}


def _told(news: News) -> dict[str, str]:
    """What a program reads of a change."""
    return {
        "vendor": news.vendor,
        "record": news.record_id,
        "from": news.from_state,
        "to": news.to_state,
        "at": news.at,
    }


def ends_message(watcher: Watcher, news: News, watch_id: str, *, over: bool) -> Message:
    """A record's end comes nearer; who may can renew it, or let it end, until that is `over`."""
    words = f"ends on {escape(news.at)}"
    blocks: list[Block] = [
        section(f":hourglass: *{_name(watcher, news)}* {words}\n{escape(cut(news.label, 300))}")
    ]
    sighting = Sighting(news.record_id, news.label, news.to_state, news.at, news.by, news.url)
    about = f"{watch_id}:{news.record_id}:{news.at}"
    block = offer_block(watcher.offers(sighting), "", ends=about)
    if watcher.lets_end:
        block["elements"].append(button("Let it end …", "let_end", about))
    if over:
        blocks.append(context("This is settled: nothing is to be done about it any more."))
    elif block["elements"]:
        blocks.append(block)
    told = {**_told(news), "seq": news.seq}
    metadata = {"event_type": "amend_change", "event_payload": told}
    text = f"{watcher.vendor_title} {watcher.noun[0]} {escape(news.record_id)} {words}"
    return {"text": text, "blocks": blocks, "metadata": metadata}


def digest_message(watcher: Watcher, news: Sequence[News], facts: Mapping[str, Any]) -> Message:
    """How many moved where, and the first of them."""
    what = f"{watcher.vendor_title}: {many(len(news), watcher.noun)} changed"
    moves = Counter(_arrow(each) for each in news).most_common(10)
    summary = "\n".join(f"• {count:,} {move}" for move, count in moves)
    blocks = [section(f"*{what}*\n{summary}")]
    blocks += [
        section(f"*{_name(watcher, each)}* {_move(each)}\n{escape(cut(each.label, 200))}")
        for each in news[:SHOWN]
    ]
    rest = len(news) - SHOWN
    if rest > 0:
        where = " in the file" if len(news) > IN_FILE else ""
        blocks.append(context(f"… and {rest:,} more{where}."))
    metadata = {
        "event_type": "amend_changes",
        "event_payload": {**facts, "vendor": news[0].vendor, "records": len(news)},
    }
    return {"text": what, "blocks": fit(blocks), "metadata": metadata}


def ends_digest(
    watcher: Watcher, news: Sequence[News], facts: Mapping[str, Any], renew: str
) -> Message:
    """Many that end soon: a table, soonest first, and how to `renew` some of them."""
    soonest = sorted(news, key=lambda each: (each.at, each.record_id))
    verb = "ends" if len(news) == 1 else "end"
    what = f"{watcher.vendor_title}: {many(len(news), watcher.noun)} {verb} soon"
    rows = [(each.record_id, each.at, each.label) for each in soonest[:IN_TABLE]]
    columns = (watcher.noun[0].capitalize(), "Ends", "What")
    blocks = [section(f":hourglass: *{escape(what)}*"), data_table(what, columns, rows)]
    if renew:
        blocks.append(context(f"`{renew} NUMBER,NUMBER` opens the form that gives a later end."))
    payload = {**facts, "vendor": news[0].vendor, "records": len(news)}
    metadata = {"event_type": "amend_changes", "event_payload": payload}
    return {"text": fallback(escape(what), blocks), "blocks": blocks, "metadata": metadata}


def _name(watcher: Watcher, news: News) -> str:
    words = f"{watcher.vendor_title} {watcher.noun[0]} {news.record_id}"
    if not news.url:
        return escape(words)
    return f"<{escape(news.url).replace('|', '%7C')}|{escape(words)}>"


def _arrow(news: News) -> str:
    begun = escape(news.from_state) if news.from_state else "new"
    return f"{begun} → {escape(news.to_state)}"


def _move(news: News) -> str:
    by = f" by {escape(news.by)}" if news.by else ""
    return f"{_arrow(news)}{by}"


def _csv(news: Sequence[News]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["record", "from", "to", "at", "by", "what"])
    for each in news:
        cells = (each.record_id, each.from_state, each.to_state, each.at, each.by, each.label)
        writer.writerow(receipt_csv(*cells))
    return buffer.getvalue()
