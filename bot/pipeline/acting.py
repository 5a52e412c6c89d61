"""Acting: who may do what here, and the operation as it runs for one person."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from bot.db.tables import Request
from bot.domain import access
from bot.domain.errors import AmendError, Barred, Denied, NotAllowed, NotNow
from bot.domain.operations import Operation, Reach, Record, Vendor
from bot.domain.parameters import Parameters, read_stored
from bot.domain.people import SLACK_USER, Caller, folded
from bot.domain.policy import quoted
from bot.pipeline.parts import Parts
from bot.pipeline.renewing import Renewing
from integrations.errors import BadCredentials, VendorError

log = structlog.get_logger(__name__)

MENTION = re.compile(rf"<@({SLACK_USER})>")
LEFT_OPEN = 180.0  # seconds; longer than any call that a run had begun may take


@dataclass
class Acting:
    """Decides with the pure functions of `bot.domain.access`, on what the store knows now."""

    parts: Parts
    _personal: dict[tuple[str, str], tuple[float, Vendor]] = field(default_factory=dict)
    _leaving: dict[asyncio.Task[None], Vendor] = field(default_factory=dict)

    def operation(self, name: str) -> Operation:
        found = self.parts.registry.by_name(name)
        if found is None:
            message = f"`{name}` is not switched on here."
            raise Denied([message])
        return found

    def parameters(self, request: Request) -> Parameters:
        return read_stored(self.operation(request.operation).parameters, request.parameters)

    async def decide(self, operation: Operation, user: str, channel: str) -> access.Decision:
        """May this person do this, here and now? Always with reasons."""
        caller = await self.parts.directory.caller(user)
        decision = access.decide(operation, caller, channel, self.parts.policy)
        if decision.allowed or decision.unsure:
            return decision
        # A no names who may, for which everybody at the vendor is read.
        people = await self.parts.store.mapped(self.parts.directory.team, operation.vendor)
        return access.decide(operation, caller, channel, self.parts.policy, people)

    async def require(self, operation: Operation, user: str, channel: str) -> access.Decision:
        """The same; raises `NotAllowed` for a no, and `NotNow` where it cannot be known."""
        decision = await self.decide(operation, user, channel)
        if decision.unsure:
            raise NotNow(decision.reasons)
        if not decision.allowed:
            await self.require_standing(user)
            raise NotAllowed(decision.reasons)
        return decision

    async def who_may(
        self, operation: Operation, parameters: Parameters, record: Record, user: str
    ) -> str:
        """Who but `user` may do this to a record, as a sentence; "" where a vendor does not say.

        Those who may do it to every record come first, because nothing has to be asked for them.
        """
        people = await self.parts.store.mapped(self.parts.directory.team, operation.vendor)
        able = list(access.others(operation, user, self.parts.policy, people))
        found: list[str] = []
        try:
            for each, account, reach in sorted(able, key=lambda one: one[2] is Reach.SCOPE):
                if len(found) == access.MOST_NAMES:
                    break
                if not await operation.barred(parameters, [record], account, reach):
                    found.append(each)
        except VendorError:
            return ""
        return access.who_may(found)

    async def require_standing(self, user: str) -> None:
        """Raises `Barred` for who may do nothing here at all, `NotNow` where it cannot be known."""
        caller = await self.parts.directory.caller(user)
        if caller.unsure:
            raise NotNow([caller.unsure])
        if why := access.barred(caller):
            raise Barred([why])

    async def turned_away(
        self, user: str, asked: str, error: AmendError, request_id: str = ""
    ) -> None:
        """Note that somebody was told no, where their rights are the reason.

        `asked` is an operation's name or the word after `/amend`, nothing that somebody wrote. A no
        that cannot be noted stays a no.
        """
        if not isinstance(error, NotAllowed):
            return
        facts = {"asked": asked, "reasons": list(error.reasons)}
        try:
            await self.parts.store.note(user, "access:denied", request_id, facts)
        except Exception as fault:
            log.warning("denial_not_noted", asked=asked, error=type(fault).__name__)

    async def in_names(self, words: str) -> str:
        """Words with people's names for mentions: what stands beside a vendor's mentions nobody."""
        for user in dict.fromkeys(MENTION.findall(words)):
            caller = await self.parts.directory.caller(user)
            words = words.replace(f"<@{user}>", caller.name)
        return words

    async def goes_out_as(self, vendor: str, user: str) -> tuple[str, bool]:
        """(the account that this person's edits go out under now, is it their own)."""
        own = (await self.parts.vault.linked(self.parts.directory.team, user)).get(vendor)
        if own is not None:
            return own, True
        shared = self.parts.registry.vendor(vendor)
        return (shared.account if shared else ""), False

    async def other_account(self, request: Request) -> str:
        """Why a request may not go out any more: under another account than was reviewed; or ""."""
        vendor = self.operation(request.operation).vendor
        account, own = await self.goes_out_as(vendor, request.requester)
        if (account.casefold(), own) == (request.account.casefold(), request.own_account):
            return ""
        was, now = account_words(request.account, request.own_account), account_words(account, own)
        return (
            f"It was reviewed under {was} and would now go out under {now}, so nothing more was"
            " sent. Ask again to have it reviewed anew."
        )

    async def account(self, vendor: str, user: str) -> str:
        """The person's account at a vendor; "" for none."""
        accounts = await self.parts.store.accounts(self.parts.directory.team, user)
        found = accounts.get(vendor)
        return found.account if found else ""

    def wishes(self, operation: Operation) -> list[str]:
        """The operations that make what `operation` decides on."""
        known = self.parts.registry.operations
        return [each.name for each in known if each.wishes and each.approved_as == operation.name]

    async def own_wish(self, operation: Operation, user: str, made: str) -> str:
        """Why somebody may not decide on `made`, which a request through here brought about.

        "" where it is not their own wish, nor one made through a vendor account of theirs. The
        shared account is nobody's.
        """
        asked = self.wishes(operation)
        source = await self.parts.ledger.maker(asked, made) if asked else None
        if source is None:
            return ""
        theirs = await self._accounts(operation.vendor, source.requester)
        if source.own_account:
            theirs |= folded(source.account)
        same = await self._accounts(operation.vendor, user) & theirs
        if source.requester == user or same:
            return f"nobody decides on their own request ({source.id})"
        return ""

    async def own_wishes(
        self, operation: Operation, user: str, records: Sequence[Record]
    ) -> dict[str, str]:
        """The same of several records: id → why, for those that are."""
        if not self.wishes(operation):
            return {}
        found = {each.id: await self.own_wish(operation, user, each.id) for each in records}
        return {record: why for record, why in found.items() if why}

    async def not_to_decide(
        self, operation: Operation, user: str, decision: access.Decision, ids: Sequence[str]
    ) -> str:
        """Why somebody may decide on none of these; "" where they may on some.

        Asked before its form opens. Where the vendor does not say, its plan asks once more.
        """
        account, reach = decision.account, decision.reach
        if not ids or account is None or reach is None or not self.wishes(operation):
            return ""
        nothing = operation.parameters.model_construct(**dict.fromkeys(operation.params()))
        alone = operation.narrowed(nothing, ids)
        try:
            records = [each async for each in operation.plan(alone, account, reach)]
        except VendorError:
            records = [Record(each, "", {}, {}) for each in ids]
        own = await self.own_wishes(operation, user, records)
        reasons = [own.get(each.id) or each.left_out for each in records]
        return reasons[0] if reasons and all(reasons) else ""

    async def _accounts(self, vendor: str, user: str) -> frozenset[str]:
        """Every account of a person at a vendor: the mapped one, and the one they have linked."""
        linked = await self.parts.vault.linked(self.parts.directory.team, user)
        return folded(await self.account(vendor, user), linked.get(vendor, ""))

    async def undecided(
        self, operation: Operation, user: str, channel: str, records: Sequence[Record]
    ) -> str:
        """Why a person may not take an edit that `decides` on all of its records; "" if they may.

        Raises `NotNow` or a `VendorError` where that cannot be known.
        """
        decider = self.operation(operation.approved_as)
        decision = await self.decide(decider, user, channel)
        if decision.unsure:
            raise NotNow(decision.reasons)
        if decision.account is None or decision.reach is None:
            return " ".join(decision.reasons)
        nothing = decider.parameters.model_construct()
        barred = await decider.barred(nothing, records, decision.account, decision.reach)
        own = {} if barred else await self.own_wishes(decider, user, records)
        return next(iter({**barred, **own}.values()), "")

    async def allowed(self, user: str, channel: str) -> list[Operation]:
        """Every operation that this person may do here."""
        caller, policy = await self.parts.directory.caller(user), self.parts.policy
        operations = self.parts.registry.operations
        return [each for each in operations if access.decide(each, caller, channel, policy).allowed]

    def unscoped(self, caller: Caller) -> set[str]:
        """The vendors at which this person may do nothing for want of a scope."""
        reaches = {
            (each.vendor, role, reach)
            for each in self.parts.registry.operations
            for role, reach in self.parts.policy.roles_of(each.vendor, each.roles).items()
        }
        return {
            vendor
            for vendor, account in caller.accounts.items()
            if (vendor, account.role, Reach.SCOPE) in reaches
            and (vendor, account.role, Reach.ALL) not in reaches
            and not any(each.strip() for each in account.scope)
        }

    async def rights(self, user: str, channel: str) -> dict[str, access.Decision]:
        """What this person may do here, by operation. Raises `NotNow` where that cannot be known."""
        caller, policy = await self.parts.directory.caller(user), self.parts.policy
        operations = self.parts.registry.operations
        found = {each.name: access.decide(each, caller, channel, policy) for each in operations}
        unsure = next((each for each in found.values() if each.unsure), None)
        if unsure is not None:
            raise NotNow(unsure.reasons)
        return {name: each for name, each in found.items() if each.allowed}

    async def as_person(self, name: str, user: str) -> Operation:
        """The operation under the person's own credentials, where they stored some."""
        return (await self.vendor(self.operation(name).vendor, user)).operation(name)

    async def vendor(self, name: str, user: str) -> Vendor:
        """The vendor as this person acts at it: under their own credentials, or the shared ones.

        Raises `Denied` where it is not switched on, and `VaultClosed` where their credentials
        cannot be opened: acting under the shared account instead would be another account than
        the person chose.
        """
        own = await self.own_vendor(name, user)
        found = own or self.parts.registry.vendor(name)
        if found is None:
            message = f"`{name}` is not switched on here."
            raise Denied([message])
        return found

    async def own_vendor(self, name: str, user: str) -> Vendor | None:
        """The vendor under a person's own credentials; None where they stored none."""
        shared = self.parts.registry.vendor(name)
        if shared is None or not shared.takes_own:
            return None
        found = await self.parts.vault.take(self.parts.directory.team, user, name)
        if found is None:
            await self.drop(user, name)
            return None
        since, secret = found
        known = self._personal.get((user, name))
        if known is None or known[0] != since:
            await self.drop(user, name)
            self._personal[user, name] = known = (since, self._own(shared, user, since, secret))
        return known[1]

    def _own(self, shared: Vendor, user: str, since: float, secret: Mapping[str, str]) -> Vendor:
        if shared.oauth is not None:
            team = self.parts.directory.team
            fresh = Renewing(self.parts.vault, team, user, shared, since, secret)
            return shared.oauth.acting(fresh)
        assert shared.personal is not None  # noqa: S101  # one of the two, by `takes_own`
        return shared.personal(secret)

    async def drop(self, user: str, vendor: str) -> None:
        """Begin no more with credentials that hold no more.

        Their client is closed after `LEFT_OPEN`: to cut off an edit under way would only leave its
        outcome unknown.
        """
        known = self._personal.pop((user, vendor), None)
        if known is not None:
            leaving = asyncio.create_task(_close_later(known[1]))
            self._leaving[leaving] = known[1]
            leaving.add_done_callback(lambda done: self._leaving.pop(done, None))

    async def heard(self, request: Request, error: VendorError) -> None:
        """A vendor's error: where it refused a person's own credentials, the right by them ends."""
        if isinstance(error, BadCredentials):
            vendor = self.operation(request.operation).vendor
            why = "the vendor refused the credentials"
            await self.parts.store.end_linked(request.team, request.requester, vendor, why)

    async def close(self) -> None:
        """Close every client at once."""
        clients = [vendor for _, vendor in self._personal.values()]
        for task, vendor in list(self._leaving.items()):
            task.cancel()
            clients.append(vendor)
        self._personal.clear()
        for each in clients:
            await each.close()


async def _close_later(vendor: Vendor) -> None:
    await asyncio.sleep(LEFT_OPEN)
    await vendor.close()


def account_words(account: str, own: bool) -> str:
    """An account as people read it."""
    kind = "the requester's own account" if own else "the shared account"
    return f"{kind} {quoted(account)}" if account else kind
