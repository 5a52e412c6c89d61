"""The rules of a mapping entry: one person's account, role and scope at one vendor."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from bot.domain.people import Account

Vendors = Mapping[str, frozenset[str] | None]
Cells = Mapping[str, str]

_ADDRESS_LIKE = re.compile(r"[0-9.]+([/-][0-9.]+)?")


def entry_problems(cells: Cells, vendors: Vendors) -> list[tuple[str, str]]:
    """(column, what is wrong) of an entry as typed. `vendors` maps each to its roles (None: any)."""
    needed = ("vendor", "account", "role")
    wrong = [(name, "is empty") for name in needed if not cells[name].strip()]
    vendor, role = cells["vendor"].strip().lower(), cells["role"].strip()
    if vendor and vendor not in vendors:
        wrong.append(("vendor", f"{vendor} is none of {', '.join(sorted(vendors))}"))
    elif role and (known := vendors.get(vendor)) and _canonical(role, known) is None:
        wrong.append(("role", f"{role} is none of {', '.join(sorted(known))}"))
    return wrong + [
        ("scope", f"{each} is no address, range or network")
        for each in scope_of(cells["scope"])
        if _ADDRESS_LIKE.fullmatch(each) and not _address(each)
    ]


def entry(cells: Cells, vendors: Vendors) -> Account:
    """The account of an entry without problems; roles in the vendor's own spelling."""
    vendor, role = cells["vendor"].strip().lower(), cells["role"].strip()
    known = vendors[vendor]
    role = (_canonical(role, known) if known else None) or role
    return Account(vendor, cells["account"].strip(), role, scope_of(cells["scope"]))


def scope_of(text: str) -> tuple[str, ...]:
    """IPs, ranges, CIDRs or group titles, separated by semicolons."""
    return tuple(each.strip() for each in text.split(";") if each.strip())


def _address(text: str) -> bool:
    try:
        if "-" in text:
            low, high = (ipaddress.IPv4Address(part) for part in text.split("-"))
            return low <= high
        ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return False
    return True


def _canonical(role: str, known: frozenset[str]) -> str | None:
    return {each.casefold(): each for each in known}.get(role.casefold())
