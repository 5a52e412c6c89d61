"""Looking at what was: one request, or a record's story, as far as somebody may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.db.ledger import Row
from bot.db.tables import News, Request
from bot.domain.errors import Denied
from bot.pipeline.acting import Acting
from bot.pipeline.parts import Parts

MOST_EDITS, MOST_NEWS = 50, 20  # of one record's story


@dataclass(frozen=True)
class Story:
    """What Amend did with a record, and what was noticed at its vendor."""

    edits: Sequence[tuple[Request, Row]]
    news: Sequence[News]


@dataclass
class Looking:
    """Nobody sees more of the past than they might do in the present."""

    parts: Parts
    acting: Acting

    async def request(self, request_id: str, user: str) -> Request | None:
        """A request by its id; None where there is none. Raises `Denied` where it is not to be seen."""
        wanted = request_id.strip().upper()
        request = await self.parts.store.request(wanted) if wanted else None
        if request is None or request.team != self.parts.directory.team:
            return None
        operation = self.acting.operation(request.operation)
        if request.requester != user:
            await self.acting.require(operation, user, request.channel)
        return request

    async def told_of(self, text: str, user: str) -> tuple[str, Story]:
        """The record that a text names in any dress (`#71`, `INC-71`), and its story as far as this
        person may see it. Raises `Denied` where it names several."""
        records = await self._spelled(text, user)
        stories = [(each, await self.story(each, user)) for each in records]
        return next((each for each in stories if each[1].edits or each[1].news), stories[0])

    async def _spelled(self, text: str, user: str) -> tuple[str, ...]:
        """As those vendors spell it where this person may do something; as it stands for none."""
        found: dict[str, None] = {}
        for operation in await self.acting.allowed(user, ""):
            ids = operation.ids
            entries = [each for word in text.split() for each in ids.read(word)] if ids else []
            if len(entries) > 1:
                raise Denied(["A story is one record's; name one."])
            found |= dict.fromkeys(entries)
        return tuple(found) or (text,)

    async def story(self, record: str, user: str) -> Story:
        """A record's story at those vendors where this person has a right."""
        may = await self.acting.allowed(user, "")
        allowed, vendors = {each.name for each in may}, {each.vendor for each in may}
        edits = []
        for row in await self.parts.ledger.story(record, MOST_EDITS):
            request = await self.parts.store.request(row.request_id)
            if request is not None and request.operation in allowed:
                edits.append((request, row))
        noticed = await self.parts.store.news_of(record, MOST_NEWS)
        return Story(edits, [each for each in noticed if each.vendor in vendors])
