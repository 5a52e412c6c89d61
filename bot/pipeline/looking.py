"""Looking at what was: one request, or a record's story, as far as somebody may see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.db.ledger import Row, as_record
from bot.db.tables import News, Request
from bot.domain import access
from bot.domain.access import Decision
from bot.domain.errors import NotAllowed, NotNow, invalid
from bot.domain.operations import Operation, Reach, Watcher
from bot.domain.people import Account
from bot.domain.policy import quoted
from bot.pipeline.acting import Acting
from bot.pipeline.parts import Parts, pages
from integrations.errors import VendorError

MOST_EDITS, MOST_NEWS = 50, 20  # of one record's story


@dataclass(frozen=True)
class Story:
    """What Amend did with a record, and what was noticed at its vendor."""

    edits: Sequence[tuple[Request, Row]]
    news: Sequence[News]


@dataclass
class Looking:
    """Nobody sees more of the past than they might do in the present: role, channel and scope."""

    parts: Parts
    acting: Acting

    async def own(self, request_id: str, user: str) -> Request | None:
        """A request that this person asked for themselves; None where it is none of theirs."""
        request = await self._found(request_id)
        return request if request is not None and request.requester == user else None

    async def request(self, request_id: str, user: str) -> Request | None:
        """A request by its id; None where there is none.

        Raises `NotAllowed` where it is not to be seen, and `NotNow` where that cannot be known.
        """
        request = await self._found(request_id)
        if request is not None:
            await self.require(request, user)
        return request

    async def require(self, request: Request, user: str) -> None:
        """May this person see a request? Their own, else where they might do it on all its records.

        Raises `NotAllowed` for a no, and `NotNow` where it cannot be known.
        """
        operation = self.acting.operation(request.operation)
        if request.requester == user:
            return
        decision = await self.acting.require(operation, user, request.channel)
        if why := await self._beyond(request, operation, decision):
            raise NotAllowed([f"{why} <@{request.requester}>, who asked, may see it."])

    async def told_of(self, text: str, user: str) -> tuple[str, Story]:
        """The record that a text names in any dress (`#71`, `INC-71`), and its story as far as this
        person may see it. Raises `InvalidInput` where it names several."""
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
                raise invalid("A story is one record's; name one.")
            found |= dict.fromkeys(entries)
        return tuple(found) or (text,)

    async def story(self, record: str, user: str) -> Story:
        """A record's story, as far as this person's rights and scope go at each vendor.

        Raises `NotNow` where that cannot be known.
        """
        rights = await self.acting.rights(user, "")
        edits, placed = [], set[tuple[str, str]]()
        for row in await self.parts.ledger.story(record, MOST_EDITS):
            request = await self._found(row.request_id)
            if request is None or request.operation not in rights:
                continue
            operation = self.acting.operation(request.operation)
            within = not await self._outside(operation, [row], rights[operation.name])
            if within:
                placed.add((operation.vendor, row.label))
            if within or request.requester == user:
                edits.append((request, row))
        noticed = await self.parts.store.news_of(record, MOST_NEWS)
        wide = self._wide(rights)
        seen = [
            each for each in noticed if each.vendor in wide or (each.vendor, each.label) in placed
        ]
        return Story(edits, seen)

    async def _found(self, request_id: str) -> Request | None:
        wanted = request_id.strip().upper()
        request = await self.parts.store.request(wanted) if wanted else None
        return request if request and request.team == self.parts.directory.team else None

    def _wide(self, rights: Mapping[str, Decision]) -> set[str]:
        """The vendors where a right of theirs has no scope.

        News tell of no place: with a scope one sees those only that are of a record seen elsewhere.
        """
        return {
            self.acting.operation(name).vendor
            for name, each in rights.items()
            if each.reach is Reach.ALL
        }

    async def _beyond(self, request: Request, operation: Operation, decision: Decision) -> str:
        """Why a request's records are not all within somebody's scope; "" where they are.

        Where none is kept nothing says where it belongs, and what is missing means no.
        """
        if decision.reach is Reach.ALL:
            return ""
        known = False
        async for rows in pages(self.parts.ledger.all(request.id)):
            known = True
            if outside := await self._outside(operation, rows, decision):
                return f"A record of request {request.id} is {next(iter(outside.values()))}."
        if known:
            return ""
        return f"Request {request.id} has no record by which it would lie within your scope."

    async def _outside(
        self, operation: Operation, rows: Sequence[Row], decision: Decision
    ) -> Mapping[str, str]:
        """The records that lie outside somebody's scope, with the reason. Raises `NotNow`."""
        assert decision.account is not None  # noqa: S101 - a yes carries both
        assert decision.reach is not None  # noqa: S101
        records = [as_record(row) for row in rows]
        try:
            return await operation.out_of_scope(records, decision.account, decision.reach)
        except VendorError as error:
            words = (
                f"{operation.vendor_title} does not say just now what lies within your scope;"
                " please try again."
            )
            raise NotNow([words]) from error

    async def watching(self, watcher: Watcher | type[Watcher], user: str, channel: str) -> Decision:
        """May this person have a channel told of what a watcher sees there?

        A watch tells everybody in the channel of all that it sees, so a right that a scope
        narrows is not enough.
        """
        caller = await self.parts.directory.caller(user)
        found = [
            access.decide(each, caller, channel, self.parts.policy)
            for each in self.parts.registry.operations
            if each.vendor == watcher.vendor
        ]
        whole = next((each for each in found if each.allowed and each.reach is Reach.ALL), None)
        unsure = next((each for each in found if each.unsure), None)
        if decision := whole or unsure:
            return decision
        part = next((each.account for each in found if each.allowed and each.account), None)
        return Decision(access.Answer.NO, (_why_not(watcher, part),))


def _why_not(watcher: Watcher | type[Watcher], part: Account | None) -> str:
    title = watcher.vendor_title
    if part is None:
        return (
            f"To watch {title} you must be allowed to do something there, here."
            " `/amend whoami` shows what you are mapped to."
        )
    return (
        f"Your role at {title} reaches {', '.join(map(quoted, part.scope))} only, and a watch tells"
        " the channel of all that it sees; somebody whose role reaches all may set it up."
    )
