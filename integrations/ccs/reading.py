"""What CCS shows of its tickets. The shape of these answers is in no source (facts A.4).

So keys are taken in any case and under the names that occur, states as numbers or names, and what an
answer does not show is not known, which is something else than empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.ccs.protocol import STATES, VENDOR, failure, words_in, words_of
from integrations.errors import Rejected, Unreadable
from integrations.http import Reply
from integrations.json import folded, parsed, said

# The first of these that an answer has, in small letters.
KEYS = {
    "number": ("ticketnumber", "number"),
    "state": ("ticketstate", "state", "ticketstatus", "status"),
    "description": ("ticketdescription", "description"),
    "priority": ("priority", "ticketpriority"),
    "assignee": ("assignedto", "assignee", "assigneduser", "assignedtouser"),
    "asset": ("assetname", "asset"),
    "standard": ("standardname", "standard"),
}
NAMES = ("name", "value", "displayname", "id")
NOT_FOUND = "ticket not found"  # document, 404: "Ticket not found. Provide valid ticket number."


class CannotRead(Rejected):
    """This server has no reading end for tickets: the path or its GET is not there."""


@dataclass(frozen=True)
class Ticket:
    """A remediation ticket as CCS shows it; None is what it does not show.

    `state` is the name of 1 to 5, or CCS' own word for another one.
    """

    number: str
    state: str | None = None
    description: str | None = None
    priority: str | None = None
    assignee: str | None = None
    asset: str | None = None
    standard: str | None = None


@dataclass(frozen=True)
class Page:
    """A page of a search, and how many there are, where CCS tells it."""

    tickets: Sequence[Ticket]
    pages: int | None = None


def read_page(reply: Reply) -> Page:
    """Tickets of a search or of one number; "Ticket not found" is an empty page.

    Raises `CannotRead` where nothing answers there, and what `failure` says for other errors, also
    for an error object with status 200.
    """
    if reply.status == 404 and NOT_FOUND in words_of(reply).lower():
        return Page(())
    if reply.status in (404, 405, 501):
        words = f"it has no list of tickets here (HTTP {reply.status})"
        raise CannotRead(VENDOR, words, code=str(reply.status))
    if reply.status == 204:
        return Page(())
    if reply.status != 200:
        raise failure(reply)
    found = parsed(VENDOR, reply)
    pages = said(folded(found).get("totalpages")) if isinstance(found, Mapping) else ""
    tickets = [ticket for each in _records(found) if (ticket := _ticket(folded(each)))]
    return Page(tickets, int(float(pages)) if pages.replace(".", "", 1).isdecimal() else None)


def _records(found: Any) -> list[Mapping[str, Any]]:
    if isinstance(found, Mapping):
        record = folded(found)
        if _shown(record, "number") is not None:
            return [found]
        found = next((each for name, each in record.items() if _listed(name, each)), None)
        if found is None and (words := words_in(record)):
            raise Rejected(VENDOR, words)
    if not isinstance(found, list):
        raise Unreadable(VENDOR, "the answer holds no list of tickets")
    return [each for each in found if isinstance(each, Mapping)]


def _listed(name: str, value: Any) -> bool:
    return isinstance(value, list) and not name.startswith(("error", "message", "modelstate"))


def _ticket(record: Mapping[str, Any]) -> Ticket | None:
    number = _shown(record, "number")
    if not number:
        return None
    rest = {field: _shown(record, field) for field in KEYS if field not in ("number", "state")}
    state = _shown(record, "state")
    return Ticket(number, None if state is None else state_name(state), **rest)


def _shown(record: Mapping[str, Any], field: str) -> str | None:
    key = next((each for each in KEYS[field] if each in record), None)
    return None if key is None else _text(record[key])


def _text(value: Any) -> str | None:
    """A value as text, "" where it is empty; None for what is there and is not one value."""
    if isinstance(value, list):
        return None if len(value) > 1 else _text(next(iter(value), None))
    if isinstance(value, Mapping):
        inner = folded(value)
        named = [said(inner[each]) for each in NAMES if each in inner]
        return next(filter(None, named), "") if named else None
    return said(value)


def state_name(shown: str) -> str:
    """A state as people know it, whether CCS shows its number or its name."""
    number = shown[:-2] if shown.endswith(".0") else shown
    names = {name.casefold(): name for name in STATES.values()}
    return STATES.get(number) or names.get(shown.strip().casefold(), shown)
