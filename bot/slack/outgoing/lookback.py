"""Looks back: counted for one person in one channel, posted once or week by week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.db.lookback import Counting
from bot.db.tables import Delivery, Watch
from bot.db.watching import WatchStore
from bot.domain.errors import Denied, NotAllowed, NotNow
from bot.domain.lookback import DAYS, next_weekly
from bot.domain.operations import Vendor
from bot.pipeline import Pipeline
from bot.slack.outgoing.messenger import NotYet, Rendered
from bot.slack.views.blocks import context, escape
from bot.slack.views.lookback import look_back_blocks, look_back_message

EVENT = "amend_report"


@dataclass
class LooksBack:
    """Shows numbers of those vendors only at which somebody may do something in a channel."""

    pipeline: Pipeline
    watches: WatchStore

    async def visible(self, user: str, channel: str, vendor: str = "") -> list[Vendor]:
        """The vendors of which this person may see numbers here, or the one that was asked for.

        Raises `NotAllowed` where there is none, and `NotNow` where that cannot be known.
        """
        caller = await self.pipeline.parts.directory.caller(user)
        if caller.unsure:
            raise NotNow([caller.unsure])
        allowed = {each.vendor for each in await self.pipeline.acting.allowed(user, channel)}
        registry = self.pipeline.parts.registry
        found = [each for each in registry.vendors if each.name in allowed]
        if vendor:
            found = [each for each in found if each.name == vendor]
        if not found:
            title = next(
                (each.title for each in registry.vendors if each.name == vendor), "a vendor"
            )
            reason = f"To see numbers of {title} you must be allowed to do something there, here."
            raise NotAllowed([f"{reason} `/amend whoami` shows what you are mapped to."])
        return found

    async def message(self, vendors: Sequence[Vendor], days: int, zone: str) -> dict[str, Any]:
        """The message with the numbers of these vendors."""
        look = await self._counting(vendors, days, zone).count(self._stands_open)
        return look_back_message(look, _names(vendors), self._title)

    async def blocks(self, user: str, zone: str) -> list[dict[str, Any]]:
        """The same of the last 30 days, of all that this person may see."""
        try:
            vendors = await self.visible(user, "")
        except Denied:
            return []
        except NotNow as error:
            return [context(escape(str(error)))]
        look = await self._counting(vendors, DAYS, zone).count(self._stands_open)
        return look_back_blocks(look, _names(vendors), self._title)

    def _counting(self, vendors: Sequence[Vendor], days: int, zone: str) -> Counting:
        operations = [each.name for vendor in vendors for each in vendor.operations]
        names = [each.name for each in vendors]
        return Counting(self.watches.store, names, operations, days, zone)

    def _stands_open(self, watcher: str, state: str) -> bool:
        found = self.pipeline.parts.registry.watcher(watcher)
        return found is not None and found.is_open(state)

    def _title(self, name: str) -> str:
        registry = self.pipeline.parts.registry
        operation, watcher = registry.by_name(name), registry.watcher(name)
        if operation is not None:
            return f"{operation.vendor_title}: {operation.title.lower()}"
        return f"{watcher.vendor_title} {watcher.noun[0]}" if watcher else name

    # --- week by week -----------------------------------------------------------------------------

    async def repeat(self) -> None:
        """Want every message that is due; after a downtime one, and not one for each week."""
        now = self.watches.store.clock()
        for watch in await self.watches.due_reports(now):
            zone = watch.quiet.get("timezone") or "UTC"
            next_at = next_weekly(watch.selection["every"], zone, now)
            if watch.next_at > now:
                await self.watches.postpone(watch, next_at)
            else:
                await self.watches.report(watch, next_at)

    async def render(self, delivery: Delivery) -> Rendered | None:
        """What a repeated look back says now; rights are looked at anew each time.

        Raises `NotYet` where they cannot be known now.
        """
        watch = await self.watches.get(delivery.request_id)
        if watch is None:
            return None
        try:
            vendors = await self.visible(watch.owner, watch.channel, vendor_of(watch))
        except NotNow:
            raise NotYet from None
        except Denied:
            await self.watches.park(watch.id, "who set it up may not see these numbers any more")
            return None
        zone = watch.quiet.get("timezone") or "UTC"
        message = await self.message(vendors, int(watch.selection.get("days") or DAYS), zone)
        facts = {"watch": watch.id, "at": delivery.key.rpartition(":")[2]}
        marked = {**message, "metadata": {"event_type": EVENT, "event_payload": facts}}
        return Rendered(marked, (EVENT, facts))


def vendor_of(watch: Watch) -> str:
    """The one vendor that a repeated look back is about, "" for all."""
    return str(watch.selection.get("vendor") or "")


def _names(vendors: Sequence[Vendor]) -> str:
    return ", ".join(each.title for each in vendors)
