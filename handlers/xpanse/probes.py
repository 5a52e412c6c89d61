"""What reading tells of an Xpanse tenant: which settings fit it (`amend doctor --deep`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from integrations.errors import BadCredentials
from integrations.xpanse.client import XpanseClient
from integrations.xpanse.config import XpanseSettings, statuses

SAMPLE = 1_000  # incidents whose statuses are looked at


def probes(
    client: XpanseClient, settings: XpanseSettings
) -> Mapping[str, Callable[[], Awaitable[str]]]:
    """Each probe by name; its words. Raises `VendorError`."""

    async def key() -> str:
        try:
            await client.check()
        except BadCredentials as error:
            raise await _other_kind(settings, error) from None
        return f"taken as {settings.auth}: XPANSE_AUTH={settings.auth} fits"

    async def seen() -> str:
        found: set[str] = set()
        looked = 0
        async for page in client.changed(0):
            found |= {each.status for each in page}
            looked += len(page)
            if looked >= SAMPLE:
                break
        known = {each.casefold() for each in statuses()}
        more = sorted(each for each in found if each and each.casefold() not in known)
        if more:
            return f"this tenant has more statuses: XPANSE_STATUSES={','.join(more)} offers them"
        return f"{looked} incidents, none with a status that is not offered"

    async def users() -> str:
        found = await client.users()
        return f"{len(found)} users are listed, so that assignees are checked before an edit"

    async def writing() -> str:
        words = "not tried, because only an edit tells how an incident is unassigned"
        return f"{words}; as set: XPANSE_UNASSIGN={settings.unassign}"

    return {"key": key, "statuses": seen, "users": users, "writing": writing}


async def _other_kind(settings: XpanseSettings, error: BadCredentials) -> BadCredentials:
    """The same error, or that the key is of the other kind: tried once."""
    kind = "advanced" if settings.auth == "standard" else "standard"
    client = XpanseClient(settings.model_copy(update={"auth": kind}))
    try:
        await client.check()
    except BadCredentials:
        return error
    finally:
        await client.aclose()
    return BadCredentials(error.vendor, f"the key is {kind}: set XPANSE_AUTH={kind}")
