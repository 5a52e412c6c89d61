"""Which tickets a call selects: all selection parameters of ticket_edit.php and ticket_list.php."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TypeVar

from deploy.sandbox.vendors.seed import ASSET_GROUPS, StandInTicket, details, in_group

Value = TypeVar("Value")
Test = Callable[[StandInTicket], bool]

FILTER_STATES = {
    "OPEN": {"OPEN", "REOPENED"},
    "RESOLVED": {"RESOLVED"},
    "CLOSED": {"FIXED"},
    "IGNORED": {"IGNORED"},
}
MOST_QIDS = 10
LONGEST_SUBSTRING = 100


class Refused(Exception):
    """The call is answered with an error of this code and these words."""

    def __init__(self, code: str, words: str) -> None:
        self.code = code
        self.words = words
        super().__init__(f"{code} {words}")


def unknown(params: Iterable[str], known: Container[str]) -> None:
    """Raises `Refused` for parameters that the call does not know, or does not know of its caller."""
    others = [name for name in params if name not in known]
    if others:
        raise Refused("1901", f"Unrecognized parameter(s): {', '.join(others)}")


def flag(name: str, value: str) -> bool:
    """A value that is 0 or 1; raises `Refused` for any other."""
    if value not in ("0", "1"):
        raise bad_value(name, value)
    return value == "1"


def whole(name: str, value: str) -> int:
    """A value that is a whole number; raises `Refused` for any other."""
    if not (value.isascii() and value.isdigit()):
        raise bad_value(name, value)
    return int(value)


def address(name: str, value: str) -> IPv4Address:
    """A value that is an IPv4 address; raises `Refused` for any other."""
    try:
        return IPv4Address(value)
    except ValueError:
        raise bad_value(name, value) from None


def bad_value(name: str, value: str) -> Refused:
    """What answers a value that the parameter does not take."""
    return Refused("1905", f"parameter {name} has invalid value: {value or '(empty)'}")


def selection(params: Mapping[str, str], caller: str, now: datetime) -> Test:
    """One test for all parameters: they narrow together. Raises `Refused` for a bad value."""
    tests = [_TESTS[name](name, value) for name, value in params.items() if name in _TESTS]
    severities = [
        _severity(name, kind, params[name]) for name, kind in _SEVERITIES.items() if name in params
    ]
    if "overdue" in params:
        tests.append(_overdue(params["overdue"], now))
    if "invalid" in params:
        tests.append(_invalid(params["invalid"], caller))
    # Confirmed and potential severities together are a union, all else is an intersection.
    return lambda ticket: (
        all(test(ticket) for test in tests)
        and (not severities or any(test(ticket) for test in severities))
    )


def _numbers(name: str, value: str) -> Test:
    spans = [_span(name, part, whole) for part in _parts(name, value)]
    singles = {low for low, high in spans if low == high}
    wide = [(low, high) for low, high in spans if low != high]
    return lambda ticket: (
        ticket.number in singles or any(low <= ticket.number <= high for low, high in wide)
    )


def _since(name: str, value: str) -> Test:
    first = whole(name, value)
    return lambda ticket: ticket.number >= first


def _until(name: str, value: str) -> Test:
    last = whole(name, value)
    return lambda ticket: ticket.number <= last


def _assignee(name: str, value: str) -> Test:
    _parts(name, value)
    return lambda ticket: ticket.assignee == value


def _states(name: str, value: str) -> Test:
    wanted: set[str] = set()
    for part in _parts(name, value):
        if part not in FILTER_STATES:
            raise bad_value(name, part)
        wanted |= FILTER_STATES[part]
    return lambda ticket: ticket.condition in wanted


def _modified(name: str, value: str) -> Test:
    since = _moment(name, value)
    return lambda ticket: ticket.modified >= since


def _unmodified(name: str, value: str) -> Test:
    since = _moment(name, value)
    return lambda ticket: ticket.modified < since


def _ips(name: str, value: str) -> Test:
    spans = [_span(name, part, address) for part in _parts(name, value)]
    return lambda ticket: any(low <= ticket.host.ip <= high for low, high in spans)


def _groups(name: str, value: str) -> Test:
    wanted = _parts(name, value)
    for part in wanted:
        if part not in ASSET_GROUPS:
            raise bad_value(name, part)
    return lambda ticket: any(in_group(ticket.host, part) for part in wanted)


def _qids(name: str, value: str) -> Test:
    wanted = [whole(name, part) for part in _parts(name, value)]
    if len(wanted) > MOST_QIDS:
        raise Refused("1905", f"parameter {name} has more than {MOST_QIDS} QIDs")
    return lambda ticket: ticket.vulnerability.qid in wanted


def _host_id(name: str, value: str) -> Test:
    wanted = whole(name, value)
    return lambda ticket: ticket.host.id == wanted


def _contains(read: Callable[[StandInTicket], str]) -> Callable[[str, str], Test]:
    def test(name: str, value: str) -> Test:
        if not value:
            raise bad_value(name, value)
        if len(value) > LONGEST_SUBSTRING or not value.isascii():
            raise Refused("1905", f"parameter {name} takes at most 100 ASCII characters")
        wanted = value.lower()
        return lambda ticket: wanted in read(ticket).lower()

    return test


def _severity(name: str, kind: str, value: str) -> Test:
    levels = {whole(name, part) for part in _parts(name, value)}
    if not levels <= {1, 2, 3, 4, 5}:
        raise bad_value(name, value)
    return lambda ticket: (
        ticket.vulnerability.kind == kind and ticket.vulnerability.severity in levels
    )


def _overdue(value: str, now: datetime) -> Test:
    wanted = flag("overdue", value)
    return lambda ticket: (ticket.due < now and ticket.condition in FILTER_STATES["OPEN"]) == wanted


def _invalid(value: str, caller: str) -> Test:
    wanted = flag("invalid", value)
    # Invalid tickets can be selected only when they are owned by others than the caller.
    return lambda ticket: ticket.invalid == wanted and not (wanted and ticket.assignee == caller)


def _parts(name: str, value: str) -> list[str]:
    parts = [part.strip() for part in value.split(",")]
    if not all(parts):
        raise bad_value(name, value)
    return parts


def _span(name: str, part: str, read: Callable[[str, str], Value]) -> tuple[Value, Value]:
    low, _, high = part.partition("-")
    return read(name, low), read(name, high or low)


def _moment(name: str, value: str) -> datetime:
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            moment = datetime.strptime(value, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if moment.strftime(form) == value:
            return moment
    raise bad_value(name, value)


_SEVERITIES = {"vuln_severities": "VULN", "potential_vuln_severities": "POTENTIAL"}
_TESTS: dict[str, Callable[[str, str], Test]] = {
    "ticket_numbers": _numbers,
    "since_ticket_number": _since,
    "until_ticket_number": _until,
    "ticket_assignee": _assignee,
    "states": _states,
    "modified_since": _modified,  # in no document; the sister of the example's `unmodified_since`
    "modified_since_datetime": _modified,
    # The document's example spells it without "_datetime", the guide with it.
    "unmodified_since": _unmodified,
    "unmodified_since_datetime": _unmodified,
    "ips": _ips,
    "asset_groups": _groups,
    "qids": _qids,
    "host_id": _host_id,
    "dns_contains": _contains(lambda ticket: ticket.host.dns),
    "netbios_contains": _contains(lambda ticket: ticket.host.netbios),
    "vuln_title_contains": _contains(lambda ticket: ticket.vulnerability.title),
    "vuln_details_contains": _contains(lambda ticket: details(ticket.vulnerability)),
    "vendor_ref_contains": _contains(lambda ticket: ticket.vulnerability.vendor_ref),
}
SELECTION: Iterable[str] = frozenset({*_TESTS, *_SEVERITIES, "overdue", "invalid"})
