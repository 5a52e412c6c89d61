"""What reading tells of a Qualys subscription: what fits it (`amend doctor --deep`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

from integrations.qualys.client import QualysClient
from integrations.qualys.config import QualysSettings
from integrations.qualys.exceptions import ExceptionClient


def probes(
    client: QualysClient, exceptions: ExceptionClient, settings: QualysSettings
) -> Mapping[str, Callable[[], Awaitable[str]]]:
    """Each probe by name; its words. Raises `VendorError`."""

    async def version() -> str:
        await exceptions.check()
        chosen = settings.exception_api
        return f"{chosen} answers: QUALYS_EXCEPTION_API={chosen} fits"

    async def users() -> str:
        found = await client.users()
        roles = sorted({each.role for each in found})
        return f"{len(found)} users are listed, with the roles {', '.join(roles)}"

    async def states() -> str:
        named = await _first(client, {"states": ANY, **FROM_ONE})
        bare = await _first(client, FROM_ONE)
        if named == bare:
            return "a list without `states` holds tickets in any state, as one that names them"
        return "a list without `states` leaves some out; Amend names them in every plan"

    return {"exceptions API": version, "users": users, "states": states}


ANY = "OPEN,RESOLVED,CLOSED,IGNORED"
FROM_ONE = {"since_ticket_number": "1"}


async def _first(client: QualysClient, where: Mapping[str, str]) -> list[int]:
    """The numbers of the first page of a list."""
    async with aclosing(client.pages(where)) as pages:
        async for page in pages:
            return [each.number for each in page]
    return []
