"""How single values of `qualys.edit_tickets` are read; each refusal names the nearest valid value.

"document" is the vendor's page of `/msp/ticket_edit.php`. It links to its table of selection
parameters without showing it, so those rules come from vendors/qualys.md 1.2.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from bot.domain.parameters import broken, to_ascii


def span(value: str) -> tuple[int, int]:
    """The lowest and highest number of an entry of `ticket_numbers`."""
    low, _, high = value.partition("-")
    return int(low), int(high or low)


def _joined(name: str, value: str) -> str:
    """ASCII, without the blanks that people leave around the dash of a range."""
    return re.sub(r"\s*-\s*", "-", to_ascii(name, value).strip())


def numbers(name: str, value: str) -> str:
    # vendors/qualys.md 1.2: integers and `a-b` ranges; leading zeros as in document, example 4.
    found = _joined(name, value)
    if not re.fullmatch(r"[0-9]{1,18}(-[0-9]{1,18})?", found):
        near = "numbers such as `23456` and ranges such as `23460-23470`"
        raise broken(f"`{name}` takes {near}, not `{value}`.")
    low, dash, high = found.partition("-")
    if dash and int(low) > int(high):
        raise broken(f"`{name}` takes ranges from low to high: `{high}-{low}`, not `{found}`.")
    return found


def digits(name: str, value: str) -> str:
    # vendors/qualys.md 1.2: one integer, leading zeros taken (document, example 4: `00215555`).
    found = value.strip()
    if not re.fullmatch(r"[0-9]{1,18}", found):
        near = re.sub(r"[^0-9]", "", found.split("-")[0])[:18] or "215555"
        raise broken(f"`{name}` takes one number, such as `{near}`, not `{value}`.")
    return found


def login(name: str, value: str) -> str:
    # document: "specified by user login"; a blank or a comma would make two of it.
    found = value.strip()
    if not re.fullmatch(r"[^\s,;<>&\"]+", found):
        near = next(iter(re.findall(r"[^\s,;<>&\"@]+", found)), "acme_ac")
        raise broken(f"`{name}` takes one user login, such as `{near}`, not `{value}`.")
    return found


_MOMENT = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2}):(\d{2})Z)?", re.ASCII)


def moment(name: str, value: str) -> str:
    # vendors/qualys.md 1.2: `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SSZ`, UTC.
    found = to_ascii(name, value).strip().upper()
    match = _MOMENT.fullmatch(found)
    if match is None:
        forms = f"`YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SSZ` (UTC), such as `{_loose_date(found)}`"
        raise broken(f"`{name}` takes {forms}, not `{value}`.")
    parts = [int(part) for part in match.groups() if part is not None]
    try:
        form = "%Y-%m-%dT%H:%M:%SZ" if "T" in found else "%Y-%m-%d"
        datetime.strptime(found, form).replace(tzinfo=UTC)
    except ValueError:
        near = _real_date(*parts[:3]) + (found[10:] if _real_time(parts[3:]) else "")
        raise broken(
            f"`{name}` must be a real date; the nearest to `{found}` is `{near}`."
        ) from None
    return found


def _real_time(parts: list[int]) -> bool:
    return bool(parts) and all(part < most for part, most in zip(parts, (24, 60, 60), strict=True))


def _real_date(year: int, month: int, day: int) -> str:
    year, month = max(year, 1), min(max(month, 1), 12)
    return f"{year:04}-{month:02}-{min(max(day, 1), monthrange(year, month)[1]):02}"


def _loose_date(value: str) -> str:
    """The date that was probably meant ("2018/1/1", "2018.01.01 10:00"), or one as an example."""
    match = re.match(r"(\d{4})\D(\d{1,2})\D(\d{1,2})(?!\d)", value, re.ASCII)
    return _real_date(*map(int, match.groups())) if match else "2018-01-01"


def addresses(name: str, value: str) -> str:
    # vendors/qualys.md 1.2: IPv4 addresses and `a-b` ranges.
    found = _joined(name, value)
    ends = found.split("-")
    try:
        low, high = IPv4Address(ends[0]), IPv4Address(ends[-1])
    except AddressValueError:
        raise broken(_no_address(name, found)) from None
    if len(ends) > 2:
        raise broken(_no_address(name, found))
    if low > high:
        raise broken(f"`{name}` takes ranges from low to high: `{high}-{low}`, not `{found}`.")
    return found


def _no_address(name: str, found: str) -> str:
    try:
        network = IPv4Network(found, strict=False)
        near = f"{network[0]}-{network[-1]}"
    except ValueError:
        near = _near_address(found)
    return f"`{name}` takes IPv4 addresses and ranges, such as `{near}`, not `{found}`."


def _near_address(found: str) -> str:
    match = re.match(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?!\d)", found, re.ASCII)
    if match is None:
        return "10.10.10.120"
    octets = [str(min(int(part), 255)) for part in match.groups()]
    short = re.fullmatch(r"-(\d{1,3})", found[match.end() :], re.ASCII)
    if short and int(octets[3]) <= int(short[1]) <= 255:
        return f"{'.'.join(octets)}-{'.'.join(octets[:3])}.{int(short[1])}"
    return ".".join(octets)


def title(name: str, value: str) -> str:
    # vendors/qualys.md 1.2: titles are separated by commas, so one that has a comma cannot be said.
    if "," in value:
        near = value.partition(",")[0].strip()
        raise broken(
            f"`{name}` cannot take a title with a comma; Qualys would read `{value}` as `{near}` …"
        )
    return value


def qid(name: str, value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,10}", value):
        near = re.sub(r"[^0-9]", "", value)[:10] or "38170"
        raise broken(f"`{name}` takes whole numbers, such as `{near}`, not `{value}`.")
    return value
