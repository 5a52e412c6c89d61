"""The state of the emulated workspace: people, channels, messages and open views."""

from __future__ import annotations

import copy
import itertools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox import company
from deploy.sandbox.company import Channel, Person
from deploy.sandbox.slack import block_rules

Json = dict[str, Any]


class SlackError(Exception):
    """A refusal in Slack's own words."""

    def __init__(self, error: str, messages: list[str] | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.messages = messages or []

    def body(self) -> Json:
        """What the caller of a method gets."""
        answer: Json = {"ok": False, "error": self.error}
        if self.messages:
            answer["errors"] = self.messages
            answer["response_metadata"] = {"messages": [f"[ERROR] {one}" for one in self.messages]}
        return answer


@dataclass
class Message:
    """One message; `only_for` is set for an ephemeral one."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    thread_ts: str = ""
    edited: Json | None = None
    only_for: str = ""
    files: list[Json] = field(default_factory=list)
    metadata: Json | None = None

    @property
    def by_bot(self) -> bool:
        """Whether the app wrote it."""
        return self.user == company.BOT_USER


class Workspace:
    """Everything that Slack would remember, in memory."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        self.clock = clock
        self.changed = changed
        self.people: dict[str, Person] = {one.id: one for one in company.PEOPLE}
        self.channels: dict[str, Channel] = {one.id: one for one in company.channels()}
        self.groups = {one.id: one for one in company.USER_GROUPS}
        self.messages: dict[str, list[Message]] = {one: [] for one in self.channels}
        self.violations: list[str] = []
        # True where it does not know the newest blocks.
        self.is_older: Callable[[], bool] = lambda: False
        # What each person has chosen in a message's selects and pickers, by (channel, ts, user).
        self.choices: dict[tuple[str, str, str], Json] = {}
        self._numbers = itertools.count(1)
        self._last_ts = 0

    def new_id(self, prefix: str) -> str:
        """An id of Slack's form, never given twice."""
        return f"{prefix}0{next(self._numbers):09d}"

    def new_ts(self) -> str:
        """A message's time stamp, unique and in order."""
        self._last_ts = max(self._last_ts + 1, int(self.clock() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def violation(self, text: str) -> None:
        """Remembers something that the bot should never have sent."""
        self.violations.append(text)

    def person(self, user: str) -> Person:
        """A person, by id."""
        if user not in self.people:
            raise SlackError("user_not_found")
        return self.people[user]

    def channel(self, channel: str) -> Channel:
        """A channel, by id and never by name."""
        if channel not in self.channels:
            raise SlackError("channel_not_found")
        return self.channels[channel]

    def im_with(self, user: str) -> Channel:
        """The direct message between the bot and a person."""
        for channel in self.channels.values():
            if channel.with_user == user:
                return channel
        raise SlackError("user_not_found")

    def postable(self, channel: str) -> Channel:
        """A channel in which the bot may post; a person's id stands for the direct message."""
        found = self.im_with(channel) if channel in self.people else self.channel(channel)
        if company.BOT_USER not in found.members:
            raise SlackError("not_in_channel")
        return found

    def clean_blocks(self, surface: block_rules.Surface, given: Any, what: str) -> None:
        """Refuses blocks that break a rule, and remembers that they did.

        Where the workspace is older than tables and charts, these are refused and break no rule.
        """
        if self.is_older():
            newer = [each for each in block_rules.kinds(given) if each in block_rules.NEWEST]
            if newer:
                raise SlackError("invalid_blocks", [f"unsupported type: {each}" for each in newer])
        found = block_rules.problems(surface, given)
        if found:
            self.violations += [f"{what}: {one}" for one in found]
            raise SlackError("invalid_blocks", found)

    def named(self, blocks: list[Json]) -> list[Json]:
        """A copy of blocks in which each block and element has the id that Slack would give it."""
        own = copy.deepcopy(blocks)
        for block in own:
            block.setdefault("block_id", secrets.token_hex(3))
            for element in block_rules.elements_of(block):
                if element.get("type") != "image":
                    element.setdefault("action_id", secrets.token_hex(3))
        return own

    def post(self, message: Message) -> Message:
        """Adds a message to its channel."""
        message.blocks = self.named(message.blocks)
        self.messages[message.channel].append(message)
        self.changed()
        return message

    def find(self, channel: str, ts: str) -> Message:
        """A message, ephemeral ones too."""
        self.channel(channel)
        for message in self.messages[channel]:
            if message.ts == ts:
                return message
        raise SlackError("message_not_found")

    def seen_by(self, user: str, channel: str) -> Iterator[Message]:
        """The messages of a channel that a person may see."""
        return (one for one in self.messages[channel] if one.only_for in ("", user))

    def thread(self, channel: str, ts: str) -> list[Message]:
        """A message and its replies, without ephemeral ones."""
        return [
            one
            for one in self.messages[channel]
            if not one.only_for and ts in (one.ts, one.thread_ts)
        ]

    def check_thread(self, channel: str, thread_ts: str) -> None:
        """Refuses a thread that does not exist, or one that would hang under a reply."""
        parents = [one for one in self.messages[channel] if one.ts == thread_ts]
        if not parents or parents[0].only_for:
            raise SlackError("thread_not_found")
        if parents[0].thread_ts not in ("", thread_ts):
            self.violation(f"a reply under the reply {thread_ts}; use the parent's ts")
            raise SlackError("cannot_reply_to_message")

    def remove(self, message: Message) -> None:
        """Takes a message away."""
        self.messages[message.channel].remove(message)
        self.changed()
