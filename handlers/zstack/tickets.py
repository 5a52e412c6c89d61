"""`zstack.change_ticket_status`: the events of ZStack Cloud tickets."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, model_validator

from bot.domain.ids import Ids
from bot.domain.operations import (
    Batch,
    Context,
    Lookup,
    Operation,
    Outcome,
    Reach,
    Record,
    Refinement,
    Result,
    Reversal,
)
from bot.domain.parameters import (
    Kind,
    Param,
    Parameters,
    Widget,
    broken,
    choice,
    given,
    items,
    text,
)
from bot.domain.people import Account
from handlers.zstack.levels import LevelReader, Levels
from integrations.errors import NoAnswer, Rejected
from integrations.zstack.client import ZstackClient
from integrations.zstack.failures import NotBegun
from integrations.zstack.protocol import EVENTS, LEADS_ON, Ticket, read_tags, tags_text

MOST_TICKETS = 1_000  # ours: what one request may name
# CONTRACT 7: which events a role may fire.
MAY_FIRE = {
    "admin": ("approve", "reject"),
    "approver": ("approve", "reject"),
    "owner": ("cancel", "reopen"),
}
LEADS_TO = {"reject": "Rejected", "cancel": "Cancelled", "reopen": "Pending"}
BACK = {"cancel": "reopen", "reject": "reopen", "reopen": "cancel"}
APPROVED = ("IntermediateApproved", "FinalApproved")
NEXT_OR_LAST = " or ".join(APPROVED)
NOT_LISTED = "ZStack does not list this ticket"
MOST_JOBS = 4

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
TAG_HELP = 'Separated by commas; a tag that holds one goes into double quotes: "a,b",c.'
SYSTEM_TAGS = Param(Kind.CHANGE, "System tags", help=TAG_HELP, advanced=True)
USER_TAGS = Param(Kind.CHANGE, "User tags", help=TAG_HELP, advanced=True)


def _uuid(value: str) -> str:
    found = value.strip().lower().replace("-", "")
    if not _UUID.fullmatch(found):
        near = re.sub(r"[^0-9a-f]", "", found)[:32].ljust(32, "0")
        raise broken(f"`uuid` takes 32 hex digits, such as `{near}`, not `{value}`.")
    return found


def _tags(name: str, spec: Param) -> Any:
    """Tags, as `read_tags` reads them, or a JSON list as the document's example has it."""

    def read(value: Any) -> tuple[str, ...] | None:
        if value is None:
            return None
        found = tuple(each.strip() for each in _several(value) if each.strip())
        if not found:
            raise broken(f"`{name}` is empty; leave it out, or give it a value.")
        return found

    return Annotated[tuple[str, ...] | None, spec, BeforeValidator(read)]


def _several(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    try:
        found = json.loads(str(value))
    except ValueError:
        return read_tags(str(value))
    return [str(each) for each in found] if isinstance(found, list) else read_tags(str(value))


class StatusChange(Parameters):
    """The document's fields under their own names, and its rules."""

    uuid: Annotated[tuple[str, ...] | None, *items("uuid", TICKETS, _uuid).__metadata__] = None
    statusEvent: Annotated[str | None, *choice("statusEvent", EVENT).__metadata__] = None  # noqa: N815
    comment: Annotated[str | None, *text("comment", COMMENT).__metadata__] = None
    systemTags: Annotated[  # noqa: N815
        tuple[str, ...] | None, *_tags("systemTags", SYSTEM_TAGS).__metadata__
    ] = None
    userTags: Annotated[  # noqa: N815
        tuple[str, ...] | None, *_tags("userTags", USER_TAGS).__metadata__
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
        self._levels = LevelReader(client, clock)

    def changes(self, parameters: Parameters) -> dict[str, str | int | tuple[str, ...]]:
        """Tags as one line that keeps their own commas."""
        found = super().changes(parameters)
        return {
            name: tags_text(value) if isinstance(value, tuple) else value
            for name, value in found.items()
        }

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
        levels = await self._levels.read()
        for each in uuids:
            yield _planned(each, found.get(each), event, account.role, levels)

    async def barred(
        self, parameters: Parameters, records: Sequence[Record], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        why = _role_says(account.role, str(given(parameters).get("statusEvent")))
        return {each.id: why for each in records} if why else {}

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        found = await self._client.tickets(list(ids))
        levels = await self._levels.read()
        return {each: levels.state(ticket) for each, ticket in found.items()}

    async def notes(self, parameters: Parameters, records: Sequence[Record]) -> Sequence[str]:
        """What the last approval executes, and to whom an earlier one hands on."""
        if given(parameters).get("statusEvent") != "approve":
            return ()
        found = await self._client.tickets([each.id for each in records[:5]])
        levels = await self._levels.read()
        return [levels.says(each) for each in found.values()]

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
        ticket = await self._client.change(record.id, batch.changes, jobs(batch.key))
        return [Outcome(record.id, Result.CHANGED, f"ZStack says: {ticket.status}")]

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        (record,) = batch.records
        unsure = ""
        for job in jobs(batch.key):
            try:
                decided = await self._by_job(record, job)
            except NoAnswer as error:
                unsure = error.words
                break
            if decided is not None:
                return [decided]
        now = (await self._client.tickets([record.id])).get(record.id)
        state = (await self._levels.read()).state(now) if now else None
        return [_by_state(record, state, unsure, certain=self._never_arrived(batch))]

    def _never_arrived(self, batch: Batch) -> bool:
        """True where "no such job" says that the call never arrived.

        It does not where the server keeps jobs under uuids of its own. Where that was not seen yet, an
        approval is not risked: a second one may move the next level, while any other event is
        refused where it happened already (facts C.2).
        """
        kept = self._client.keeps_our_jobs
        approves = batch.changes.get("statusEvent") == "approve"
        return bool(kept) if approves else kept is not False

    async def _by_job(self, record: Record, job: str) -> Outcome | None:
        """What the job says; None where it is not known, or ended before it began.

        Raises `NoAnswer` where ZStack itself does not know.
        """
        try:
            ticket = await self._client.job_result(job)
        except NotBegun:
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
        levels = await self._levels.read()
        told: dict[str, str] = {}
        for each, ticket in found.items():
            if ticket.status != "FinalApproved":
                told[each] = f"now waits for {levels.waits_for(ticket)}"
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


def jobs(key: str) -> tuple[str, ...]:
    """The job uuids of one call: its own, and some for when that ended without having begun."""
    again = (f"{key} {number}".encode() for number in range(2, MOST_JOBS + 1))
    return key, *(hashlib.sha256(each).hexdigest()[:32] for each in again)


def _by_state(
    record: Record, now: Mapping[str, str] | None, unsure: str, *, certain: bool
) -> Outcome:
    """What the ticket itself tells of a call whose job does not; `unsure`: why that knows nothing,
    `certain`: whether a job that is not known was never begun."""
    moved = now is not None and now != dict(record.state)
    if unsure:
        wanted = now is not None and now["status"] in _leads_to(record)
        words = f"{unsure}; ZStack shows {now['status']}" if now else unsure
        return Outcome(record.id, Result.CHANGED if moved and wanted else Result.UNKNOWN, words)
    if now is None or moved:
        words = "ZStack knows no such job, and the ticket has moved on"
        return Outcome(record.id, Result.UNKNOWN, words)
    if not certain:
        words = "ZStack knows no such job, but may keep it under another uuid than ours"
        return Outcome(record.id, Result.UNKNOWN, words)
    # No such job, and the ticket is as it was: it never arrived. The same job uuid goes out
    # again, which the vendor runs once whatever happens (facts C.5).
    return Outcome(record.id, Result.TO_SEND)


def _leads_to(record: Record) -> tuple[str, ...]:
    planned = record.after.get("status", "")
    return APPROVED if planned == NEXT_OR_LAST else (planned,)


def _role_says(role: str, event: str) -> str:
    if event in MAY_FIRE.get(role, ()):
        return ""
    able = " or ".join(name for name, events in MAY_FIRE.items() if event in events)
    return f"the role {role or 'that is mapped'} may not {event}; it needs {able}"


def label(ticket: Ticket) -> str:
    steps = ", ".join(dict.fromkeys(step.name for step in ticket.steps))
    return f"{ticket.name} · {steps}" if steps else ticket.name


def _planned(uuid: str, ticket: Ticket | None, event: str, role: str, levels: Levels) -> Record:
    if ticket is None:
        return Record(uuid, "not listed", {}, {}, left_out=NOT_LISTED)
    state = levels.state(ticket)
    why = _role_says(role, event)
    allowed = LEADS_ON.get(ticket.status, ())
    if not why and event not in allowed:
        possible = ", ".join(allowed) or "nothing"
        why = f"a ticket in status {ticket.status} takes {possible}, not {event}"
    to = LEADS_TO.get(event) or _approved(ticket, levels)
    return Record(uuid, label(ticket), state, {} if why else {"status": to}, left_out=why)


def _approved(ticket: Ticket, levels: Levels) -> str:
    """The status that an approval leads to, as far as it can be known."""
    flow = levels.of(ticket)
    if flow is not None and levels.after(flow) is not None:
        return "IntermediateApproved"
    return "FinalApproved" if levels.ends(ticket) else NEXT_OR_LAST
