"""Slack's client; where a workspace refuses the newest blocks, the same goes out in older ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.views.tables import NEWER, older

log = structlog.get_logger(__name__)

NOT_TRIED_FOR = 3600.0  # seconds after a refusal in which no table or chart is tried
REFUSALS = frozenset({"invalid_blocks", "invalid_blocks_format", "invalid_view"})


class SlackClient(AsyncWebClient):
    """`ticks` gives seconds of a clock that is never set back."""

    def __init__(self, *args: Any, ticks: Callable[[], float] = time.monotonic, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._ticks = ticks
        self._not_before = float("-inf")

    def fitted(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """A message or view as this workspace takes it, by what is known of it."""
        return plainer(content) if self._ticks() < self._not_before else dict(content)

    def refused(self) -> None:
        """The workspace took older blocks, and not the newer ones with the same content."""
        log.warning("newer_blocks_refused", not_tried_for=NOT_TRIED_FOR)
        self._not_before = self._ticks() + NOT_TRIED_FOR

    async def api_call(self, api_method: str, **given: Any) -> AsyncSlackResponse:
        """As the SDK's. Raises `SlackApiError`."""
        content = given.get("json")
        if not isinstance(content, Mapping) or not has_newer(content):
            return await super().api_call(api_method, **given)
        fitted = self.fitted(content)
        try:
            return await super().api_call(api_method, **{**given, "json": fitted})
        except SlackApiError as error:
            if error.response.get("error") not in REFUSALS or not has_newer(fitted):
                raise
        answer = await super().api_call(api_method, **{**given, "json": plainer(content)})
        self.refused()
        return answer


def has_newer(content: Mapping[str, Any]) -> bool:
    """True where a message or view has a table or a chart."""
    return any(each.get("type") in NEWER for each in _blocks(content))


def plainer(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same message or view in older blocks."""
    if isinstance(content.get("view"), Mapping):
        return {**content, "view": plainer(content["view"])}
    return {**content, "blocks": older(_blocks(content))} if "blocks" in content else dict(content)


def _blocks(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    inside = content.get("view")
    found = (inside if isinstance(inside, Mapping) else content).get("blocks")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
