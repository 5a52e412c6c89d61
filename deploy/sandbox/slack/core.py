"""What the parts of the emulated workspace share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox.company import Command, Shortcut
from deploy.sandbox.slack.delivery import Delivery
from deploy.sandbox.slack.faults import Switch, Vendor
from deploy.sandbox.slack.reference import Tiers
from deploy.sandbox.slack.traffic import Traffic
from deploy.sandbox.slack.triggers import Triggers
from deploy.sandbox.slack.views import Views
from deploy.sandbox.slack.workspace import Json, Workspace

Trail = Callable[[str], Awaitable[list[Json]]]


async def no_trail(_request_id: str) -> list[Json]:
    """The trail of a bot that keeps it elsewhere."""
    return []


@dataclass
class StoredFile:
    """An upload: announced, then received, then shared."""

    id: str
    name: str
    length: int
    content: bytes | None = None
    title: str = ""


@dataclass
class Core:
    """The state and the services, in one place."""

    workspace: Workspace
    triggers: Triggers
    views: Views
    traffic: Traffic
    delivery: Delivery
    base_url: Callable[[], str]
    commands: Sequence[Command] = ()
    shortcuts: Sequence[Shortcut] = ()
    fault: Switch = field(default_factory=Switch)
    tiers: Tiers = field(default_factory=Tiers)
    vendors: dict[str, Vendor] = field(default_factory=dict)
    files: dict[str, StoredFile] = field(default_factory=dict)
    uploads: dict[str, str] = field(default_factory=dict)
    # A request's audit entries, where the bot's trail can be read.
    trail: Trail = no_trail
    # Moves the clock of workspace, vendors and bot by whole days, where all of them can be.
    days_later: Callable[[int], Awaitable[None]] | None = None
    # Where programs may ask, and how one does that: with a token, in a channel.
    programs_at: str = ""
    program: Callable[[str, str], Awaitable[None]] | None = None
    # Messages that came within a second of the one before in their channel, by any route.
    too_fast: list[Json] = field(default_factory=list)
    last_post: dict[str, float] = field(default_factory=dict)

    def paced(self, channel: str, what: str) -> bool:
        """Notes a message of the bot; False when it came too soon after the last."""
        now = self.workspace.clock()
        gap = now - self.last_post.get(channel, float("-inf"))
        if gap >= 1.0:
            self.last_post[channel] = now
            return True
        self.too_fast.append({"channel": channel, "what": what, "gap": gap})
        if not self.fault.is_on("channel_pace"):
            self.last_post[channel] = now
        return False

    def response_url(self, user: str, channel: str, source_ts: str = "") -> str:
        """A fresh response URL."""
        return f"{self.base_url()}/respond/{self.triggers.respond_to(user, channel, source_ts)}"


Arguments = dict[str, Any]
