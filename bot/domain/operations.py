"""An operation: one kind of edit at one vendor, declared once; everything else is derived from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from bot.domain.parameters import Kind, Param, Parameters, given, specs
from bot.domain.people import Account


class Reach(StrEnum):
    """How far a vendor role's right goes."""

    ALL = "all"
    SCOPE = "scope"


class Result(StrEnum):
    """How a record ends. `TODO` and `SENDING` are the ledger's way there."""

    TODO = "todo"
    SENDING = "sending"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


@dataclass(frozen=True)
class Record:
    """A record in a plan: its present state, what it is to become, and why not, if it is left out.

    `label` is a short line for people ("10.10.10.120 · OpenSSH …"); `state` what the vendor says now
    (it is part of the digest, and compared again before the call); `after` the fields that will
    change, by the same names. `left_out` is the reason where the record will not be sent, and
    `already` marks one that is left out because it is as wanted.
    """

    id: str
    label: str
    state: Mapping[str, str]
    after: Mapping[str, str]
    left_out: str = ""
    already: bool = False
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of one record, in the vendor's words where it has any."""

    id: str
    result: Result
    words: str = ""


@dataclass(frozen=True)
class Lookup:
    """One entry that the vendor lists: the value to send and the words that people see."""

    value: str
    label: str
    detail: str = ""


@dataclass(frozen=True)
class Batch:
    """The part of a plan that goes to the vendor in one call, with the values to send."""

    parameters: Parameters
    changes: Mapping[str, str]
    records: Sequence[Record]


class Operation(ABC):
    """Base of every operation. `plan`, `read` and `lookup` only read; `apply` is the only edit.

    Class attributes: `name` is `VENDOR.VERB_THING`; `command` the slash command without its slash;
    `records_in` the parameter that bare leading words fill; `call_size` how many records one call
    takes, `parallel` how many calls may be under way at once; `comment` the parameter that carries
    a person's words to the vendor ("" if none), whose end takes the attribution.
    """

    name: ClassVar[str]
    vendor: ClassVar[str]
    vendor_title: ClassVar[str]
    command: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    noun: ClassVar[tuple[str, str]]
    roles: ClassVar[Mapping[str, Reach]]
    parameters: ClassVar[type[Parameters]]
    records_in: ClassVar[str]
    comment: ClassVar[str] = ""
    call_size: ClassVar[int] = 1
    parallel: ClassVar[int] = 4
    examples: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def params(cls) -> dict[str, Param]:
        return specs(cls.parameters)

    def changes(self, parameters: Parameters) -> dict[str, str | int | tuple[str, ...]]:
        """The changes that were set, by parameter name."""
        declared = self.params()
        return {
            name: value
            for name, value in given(parameters).items()
            if declared[name].kind is Kind.CHANGE
        }

    @classmethod
    def find(cls, text: str) -> tuple[str, ...]:
        """The record ids that a message's text names, in its order."""
        return ()

    def single(self, parameters: Parameters) -> bool:
        """True when the request names exactly one record and nothing else selects."""
        return False

    def executes(self, parameters: Parameters) -> bool:
        """True when the edit makes the vendor execute something, so that it needs a review."""
        return False

    @abstractmethod
    def repeatable(self, parameters: Parameters) -> bool:
        """True when sending the same call twice does no more than sending it once."""

    @abstractmethod
    def plan(self, parameters: Parameters, account: Account, reach: Reach) -> AsyncIterator[Record]:
        """The selected records in the vendor's order, read now; those out of scope are left out."""

    @abstractmethod
    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """The present state of records by id, in the terms of `Record.state`; missing ones absent."""

    @abstractmethod
    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        """Send one call. Each record of the batch gets one outcome.

        Raises `integrations.errors.VendorError`: `Temporary` where nothing was changed,
        `UnknownOutcome` where the call went out without a trustworthy answer.
        """

    @abstractmethod
    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        """Decide by reading what became of a batch that was sent at `since` (ISO, UTC) unanswered.

        Records that reading cannot decide come back as `UNKNOWN`; those certainly untouched as
        `TODO`.
        """

    async def lookup(self, name: str, words: str) -> Sequence[Lookup]:
        """Entries of the list `name` that match what was typed, best first, at most 100."""
        return ()

    async def check(self, parameters: Parameters) -> None:
        """Rules that need the vendor's lists (does this assignee exist …). Raises `InvalidInput`."""


@dataclass(frozen=True)
class Vendor:
    """A vendor that is switched on: its operations, and how to check and close its client."""

    name: str
    title: str
    operations: Sequence[Operation]
    roles: frozenset[str] | None
    check: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    warnings: Sequence[str] = ()
    secrets: Sequence[str] = ()


@dataclass(frozen=True)
class VendorEntry:
    """What a vendor registers under the entry point group `amend.vendors`.

    `commands` and `operations` describe it without settings (manifest, help, the README's table);
    `connect` reads its settings and returns the vendor, or None where its URL is not set. Raises
    `pydantic.ValidationError` for malformed settings.
    """

    name: str
    title: str
    operations: Sequence[type[Operation]]
    connect: Callable[[], Vendor | None]
    roles: frozenset[str] | None = None


@dataclass(frozen=True)
class Registry:
    """The operations that are switched on, by name and by slash command."""

    vendors: Sequence[Vendor] = field(default_factory=tuple)

    @property
    def operations(self) -> list[Operation]:
        return [operation for vendor in self.vendors for operation in vendor.operations]

    def by_name(self, name: str) -> Operation | None:
        return next((each for each in self.operations if each.name == name), None)

    def by_command(self, command: str) -> Operation | None:
        return next((each for each in self.operations if each.command == command), None)

    def vendor(self, name: str) -> Vendor | None:
        return next((each for each in self.vendors if each.name == name), None)


def canonical(parameters: Parameters) -> dict[str, Any]:
    """The set parameters as plain JSON values, in order of declaration."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given(parameters).items()
    }
