"""`xpanse.update_incident`: status, assignee, severity and comments of Cortex Xpanse incidents."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, model_validator

from bot.domain.errors import InvalidInput, Problem
from bot.domain.ids import Ids, count_up
from bot.domain.operations import (
    Batch,
    Context,
    Lookup,
    Operation,
    Outcome,
    Reach,
    Record,
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
    nearest,
    pick,
    text,
)
from bot.domain.people import Account
from integrations.errors import VendorError
from integrations.xpanse.client import XpanseClient
from integrations.xpanse.config import statuses
from integrations.xpanse.protocol import SEVERITIES, Incident, User

MOST_INCIDENTS = 10_000  # ours: what one request may name
# Parameters that set a field, and that field's name here; a comment is added, and stays.
FIELDS = {
    "status": "status",
    "assigned_user_mail": "assignee",
    "assigned_user_pretty_name": "full name",
    "manual_severity": "severity",
    "resolve_comment": "resolve comment",
}
# Sources write these in either case (facts B.4, B.5), and an address has none. Texts are as typed.
CASELESS = frozenset({"status", "assignee", "severity"})
MAY_BE_HIDDEN = frozenset({"full name", "resolve comment"})  # not every tenant shows them
CLEARED = frozenset({"assignee", "severity"})  # document: an empty value means something there
NOT_LISTED = "Cortex Xpanse does not list this incident"
SO_ALREADY = "is so already"
KEPT = 60.0  # seconds for which the list of users is believed

_ID = re.compile(r"(?:incident|case)[\s#:]*([0-9]{1,12})\b|caseId=([0-9]{1,12})", re.IGNORECASE)


class Statuses(Mapping[str, str]):
    """The document's statuses and those of this tenant, as its settings say."""

    def __getitem__(self, name: str) -> str:
        return statuses()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(statuses())

    def __len__(self) -> int:
        return len(statuses())


INCIDENTS = Param(
    Kind.SELECTION,
    "Incidents",
    help="One or several incident ids.",
    example="71",
    aliases=("incidents", "incident", "id"),
)
STATUS = Param(
    Kind.CHANGE,
    "Status",
    widget=Widget.SELECT,
    choices=Statuses(),
    verbs={"resolve": "resolved", "investigate": "under_investigation", "reopen": "new"},
)
ASSIGNEE = Param(
    Kind.CHANGE,
    "Assignee",
    help="The e-mail address of a user of the tenant.",
    widget=Widget.LOOKUP,
    lookup="users",
    aliases=("assignee",),
    empty_means="Unassign",
    account=True,
)
PRETTY = Param(
    Kind.CHANGE, "Assignee's full name", help="Only together with the assignee.", advanced=True
)
SEVERITY = Param(
    Kind.CHANGE,
    "Severity",
    help="Set by hand, over the computed one.",
    widget=Widget.SELECT,
    choices=SEVERITIES,
    aliases=("severity",),
    empty_means="Back to the computed one",
)
RESOLUTION = Param(
    Kind.CHANGE,
    "Resolve comment",
    help="Explains the change; Xpanse shows it where an incident is resolved.",
    widget=Widget.LINES,
    most=3000,
)
COMMENT = Param(
    Kind.CHANGE, "Comment", help="Added to the incident; it stays.", widget=Widget.LINES, most=3000
)


def _mail(value: Any) -> str | None:
    if value is None or value == "":
        return None if value is None else ""
    found = str(value).strip()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", found):
        message = f"`assigned_user_mail` must be an e-mail address, not `{found}`."
        raise broken(f'{message} Typed as `assigned_user_mail=""` it unassigns.')
    return found


def _severity(value: Any) -> str | None:
    if value is None or value == "":
        return None if value is None else ""
    return pick("manual_severity", str(value), SEVERITIES)


def _incident_id(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,12}", value):
        digits = re.sub(r"[^0-9]", "", value)[:12] or "71"
        raise broken(f"`incident_id` takes whole numbers, such as `{digits}`, not `{value}`.")
    return value


class IncidentUpdate(Parameters):
    """The document's fields under their own names, and its rules."""

    incident_id: Annotated[
        tuple[str, ...] | None, *items("incident_id", INCIDENTS, _incident_id).__metadata__
    ] = None
    status: Annotated[str | None, *choice("status", STATUS).__metadata__] = None
    assigned_user_mail: Annotated[str | None, ASSIGNEE, BeforeValidator(_mail)] = None
    assigned_user_pretty_name: Annotated[
        str | None, *text("assigned_user_pretty_name", PRETTY).__metadata__
    ] = None
    manual_severity: Annotated[str | None, SEVERITY, BeforeValidator(_severity)] = None
    resolve_comment: Annotated[str | None, *text("resolve_comment", RESOLUTION).__metadata__] = None
    comment: Annotated[str | None, *text("comment", COMMENT).__metadata__] = None

    @model_validator(mode="after")
    def _rules(self) -> IncidentUpdate:
        if not self.incident_id:
            raise broken("`incident_id` is required, such as `71`.", "incident_id")
        if len(self.incident_id) > MOST_INCIDENTS:
            message = f"`incident_id` takes at most {MOST_INCIDENTS:,} incidents in one request."
            raise broken(message, "incident_id")
        changes = (*FIELDS, "comment")
        if all(getattr(self, name) is None for name in changes):
            names = ", ".join(f"`{name}`" for name in changes)
            raise broken(f"Say what to change: one of {names}.", "status")
        if self.assigned_user_pretty_name is not None and not self.assigned_user_mail:
            # document: "you must also supply a value for assigned_user_mail in the same request".
            message = "`assigned_user_pretty_name` needs `assigned_user_mail` in the same request."
            raise broken(message, "assigned_user_pretty_name")
        return self


def resolves(status: str) -> bool:
    return status.lower().startswith("resolved")


class UpdateIncident(Operation):
    """One `update_incident` for each incident; a comment is never sent twice."""

    name: ClassVar[str] = "xpanse.update_incident"
    vendor: ClassVar[str] = "xpanse"
    vendor_title: ClassVar[str] = "Cortex Xpanse"
    command: ClassVar[str] = "xpanse"
    title: ClassVar[str] = "Update incidents"
    summary: ClassVar[str] = "Change status, assignee or severity of incidents, or comment on them"
    noun: ClassVar[tuple[str, str]] = ("incident", "incidents")
    roles: ClassVar[Mapping[str, Reach]] = {
        "Instance Administrator": Reach.ALL,
        "Account Admin": Reach.ALL,
        "Investigator": Reach.ALL,
        "Responder": Reach.ALL,
    }
    parameters: ClassVar[type[Parameters]] = IncidentUpdate
    records_in: ClassVar[str] = "incident_id"
    comment: ClassVar[str] = "comment"
    ids: ClassVar[Ids] = Ids(
        plain=r"[0-9]{1,12}",
        one=r"[0-9]{1,12}",
        address=r"(?:caseId|incident_?id|incidents?|cases?)[=/]([0-9]{1,12})(?![0-9.])",
        before=("incident", "incidents", "case", "inc"),
        between=count_up(MOST_INCIDENTS),
    )
    # document: `comment` is an object whose `comment_action` is always "add".
    fixed: ClassVar[Mapping[str, tuple[str, ...]]] = {"comment_action": ("add",)}
    call_size: ClassVar[int] = 1
    parallel: ClassVar[int] = 4
    examples: ClassVar[tuple[str, ...]] = (
        '71 status=under_investigation comment="taken from Slack"',
        '71,72 status=resolved resolve_comment="Port closed"',
        '71 assigned_user_mail="" manual_severity=high',
    )

    def __init__(self, client: XpanseClient) -> None:
        self._client = client
        self._known: tuple[float, list[User]] | None = None

    @classmethod
    def find(cls, text: str) -> tuple[str, ...]:
        """Incident ids in a message: "incident 71", "case #71", or the console's link."""
        return tuple(dict.fromkeys(one or two for one, two in _ID.findall(text)))

    def single(self, parameters: Parameters) -> bool:
        return len(getattr(parameters, self.records_in) or ()) == 1

    def repeatable(self, parameters: Parameters) -> bool:
        # facts B.8: fields are set and may be set again; a comment is added each time.
        return "comment" not in given(parameters)

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        ids = list(getattr(parameters, self.records_in))
        changes = {name: str(value) for name, value in self.changes(parameters).items()}
        found = await self._client.incidents(ids)
        for each in ids:
            yield _planned(each, found.get(each), changes)

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        found = await self._client.incidents(list(ids))
        return {each: _state(incident) for each, incident in found.items()}

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        (record,) = batch.records
        done, warnings = await self._client.update(record.id, batch.changes)
        words = "; ".join(warnings)
        if done:
            said = f"Xpanse warns: {words}" if words else ""
            return [Outcome(record.id, Result.CHANGED, said)]
        return [await self._not_done(record, batch, words)]

    async def _not_done(self, record: Record, batch: Batch, words: str) -> Outcome:
        """A 200 with `reply: false`: not done, unless reading shows that it was (facts B.1)."""
        why = f"Xpanse replied false{f': {words}' if words else ''}"
        try:
            found = await self._client.incidents([record.id])
        except VendorError as error:
            return Outcome(record.id, Result.UNKNOWN, f"{why}; reading it back failed: {error}")
        if _applied(record, found.get(record.id), batch.changes):
            return Outcome(record.id, Result.CHANGED, why)
        # facts B.4: no call lists comments, so whether one was added nobody can tell.
        unsure = "comment" in batch.changes
        return Outcome(record.id, Result.UNKNOWN if unsure else Result.REFUSED, why)

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        (record,) = batch.records
        found = (await self._client.incidents([record.id])).get(record.id)
        if found is None:
            return [Outcome(record.id, Result.UNKNOWN, "Xpanse no longer lists it")]
        if _applied(record, found, batch.changes):
            return [Outcome(record.id, Result.CHANGED)]
        if "comment" in batch.changes:
            # facts B.4: no call lists comments, so nobody can tell, and it is not sent again.
            words = "sent without an answer, and Xpanse lists no comments to look for it"
            return [Outcome(record.id, Result.UNKNOWN, words)]
        if _state(found) != record.state:
            words = "sent without an answer, and Xpanse shows other values"
            return [Outcome(record.id, Result.UNKNOWN, words)]
        return [Outcome(record.id, Result.TO_SEND)]

    async def check(self, parameters: Parameters) -> None:
        mail = given(parameters).get("assigned_user_mail")
        if not isinstance(mail, str) or not mail:
            return
        try:
            users = await self._users()
        except VendorError:
            return  # the vendor decides at the edit: it validates the address itself (document)
        known = {user.email.casefold(): user.email for user in users}
        if mail.casefold() in known:
            return
        near = nearest(mail, list(known.values()), 1)
        hint = f" The nearest is `{near[0]}`." if near else ""
        message = f"`assigned_user_mail` must be a user of the tenant, not `{mail}`.{hint}"
        raise InvalidInput([Problem("assigned_user_mail", message)])

    async def lookup(self, name: str, words: str, context: Context) -> Sequence[Lookup]:
        typed = " ".join(words.split()).casefold()
        users = await self._users() if name == "users" else []
        found = [
            Lookup(
                each.email, f"{each.name} ({each.email})" if each.name else each.email, each.role
            )
            for each in users
            if typed in f"{each.name} {each.email}".casefold()
        ]
        return sorted(found, key=lambda each: each.label.casefold())[:100]

    async def _users(self) -> list[User]:
        now = time.monotonic()
        if self._known is None or now - self._known[0] > KEPT:
            self._known = (now, await self._client.users())
        return self._known[1]

    def revert(self, record: Record) -> Reversal:
        changes, lost = {}, []
        for name, field in FIELDS.items():
            if field not in record.after:
                continue
            before = record.state.get(field, "")
            if before or field in CLEARED:
                changes[name] = before
            else:
                # document: only the assignee and the severity may be emptied.
                lost.append(f"{name} was empty, and Xpanse does not clear it")
        if "assigned_user_pretty_name" in changes:
            # document: a name only together with its address.
            changes["assigned_user_mail"] = record.state.get("assignee", "")
        after = {FIELDS[name]: value for name, value in changes.items()}
        return Reversal(changes, after, "; ".join(lost) or ("" if changes else "a comment stays"))


def _state(incident: Incident) -> dict[str, str]:
    return {
        "status": incident.status,
        "assignee": incident.assignee,
        "full name": incident.assignee_name,
        "severity": incident.severity,
        "resolve comment": incident.resolve_comment,
    }


def _planned(incident_id: str, found: Incident | None, changes: Mapping[str, str]) -> Record:
    if found is None:
        return Record(incident_id, "not listed", {}, {}, left_out=NOT_LISTED)
    state = _state(found)
    after = {
        FIELDS[name]: value
        for name, value in changes.items()
        if name in FIELDS and not _same(FIELDS[name], state[FIELDS[name]], value)
    }
    already = not after and "comment" not in changes
    left_out = SO_ALREADY if already else ""
    return Record(incident_id, found.name, state, after, left_out, already)


def _applied(record: Record, found: Incident | None, changes: Mapping[str, str]) -> bool:
    """True where reading shows the fields that the call was to change; False where it cannot."""
    moved = {
        FIELDS[name]: value for name, value in changes.items() if FIELDS.get(name) in record.after
    }
    if found is None or not moved:
        return False
    state = _state(found)
    hidden = {field for field in MAY_BE_HIDDEN & moved.keys() if not state[field]}
    told = moved.keys() - hidden
    return bool(told) and all(_same(field, state[field], moved[field]) for field in told)


def _same(field: str, held: str, wanted: str) -> bool:
    return held == wanted or (field in CASELESS and held.casefold() == wanted.casefold())
