"""Trigger ids, which work once within three seconds, and response URLs, which work five times."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from deploy.sandbox import company
from deploy.sandbox.slack.workspace import SlackError

TRIGGER_SECONDS = 3.0
RESPONSE_USES = 5
RESPONSE_SECONDS = 30 * 60.0


@dataclass
class Trigger:
    """Somebody's wish to see a modal; `view_id` names the modal that it came from."""

    user: str
    issued: float
    view_id: str = ""
    exchanged: bool = False


@dataclass
class ResponseUrl:
    """A way back to where something happened; `source_ts` names the message, if there was one."""

    user: str
    channel: str
    issued: float
    source_ts: str = ""
    uses: int = 0


class Triggers:
    """All trigger ids and response URLs that were handed out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}

    def issue(self, user: str, view_id: str = "") -> str:
        """A fresh trigger id."""
        now = self._clock()
        trigger_id = f"{int(now * 1000)}.{company.TEAM_ID}.{secrets.token_hex(16)}"
        self._triggers[trigger_id] = Trigger(user, now, view_id)
        return trigger_id

    def exchange(self, trigger_id: str, *, from_view: bool = False) -> Trigger:
        """Uses a trigger id up."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None or (from_view and not trigger.view_id):
            raise SlackError("invalid_trigger_id")
        if trigger.exchanged:
            raise SlackError("exchanged_trigger_id")
        if self._clock() - trigger.issued > TRIGGER_SECONDS:
            raise SlackError("expired_trigger_id")
        trigger.exchanged = True
        return trigger

    def respond_to(self, user: str, channel: str, source_ts: str = "") -> str:
        """The id of a fresh response URL."""
        key = secrets.token_urlsafe(18)
        self.response_urls[key] = ResponseUrl(user, channel, self._clock(), source_ts)
        return key

    def use_response(self, key: str) -> ResponseUrl:
        """Takes one of the five uses."""
        found = self.response_urls.get(key)
        if found is None:
            raise SlackError("invalid_url")
        if self._clock() - found.issued > RESPONSE_SECONDS:
            raise SlackError("expired_url")
        if found.uses >= RESPONSE_USES:
            raise SlackError("used_url")
        found.uses += 1
        return found
