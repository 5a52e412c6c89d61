"""The levels of ZStack's flows in words: which comes when, and who approves there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from integrations.errors import Rejected
from integrations.zstack.client import ZstackClient
from integrations.zstack.protocol import Flow, Step, Ticket

KEPT = 60.0  # seconds for which the list of flows is believed
NOBODY = "an approver whom ZStack does not name"


@dataclass(frozen=True)
class Levels:
    """The flows that the account may see; `names` are those of their approvers, by uuid."""

    flows: Sequence[Flow] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def of(self, ticket: Ticket) -> Flow | None:
        """The level that a ticket waits at; None where it is not listed."""
        return next((each for each in self.flows if each.uuid == ticket.flow), None)

    def after(self, flow: Flow) -> Flow | None:
        """The level after this one; None where none is listed."""
        return next((each for each in self.flows if each.parent == flow.uuid), None)

    def ends(self, ticket: Ticket) -> bool:
        """True where the ticket is known to wait at its flow's last level."""
        flow = self.of(ticket)
        return flow is not None and self._chained(flow) and self.after(flow) is None

    def state(self, ticket: Ticket) -> dict[str, str]:
        """Status and level, in words, and such that a move between two levels is a change."""
        flow = self.of(ticket)
        if flow is not None:
            level = f"{self._position(flow)}: {self.who(flow)}"
        elif ticket.flow:
            level = f"one that is not listed ({ticket.flow[:8]})"
        else:
            # The document's own sample leaves the level out; then it is told by when it moved.
            level = f"as of {ticket.moved}" if ticket.moved else ""
        return {"status": ticket.status, "level": level}

    def who(self, flow: Flow) -> str:
        """A level by its name, with its approver and their title as far as they are told."""
        told = (flow.name, flow.title, self.names.get(flow.approver, ""))
        words = list(dict.fromkeys(each for each in told if each)) or [NOBODY]
        return f"{words[0]} ({', '.join(words[1:])})" if words[1:] else words[0]

    def waits_for(self, ticket: Ticket) -> str:
        flow = self.of(ticket)
        return self.who(flow) if flow else "its next level"

    def says(self, ticket: Ticket) -> str:
        """What an approval of this ticket leads to, in a sentence."""
        flow = self.of(ticket)
        following = self.after(flow) if flow else None
        if following is not None:
            return f"{ticket.name}: after this approval it goes to {self.who(following)}."
        steps = ", ".join(_step(each) for each in ticket.steps) or "what it asks for"
        if self.ends(ticket):
            return f"{ticket.name}: this is the last approval; it executes {steps}."
        unsure = "ZStack does not tell whether another approval follows"
        return f"{ticket.name}: {unsure}; if none does, this one executes {steps}."

    def _position(self, flow: Flow) -> int:
        return len(self._before(flow)) + 1

    def _chained(self, flow: Flow) -> bool:
        """True where every level before this one is listed, so that the list is no part of it."""
        before = self._before(flow)
        return not (before[-1] if before else flow).parent

    def _before(self, flow: Flow) -> list[Flow]:
        """The listed levels before this one, nearest first."""
        known = {each.uuid: each for each in self.flows if each is not flow}
        found: list[Flow] = []
        parent = known.pop(flow.parent, None)
        while parent is not None:
            found.append(parent)
            parent = known.pop(parent.parent, None)
        return found


class LevelReader:
    """Reads the levels, and believes them for a minute. `clock` is monotonic, in seconds."""

    def __init__(self, client: ZstackClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._known: tuple[float, Levels] | None = None

    async def read(self) -> Levels:
        now = self._clock()
        if self._known is None or now - self._known[0] > KEPT:
            flows = await self._flows()
            names = await self._client.names(each.approver for each in flows)
            self._known = (now, Levels(flows, names))
        return self._known[1]

    async def _flows(self) -> Sequence[Flow]:
        """None where the account may not list them: its events are possible all the same."""
        try:
            return await self._client.flows()
        except Rejected:
            return ()


def _step(step: Step) -> str:
    api = f" ({step.api})" if step.api else ""
    times = f" ×{step.times}" if step.times != 1 else ""
    return f"{step.name}{api}{times}"
