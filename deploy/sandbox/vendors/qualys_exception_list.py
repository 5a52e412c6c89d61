"""`action=list` of exceptions at the Qualys stand-in: its filters, and how much of each is told.

Filters and `details` as the vendor's page "List exceptions" has them; field names of the output are
recollected in public code and in no document (all of them may be missing).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from html import escape

from deploy.sandbox.vendors.qualys_answers import stamp
from deploy.sandbox.vendors.qualys_catalogue import (
    CONTROLS,
    DATABASES,
    DAY,
    POLICIES,
    TECHNOLOGIES,
    Exempt,
)
from deploy.sandbox.vendors.qualys_selection import address, bad_value, flag, unknown, whole
from deploy.sandbox.vendors.seed import MEMBERS

Test = Callable[[Exempt], bool]
DETAILS = ("none", "basic", "all")
MOST_AT_ONCE = 1_000_000
STATUSES = ("pending", "approved", "rejected", "expired")
WHOLE = frozenset(
    {
        "exception_number_min",
        "exception_number_max",
        "policy_id",
        "control_id",
        "assignee_id",
        "created_by",
        "modified_by",
    }
)
OTHERS = frozenset({"action", "details", "truncation_limit", "echo_request"})


def words(value: str) -> list[str]:
    return [each.strip() for each in value.split(",") if each.strip()]


def numbers(value: str) -> list[int]:
    """A list with ranges (`50-55`)."""
    return [number for span in spans("exception_numbers", value) for number in span]


def spans(name: str, value: str) -> list[range]:
    """The same as it is written: a number is a range of one."""
    parts = [each.partition("-") for each in words(value)]
    return [range(whole(name, low), whole(name, high or low) + 1) for low, _, high in parts]


def day(name: str, value: str) -> date:
    """A date as mm/dd/yyyy; raises `Refused` for anything else."""
    try:
        found = datetime.strptime(value, DAY).date()  # noqa: DTZ007 - a day
    except ValueError:
        raise bad_value(name, value) from None
    if found.strftime(DAY) != value:
        raise bad_value(name, value)
    return found


def page_size(params: Mapping[str, str]) -> int:
    """How many exceptions a page holds: 1,000, or as many as asked for."""
    value = params.get("truncation_limit", "1000")
    size = whole("truncation_limit", value)
    if not 1 <= size <= MOST_AT_ONCE:
        raise bad_value("truncation_limit", value)
    return size


def detail(params: Mapping[str, str]) -> str:
    """How much of each exception is told: one of `DETAILS`."""
    value = params.get("details", "Basic")
    if value.casefold() not in DETAILS:
        raise bad_value("details", value)
    return value.casefold()


def tests(params: Mapping[str, str]) -> list[Test]:
    """The filters of a list, each as a test."""
    unknown(params, OTHERS | FILTERS.keys())
    for name in WHOLE & params.keys():
        whole(name, params[name])
    return [make(params[name]) for name, make in FILTERS.items() if name in params]


def shown(each: Exempt, details: str) -> str:
    """An exception: its number alone ("none"), all but its history ("basic"), or everything."""
    number = f"<EXCEPTION_NUMBER>{each.number}</EXCEPTION_NUMBER>"
    if details == "none":
        return f"<EXCEPTION>{number}</EXCEPTION>\n"
    history = _history(each) if details == "all" else ""
    return f"<EXCEPTION>{number}{_facts(each)}{history}</EXCEPTION>\n"


def _facts(each: Exempt) -> str:
    result = each.result
    technology = {**TECHNOLOGIES, **DATABASES}[result.technology]
    assigned = next((m for m in MEMBERS if str(m.id) == each.assignee), None)
    return (
        f"<HOST><IP_ADDRESS>{result.host.ip}</IP_ADDRESS></HOST>"
        f"<TECHNOLOGY><ID>{result.technology}</ID><NAME>{technology}</NAME></TECHNOLOGY>"
        f"<POLICY><ID>{result.policy}</ID><NAME>{POLICIES[result.policy]}</NAME></POLICY>"
        f"<CONTROL><CID>{result.control}</CID>"
        f"<STATEMENT><![CDATA[{CONTROLS[result.control]}]]></STATEMENT></CONTROL>"
        f"<ASSIGNEE>{assigned.login if assigned else each.assignee}</ASSIGNEE>"
        f"<STATUS>{each.status}</STATUS>"
        f"<REOPEN_ON_EVIDENCE_CHANGE>{each.reopen}</REOPEN_ON_EVIDENCE_CHANGE>"
        f"<EXPIRATION_DATE>{each.expires}</EXPIRATION_DATE>"
        f"<MODIFIED_DATE>{stamp(each.modified)}</MODIFIED_DATE>"
        f"<MODIFIED_BY>{escape(each.modified_by)}</MODIFIED_BY>"
    )


def _history(each: Exempt) -> str:
    entries = "".join(
        f"<HISTORY><USER>{escape(user)}</USER><COMMENT>{escape(said)}</COMMENT>"
        f"<INSERTION_DATE>{stamp(at)}</INSERTION_DATE></HISTORY>"
        for at, user, said in reversed(each.history)
    )
    return f"<HISTORY_LIST>{entries}</HISTORY_LIST>"


# --- filters ---------------------------------------------------------------------------------------


def _since(name: str, of: Callable[[Exempt], datetime]) -> Callable[[str], Test]:
    def make(value: str) -> Test:
        first = day(name, value)
        return lambda each: of(each).date() >= first

    return make


def _ends(name: str, *, after: bool) -> Callable[[str], Test]:
    """By its end; one that never ends is after every day."""

    def make(value: str) -> Test:
        limit = day(name, value).isoformat()
        return lambda each: (each.expires > limit) if after else (each.expires < limit)

    return make


def _status(value: str) -> Test:
    if value.casefold() not in STATUSES:
        raise bad_value("status", value)
    return lambda each: each.status.casefold() == value.casefold()


def _of_user(of: Callable[[Exempt], str]) -> Callable[[str], Test]:
    """By a user's numeric id; the stand-in keeps some by login."""

    def make(value: str) -> Test:
        member = next((each for each in MEMBERS if str(each.id) == value), None)
        known = {value, member.login if member else value}
        return lambda each: of(each) in known

    return make


def _among(value: str) -> Test:
    wanted = set(numbers(value))
    return lambda each: each.number in wanted


def _active(value: str) -> Test:
    """Pending and approved ones are active."""
    wanted = flag("is_active", value)
    return lambda each: (each.status in ("Pending", "Approved")) == wanted


def _on_host(value: str) -> Test:
    ip = address("ip", value)
    return lambda each: each.result.host.ip == ip


def _network(value: str) -> Test:
    """This subscription has the network that every one begins with, and no other."""
    return lambda each: bool(each.result.host.ip) and value == "Global Default Network"


def _technology(value: str) -> Test:
    known = {**TECHNOLOGIES, **DATABASES}
    return lambda each: known[each.result.technology].casefold() == value.casefold()


FILTERS: Mapping[str, Callable[[str], Test]] = {
    "exception_number": _among,
    "exception_numbers": _among,
    "exception_number_min": lambda value: lambda each: each.number >= int(value),
    "exception_number_max": lambda value: lambda each: each.number <= int(value),
    "ip": _on_host,
    "network_name": _network,
    "policy_id": lambda value: lambda each: each.result.policy == value,
    # The vendor matches control ids by their beginning.
    "control_id": lambda value: lambda each: each.result.control.startswith(value),
    "control_statement": lambda value: lambda each: value in CONTROLS[each.result.control],
    "technology_name": _technology,
    "status": _status,
    "is_active": _active,
    "assignee_id": _of_user(lambda each: each.assignee),
    "created_by": _of_user(lambda each: each.created_by),
    "modified_by": _of_user(lambda each: each.modified_by),
    "created_after_date": _since("created_after_date", lambda each: each.created),
    "updated_after_date": _since("updated_after_date", lambda each: each.modified),
    "expired_before_date": _ends("expired_before_date", after=False),
    "expired_after_date": _ends("expired_after_date", after=True),
}
