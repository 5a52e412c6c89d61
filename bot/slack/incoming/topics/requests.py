"""Past and running requests: lists, one in full, a record's story, retry and undo."""

from __future__ import annotations

from dataclasses import dataclass

from bot.db.tables import Request
from bot.domain.plans import State
from bot.pipeline import Pipeline
from bot.slack.incoming.commands import Asked
from bot.slack.incoming.deeds import Deeds
from bot.slack.incoming.frame import Body, Message, first_word
from bot.slack.incoming.modals import Modals
from bot.slack.views import histories

PAGE = 8


@dataclass
class Requests:
    """What was asked for here, and what became of it."""

    pipeline: Pipeline
    modals: Modals
    deeds: Deeds

    async def requests(self, asked: Asked) -> Message:
        """`requests [mine|here|running] [before]`, newest first."""
        which, _rest = first_word(asked.words)
        return await self._page(which or "mine", asked.user, asked.channel, 0.0)

    async def _page(self, which: str, user: str, channel: str, before: float) -> Message:
        rows = await self._rows(which, user, channel, before)
        shown = [
            (row, self.pipeline.acting.operation(row.operation), await self._counts(row))
            for row in rows[:PAGE]
            if self.pipeline.parts.registry.by_name(row.operation)
        ]
        older = rows[PAGE - 1].created_at if len(rows) > PAGE else None
        return histories.requests_message(shown, which, older)

    async def _rows(self, which: str, user: str, channel: str, before: float) -> list[Request]:
        store, team = self.pipeline.parts.store, self.pipeline.parts.directory.team
        if which == "running":
            live = (State.RUNNING, State.SCHEDULED, State.PENDING_APPROVAL)
            found = [each for each in await store.requests_in(live) if each.channel == channel]
            return sorted(found, key=lambda each: -each.created_at)[: PAGE + 1]
        where = {"channel": channel} if which == "here" else {"requester": user}
        return list(await store.listed(team, before=before, limit=PAGE + 1, **where))

    async def _counts(self, row: Request) -> str:
        return histories.outcome_words(await self.pipeline.parts.ledger.counts(row.id))

    async def older(self, body: Body, value: str) -> None:
        """The next page, in place of this one."""
        which, _, before = value.partition(":")
        user, channel = body["user"]["id"], (body.get("channel") or {}).get("id", "")
        message = await self._page(which, user, channel, float(before or 0))
        url = str(body.get("response_url") or "")
        await self.modals.voice.tell(user, channel, message, response_url=url, replace=True)

    async def show(self, asked: Asked) -> Message:
        """`show REQUEST`: the receipt again."""
        request_id = asked.words.strip().upper()
        request = await self.pipeline.parts.store.request(request_id) if request_id else None
        if request is None or request.team != self.pipeline.parts.directory.team:
            return histories.unknown_request(request_id)
        operation = self.pipeline.acting.operation(request.operation)
        if request.requester != asked.user:
            await self.pipeline.acting.require(operation, asked.user, request.channel)
        return await self.deeds.receipt(request)

    async def history(self, asked: Asked) -> Message:
        """`history RECORD`: one record's story; without a record, this channel's requests."""
        record = asked.words.strip()
        if not record:
            return await self._page("here", asked.user, asked.channel, 0.0)
        may = await self.pipeline.acting.allowed(asked.user, "")
        allowed, vendors = {each.name for each in may}, {each.vendor for each in may}
        store = self.pipeline.parts.store
        story = []
        for row in await self.pipeline.parts.ledger.story(record, 50):
            request = await store.request(row.request_id)
            if request is not None and request.operation in allowed:
                story.append((request, row))
        noticed = await store.news_of(record, 20)
        news = [each for each in noticed if each.vendor in vendors]
        return histories.story_message(record, story, news)

    async def undo(self, asked: Asked) -> Message | None:
        """`undo REQUEST`: the review of the way back."""
        request_id = asked.words.strip().upper()
        if not request_id:
            return {"text": "Which one? `/amend undo REQUEST`; `/amend requests` lists yours."}
        await self.modals.again(asked.body, request_id, "undo")
        return None

    async def retry(self, asked: Asked) -> Message | None:
        """`retry REQUEST`: the review of what it missed."""
        request_id = asked.words.strip().upper()
        if not request_id:
            return {"text": "Which one? `/amend retry REQUEST`; `/amend requests` lists yours."}
        await self.modals.again(asked.body, request_id, "retry")
        return None
