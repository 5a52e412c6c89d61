"""Which tickets lie in a person's scope: by the ticket's IP here, by asset group at the vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import NamedTuple, Protocol, TypeVar

from integrations.errors import Rejected

# Names in one question about asset groups: a page of `ticket_list.php` (vendors/qualys.md 3.1).
PAGE = 1000

ALL_STATES = "OPEN,RESOLVED,CLOSED,IGNORED"


class Located(Protocol):
    """A ticket, as far as scope is concerned."""

    @property
    def number(self) -> int: ...
    @property
    def ip(self) -> str: ...


L_co = TypeVar("L_co", bound=Located, covariant=True)
L = TypeVar("L", bound=Located)


class Lister(Protocol[L_co]):
    """Reads the tickets that match some filters."""

    def __call__(self, filters: Mapping[str, str], /) -> AsyncIterator[L_co]: ...


class Scope:
    """IPs, `a-b` ranges, CIDRs and asset group titles; none at all means that nothing is inside."""

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = tuple(entry.strip() for entry in entries if entry.strip())
        spans = {entry: _span(entry) for entry in self.entries}
        self._spans = tuple(found for found in spans.values() if found)
        self.titles = tuple(entry for entry, found in spans.items() if not found and _named(entry))

    def holds(self, ip: str) -> bool:
        """True when an IP, range or CIDR of the scope holds `ip`."""
        found = _span(ip)
        return found is not None and any(each.holds(found) for each in self._spans)

    def __str__(self) -> str:
        shown, more = self.entries[:5], len(self.entries) - 5
        words = ", ".join(shown) or "it is empty"
        return f"{words} and {more} more" if more > 0 else words


class _Span(NamedTuple):
    """Addresses of one version, from the lowest to the highest."""

    version: int
    low: int
    high: int

    def holds(self, other: _Span) -> bool:
        return other.version == self.version and self.low <= other.low <= other.high <= self.high


def _span(entry: str) -> _Span | None:
    """The addresses of an entry, IPv4 or IPv6; None for a title or an address that is none."""
    low, dash, high = entry.partition("-")
    try:
        if dash:
            first, last = ip_address(low.strip()), ip_address(high.strip())
            fits = first.version == last.version and int(first) <= int(last)
            return _Span(first.version, int(first), int(last)) if fits else None
        network = ip_network(entry.strip(), strict=False)
    except ValueError:
        return None
    return _Span(network.version, int(network.network_address), int(network.broadcast_address))


def _named(title: str) -> bool:
    # "All" would mean every IP of the service account, and a comma would name two other groups
    # (vendors/qualys.md 1.2): either would widen the scope, so neither puts anything inside.
    return title.casefold() != "all" and "," not in title


async def inside(scope: Scope, page: Sequence[Located], tickets: Lister[Located]) -> set[int]:
    """The numbers of those tickets in `page` (at most `PAGE`) that lie in the scope."""
    found = {ticket.number for ticket in page if scope.holds(ticket.ip)}
    open_ones = [ticket.number for ticket in page if ticket.number not in found]
    if scope.titles and open_ones:
        found |= await _in_groups(scope.titles, open_ones, tickets)
    return found


def is_unknown(title: str, error: Rejected) -> bool:
    """True where a refusal says that there is no such group (vendors/qualys.md 8: 1905, or in words).

    Any other refusal says nothing about who is inside.
    """
    words = error.words.casefold()
    return error.code == "1905" or title.casefold() in words or "asset group" in words


async def _in_groups(
    titles: Sequence[str], numbers: Collection[int], tickets: Lister[Located]
) -> set[int]:
    # All four states: without them the vendor may list open tickets only (vendors/qualys.md 1.2).
    filters = {
        "ticket_numbers": ",".join(map(str, numbers)),
        "asset_groups": ",".join(titles),
        "states": ALL_STATES,
    }
    asked = frozenset(numbers)
    try:
        return {ticket.number async for ticket in tickets(filters) if ticket.number in asked}
    except Rejected as error:
        # A title that the vendor does not know holds nothing; it must not hide the others.
        if len(titles) == 1 and is_unknown(titles[0], error):
            return set()
        if len(titles) == 1:
            raise
    found: set[int] = set()
    for title in titles:
        found |= await _in_groups([title], numbers, tickets)
    return found
