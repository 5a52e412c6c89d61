"""Slack's people: from a user id to a caller, with guests, bots and outsiders barred."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.db.store import Store
from bot.domain.errors import NotNow
from bot.domain.people import Caller
from bot.slack.link.shared import Shared

KEPT = 60.0  # seconds that a person's profile is believed
OUTAGE = 3600.0  # the same, where Slack cannot be asked
FRESH = 3.0  # the same, where somebody decides
ANSWERS_WITHIN = 10.0  # seconds

# The errors with which Slack says that there is none. Any other says nothing about the person.
NOBODY = frozenset({"user_not_found", "user_not_visible", "users_not_found"})
NO_SUCH_GROUP = frozenset({"no_such_subteam", "subteam_not_found"})
NO_SUCH_PLACE = frozenset({"channel_not_found", "method_not_supported_for_channel_type"})
PLACE = re.compile(r"[CDG][A-Z0-9]+")  # ids of channels, and of direct messages
MEMBERS_AT_ONCE = 900  # Slack takes numbers below 1,000
NOT_SAID = "Slack could not say who is in that channel just now; please try again."


@dataclass
class SlackDirectory:
    """Looks people up with `users.info` and joins what is mapped for them.

    A caller whom Slack does not know is barred; where it does not answer, that is said apart.
    """

    client: AsyncWebClient
    store: Store
    team: str
    enterprise: str = ""
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, Mapping[str, Any]]] = field(default_factory=dict)
    _groups: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)
    _asking_people: Shared[Mapping[str, Any] | None] = field(default_factory=Shared)
    _asking_groups: Shared[Collection[str] | None] = field(default_factory=Shared)

    async def caller(self, user: str, *, fresh: bool = False) -> Caller:
        """The caller behind a Slack user id, with the reason why they may do nothing, if any.

        `fresh` is for who decides: what Slack said before it was away is no yes then.
        """
        try:
            profile = await (self._asked(user, FRESH) if fresh else self._profile(user))
        except NotNow as error:
            return Caller(user, self.team, user, {}, unsure=str(error))
        if profile is None:
            return Caller(user, self.team, user, {}, "Slack does not know this person.")
        accounts = await self.store.accounts(self.team, user)
        details = profile.get("profile") or {}
        name = profile.get("real_name") or details.get("real_name") or profile.get("name") or user
        zone = profile.get("tz") or "UTC"
        return Caller(user, self.team, name, accounts, self._barred(profile), zone)

    def forget(self, user: str) -> None:
        self._known.pop(user, None)

    async def groups(
        self, user: str, groups: Sequence[str]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """(those of these user groups that the person is in at this moment, those not known now)."""
        found, not_known = set(), set()
        for group in dict.fromkeys(groups):
            members = await self._members(group)
            if members is None:
                not_known.add(group)
            elif user in members:
                found.add(group)
        return frozenset(found), frozenset(not_known)

    async def _members(self, group: str) -> Collection[str] | None:
        """Who is in a group; None where Slack does not say. Slack takes twenty such questions a
        minute, so one answer counts for all who are looked up within some seconds."""
        known = self._groups.get(group)
        if known and self.clock() - known[0] < FRESH:
            return known[1]
        return await self._asking_groups.once(group, partial(self._ask_members, group))

    async def _ask_members(self, group: str) -> Collection[str] | None:
        try:
            answer = await asyncio.wait_for(
                self.client.usergroups_users_list(usergroup=group), ANSWERS_WITHIN
            )
        except SlackApiError as error:
            return () if error.response.get("error") in NO_SUCH_GROUP else None
        except (ClientError, OSError, TimeoutError):
            return None
        members = frozenset(answer.get("users") or ())
        self._groups[group] = (self.clock(), members)
        return members

    async def is_in(self, user: str, channel: str) -> bool:
        """Is a person in a channel, or is it their own direct messages with us?

        Slack would post to a person's id, too, so what is neither is no place. Raises `NotNow` where
        Slack does not say.
        """
        if not PLACE.fullmatch(channel):
            return False
        asking = self._own_direct if channel.startswith("D") else self._listed
        try:
            return await asyncio.wait_for(asking(user, channel), ANSWERS_WITHIN)
        except SlackApiError as error:
            if error.response.get("error") in NO_SUCH_PLACE:
                return False
            if error.response.get("error") == "unknown_method":
                return True  # a server that stands in for Slack, and keeps nobody out of a channel
            raise NotNow([_unsaid(error.response)]) from error
        except (ClientError, OSError, TimeoutError) as error:
            raise NotNow([NOT_SAID]) from error

    async def _own_direct(self, user: str, channel: str) -> bool:
        opened = await self.client.conversations_open(users=user)
        return bool(opened["channel"]["id"] == channel)

    async def _listed(self, user: str, channel: str) -> bool:
        cursor = ""
        while True:
            answer = await self.client.conversations_members(
                channel=channel, cursor=cursor, limit=MEMBERS_AT_ONCE
            )
            if user in (answer.get("members") or ()):
                return True
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return False

    async def _profile(self, user: str) -> Mapping[str, Any] | None:
        """The same; while Slack is away, what it said within the hour still counts."""
        try:
            return await self._asked(user, KEPT)
        except NotNow:
            known = self._known.get(user)
            if known and self.clock() - known[0] < OUTAGE:
                return known[1]
            raise

    async def _asked(self, user: str, believed: float) -> Mapping[str, Any] | None:
        """What Slack says of a person; None for nobody. Raises `NotNow` where it does not answer."""
        known = self._known.get(user)
        if known and self.clock() - known[0] < believed:
            return known[1]
        return await self._asking_people.once(user, partial(self._ask_profile, user))

    async def _ask_profile(self, user: str) -> Mapping[str, Any] | None:
        try:
            answer = await asyncio.wait_for(self.client.users_info(user=user), ANSWERS_WITHIN)
        except SlackApiError as error:
            if error.response.get("error") in NOBODY:
                return None
        except (ClientError, OSError, TimeoutError):
            pass
        else:
            profile: Mapping[str, Any] = answer["user"]
            self._known[user] = (self.clock(), profile)
            return profile
        raise NotNow(["Slack could not say who you are just now; please try again."])

    def _barred(self, profile: Mapping[str, Any]) -> str:
        if profile.get("deleted"):
            return "This Slack account is deactivated."
        if profile.get("is_bot") or profile.get("id") == "USLACKBOT":
            return "Bots may not use Amend."
        if profile.get("is_restricted") or profile.get("is_ultra_restricted"):
            return "Guests of this workspace may not use Amend."
        home = {profile.get("team_id") or self.team, profile.get("enterprise_id") or ""}
        ours = {self.team, self.enterprise} - {""}
        if profile.get("is_stranger") or not home & ours:
            return "Members of other organisations may not use Amend."
        return ""


def _unsaid(answer: Any) -> str:
    """Why Slack does not say who is in a channel, and what somebody can do about it."""
    if answer.get("error") != "missing_scope":
        return NOT_SAID
    needed = answer.get("needed") or "channels:read"
    return (
        f"Amend's Slack app may not see who is in that channel: it lacks the scope `{needed}`. An"
        " administrator installs it again with the newest manifest (`amend manifest`)."
    )


def outsider(payload: Mapping[str, Any], team: str, enterprise: str = "") -> bool:
    """True where the acting person's own payload says that they belong to another workspace."""
    user = payload.get("user")
    home = user.get("team_id") if isinstance(user, Mapping) else None
    return bool(home) and home not in {team, enterprise}
