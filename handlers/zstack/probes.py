"""What reading tells of a ZStack site: which settings fit it (`amend doctor --deep`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from handlers.zstack.levels import NOBODY, LevelReader
from integrations.zstack.client import ZstackClient
from integrations.zstack.config import ZstackSettings


def probes(
    client: ZstackClient, settings: ZstackSettings
) -> Mapping[str, Callable[[], Awaitable[str]]]:
    """Each probe by name; its words. Raises `VendorError`."""

    async def clock() -> str:
        if not settings.by_key:
            return "of no account: sessions are not signed with the time"
        await client.check()
        minutes = round(client.ahead_of_utc / 60)
        ahead = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        return f"the server's clock is taken as UTC{ahead} (ZSTACK_TIME_ZONE={settings.time_zone})"

    async def levels() -> str:
        found = await LevelReader(client).read()
        if not found.flows:
            return "this account sees no flow: whether an approval is the last cannot be told"
        names = [found.who(each) for each in found.flows]
        nameless = sum(each == NOBODY for each in names)
        told = f"{len(names)} levels: {', '.join(names[:5])}"
        return f"{told}; {nameless} without a name" if nameless else told

    async def tickets() -> str:
        async for page in client.all_tickets():
            lacking = sum(not each.flow for each in page)
            if lacking:
                return f"{lacking} of {len(page)} tickets do not tell their level; time is compared"
            return f"{len(page)} tickets, each with its level"
        return "none to look at"

    async def writing() -> str:
        words = "not tried, because only an edit tells; the other spelling is tried where one fails"
        return f"{words}; as set: ZSTACK_ACTION_KEY={settings.action_key}"

    return {"clock": clock, "levels": levels, "tickets": tickets, "writing": writing}
