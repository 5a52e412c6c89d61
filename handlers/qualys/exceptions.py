"""`qualys.request_exception`: a Policy Compliance exception for one control on one host."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from bot.domain.errors import InvalidInput, Problem
from bot.domain.operations import (
    Batch,
    Context,
    Lookup,
    Offer,
    Operation,
    Outcome,
    Reach,
    Record,
    Refinement,
    Result,
)
from bot.domain.parameters import Parameters, given, nearest, wire
from bot.domain.people import Account
from handlers.qualys.exception_parameters import ExceptionRequest
from handlers.qualys.lists import Remembered, best, is_login, is_whole, may_own
from handlers.qualys.scope import Scope, is_unknown
from integrations.errors import Rejected, UnknownOutcome, Unreadable, VendorError
from integrations.qualys.client import QualysClient
from integrations.qualys.exceptions import DAY, ComplianceException, ExceptionClient, Host, Posture
from integrations.qualys.models import User

PLACE = ("policy_id", "control_id", "host_id", "technology_id", "instance_string")
# What an exception that stands in the way is in; a rejected or expired one does not.
STANDING = frozenset({"pending", "approved"})
NOT_LISTED = "Qualys lists no result of this control on this host and technology under this policy"
MOST_REMEMBERED = 50
CLOCKS_DIFFER = timedelta(minutes=2)


class RequestException(Operation):
    """One `action=request`; the exception is Pending at the vendor until somebody decides."""

    name: ClassVar[str] = "qualys.request_exception"
    vendor: ClassVar[str] = "qualys"
    vendor_title: ClassVar[str] = "Qualys"
    command: ClassVar[str] = "exception"
    title: ClassVar[str] = "New exception"
    summary: ClassVar[str] = "Ask for a compliance exception for a control on a host"
    noun: ClassVar[tuple[str, str]] = ("exception", "exceptions")
    # vendors/qualys.md 5.6.
    roles: ClassVar[Mapping[str, Reach]] = {
        "Manager": Reach.ALL,
        "Auditor": Reach.ALL,
        "Unit Manager": Reach.SCOPE,
        "Scanner": Reach.SCOPE,
        "Reader": Reach.SCOPE,
    }
    parameters: ClassVar[type[Parameters]] = ExceptionRequest
    records_in: ClassVar[str] = "control_id"
    leads: ClassVar[tuple[str, ...]] = PLACE
    comment: ClassVar[str] = "comments"
    # document: `action` ("create" is also supported) and `echo_request`, which changes no exception.
    fixed: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "action": ("request", "create"),
        "echo_request": ("0", "1"),
    }
    call_size: ClassVar[int] = 1
    parallel: ClassVar[int] = 1
    refines: ClassVar[tuple[str, ...]] = ("policy_id", "control_id", "host_id")
    approved_as: ClassVar[str] = "qualys.decide_exception"
    examples: ClassVar[tuple[str, ...]] = (
        (
            "control_id=1113 host_id=28595192824 policy_id=801459496 technology_id=45"
            ' assignee_id=2449482824 reopen_on_evidence_change=1 comments="new exception"'
        ),
    )

    def __init__(
        self,
        client: QualysClient,
        exceptions: ExceptionClient,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._exceptions = exceptions
        self._clock = clock
        self._users: Remembered[list[User]] = Remembered(client.users, clock)
        self._policies = Remembered(exceptions.policies, clock)
        self._controls = Remembered(exceptions.controls, clock)
        self._hosts: Remembered[list[Host]] = Remembered(lambda: exceptions.hosts({}), clock)
        self._failing: dict[tuple[str, ...], Remembered[list[Posture]]] = {}

    def single(self, parameters: Parameters) -> bool:
        return True

    def repeatable(self, parameters: Parameters) -> bool:
        # A second request for the same control and host is another exception, or an error.
        return False

    def narrowed(self, parameters: Parameters, ids: Sequence[str]) -> Parameters:
        return parameters

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        wanted = given(parameters)
        filters = {"control_ids": wire(wanted["control_id"]), "host_ids": wire(wanted["host_id"])}
        listed = await self._exceptions.posture(str(wanted["policy_id"]), filters)
        fitting = [each for each in listed if _is(each, wanted)]
        _needs_instance(fitting, wanted)
        found = next((each for each in fitting if _on_instance(each, wanted)), None)
        why = _why_not(found)
        if found and not why and reach is Reach.SCOPE:
            why = await outside(self._exceptions, Scope(account.scope), [found.host.ip])
        yield Record(
            id=_key(wanted),
            label=_label(found) if found else "not listed",
            state=_state(found) if found else {},
            after={} if why else {"exception": "Pending"},
            left_out=why,
            places=(found.host.ip,) if found else (),
        )

    async def barred(
        self, parameters: Parameters, records: Sequence[Record], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        if reach is not Reach.SCOPE:
            return {}
        scope = Scope(account.scope)
        reasons = {
            each.id: await outside(self._exceptions, scope, list(each.places)) for each in records
        }
        return {record: why for record, why in reasons.items() if why}

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        found = {}
        for each in ids:
            place = _place(each)
            filters = {"control_ids": place["control_id"], "host_ids": place["host_id"]}
            listed = await self._exceptions.posture(place["policy_id"], filters)
            now = next((p for p in listed if _is(p, place) and _on_instance(p, place)), None)
            if now is not None:
                found[each] = _state(now)
        return found

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        (record,) = batch.records
        form = {name: wire(value) for name, value in given(batch.parameters).items()}
        try:
            reply = await self._exceptions.request({**form, **batch.changes})
        except Unreadable as error:
            raise UnknownOutcome(error.vendor, error.words) from error
        words = f"{reply.words or 'Created'}: {', '.join(reply.numbers)}"
        return [_made(record, reply.numbers[0], words)]

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        """One exception that says what ours said, made since, is ours; none proves nothing.

        Of several none is taken: a list names no instance, so that another request's looks alike.
        """
        (record,) = batch.records
        at = datetime.fromisoformat(since)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        place = _place(record.id)
        day = (at - timedelta(days=1)).strftime(DAY)
        filters = {
            "policy_id": place["policy_id"],
            "control_id": place["control_id"],
            "created_after_date": day,
        }
        sought = _Sought(place, record.places, batch.changes.get("comments", ""))
        listed = self._exceptions.exceptions(filters)
        ours = [n.number async for n in listed if sought.is_met_by(n) and _since(n, at)]
        if len(ours) == 1:
            return [_made(record, ours[0], f"Exception {ours[0]}, read back")]
        shown = "lists no such exception so far"
        if ours:
            shown = f"lists {' and '.join(ours)}, either of which may be ours"
        return [Outcome(record.id, Result.UNKNOWN, f"sent without an answer, and Qualys {shown}")]

    async def as_user(self, name: str, account: str) -> str:
        return await id_of(self._users, name, account)

    async def check(self, parameters: Parameters) -> None:
        login = self._client.username
        await known_user(self._users, login, "assignee_id", given(parameters).get("assignee_id"))

    def offers(self, record: Record, outcome: Outcome) -> Sequence[Offer]:
        return decisions(outcome.made) if outcome.made else ()

    # --- while the form is filled in --------------------------------------------------------------

    async def lookup(self, name: str, words: str, context: Context) -> Sequence[Lookup]:
        find = {
            "people": self._people,
            "policies": self._policy_list,
            "controls": self._control_list,
            "hosts": self._host_list,
            "technologies": self._technology_list,
            "instances": self._instance_list,
        }.get(name)
        return best(words, await find(context.values)) if find else ()

    async def refine(self, context: Context) -> Refinement:
        """Technology and instance follow from what fails on the chosen host."""
        values = context.values
        if not all(values.get(name) for name in ("policy_id", "control_id", "host_id")):
            return Refinement()
        failing = await self._fails(values)
        technologies = {each.technology.id: each.technology.name for each in failing}
        # "os" says the same as no instance, so it is left to be typed by who wants it sent.
        instances = list(dict.fromkeys(each.instance for each in failing if _plain(each.instance)))
        filled = {}
        if len(technologies) == 1:
            filled["technology_id"] = next(iter(technologies))
        if len(instances) == 1:
            filled["instance_string"] = instances[0]
        choices = {"technology_id": technologies, "instance_string": {i: i for i in instances}}
        return Refinement({name: each for name, each in choices.items() if each}, filled)

    async def _fails(self, values: Mapping[str, Any], *also: str) -> list[Posture]:
        """What fails under the chosen policy, on the chosen host and control where they are."""
        names = also or ("control_id", "host_id")
        key = (str(values["policy_id"]), *(str(values.get(name) or "") for name in names), *names)
        if key not in self._failing:
            sent = {"control_id": "control_ids", "host_id": "host_ids"}
            filters = {sent[name]: str(values[name]) for name in names if values.get(name)}
            if len(self._failing) >= MOST_REMEMBERED:
                self._failing.clear()
            self._failing[key] = Remembered(
                lambda: self._exceptions.posture(key[0], {**filters, "status": "Failed"}),
                self._clock,
            )
        return await self._failing[key].get()

    async def _people(self, _: Mapping[str, Any]) -> list[Lookup]:
        return [person(each) for each in await self._users.get() if may_own(each)]

    async def _policy_list(self, _: Mapping[str, Any]) -> list[Lookup]:
        return [Lookup(each.id, each.name, each.id) for each in await self._policies.get()]

    async def _control_list(self, values: Mapping[str, Any]) -> list[Lookup]:
        if not values.get("policy_id"):
            return [Lookup(each.id, each.name, each.id) for each in await self._controls.get()]
        found: dict[str, Lookup] = {}
        for each in await self._fails(values, "host_id"):
            found[each.control.id] = Lookup(each.control.id, each.control.name, each.control.id)
        return list(found.values())

    async def _host_list(self, values: Mapping[str, Any]) -> list[Lookup]:
        if not values.get("policy_id"):
            return [_host(each) for each in await self._hosts.get()]
        failing = await self._fails(values, "control_id")
        return list({each.host.id: _host(each.host) for each in failing}.values())

    async def _technology_list(self, values: Mapping[str, Any]) -> list[Lookup]:
        if not values.get("policy_id"):
            return []
        found = {each.technology.id: each.technology.name for each in await self._fails(values)}
        return [Lookup(each, name or each) for each, name in found.items()]

    async def _instance_list(self, values: Mapping[str, Any]) -> list[Lookup]:
        if not values.get("policy_id"):
            return []
        found = {each.instance for each in await self._fails(values) if each.instance}
        return [Lookup(each, each) for each in sorted(found)]


def decisions(number: str) -> Sequence[Offer]:
    """Approve and Reject for one exception."""
    operation = "qualys.decide_exception"
    approve = {"exception_numbers": number, "status": "Approved"}
    reject = {"exception_numbers": number, "status": "Rejected"}
    return (
        Offer("approve", "Approve", operation, approve, "primary"),
        Offer("reject", "Reject", operation, reject, "danger"),
    )


def person(user: User) -> Lookup:
    """Exceptions take the numeric id of a user (vendors/qualys.md 0, point 3)."""
    return Lookup(str(user.id), f"{user.name} ({user.login})", user.role)


async def id_of(users: Remembered[list[User]], name: str, login: str) -> str:
    """The numeric id that exceptions take for a login. Raises `InvalidInput`, and a `VendorError`."""
    found = [str(each.id) for each in await users.get() if is_login(each, login)]
    if not found:
        raise InvalidInput([Problem(name, f"Qualys lists no user `{login}`; type the numeric id.")])
    return found[0]


async def known_user(users: Remembered[list[User]], login: str, name: str, value: Any) -> None:
    """Raises `InvalidInput` where `value` is set and is certainly not the id of an active user.

    `login` is whose list it is: one that is not whole refuses nobody whom it does not name.
    """
    if not isinstance(value, str):
        return
    try:
        listed = await users.get()
    except VendorError:
        # The list is a courtesy (vendors/qualys.md 10.3); the vendor decides.
        return
    able = [str(each.id) for each in listed if may_own(each)]
    known = is_whole(listed, login) or any(str(each.id) == value for each in listed)
    if known and value not in able:
        near = nearest(value, able, 1)
        hint = f"; the nearest is `{near[0]}`" if near else ""
        message = f"`{name}` must be the numeric id of an active Qualys user, not `{value}`{hint}."
        raise InvalidInput([Problem(name, message)])


async def outside(exceptions: ExceptionClient, scope: Scope, ips: Sequence[str]) -> str:
    """Why hosts are outside a scope; "" where all of them are inside.

    Raises a `VendorError` where Qualys does not say: that is neither inside nor outside.
    """
    if ips and (await inside(exceptions, scope, ips)).issuperset(ips):
        return ""
    return f"outside your scope ({scope})"


async def inside(exceptions: ExceptionClient, scope: Scope, ips: Sequence[str]) -> set[str]:
    """Those of some hosts that a scope holds. Raises a `VendorError` where Qualys does not say."""
    held = {each for each in ips if scope.holds(each)}
    open_ones = sorted(set(ips) - held)
    if open_ones and scope.titles:
        held |= await _in_groups(exceptions, scope.titles, open_ones)
    return held


async def _in_groups(
    exceptions: ExceptionClient, titles: Sequence[str], ips: Sequence[str]
) -> set[str]:
    filters = {"ips": ",".join(ips), "ag_titles": ",".join(titles)}
    try:
        return {each.ip for each in await exceptions.hosts(filters)}
    except Rejected as error:
        # A title that the vendor does not know holds nothing; it must not hide the others.
        if len(titles) == 1 and is_unknown(titles[0], error):
            return set()
        if len(titles) == 1:
            raise
    return {ip for title in titles for ip in await _in_groups(exceptions, [title], ips)}


def _is(each: Posture, wanted: Mapping[str, Any]) -> bool:
    asked = (wanted["control_id"], wanted["host_id"], wanted["technology_id"])
    return (each.control.id, each.host.id, each.technology.id) == asked


def _plain(instance: str) -> str:
    """ "os" and no instance are the same (document: the string may be "os")."""
    return "" if instance.casefold() == "os" else instance


def _on_instance(each: Posture, wanted: Mapping[str, Any]) -> bool:
    return _plain(each.instance) == _plain(str(wanted.get("instance_string") or ""))


def _needs_instance(fitting: Sequence[Posture], wanted: Mapping[str, Any]) -> None:
    """document: required for a control that is associated with an instance technology."""
    instances = sorted({each.instance for each in fitting if _plain(each.instance)})
    if wanted.get("instance_string") or not instances:
        return
    if any(not _plain(each.instance) for each in fitting):
        return
    shown = " or ".join(f"`{each}`" for each in instances[:3])
    message = f"`instance_string` is required for this technology, here {shown}."
    raise InvalidInput([Problem("instance_string", message)])


def _why_not(found: Posture | None) -> str:
    if found is None:
        return NOT_LISTED
    if found.status.casefold() == "passed":
        return "the control passes on this host, so there is nothing to except"
    if found.exception.casefold() in STANDING:
        return f"it has an exception already, which is {found.exception}"
    return ""


def _state(found: Posture) -> dict[str, str]:
    return {"state": found.status, "exception": found.exception or "none"}


def _label(found: Posture) -> str:
    where = f"{found.host.ip} {found.host.name}".strip() or f"host {found.host.id}"
    return f"{where} · {found.control.name or 'control'} · {found.technology.name}"


def _host(each: Host) -> Lookup:
    return Lookup(each.id, f"{each.ip} {each.name}".strip(), each.id)


def _key(wanted: Mapping[str, Any]) -> str:
    return "/".join(str(wanted[name]) for name in PLACE if wanted.get(name))


def _place(key: str) -> dict[str, str]:
    return dict(zip(PLACE, key.split("/", len(PLACE) - 1), strict=False))


@dataclass(frozen=True)
class _Sought:
    """A request that went out without an answer, as a list of exceptions would show it."""

    place: Mapping[str, str]
    ips: Sequence[str]
    comment: str

    def is_met_by(self, each: ComplianceException) -> bool:
        # The vendor matches control ids by their beginning; all but the number may be missing in
        # what it lists (vendors/qualys.md 5.2).
        shown = {"policy_id": each.policy.id, "technology_id": each.technology.id}
        return (
            each.control.id == self.place["control_id"]
            and each.ip in self.ips
            and all(value in ("", self.place[name]) for name, value in shown.items())
            and (not each.history or _said_first(each) == _plain_words(self.comment))
        )


def _said_first(each: ComplianceException) -> str:
    """The comment of the request: the oldest of the history, whichever way it is listed."""
    dated = [remark for remark in each.history if remark.at]
    first = min(dated, key=lambda remark: str(remark.at)) if dated else each.history[-1]
    return _plain_words(first.comment)


def _plain_words(text: str) -> str:
    """Text without regard to how blanks and line ends are written."""
    return " ".join(text.split())


def _since(each: ComplianceException, at: datetime) -> bool:
    made = each.created or min((r.at for r in each.history if r.at), default=None)
    return made is not None and made >= at - CLOCKS_DIFFER


def _made(record: Record, number: str, words: str) -> Outcome:
    return Outcome(record.id, Result.CHANGED, words, number)
