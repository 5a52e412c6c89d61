"""The bot's token: who we are at Slack, and whether Slack still takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

# What Slack says of a token that will not work again by itself.
REFUSALS = frozenset(
    {"invalid_auth", "token_revoked", "token_expired", "account_inactive", "not_authed"}
)


@dataclass
class Token:
    """`refused` is Slack's reason, "" where it takes the token as far as is known."""

    client: AsyncWebClient
    refused: str = ""

    async def introduce(self) -> Mapping[str, Any]:
        """Slack's `auth.test`: team, enterprise, bot and its user. Raises where Slack gives none."""
        try:
            answer = await self.client.auth_test()
        except SlackApiError as error:
            reason = str(error.response.get("error") or "")
            self.refused = reason if reason in REFUSALS else self.refused
            raise
        self.refused = ""
        found: Mapping[str, Any] = answer.data  # type: ignore[assignment]
        return found

    async def check(self) -> None:
        """It may be revoked while we run; Slack being away for a while says nothing of it."""
        try:
            await self.introduce()
        except (SlackApiError, OSError, TimeoutError):
            return

    def why(self, error: Exception) -> str:
        """The reason for which Slack did not say who we are."""
        if self.refused:
            return f"Slack refuses the token: {self.refused}"
        said = error.response.get("error") if isinstance(error, SlackApiError) else None
        return f"Slack cannot be reached ({said or type(error).__name__})"
