"""What the pipeline's steps share: the parts they are joined from, and the words for failures."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from anyascii import anyascii

from bot.db.ledger import Ledger
from bot.db.store import Store
from bot.db.tables import Request
from bot.db.vault import Vault
from bot.domain.errors import AmendError, InvalidInput, Problem
from bot.domain.operations import Operation, Reach, Record, Registry
from bot.domain.parameters import Kind, Parameters, keeps, wire
from bot.domain.people import Account, Caller
from bot.domain.plans import OVER, RequestFacts, State
from bot.domain.policy import Policy
from integrations.errors import BadCredentials, Temporary

PAGE = 1000  # records that are looked at together
SIGNED = re.compile(r"via\s+amend\s*\]")  # how the end of an attribution reads in small letters
LONG_WAIT = 60.0  # seconds; a vendor that asks for more gets a scheduled request
# Seconds between two tries at most: a vendor that asked for more says so again. What is put off for
# longer was so by a clock that has been set back since.
AT_MOST = 3600.0
GIVEN_UP_AFTER = 24 * 3600.0  # seconds beyond the time that a request was to run at

T = TypeVar("T")


class Directory(Protocol):
    """Who is who in Slack."""

    async def caller(self, user: str, *, fresh: bool = False) -> Caller: ...
    async def groups(
        self, user: str, groups: Sequence[str]
    ) -> tuple[frozenset[str], frozenset[str]]: ...
    async def is_in(self, user: str, channel: str) -> bool: ...
    @property
    def team(self) -> str: ...


class Voice(Protocol):
    """How the pipeline speaks: privately to the caller, or by the messages that everybody sees."""

    async def planned(self, request: Request, facts: RequestFacts) -> None: ...
    async def refused(self, request: Request, error: AmendError) -> None: ...
    async def show(self, request_id: str, *beside: str) -> None: ...
    async def follow(self, request_id: str) -> None: ...
    async def remind(self, request_id: str) -> None: ...


Start = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True)
class Origin:
    """Where a request comes from; `key` is the same for each redelivery of the same act.

    `source` is the request that it retries, undoes or decides on, and `relation` says which
    (`retry`, `undo`, `decision`). `program` names the token of a program that asks for its owner.
    """

    key: str
    user: str
    channel: str
    thread_ts: str = ""
    view_id: str = ""
    response_url: str = ""
    source: str = ""
    relation: str = ""
    program: str = ""


@dataclass
class Parts:
    """Store, vendors, directory, policy and voice, joined once by the composition root."""

    store: Store
    ledger: Ledger
    registry: Registry
    directory: Directory
    policy: Policy
    voice: Voice
    start: Start
    vault: Vault
    attribution: bool = True
    clock: Callable[[], float] = field(default=time.time)


def ended_by_its_run(request: Request) -> bool:
    """True where its run ended it, be it before anything was sent: then its receipt says so.

    Who cancels it before it has begun needs none.
    """
    if request.state not in OVER:
        return False
    stopped = request.released_at is not None and request.state != State.CANCELLED
    return stopped or request.started_at is not None


def changes_on_the_wire(
    operation: Operation, parameters: Parameters, comment: str
) -> Mapping[str, str]:
    """The change parameters as sent: only those that were set, the comment as reviewed."""
    changes = {name: wire(value) for name, value in operation.changes(parameters).items()}
    if comment:
        changes[operation.comment] = comment
    return changes


def name_in(operation: Operation | type[Operation], parameter: str, caller: Caller) -> str:
    """A person's name as a text parameter of a vendor can hold it: with its letters where it may.

    Else in Latin letters (Łukasz: Lukasz, 王伟: WangWei); who has no letters is named by their
    account there.
    """
    kept = _unbracketed(caller.name)
    account = caller.accounts.get(operation.vendor)
    spoken = kept if any(map(str.isalpha, kept)) else ""
    names = (
        spoken,
        _unbracketed(anyascii(spoken)),
        account.account if account else "",
        caller.user,
    )
    lines = (" ".join(each.split()) for each in names)
    fitting = (each for each in lines if each and keeps(operation.parameters, parameter, each))
    return next(fitting, caller.user)


def _unbracketed(name: str) -> str:
    """Without the brackets that an attribution stands in; a letter in Latin may be one (〔)."""
    return "".join(each for each in name if each.isprintable() and each not in "[]")


async def pages(items: AsyncIterator[T]) -> AsyncIterator[list[T]]:
    """What comes one by one, `PAGE` at a time."""
    page: list[T] = []
    async for item in items:
        page.append(item)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def refuse_signed(operation: Operation, parameters: Parameters) -> None:
    """Raises `InvalidInput` for words of a person that read like an attribution of Amend's.

    Under the shared account that attribution is all by which the vendor's history tells people
    apart.
    """
    problems = [
        Problem(name, f"`{name}` holds what reads like `… via Amend]`, which Amend alone writes.")
        for name, value in operation.changes(parameters).items()
        if isinstance(value, str) and SIGNED.search(_as_read(value))
    ]
    if problems:
        raise InvalidInput(problems)


def _as_read(text: str) -> str:
    """As an eye reads it: in Latin letters and small ones, without signs that nobody sees."""
    seen = (each for each in unicodedata.normalize("NFKC", text) if not _is_format(each))
    return anyascii("".join(seen)).casefold()


def _is_format(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


def explain(error: Exception) -> str:
    """A vendor's failure before anything was sent, in one or two plain sentences."""
    if isinstance(error, BadCredentials):
        return f"{error} Nothing was sent; please tell an administrator of Amend."
    if isinstance(error, Temporary) and error.wait:
        return f"{error} Nothing was sent; try again in {int(error.wait) + 1} s."
    return f"{error} Nothing was sent."


async def barred_as_sent(
    operation: Operation,
    parameters: Parameters,
    rows: Sequence[tuple[Record, Mapping[str, str] | None]],
    account: Account,
    reach: Reach,
) -> dict[str, str]:
    """Why an account may not change some records (id → reason), by what will really be sent.

    A record of an undo comes with changes of its own, and a right may depend on them.
    """
    groups: dict[str, tuple[Parameters, list[Record]]] = {}
    for record, changes in rows:
        key = str(sorted(changes.items())) if changes is not None else ""
        if key not in groups:
            groups[key] = (_with(operation, parameters, changes), [])
        groups[key][1].append(record)
    found: dict[str, str] = {}
    for sent, records in groups.values():
        found |= await operation.barred(sent, records, account, reach)
    return found


def _with(
    operation: Operation, parameters: Parameters, changes: Mapping[str, str] | None
) -> Parameters:
    if changes is None:
        return parameters
    none = {name: None for name, spec in operation.params().items() if spec.kind is Kind.CHANGE}
    return parameters.model_copy(update={**none, **changes})
