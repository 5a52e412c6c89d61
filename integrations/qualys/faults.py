"""Qualys errors: the three shapes of an error body, and what each code or status asks of us.

"Facts" are the Qualys API facts, by section.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from integrations.errors import (
    BadCredentials,
    NoAnswer,
    Rejected,
    Temporary,
    UnknownOutcome,
    VendorError,
)
from integrations.http import GAVE_UP
from integrations.qualys.reading import child, number, text_of
from integrations.xml import Element, name_of, words_of

VENDOR = "Qualys"

# Facts 8 and 9: concurrency and rate limit. A blocked call did not run; no other 409 is retried.
BLOCKED = frozenset({"1960", "1965"})
CONCURRENCY = "1960"
# Nobody says when the other calls will have ended (CALLS_TO_FINISH counts calls, not seconds), and a
# big edit takes minutes. So after the quick tries the request is put off, by a little more than what
# a person is made to wait for.
BUSY_FOR = 61.0
# Facts 8: bad login, expired, inactive, registration open, Basic required, SecurID account.
ACCOUNT = frozenset({"2000", "2001", "2002", "2003", "2010", "2011"})
# Facts 8: internal error, still processing, maintenance. Whether a write ran is not told.
BROKEN = frozenset({"999", "1981", "1999"})
# Facts 8: the request itself is wrong, so nothing ran even where the status is 5xx.
WRONG = frozenset({"1901", "1903", "1904", "1905", "1907", "1908", "1920", "1922", "2012"})


@dataclass(frozen=True)
class Fault:
    """An error as the body tells it; `wait` is in seconds."""

    code: str
    words: str
    wait: float | None = None


def fault_in(root: Element) -> Fault | None:
    """The error inside an answer, in any of the three shapes (facts 1.4), or None."""
    match name_of(root):
        case "GENERIC_RETURN":
            return _generic(root)
        case "SIMPLE_RETURN":
            return _simple(root)
    error = root if name_of(root) == "ERROR" else child(root, {"ERROR"})
    return None if error is None else Fault(error.get("number", ""), words_of(error))


def failure_of(
    fault: Fault, status: int, headers: Mapping[str, str], *, writes: bool
) -> VendorError:
    """What a fault asks of us. `writes`: the call would have changed something."""
    words = fault.words or f"HTTP status {status}"
    if fault.code in BLOCKED:
        wait = fault.wait or wait_in(headers)
        busy = fault.code == CONCURRENCY and wait is None
        return Temporary(VENDOR, words, wait=wait, later=BUSY_FOR if busy else None)
    if fault.code in ACCOUNT or status == 401:
        return BadCredentials(VENDOR, words)
    if writes and status in GAVE_UP and fault.code not in WRONG:
        return NoAnswer(VENDOR, words)
    if fault.code in BROKEN or (status >= 500 and fault.code not in WRONG):
        return (UnknownOutcome if writes else Temporary)(VENDOR, words)
    return Rejected(VENDOR, words, code=fault.code or None)


def http_failure(status: int, headers: Mapping[str, str], *, writes: bool) -> VendorError:
    """What a status asks of us where the body says nothing that can be read (facts 11)."""
    words = f"HTTP status {status} without an explanation"
    if status == 401:
        return BadCredentials(VENDOR, words)
    if status == 429:
        # Facts 9: gateways in front of Qualys use 429 for the rate limit.
        return Temporary(VENDOR, words, wait=wait_in(headers))
    if 300 <= status < 400:
        words = f"it redirects elsewhere (HTTP status {status}), which is not followed"
    if status in (408, 409) or status >= 500 or status < 400:
        return _undecided(status, words, headers, writes=writes)
    return Rejected(VENDOR, words)


def said_at(headers: Mapping[str, str]) -> datetime | None:
    """The vendor's clock in an answer (RFC 9110, 6.6.1); None where it is missing or no date."""
    try:
        return parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None


def wait_in(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the headers, None where they name no time (facts 9)."""
    for name in ("x-ratelimit-towait-sec", "retry-after"):
        seconds = number(headers.get(name))
        if seconds:
            return float(seconds)
    return None


def _undecided(status: int, words: str, headers: Mapping[str, str], *, writes: bool) -> VendorError:
    # Without the code it is not told whether the call ran, so a write is read back.
    if writes:
        return (NoAnswer if status in GAVE_UP else UnknownOutcome)(VENDOR, words)
    if status < 400:
        return Rejected(VENDOR, words)
    return Temporary(VENDOR, words, wait=wait_in(headers))


def _generic(root: Element) -> Fault | None:
    returned = child(root, {"RETURN"})
    if returned is None or returned.get("status", "").upper() in ("SUCCESS", "WARNING"):
        return None
    return Fault(returned.get("number", ""), words_of(returned))


def _simple(root: Element) -> Fault | None:
    """Facts 8: the presence of CODE means failure, whatever the status."""
    code = text_of(root, "RESPONSE/CODE")
    if not code:
        return None
    items = {
        text_of(each, "KEY").upper(): text_of(each, "VALUE")
        for each in root.iterfind("RESPONSE/ITEM_LIST/ITEM")
    }
    # CALLS_TO_FINISH counts calls, not seconds; only SECONDS_TO_WAIT is a time.
    seconds = number(items.get("SECONDS_TO_WAIT"))
    return Fault(code, text_of(root, "RESPONSE/TEXT"), float(seconds) if seconds else None)
