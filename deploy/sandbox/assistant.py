"""An assistant that somebody gave their token to: it plans and proposes, which is all that it can.

It is a program like any other: it knows an address and a token, and speaks the Model Context Protocol
by the official client library.
"""

from __future__ import annotations

from typing import Any

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

TICKET = "23464"
COMMENT = "Last night's scan does not find it any more"
REASON = "The scan of last night is clean, so I propose to note that on the ticket."
WITHIN = 30.0  # seconds for each of its calls


class NotProposed(ValueError):
    """What Amend, or the way to it, said instead; a sentence for a person."""


async def propose(url: str, token: str, channel: str) -> None:
    """Plan an edit of one ticket and post its card in `channel` (a Slack id).

    Raises:
        NotProposed: the token does not work, a rule says no, or Amend does not answer.
    """
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=WITHIN) as http,
            streamable_http_client(url, http_client=http) as streams,
            ClientSession(streams[0], streams[1]) as session,
        ):
            await session.initialize()
            await _proposed(session, channel)
    except* NotProposed as said:
        raise NotProposed(str(_first(said))) from None
    except* Exception as failed:
        message = f"Amend let the program not in: {_first(failed)}"
        raise NotProposed(message) from None


async def _proposed(session: ClientSession, channel: str) -> None:
    parameters = {"ticket_numbers": TICKET, "add_comment": COMMENT}
    asked = {"operation": "qualys.edit_tickets", "parameters": parameters, "channel": channel}
    plan = await _told(session, "plan", asked)
    frozen = {"request_id": plan["request_id"], "digest": plan["digest"]}
    await _told(session, "propose", {**frozen, "channel": channel, "reason": REASON})


async def _told(session: ClientSession, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    answer = await session.call_tool(tool, arguments)
    if answer.is_error:
        raise NotProposed(" ".join(getattr(each, "text", "") for each in answer.content))
    found: dict[str, Any] = answer.structured_content or {}
    return found


def _first(group: BaseException) -> BaseException:
    """The first error of a group, which may hold groups."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
