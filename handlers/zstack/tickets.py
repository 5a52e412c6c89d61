"""`zstack.change_ticket_status`: the events of ZStack Cloud tickets."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, ClassVar

from pydantic import model_validator

from bot.domain.ids import Ids
from bot.domain.operations import (
    Batch,
    Context,
    Cursor,
    Lookup,
    Offer,
    Operation,
    Outcome,
    Reach,
    Record,
    Refinement,
    Result,
    Reversal,
    Sighting,
    Watcher,
)
from bot.domain.parameters import (
    Kind,
    Param,
    Parameters,
    Widget,
    broken,
    choice,
    choices,
    given,
    items,
    text,
)
from bot.domain.people import Account
from integrations.errors import Rejected
from integrations.zstack.client import ZstackClient
from integrations.zstack.protocol import EVENTS, LEADS_ON, Flow, SessionGone, Step, Ticket

MOST_TICKETS = 1_000  # ours: what one request may name
# CONTRACT 7: which events a role may fire.
MAY_FIRE = {
    "admin": ("approve", "reject"),
    "approver": ("approve", "reject"),
    "owner": ("cancel", "reopen"),
}
LEADS_TO = {"reject": "Rejected", "cancel": "Cancelled", "reopen": "Pending"}
BACK = {"cancel": "reopen", "reject": "reopen", "reopen": "cancel"}
NOT_LISTED = "ZStack does not list this ticket"
KEPT = 60.0  # seconds for which the list of flows is believed

_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")

TICKETS = Param(
    Kind.SELECTION,
    "Tickets",
    help="One or several uuids, 32 hex digits each.",
    example="f4483251fdfd48cdae0dbb966a2652c9",
    aliases=("tickets", "ticket"),
)
EVENT = Param(
    Kind.CHANGE,
    "Event",
    help="Approving the last level executes what the ticket asks for.",
    widget=Widget.SELECT,
    choices=EVENTS,
    aliases=("event", "status"),
)
COMMENT = Param(
    Kind.CHANGE, "Comment", help="Goes into the ticket's history.", widget=Widget.LINES, most=65535
)
SYSTEM_TAGS = Param(Kind.CHANGE, "System tags", advanced=True)
USER_TAGS = Param(Kind.CHANGE, "User tags", advanced=True)


def _uuid(value: str) -> str:
    found = value.strip().lower().replace("-", "")
    if not _UUID.fullmatch(found):
        near = re.sub(r"[^0-9a-f]", "", found)[:32].ljust(32, "0")
        raise broken(f"`uuid` takes 32 hex digits, such as `{near}`, not `{value}`.")
    return found


class StatusChange(Parameters):
    """The document's fields under their own names, and its rules."""

    uuid: Annotated[tuple[str, ...] | None, *items("uuid", TICKETS, _uuid).__metadata__] = None
    statusEvent: Annotated[str | None, *choice("statusEvent", EVENT).__metadata__] = None  # noqa: N815
    comment: Annotated[str | None, *text("comment", COMMENT).__metadata__] = None
    systemTags: Annotated[  # noqa: N815
        tuple[str, ...] | None, *items("systemTags", SYSTEM_TAGS).__metadata__
    ] = None
    userTags: Annotated[  # noqa: N815
        tuple[str, ...] | None, *items("userTags", USER_TAGS).__metadata__
    ] = None

    @model_validator(mode="after")
    def _rules(self) -> StatusChange:
        if not self.uuid:
            message = "`uuid` is required: the ticket's 32 hex digits."
            raise broken(message, "uuid")
        if len(self.uuid) > MOST_TICKETS:
            message = f"`uuid` takes at most {MOST_TICKETS:,} tickets in one request."
            raise broken(message, "uuid")
        if self.statusEvent is None:
            # document: statusEvent is required.
            names = ", ".join(f"`{name}`" for name in EVENTS)
            raise broken(f"`statusEvent` is required: one of {names}.", "statusEvent")
        return self


class ChangeTicketStatus(Operation):
    """One `ChangeTicketStatus` for each ticket, under a job uuid that was stored before the call."""

    name: ClassVar[str] = "zstack.change_ticket_status"
    vendor: ClassVar[str] = "zstack"
    vendor_title: ClassVar[str] = "ZStack Cloud"
    command: ClassVar[str] = "zstack"
    title: ClassVar[str] = "Change ticket status"
    summary: ClassVar[str] = "Approve, reject, cancel or reopen tickets"
    noun: ClassVar[tuple[str, str]] = ("ticket", "tickets")
    roles: ClassVar[Mapping[str, Reach]] = dict.fromkeys(MAY_FIRE, Reach.ALL)
    parameters: ClassVar[type[Parameters]] = StatusChange
    records_in: ClassVar[str] = "uuid"
    comment: ClassVar[str] = "comment"
    ids: ClassVar[Ids] = Ids(
        plain=r"[0-9a-fA-F]{32}|[0-9a-fA-F-]{36}",
        one=r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        address=r"(?<![0-9a-f])([0-9a-f]{32})(?![0-9a-f])",
        before=("ticket", "tickets", "uuid"),
        spelled=lambda found: found.lower().replace("-", ""),
    )
    call_size: ClassVar[int] = 1
    parallel: ClassVar[int] = 4
    refines: ClassVar[tuple[str, ...]] = ("uuid",)
    follows: ClassVar[float] = 120.0
    examples: ClassVar[tuple[str, ...]] = (
        'f4483251fdfd48cdae0dbb966a2652c9 statusEvent=approve comment="Sized right"',
        'f4483251fdfd48cdae0dbb966a2652c9 statusEvent=reject comment="Too large"',
    )

    def __init__(self, client: ZstackClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._known: tuple[float, list[Flow]] | None = None

    @classmethod
    def find(cls, text: str) -> tuple[str, ...]:
        """The uuids in a message: 32 hex digits."""
        return tuple(dict.fromkeys(_UUID.findall(text.lower())))

    def single(self, parameters: Parameters) -> bool:
        return len(getattr(parameters, self.records_in) or ()) == 1

    def executes(self, parameters: Parameters) -> bool:
        # facts C.2: approving the last level executes the stored requests.
        return given(parameters).get("statusEvent") == "approve"

    def repeatable(self, parameters: Parameters) -> bool:
        # facts C.5: a second approve may move the next level.
        return False

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        uuids = list(getattr(parameters, self.records_in))
        event = str(given(parameters)["statusEvent"])
        found = await self._client.tickets(uuids)
        flows = await self._flows()
        for each in uuids:
            yield _planned(each, found.get(each), event, account.role, flows)

    async def barred(
        self, parameters: Parameters, records: Sequence[Record], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        why = _role_says(account.role, str(given(parameters).get("statusEvent")))
        return {each.id: why for each in records} if why else {}

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        found = await self._client.tickets(list(ids))
        flows = await self._flows()
        return {each: _state(ticket, flows) for each, ticket in found.items()}

    async def notes(self, parameters: Parameters, records: Sequence[Record]) -> Sequence[str]:
        """What the last approval executes, and to whom an earlier one hands on."""
        if given(parameters).get("statusEvent") != "approve":
            return ()
        found = await self._client.tickets([each.id for each in records[:5]])
        flows = await self._flows()
        return [_note(each, flows) for each in found.values()]

    async def refine(self, context: Context) -> Refinement:
        """Only the events that the tickets' present states and the caller's role allow."""
        typed = str(context.values.get("uuid") or "").lower()
        uuids = _UUID.findall(typed)
        if not uuids:
            return Refinement()
        found = await self._client.tickets(uuids)
        role = context.account.role if context.account else ""
        allowed = [
            event
            for event in MAY_FIRE.get(role, ())
            if any(event in LEADS_ON.get(each.status, ()) for each in found.values())
        ]
        return Refinement({"statusEvent": {event: EVENTS[event] for event in allowed}})

    async def lookup(self, name: str, words: str, context: Context) -> Sequence[Lookup]:
        return ()

    # --- the edit --------------------------------------------------------------------------------

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        (record,) = batch.records
        first, second = jobs(batch.key)
        try:
            ticket = await self._client.change(record.id, batch.changes, first)
        except SessionGone:
            # facts C.4: the job failed for its session, so nothing was executed.
            self._client.forget_session()
            ticket = await self._client.change(record.id, batch.changes, second)
        return [Outcome(record.id, Result.CHANGED, f"ZStack says: {ticket.status}")]

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        (record,) = batch.records
        for job in jobs(batch.key):
            decided = await self._by_job(record, job)
            if decided is not None:
                return [decided]
        now = (await self._client.tickets([record.id])).get(record.id)
        if now is not None and _state(now, await self._flows()) == dict(record.state):
            # No such job, and the ticket is as it was: it never arrived. The same job uuid goes
            # out again, which the vendor runs once whatever happens (facts C.5).
            return [Outcome(record.id, Result.TO_SEND)]
        words = "ZStack knows no such job, and the ticket has moved on"
        return [Outcome(record.id, Result.UNKNOWN, words)]

    async def _by_job(self, record: Record, job: str) -> Outcome | None:
        """What the job says; None where it is not known, or failed for its session."""
        try:
            ticket = await self._client.job_result(job)
        except SessionGone:
            self._client.forget_session()
            return None
        except Rejected as error:
            if error.code == "404":
                return None
            return Outcome(record.id, Result.REFUSED, error.words)
        if ticket is None:
            return Outcome(record.id, Result.UNKNOWN, f"job {job} is still running")
        return Outcome(record.id, Result.CHANGED, f"ZStack says: {ticket.status}")

    def goes_on(self, parameters: Parameters) -> bool:
        return self.executes(parameters)

    async def follow_up(self, parameters: Parameters, ids: Sequence[str]) -> Mapping[str, str]:
        """What the execution of the stored requests came to after the last approval, and who
        decides next after an earlier one."""
        found = await self._client.tickets(list(ids))
        flows = await self._flows()
        told: dict[str, str] = {}
        for each, ticket in found.items():
            if ticket.status != "FinalApproved":
                told[each] = (
                    f"now waits for {_state(ticket, flows)['approver'] or 'its next level'}"
                )
                continue
            history = await self._client.history(each)
            if results := [line for entry in history for line in entry.results]:
                told[each] = "; ".join(results)
        return told

    def revert(self, record: Record) -> Reversal:
        event = next(
            (each for each, to in LEADS_TO.items() if record.after.get("status") == to), ""
        )
        if event not in BACK:
            return Reversal(lost="an approval cannot be taken back")
        back = BACK[event]
        lost = "its comment stays, and it begins at its first level" if back == "reopen" else ""
        return Reversal({"statusEvent": back}, {"status": LEADS_TO[back]}, lost)

    async def _flows(self) -> list[Flow]:
        now = self._clock()
        if self._known is None or now - self._known[0] > KEPT:
            self._known = (now, await self._client.flows())
        return self._known[1]


def jobs(key: str) -> tuple[str, str]:
    """The job uuids of one call: its own, and one for a second try under a new session."""
    return key, hashlib.sha256(f"{key} again".encode()).hexdigest()[:32]


def _role_says(role: str, event: str) -> str:
    if event in MAY_FIRE.get(role, ()):
        return ""
    able = " or ".join(name for name, events in MAY_FIRE.items() if event in events)
    return f"the role {role or 'that is mapped'} may not {event}; it needs {able}"


def _state(ticket: Ticket, flows: Sequence[Flow]) -> dict[str, str]:
    """Status and level; who approves it now is for people, the level's uuid for drift."""
    flow = next((each for each in flows if each.uuid == ticket.flow), None)
    approver = flow.title or flow.approver if flow else ""
    return {"status": ticket.status, "level": ticket.flow, "approver": approver}


def _next(ticket: Ticket, flows: Sequence[Flow]) -> Flow | None:
    """The level after the present one; None on the last."""
    return next((each for each in flows if each.parent and each.parent == ticket.flow), None)


def _label(ticket: Ticket) -> str:
    steps = ", ".join(dict.fromkeys(step.name for step in ticket.steps))
    return f"{ticket.name} · {steps}" if steps else ticket.name


def _planned(
    uuid: str, ticket: Ticket | None, event: str, role: str, flows: Sequence[Flow]
) -> Record:
    if ticket is None:
        return Record(uuid, "not listed", {}, {}, left_out=NOT_LISTED)
    state = _state(ticket, flows)
    why = _role_says(role, event)
    allowed = LEADS_ON.get(ticket.status, ())
    if not why and event not in allowed:
        possible = ", ".join(allowed) or "nothing"
        why = f"a ticket in status {ticket.status} takes {possible}, not {event}"
    last = "FinalApproved" if _next(ticket, flows) is None else "IntermediateApproved"
    to = LEADS_TO.get(event, last)
    return Record(uuid, _label(ticket), state, {} if why else {"status": to}, left_out=why)


def _note(ticket: Ticket, flows: Sequence[Flow]) -> str:
    following = _next(ticket, flows)
    if following is not None:
        who = following.title or following.approver
        return f"{ticket.name}: after this approval it goes to {who}."
    steps = ", ".join(_step(each) for each in ticket.steps) or "what it asks for"
    return f"{ticket.name}: this is the last approval; it executes {steps}."


def _step(step: Step) -> str:
    api = f" ({step.api})" if step.api else ""
    times = f" ×{step.times}" if step.times != 1 else ""
    return f"{step.name}{api}{times}"


# --- watching --------------------------------------------------------------------------------------

WATCHED = Param(
    Kind.SELECTION,
    "Status",
    help="Told when tickets come into or leave one of them; empty for all.",
    widget=Widget.MULTI_SELECT,
    choices={name: name for name in LEADS_ON},
)


class WatchedTickets(Parameters):
    """Which tickets a channel is told of."""

    status: Annotated[tuple[str, ...] | None, *choices("status", WATCHED).__metadata__] = None


class TicketWatcher(Watcher):
    """Polls the history by its `sequence`, which grows by itself (facts C.8)."""

    name: ClassVar[str] = "zstack.tickets"
    vendor: ClassVar[str] = "zstack"
    vendor_title: ClassVar[str] = "ZStack Cloud"
    command: ClassVar[str] = "zstack"
    noun: ClassVar[tuple[str, str]] = ("ticket", "tickets")
    parameters: ClassVar[type[Parameters]] = WatchedTickets

    def __init__(self, client: ZstackClient) -> None:
        self._client = client

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        if not cursor:
            # The cursor is read first, so that what changes meanwhile is seen again, not missed.
            newest = await self._client.newest()
            async for tickets in self._client.all_tickets():
                for each in tickets:
                    yield Sighting(each.uuid, _label(each), each.status, at)
            yield Cursor(str(newest))
            return
        newest = int(cursor)
        async for page in self._client.changes(newest):
            newest = max(newest, page[-1].sequence)
            moved = [each for each in page if each.after]
            names = await self._client.tickets(list(dict.fromkeys(each.ticket for each in moved)))
            for change in moved:
                ticket = names.get(change.ticket)
                label = _label(ticket) if ticket else change.comment
                yield Sighting(change.ticket, label, change.after, at, change.operator)
        yield Cursor(str(newest))

    def states(self, selection: Parameters) -> frozenset[str]:
        chosen = given(selection).get("status")
        return frozenset(chosen) if isinstance(chosen, tuple) else frozenset()

    def offers(self, sighting: Sighting) -> Sequence[Offer]:
        styles = {"approve": "primary", "reject": "danger"}
        return [
            Offer(
                event,
                EVENTS[event],
                "zstack.change_ticket_status",
                {"uuid": sighting.id, "statusEvent": event},
                styles.get(event, ""),
            )
            for event in LEADS_ON.get(sighting.state, ())
        ]
