"""Qualys ticket calls without I/O: parameters → request, (status, headers, body) → value or error.

"Document" is the vendor's text on ticket_edit.php; "facts" are the Qualys API facts by section.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlencode, urlsplit

from integrations.errors import Unreadable
from integrations.http import Reply, Request
from integrations.qualys.faults import VENDOR, failure_of, fault_in, http_failure
from integrations.qualys.models import EditReply, User
from integrations.qualys.reading import child, number, numbers_in, text_of
from integrations.xml import Element, name_of, parse, words_of

__all__ = [
    "EditReply",
    "User",
    "asset_group_request",
    "edit_request",
    "good_root",
    "list_request",
    "post",
    "read_asset_groups",
    "read_edit",
    "read_users",
    "user_list_request",
]

EDIT = "/msp/ticket_edit.php"
LIST = "/msp/ticket_list.php"
USERS = "/msp/user_list.php"
ASSET_GROUPS = "/api/2.0/fo/asset/group/"

# Document, ticket_edit.php: "A maximum of 20,000 tickets can be edited in one … request."
MOST_TICKETS = 20_000
# Facts 1.2: without `states` the sources disagree about the default, so all four are named.
ALL_STATES = "OPEN,RESOLVED,CLOSED,IGNORED"
# A big edit takes its time (facts 11: clients use 5 to 10 minutes); seconds for each ticket.
SECONDS_PER_TICKET = 0.02
REASONS = frozenset({"REASON", "MESSAGE", "TEXT", "COMMENT"})


def edit_request(base: str, numbers: Sequence[int], changes: Mapping[str, str]) -> Request:
    """Edit exactly `numbers`; nothing is sent that is not in `changes`.

    Document, ticket_edit.php: at least one selection and one change; at most 20,000 tickets.
    Raises ValueError where that does not hold. The numbers are listed one by one, because a range
    would also catch tickets that nobody has seen in the plan.
    """
    if not 1 <= len(numbers) <= MOST_TICKETS or not changes:
        raise ValueError(f"an edit takes 1 to {MOST_TICKETS} tickets and at least one change")
    form = {"ticket_numbers": ",".join(map(str, numbers)), **changes}
    return post(base + EDIT, form)


def list_request(base: str, filters: Mapping[str, str], since: int | None = None) -> Request:
    """List what `filters` select, from number `since` on (facts 3.1: same filters, next page)."""
    form = dict(filters)
    if since is not None:
        form["since_ticket_number"] = str(since)
    if not form:
        raise ValueError("a list takes at least one filter")
    return post(base + LIST, form)


def user_list_request(base: str) -> Request:
    """All users of the subscription (facts 10.3: no paging)."""
    return post(base + USERS, {})


def asset_group_request(base: str) -> Request:
    """All asset group titles in one answer (`truncation_limit=0`: without pages)."""
    query = {"action": "list", "show_attributes": "TITLE", "truncation_limit": "0"}
    return Request(
        "GET", f"{base}{ASSET_GROUPS}?{urlencode(query)}", _headers(), call="asset_group"
    )


def read_edit(reply: Reply) -> EditReply:
    """What an edit changed and skipped. Raises a `VendorError`.

    Facts 1.3: CHANGES/TICKET_NUMBER_LIST is certain, the form of SKIPPED is not, so any number
    below SKIPPED counts, with the nearest reason. A count without as many numbers is not believed.
    """
    root = good_root(reply, writes=True)
    changes = [each for each in root.iter() if name_of(each) == "CHANGES"]
    skips = [each for each in root.iter() if name_of(each) == "SKIPPED"]
    if name_of(root) != "TICKET_EDIT_OUTPUT" or not (changes or skips):
        raise Unreadable(VENDOR, words_of(root) or "it neither names tickets nor an error")
    named = (item for each in changes for item in _numbered(each) if not _is_skipped(item))
    changed = _unique(found for item in named for found in numbers_in(item))
    if any((number(each.get("count")) or 0) > len(changed) for each in changes):
        raise Unreadable(VENDOR, "it counts more changed tickets than it names")
    return EditReply(tuple(changed), _skipped(skips), _loose_text(root))


def read_users(reply: Reply) -> list[User]:
    """The users (facts 10.3). Raises a `VendorError`."""
    root = good_root(reply, writes=False)
    if name_of(root) != "USER_LIST_OUTPUT":
        raise Unreadable(VENDOR, f"it is a {root.tag}, not a user list")
    return [_user(each) for each in root.iterfind("USER_LIST/USER")]


def read_asset_groups(reply: Reply) -> list[str]:
    """The titles of the asset groups. Raises a `VendorError`."""
    root = good_root(reply, writes=False)
    if name_of(root) != "ASSET_GROUP_LIST_OUTPUT":
        raise Unreadable(VENDOR, f"it is a {root.tag}, not a list of asset groups")
    return [title for each in root.iter("ASSET_GROUP") if (title := text_of(each, "TITLE"))]


def _user(element: Element) -> User:
    names = (text_of(element, f"CONTACT_INFO/{part}") for part in ("FIRSTNAME", "LASTNAME"))
    groups = element.iterfind("ASSIGNED_ASSET_GROUPS/ASSET_GROUP_TITLE")
    return User(
        login=text_of(element, "USER_LOGIN"),
        id=number(text_of(element, "USER_ID")) or 0,
        name=" ".join(filter(None, names)),
        email=text_of(element, "CONTACT_INFO/EMAIL"),
        role=text_of(element, "USER_ROLE"),
        status=text_of(element, "USER_STATUS"),
        business_unit=text_of(element, "BUSINESS_UNIT"),
        asset_groups=tuple(filter(None, map(words_of, groups))),
    )


def _numbered(element: Element) -> Iterable[Element]:
    return (each for each in element.iter() if name_of(each) in ("TICKET_NUMBER", "NUMBER"))


def _is_skipped(item: Element) -> bool:
    """Facts 1.3: where SKIPPED stands is not told; it may be inside of CHANGES."""
    return any(name_of(each) == "SKIPPED" for each in item.iterancestors())


def _skipped(skips: Iterable[Element]) -> dict[int, str]:
    return {
        found: _reason(item)
        for each in skips
        for item in _numbered(each)
        for found in numbers_in(item)
    }


def _reason(item: Element) -> str:
    """The reason nearest to a skipped number: beside it, or beside an element around it."""
    for around in item.iterancestors():
        reason = child(around, REASONS)
        if reason is not None:
            return words_of(reason)
        if name_of(around) == "SKIPPED":
            break
    return item.get("reason", "")


def _loose_text(root: Element) -> str:
    """Words beside the lists, such as a MESSAGE; "" as a rule."""
    loose = [each for each in root if name_of(each) in ("MESSAGE", "TEXT", "WARNING")]
    return " ".join(filter(None, map(words_of, loose)))


def good_root(reply: Reply, *, writes: bool) -> Element:
    """The root of a good answer: the body is asked first, the status second (facts 0.5).

    Raises a `VendorError`; on a write (`writes`) `Unreadable` means: read back.
    """
    good = reply.status == 200
    try:
        root = parse(reply.body, VENDOR)
    except Unreadable:
        if good:
            raise
        raise http_failure(reply.status, reply.headers, writes=writes) from None
    fault = fault_in(root)
    if fault is not None:
        raise failure_of(fault, reply.status, reply.headers, writes=writes)
    if not good:
        raise http_failure(reply.status, reply.headers, writes=writes)
    return root


def post(url: str, form: Mapping[str, str]) -> Request:
    """A form, encoded, with the header that every call needs."""
    # Document, ticket_edit.php: its examples POST a form and leave the comma as it is. POST also
    # keeps comments out of URLs, and so out of the logs on the way.
    headers = {**_headers(), "Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(form, safe=",").encode("ascii")
    return Request("POST", url, headers, body, call=call_of(url))


def call_of(url: str) -> str:
    """The function that a URL of this API calls, such as `ticket_edit`: its paths name no records."""
    return PurePosixPath(urlsplit(url).path).stem


def _headers() -> dict[str, str]:
    # Document, ticket_edit.php: every example sends X-Requested-With.
    return {"X-Requested-With": "Amend"}


def _unique(numbers: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(numbers))
