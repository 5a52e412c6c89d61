"""Policy Compliance exceptions and the lists around them: requests, answers (pure), thin client.

"Document" is the vendor's text on requesting an exception; "facts" are the Qualys API facts by section.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from urllib.parse import urlencode

from integrations.addresses import web_address
from integrations.errors import Rejected, Unreadable
from integrations.http import Reply, Request
from integrations.qualys.client import QualysClient
from integrations.qualys.faults import VENDOR
from integrations.qualys.protocol import call_of, good_root, post
from integrations.qualys.reading import moment, numbers_in, text_of
from integrations.xml import Element, name_of, words_of

POSTURE = "/api/2.0/fo/compliance/posture/info/"
POLICIES = "/api/2.0/fo/compliance/policy/"
CONTROLS = "/api/2.0/fo/compliance/control/"
HOSTS = "/api/5.0/fo/asset/host/"

# Facts 5.2: dates of exceptions are mm/dd/yyyy.
DAY = "%m/%d/%Y"
# The order of the document's first example.
ORDER = (
    "control_id",
    "host_id",
    "policy_id",
    "technology_id",
    "assignee_id",
    "reopen_on_evidence_change",
    "comments",
    "instance_string",
)
AMERICAN = re.compile(r"(\d\d)/(\d\d)/(\d{4})")
MOST_PAGES = 1_000
LONGEST_QUERY = 1_500  # characters; gateways refuse URLs from 2,000 on

# The root of each list's answer (facts 5.2 and 6): what has another one is no list, and not empty.
ROOTS = {
    POSTURE: "POSTURE_INFO_LIST_OUTPUT",
    POLICIES: "POLICY_LIST_OUTPUT",
    CONTROLS: "CONTROL_LIST_OUTPUT",
    HOSTS: "HOST_LIST_OUTPUT",
}
EXCEPTIONS_ROOT = "EXCEPTION_LIST_OUTPUT"
NO_LICENCE = "2012"  # facts 8
PORTS = {"https": 443, "http": 80}
SUCCESSES = frozenset({"successfully updated"})  # facts 5.3, in small letters


@dataclass(frozen=True, slots=True)
class Host:
    """A host as compliance lists it."""

    id: str
    ip: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A policy, a control or a technology: its id and what it is called."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Posture:
    """How one control does on one host: `status` is Passed, Failed or Error.

    `exception` is the status of an exception that stands there, "" for none.
    """

    host: Host
    control: Named
    technology: Named
    instance: str
    status: str
    exception: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """One entry of an exception's history."""

    at: datetime | None
    user: str
    comment: str


@dataclass(frozen=True, slots=True)
class ComplianceException:
    """An exception; `status` is Pending, Approved, Rejected or Expired."""

    number: str
    status: str
    ip: str = ""
    policy: Named = Named("", "")
    control: Named = Named("", "")
    technology: Named = Named("", "")
    assignee: str = ""
    expires: str = ""
    reopen: str = ""
    created: datetime | None = None
    modified: datetime | None = None
    modified_by: str = ""
    created_by: str = ""
    history: tuple[Remark, ...] = ()

    @property
    def ends(self) -> date | None:
        """The day on which it ends; None where Qualys names none ("Never", nothing).

        Facts 5.2 leave its form open: an ISO day or moment, or mm/dd/yyyy as in requests.
        """
        return _day(self.expires)


@dataclass(frozen=True, slots=True)
class Requested:
    """The exceptions that were made, at least one, and the vendor's words."""

    numbers: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update says of each exception, in the vendor's words by its number.

    `unsaid` are those of which it says neither yes nor no; `loose` is what it says of no number.
    """

    done: Mapping[str, str]
    failed: Mapping[str, str]
    unsaid: Mapping[str, str]
    loose: str = ""


# --- requests ------------------------------------------------------------------------------------


def exception_path(version: str) -> str:
    """Document: 2.0. Facts 0.1: 3.0 replaces it."""
    return f"/api/{version}/fo/compliance/exception/"


def request_request(base: str, version: str, changes: Mapping[str, str]) -> Request:
    """Ask for one exception; ValueError for a parameter that the document does not know."""
    if unknown := set(changes) - set(ORDER):
        raise ValueError(f"not parameters of an exception: {sorted(unknown)}")
    form = {name: changes[name] for name in ORDER if name in changes}
    return post(base + exception_path(version), {"action": "request", **form})


def update_request(
    base: str, version: str, numbers: Sequence[str], changes: Mapping[str, str]
) -> Request:
    """Decide on, reassign or remark exceptions; facts 5.3: every update needs comments."""
    if not numbers or not changes.get("comments"):
        raise ValueError("an update takes exception numbers and comments")
    form = {"action": "update", "exception_numbers": ",".join(numbers), **changes}
    return post(base + exception_path(version), form)


def list_request(base: str, path: str, filters: Mapping[str, str]) -> Request:
    """Any of the lists: by GET, and by POST where its selection is too long for a URL."""
    query = urlencode({"action": "list", **filters}, safe=",")
    if len(query) > LONGEST_QUERY:
        return post(base + path, {"action": "list", **filters})
    url = f"{base}{path}"
    return Request("GET", f"{url}?{query}", {"X-Requested-With": "Amend"}, call=call_of(url))


# --- answers -------------------------------------------------------------------------------------


def read_requested(reply: Reply) -> Requested:
    """The numbers of the exceptions that were made (document: SIMPLE_RETURN)."""
    root = good_root(reply, writes=True)
    numbers = [
        text_of(item, "VALUE")
        for item in root.iter("ITEM")
        if text_of(item, "KEY").upper() == "EXCEPTION_NUMBER"
    ]
    if name_of(root) != "SIMPLE_RETURN" or not all(each.isdecimal() for each in numbers):
        raise Unreadable(VENDOR, words_of(root) or "it does not say what was made")
    if not numbers:
        raise Unreadable(VENDOR, text_of(root, "RESPONSE/TEXT") or "it names no exception number")
    return Requested(tuple(numbers), text_of(root, "RESPONSE/TEXT"))


def read_updated(reply: Reply) -> Updated:
    """Facts 5.3: BATCH_RETURN; a CODE is a failure, and only the TEXT of a known success is one."""
    root = good_root(reply, writes=True)
    batches = list(root.iter("BATCH"))
    if name_of(root) != "BATCH_RETURN" or not batches:
        raise Unreadable(VENDOR, words_of(root) or "it does not say what was updated")
    done: dict[str, str] = {}
    failed: dict[str, str] = {}
    unsaid: dict[str, str] = {}
    loose: list[str] = []
    for batch in batches:
        words, numbers = text_of(batch, "TEXT"), _number_set(batch)
        known = words.casefold().rstrip(".") in SUCCESSES
        told = failed if text_of(batch, "CODE") else done if known else unsaid
        told |= dict.fromkeys(numbers, words)
        if not numbers:
            loose.append(words)
    # What one batch confirms and another does not is not confirmed.
    done = {each: words for each, words in done.items() if each not in failed | unsaid}
    return Updated(done, failed, unsaid, "; ".join(filter(None, loose)))


def listed(reply: Reply, path: str) -> Element:
    """The root of a list's answer. Raises a `VendorError`."""
    root = good_root(reply, writes=False)
    wanted = ROOTS.get(path, EXCEPTIONS_ROOT)
    if name_of(root) != wanted:
        raise Unreadable(VENDOR, f"it is a {root.tag}, not a {wanted}")
    return root


def read_exceptions(root: Element) -> list[ComplianceException]:
    """Facts 5.2: read by name, all but the number optional."""
    return [
        _exception(each) for each in root.iter("EXCEPTION") if text_of(each, "EXCEPTION_NUMBER")
    ]


def read_posture(root: Element) -> list[Posture]:
    """Facts 6: INFO records, and a glossary of the hosts, controls and technologies."""
    hosts = {text_of(each, "ID"): _host(each) for each in root.iterfind(".//HOST_LIST/HOST")}
    controls = _names(root, "CONTROL_LIST/CONTROL", "STATEMENT")
    technologies = _names(root, "TECHNOLOGY_LIST/TECHNOLOGY", "NAME")
    found = []
    for each in root.iterfind(".//INFO_LIST/INFO"):
        host, control = text_of(each, "HOST_ID"), text_of(each, "CONTROL_ID")
        technology = text_of(each, "TECHNOLOGY_ID")
        found.append(
            Posture(
                host=hosts.get(host, Host(host, "")),
                control=controls.get(control, Named(control, "")),
                technology=technologies.get(technology, Named(technology, "")),
                instance=text_of(each, "INSTANCE"),
                status=text_of(each, "STATUS"),
                exception=text_of(each, "EXCEPTION/STATUS"),
            )
        )
    return found


def next_url(root: Element, base: str) -> str:
    """Facts 5.2: the next page, "" after the last. Raises `Unreadable` for another host."""
    found = text_of(root, "RESPONSE/WARNING/URL")
    if not found:
        return ""
    theirs = _server(found)
    if theirs is None or theirs != _server(base):
        # The credentials go nowhere else.
        raise Unreadable(VENDOR, f"its next page is at another host ({found[:200]})")
    return found


def _server(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a URL, the same in every spelling; None for one that names none."""
    parts = web_address(url)
    if parts is None or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme]


def _number_set(batch: Element) -> list[str]:
    return [str(each) for item in batch.iterfind("NUMBER_SET/*") for each in numbers_in(item)]


def _exception(each: Element) -> ComplianceException:
    history = tuple(_remark(entry) for entry in each.iterfind("HISTORY_LIST/HISTORY"))
    return ComplianceException(
        number=text_of(each, "EXCEPTION_NUMBER"),
        status=text_of(each, "STATUS").capitalize(),
        ip=text_of(each, "HOST/IP_ADDRESS") or text_of(each, "HOST/IP"),
        policy=Named(text_of(each, "POLICY/ID"), text_of(each, "POLICY/NAME")),
        control=Named(text_of(each, "CONTROL/CID"), text_of(each, "CONTROL/STATEMENT")),
        technology=Named(text_of(each, "TECHNOLOGY/ID"), text_of(each, "TECHNOLOGY/NAME")),
        assignee=text_of(each, "ASSIGNEE"),
        expires=text_of(each, "EXPIRATION_DATE"),
        reopen=text_of(each, "REOPEN_ON_EVIDENCE_CHANGE"),
        created=moment(text_of(each, "CREATED_DATE") or text_of(each, "CREATED")),
        modified=moment(text_of(each, "MODIFIED_DATE") or text_of(each, "LAST_MODIFIED")),
        modified_by=text_of(each, "MODIFIED_BY"),
        created_by=text_of(each, "CREATED_BY"),
        history=history,
    )


def _day(words: str) -> date | None:
    american = AMERICAN.match(words)
    iso = f"{american[3]}-{american[1]}-{american[2]}" if american else words[:10]
    try:
        return date.fromisoformat(iso)
    except ValueError:
        return None


def _remark(entry: Element) -> Remark:
    at = moment(text_of(entry, "INSERTION_DATE"))
    return Remark(at, text_of(entry, "USER"), text_of(entry, "COMMENT"))


def _host(each: Element) -> Host:
    return Host(text_of(each, "ID"), text_of(each, "IP"), text_of(each, "DNS"))


def _names(root: Element, path: str, name: str) -> dict[str, Named]:
    found = root.iterfind(f".//{path}")
    return {text_of(each, "ID"): Named(text_of(each, "ID"), text_of(each, name)) for each in found}


# --- client --------------------------------------------------------------------------------------


class ExceptionClient:
    """The calls of Policy Compliance, at the pace and with the account of a `QualysClient`.

    Every method raises a `VendorError`.
    """

    def __init__(self, client: QualysClient, base: str, version: str) -> None:
        self._client, self._base, self._version = client, base, version

    async def request(self, changes: Mapping[str, str]) -> Requested:
        """Ask for an exception; what was made. Never repeated on doubt."""
        request = request_request(self._base, self._version, changes)
        return await self._client.call(request, read_requested, writes=True)

    async def update(self, numbers: Sequence[str], changes: Mapping[str, str]) -> Updated:
        """Decide on, reassign or remark exceptions."""
        request = update_request(self._base, self._version, numbers, changes)
        return await self._client.call(request, read_updated, writes=True)

    async def exceptions(self, filters: Mapping[str, str]) -> AsyncIterator[ComplianceException]:
        """All exceptions that the filters select, with their history; a page is held at a time."""
        path = exception_path(self._version)
        async for root in self._pages(path, {**filters, "details": "All"}):
            for each in read_exceptions(root):
                yield each

    async def posture(self, policy: str, filters: Mapping[str, str]) -> list[Posture]:
        """How controls do on hosts under one policy."""
        # Facts 6: the least that tells an exception and names hosts and controls.
        wanted = {"policy_id": policy, **filters, "details": "Basic"}
        return [each async for root in self._pages(POSTURE, wanted) for each in read_posture(root)]

    async def policies(self) -> list[Named]:
        """All policies."""
        pages = self._pages(POLICIES, {"details": "Basic"})
        return [
            Named(text_of(each, "ID"), text_of(each, "TITLE"))
            async for root in pages
            for each in root.iterfind(".//POLICY_LIST/POLICY")
        ]

    async def controls(self) -> list[Named]:
        """All controls."""
        pages = self._pages(CONTROLS, {"details": "Basic"})
        return [
            Named(text_of(each, "ID"), text_of(each, "STATEMENT"))
            async for root in pages
            for each in root.iterfind(".//CONTROL_LIST/CONTROL")
        ]

    async def hosts(self, filters: Mapping[str, str]) -> list[Host]:
        """The hosts that the filters select."""
        pages = self._pages(HOSTS, {"details": "Basic", **filters})
        return [_host(each) async for root in pages for each in root.iterfind(".//HOST_LIST/HOST")]

    def apart(self) -> float:
        """Seconds that two polls of the list of exceptions have to be apart."""
        return self._client.apart(exception_path(self._version))

    async def check(self) -> None:
        """Prove that this version of the exception calls answers, and is open to the account.

        Raises `Rejected`, in words that say which setting or licence is missing.
        """
        refused = await self._refused(self._version)
        if refused is None:
            return
        if refused.code == NO_LICENCE:
            words = f"the licence or this account has no Policy Compliance: {refused.words}"
            raise Rejected(VENDOR, words, code=refused.code)
        other = "3.0" if self._version == "2.0" else "2.0"
        if await self._refused(other) is None:
            # Facts 0.1.
            ended = ", which Qualys ended in October 2026," if self._version == "2.0" else ""
            words = (
                f"the exceptions API {self._version}{ended} is not there, and {other} is: set"
                f" QUALYS_EXCEPTION_API={other}"
            )
        else:
            words = (
                f"neither exceptions API 2.0 nor 3.0 answers ({refused.words}): Policy Compliance"
                " is not in the subscription, or not open to this account"
            )
        raise Rejected(VENDOR, words, code=refused.code) from refused

    async def _refused(self, version: str) -> Rejected | None:
        """Why a version of the exceptions API does not answer; None where it does."""
        try:
            filters = {"exception_numbers": "1", "details": "None"}
            async for _ in self._pages(exception_path(version), filters):
                break
        except Rejected as error:
            return error
        return None

    async def _pages(self, path: str, filters: Mapping[str, str]) -> AsyncIterator[Element]:
        request = list_request(self._base, path, filters)
        for _ in range(MOST_PAGES):
            root = await self._client.call(request, lambda reply: listed(reply, path), writes=False)
            yield root
            following = next_url(root, self._base)
            if not following:
                return
            request = replace(request, method="GET", url=following, body=None)
        raise Unreadable(VENDOR, "its list has no end")
