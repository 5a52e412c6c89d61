"""Credentials that end by themselves: renewed as a run needs them, by one replica at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.db.vault import RENEWED_WITHIN, Vault, VaultClosed
from bot.domain.oauth import ACCESS, ENDS_AT, Held
from bot.domain.operations import Vendor
from integrations.errors import BadCredentials, Temporary
from integrations.signing_in import Breaker

log = structlog.get_logger(__name__)

EARLY = 5.0  # seconds before its end in which a token is not sent any more
LOOKED_AGAIN = 0.2  # seconds between two looks at what another replica renews
ANSWERED_WITHIN = 30.0  # seconds for the vendor; with the next it stays below the claim's time
WRITTEN_WITHIN = 20.0  # seconds for which new credentials are tried to be written down


@dataclass
class Renewing:
    """The credentials of one person at one vendor, as its client asks for them (`Fresh`).

    `since` is when the person gave them. Raises `BadCredentials` where the person has to sign in
    again, and `Temporary` where that is not known: in both cases nothing was sent.
    """

    vault: Vault
    team: str
    user: str
    vendor: Vendor
    since: float
    held: Held
    _breaker: Breaker = field(default_factory=Breaker)
    _under_way: asyncio.Task[Held] | None = None

    async def __call__(self, spent: str) -> Held:
        if self._holds(self.held, spent):
            return self.held
        if self._under_way is None or self._under_way.done():
            # All who need it wait for one renewal, and whoever stops waiting does not cut it off:
            # the old refresh token may have been used up by then.
            self._under_way = asyncio.create_task(self._renewed(spent))
            self._under_way.add_done_callback(_heard)
        return await asyncio.shield(self._under_way)

    def _holds(self, held: Held, spent: str) -> bool:
        ends_at = float(held.get(ENDS_AT) or "inf")
        return held[ACCESS] != spent and self.vault.store.clock() < ends_at - EARLY

    async def _renewed(self, spent: str) -> Held:
        """What the vault holds if that is newer, else what the vendor gives for it."""
        try:
            async with asyncio.timeout(RENEWED_WITHIN):
                found = await self._found_or_claimed(spent)
            return found or await self._by_the_vendor(spent)
        except (SQLAlchemyError, TimeoutError) as error:
            words = "the sign-in could not be renewed now"
            raise Temporary(self.vendor.title, words) from error

    async def _found_or_claimed(self, spent: str) -> Held | None:
        """What another replica wrote down; None once renewing is ours."""
        while True:
            stored = await self._stored()
            if self._holds(stored, spent):
                self.held = stored
                return stored
            if await self.vault.claim(self.team, self.user, self.vendor.name):
                return None
            await asyncio.sleep(LOOKED_AGAIN)

    async def _by_the_vendor(self, spent: str) -> Held:
        new: Held | None = None
        try:
            stored = await self._stored()  # since our last look another may have done it
            new = stored if self._holds(stored, spent) else await self._asked(stored)
            self.held = new
        finally:
            await self._write(new)
        return new

    async def _asked(self, stored: Held) -> Held:
        assert self.vendor.oauth is not None  # noqa: S101  # whoever has none makes no `Renewing`
        with self._breaker.attempt():
            async with asyncio.timeout(ANSWERED_WITHIN):
                return await self.vendor.oauth.renew(stored)

    async def _stored(self) -> Held:
        """What the vault holds of what the person gave."""
        try:
            found = await self.vault.take(self.team, self.user, self.vendor.name)
        except VaultClosed as error:
            raise BadCredentials(self.vendor.title, str(error)) from error
        if found is None or found[0] != self.since:
            words = "the sign-in it began with is stored no more"
            raise BadCredentials(self.vendor.title, words)
        return found[1]

    async def _write(self, new: Held | None) -> None:
        """Written down for the next start and the others; while it cannot be, we go on with it."""
        until = asyncio.get_running_loop().time() + WRITTEN_WITHIN
        while True:
            try:
                await self.vault.renew(self.team, self.user, self.vendor.name, self.since, new)
                return
            except SQLAlchemyError as error:
                if asyncio.get_running_loop().time() > until:
                    log.warning("renewal_not_written", error=type(error).__name__)
                    return
            await asyncio.sleep(LOOKED_AGAIN)


def _heard(task: asyncio.Task[Held]) -> None:
    """Whoever waited may be gone; what they would have been told is not missed."""
    if not task.cancelled():
        task.exception()
