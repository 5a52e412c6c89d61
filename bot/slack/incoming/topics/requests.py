"""Past and running requests: lists, one in full, a record's story, retry and undo."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
    """What was asked for here, and what became of it.

    `bundle` makes a request's evidence for somebody (a Slack user id).
    """

    pipeline: Pipeline
    modals: Modals
    deeds: Deeds
    bundle: Callable[[str, str], Awaitable[bytes]]

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
        if not asked.words.strip():
            return _which("show")
        request = await self._visible(asked)
        if request is None:
            return histories.unknown_request(asked.words.strip().upper())
        return await self.deeds.receipt(request)

    async def evidence(self, asked: Asked) -> Message:
        """`evidence REQUEST`: its bundle, to the person's direct messages."""
        if not asked.words.strip():
            return _which("evidence")
        request = await self._visible(asked)
        if request is None:
            return histories.unknown_request(asked.words.strip().upper())
        bundle = await self.bundle(request.id, asked.user)
        told = (
            f"The evidence of request {request.id}. `VERIFY.md` in it says how to check it by hand;"
            " `amend evidence verify FILE.zip` does it all."
        )
        await self.modals.voice.file(asked.user, f"{request.id}-evidence.zip", bundle, told)
        return {"text": f"The evidence of request {request.id} is in your direct messages."}

    async def _visible(self, asked: Asked) -> Request | None:
        """The request that was named, where this person may see it. Raises `Denied`."""
        return await self.pipeline.looking.request(asked.words, asked.user)

    async def history(self, asked: Asked) -> Message:
        """`history RECORD`: one record's story; without a record, this channel's requests."""
        if not asked.words.strip():
            return await self._page("here", asked.user, asked.channel, 0.0)
        record, story = await self.pipeline.looking.told_of(asked.words.strip(), asked.user)
        return histories.story_message(record, story.edits, story.news)

    async def undo(self, asked: Asked) -> Message | None:
        """`undo REQUEST`: the review of the way back."""
        request_id = asked.words.strip().upper()
        if not request_id:
            return _which("undo")
        await self.modals.again(asked.body, request_id, "undo")
        return None

    async def retry(self, asked: Asked) -> Message | None:
        """`retry REQUEST`: the review of what it missed."""
        request_id = asked.words.strip().upper()
        if not request_id:
            return _which("retry")
        await self.modals.again(asked.body, request_id, "retry")
        return None


def _which(word: str) -> Message:
    return {"text": f"Which one? `/amend {word} REQUEST`; `/amend requests` lists yours."}
