"""`/amend exceptions`: which compliance exceptions stand, and when they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar

from bot.domain.operations import Listing, Reach, Register
from bot.domain.parameters import Kind, Param, Parameters, Widget, choices, given, items, number
from bot.domain.people import Account
from handlers.qualys import ticket_rules as rules
from handlers.qualys.exceptions import RequestException, inside
from handlers.qualys.scope import Scope
from integrations.qualys.exceptions import DAY, ComplianceException, ExceptionClient

COLUMNS = ("Number", "Host", "Control", "Policy", "Asked by", "Decided by", "Ends")
SOON = 90  # days, where nobody says how many
STATES = {each: each for each in ("Pending", "Approved", "Rejected", "Expired")}
STATUS = Param(
    Kind.SELECTION,
    "State",
    "Approved where it is left out",
    widget=Widget.MULTI_SELECT,
    choices=STATES,
    aliases=("state",),
)
ENDS_WITHIN = Param(
    Kind.SELECTION,
    "Ends within",
    "Days, 1 to 365; 90 where nothing else is said",
    widget=Widget.NUMBER,
    least=1,
    most=365,
    example="30",
)


def _plain(name: str, value: str) -> str:
    """A number or a range, without leading zeros: Qualys lists none."""
    low, high = rules.span(rules.numbers(name, value))
    return str(low) if low == high else f"{low}-{high}"


def _id(name: str, title: str) -> tuple[Any, ...]:
    spec = Param(Kind.SELECTION, title, "Numbers and ranges, with commas", example="1113")
    made: tuple[Any, ...] = items(name, spec, partial(_plain, name)).__metadata__
    return made


class ExceptionFilters(Parameters):
    """What is listed; without any, what is approved and ends within 90 days."""

    status: Annotated[tuple[str, ...] | None, *choices("status", STATUS).__metadata__] = None
    ends_within: Annotated[int | None, *number("ends_within", ENDS_WITHIN).__metadata__] = None
    policy_id: Annotated[tuple[str, ...] | None, *_id("policy_id", "Policy")] = None
    control_id: Annotated[tuple[str, ...] | None, *_id("control_id", "Control")] = None
    host_id: Annotated[tuple[str, ...] | None, *_id("host_id", "Host")] = None


class ExceptionRegister(Register):
    """Reads the vendor's list; what stands there is the only truth."""

    name: ClassVar[str] = "qualys.exceptions"
    vendor_title: ClassVar[str] = "Qualys"
    command: ClassVar[str] = "exceptions"
    title: ClassVar[str] = "Exceptions"
    noun: ClassVar[tuple[str, str]] = ("exception", "exceptions")
    help: ClassVar[str] = (
        "lists exceptions, soonest end first; approved ones that end within 90 days."
    )
    parameters: ClassVar[type[Parameters]] = ExceptionFilters
    # Whoever may request exceptions may list them (facts 5.6), within the same hosts.
    rights: ClassVar[str] = RequestException.name

    def __init__(
        self,
        client: ExceptionClient,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._client, self._today = client, today

    async def rows(self, selection: Parameters, account: Account, reach: Reach) -> Listing:
        asked = given(selection)
        wanted = [each async for each in self._client.exceptions(self._filters(asked))]
        wanted = [each for each in wanted if self._fits(each, asked)]
        ips = sorted({each.ip for each in wanted})
        if "host_id" in asked:
            hosts = await self._client.hosts({"ids": _joined(asked["host_id"])})
            ips = sorted(set(ips) & {each.ip for each in hosts})
        if reach is Reach.SCOPE:
            ips = sorted(await inside(self._client, Scope(account.scope), ips))
        seen = sorted((each for each in wanted if each.ip in ips), key=_soonest)
        return Listing(COLUMNS, [_row(each) for each in seen])

    def _filters(self, asked: Mapping[str, object]) -> dict[str, str]:
        """What the vendor narrows by itself; facts 5.2: one status or policy, days as mm/dd/yyyy."""
        states, within = _states(asked), _within(asked)
        policy = _joined(asked.get("policy_id", ""))
        filters = {"policy_id": policy} if policy.isdecimal() else {}
        if len(states) == 1:
            filters["status"] = states[0].lower()
        if within is not None:
            # Whether the last day counts is not said, so one more is asked for and cut off here.
            before = self._today() + timedelta(days=within + 1)
            filters["expired_before_date"] = before.strftime(DAY)
        return filters

    def _fits(self, each: ComplianceException, asked: Mapping[str, object]) -> bool:
        """The same once more, exactly: facts 5.2: a control's number is compared by its beginning."""
        within = _within(asked)
        if each.status not in _states(asked) or not _chosen(each.control.id, asked, "control_id"):
            return False
        if not _chosen(each.policy.id, asked, "policy_id"):
            return False
        today = self._today()
        return within is None or (
            each.ends is not None and today <= each.ends <= today + timedelta(days=within)
        )


def _states(asked: Mapping[str, object]) -> tuple[str, ...]:
    chosen = asked.get("status")
    return chosen if isinstance(chosen, tuple) else ("Approved",)


def _within(asked: Mapping[str, object]) -> int | None:
    """Days; only what is approved ends, so other states are listed whole."""
    days = asked.get("ends_within")
    if isinstance(days, int):
        return days
    return SOON if _states(asked) == ("Approved",) and "status" not in asked else None


def _chosen(value: str, asked: Mapping[str, object], name: str) -> bool:
    chosen = asked.get(name)
    if not isinstance(chosen, tuple):
        return True
    spans = map(rules.span, chosen)
    return value.isdecimal() and any(low <= int(value) <= high for low, high in spans)


def _joined(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _soonest(each: ComplianceException) -> tuple[str, int]:
    ends = each.ends.isoformat() if each.ends else "9999"
    return ends, int(each.number)


def _row(each: ComplianceException) -> tuple[str, ...]:
    first = min((entry for entry in each.history if entry.at), key=_when, default=None)
    return (
        each.number,
        each.ip,
        f"{each.control.id} {each.control.name}".strip(),
        each.policy.name,
        each.created_by or (first.user if first else ""),
        each.modified_by if each.status in ("Approved", "Rejected") else "",
        each.ends.isoformat() if each.ends else each.expires,
    )


def _when(entry: object) -> str:
    return str(getattr(entry, "at", ""))
