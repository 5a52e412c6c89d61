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
from deploy.sandbox.vendors.qualys_selection import Refused
from deploy.sandbox.vendors.seed import MEMBERS

Test = Callable[[Exempt], bool]
STATUSES = ("pending", "approved", "rejected", "expired")
OTHERS = frozenset({"action", "details", "truncation_limit", "echo_request"})


def only(params: Mapping[str, str], known: frozenset[str]) -> None:
    """Raises `Refused` for a parameter that is not known there."""
    for name in params:
        if name not in known:
            raise Refused("1901", f"parameter {name} is not recognised")


def words(value: str) -> list[str]:
    return [each.strip() for each in value.split(",") if each.strip()]


def numbers(value: str) -> list[int]:
    """A list with ranges (`50-55`)."""
    found: list[int] = []
    for each in words(value):
        low, _, high = each.partition("-")
        if not low.isdecimal() or (high and not high.isdecimal()):
            raise Refused("1905", f"parameter exception_numbers has invalid value: {each}")
        found += range(int(low), int(high or low) + 1)
    return found


def tests(params: Mapping[str, str]) -> list[Test]:
    """The filters of a list, each as a test."""
    only(params, OTHERS | FILTERS.keys())
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
        f"<HISTORY><USER>{escape(user)}</USER><COMMENT><![CDATA[{said}]]></COMMENT>"
        f"<INSERTION_DATE>{stamp(at)}</INSERTION_DATE></HISTORY>"
        for at, user, said in reversed(each.history)
    )
    return f"<HISTORY_LIST>{entries}</HISTORY_LIST>"


# --- filters ---------------------------------------------------------------------------------------


def _day(value: str) -> date:
    try:
        return datetime.strptime(value, DAY).date()  # noqa: DTZ007 - a day
    except ValueError:
        raise Refused("1905", f"a date filter has invalid value: {value}") from None


def _since(of: Callable[[Exempt], datetime]) -> Callable[[str], Test]:
    def make(value: str) -> Test:
        day = _day(value)
        return lambda each: of(each).date() >= day

    return make


def _ends(after: bool) -> Callable[[str], Test]:
    """By its end; one that never ends is after every day."""

    def make(value: str) -> Test:
        day = _day(value).isoformat()
        return lambda each: (each.expires > day) if after else (each.expires < day)

    return make


def _status(value: str) -> Test:
    if value.casefold() not in STATUSES:
        raise Refused("1905", f"parameter status has invalid value: {value}")
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
    return lambda each: (each.status in ("Pending", "Approved")) == (value == "1")


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
    "ip": lambda value: lambda each: str(each.result.host.ip) == value,
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
    "created_after_date": _since(lambda each: each.created),
    "updated_after_date": _since(lambda each: each.modified),
    "expired_before_date": _ends(after=False),
    "expired_after_date": _ends(after=True),
}
