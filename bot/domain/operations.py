"""An operation: one kind of edit at one vendor, declared once; everything else is derived from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from bot.domain.ids import Ids
from bot.domain.oauth import OAuth
from bot.domain.parameters import Kind, Param, Parameters, declared, given, specs
from bot.domain.people import Account
from bot.domain.reminders import Reminder

# A value in an `Offer` that stands for the vendor account of whoever presses it.
ME = "@me"


class Reach(StrEnum):
    """How far a vendor role's right goes."""

    ALL = "all"
    SCOPE = "scope"


class Result(StrEnum):
    """How a record ends. `TO_SEND` and `SENDING` are the ledger's way there."""

    TO_SEND = "to_send"
    SENDING = "sending"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record, in the vendor's words where it has any.

    `made` is the vendor's id of something that the call made (an exception's number), "" if nothing.
    """

    id: str
    result: Result
    words: str = ""
    made: str = ""


@dataclass(frozen=True)
class Lookup:
    """One entry that the vendor lists: the value to send and the words that people see."""

    value: str
    label: str
    detail: str = ""


@dataclass(frozen=True)
class Context:
    """A form as it stands: the raw values filled in so far, and the account of who fills it in."""

    values: Mapping[str, Any] = field(default_factory=dict)
    account: Account | None = None


@dataclass(frozen=True)
class Refinement:
    """What a form's present values imply: narrower `choices` by parameter, and `values` to fill in.

    `choices` maps parameter → (wire value → words); `values` are only taken for blank inputs.
    """

    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Offer:
    """A button for a next step: it opens `operation`'s form (or review) filled with `values`.

    A value `ME` becomes the account of whoever presses it. `key` is the button's `action_id`
    (`approve`, `reject`, `resolve` …); `style` is Slack's
    ("primary", "danger" or "").
    """

    key: str
    label: str
    operation: str
    values: Mapping[str, str]
    style: str = ""


@dataclass(frozen=True)
class Reversal:
    """How one changed record goes back: the values to send, and what cannot go back ("" if all can).

    Empty `changes` mean that nothing of it can; `after` are the fields that will change, as in `Record`.
    """

    changes: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    lost: str = ""


@dataclass(frozen=True)
class Batch:
    """The part of a plan that goes to the vendor in one call, with the values to send.

    `changes` are the wire values, and the only ones to send: an undo sends others than `parameters`
    say. `key` is the same each time this very call is tried (32 hex digits), for vendors that take
    an idempotency key; it is stored before the first call.
    """

    parameters: Parameters
    changes: Mapping[str, str]
    records: Sequence[Record]
    key: str = ""


class Operation(ABC):
    """Base of every operation. `plan`, `read` and `lookup` only read; `apply` is the only edit.

    Class attributes: `name` is `VENDOR.VERB_THING`; `command` the slash command without its slash;
    `records_in` the parameter that bare leading words fill; `call_size` how many records one call
    takes, `parallel` how many calls may be under way at once; `comment` the parameter that carries
    a person's words to the vendor ("" if none), whose end takes the attribution. An operation
    without a `command` is only reached through buttons. `refines` are the parameters whose change
    in an open form calls `refine`; `leads` the selections that a form asks for first, where
    records are not chosen by `records_in` alone. `follows` is for how many seconds after its run
    the vendor goes on with changed records by itself (0: not at all), so that `follow_up` is
    asked. `slash` is False where `command` is only typed after `/amend`. `approved_as` names the
    operation whose rights decide on this one, and `decides` says that the edit is that decision
    itself: whoever may not take it on all records waits for one who may. `ids` is how record ids
    look, where people may write them in other ways; `fixed` are the
    vendor's parameters that are always the same here (name in small letters → values), so that a
    pasted request may have them.
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
    leads: ClassVar[tuple[str, ...]] = ()
    comment: ClassVar[str] = ""
    call_size: ClassVar[int] = 1
    parallel: ClassVar[int] = 4
    examples: ClassVar[tuple[str, ...]] = ()
    refines: ClassVar[tuple[str, ...]] = ()
    follows: ClassVar[float] = 0.0
    approved_as: ClassVar[str] = ""
    slash: ClassVar[bool] = True
    decides: ClassVar[bool] = False
    ids: ClassVar[Ids | None] = None
    fixed: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @classmethod
    def params(cls) -> dict[str, Param]:
        return specs(cls.parameters)

    @classmethod
    def as_read(cls, values: Mapping[str, str]) -> dict[str, str | int | tuple[str, ...]]:
        """Wire values as the operation reads what people type; as they stand where it cannot."""
        known = declared(cls.parameters)
        read = {name: known[name].read(value) for name, value in values.items() if name in known}
        return {name: values[name] if found is None else found for name, found in read.items()}

    @property
    def wishes(self) -> bool:
        """True where it asks the vendor for something that somebody decides on afterwards."""
        return bool(self.approved_as) and not self.decides

    @classmethod
    def typed_as(cls) -> str:
        """What a person types for it ("/exception", "/amend renew"); "" where it has no command."""
        if not cls.command:
            return ""
        return f"/{cls.command}" if cls.slash else f"/amend {cls.command}"

    def changes(self, parameters: Parameters) -> dict[str, str | int | tuple[str, ...]]:
        """The changes that were set, by parameter name."""
        params = self.params()
        return {
            name: value
            for name, value in given(parameters).items()
            if params[name].kind is Kind.CHANGE
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
        `TO_SEND`.
        """

    def at_work_for(self, many: int, least: float) -> float:
        """Seconds for which the vendor may still be at work on a call of `many` records whose answer
        was lost: so long it is looked for, and not sent again. At least `least`."""
        return least

    async def lookup(self, name: str, words: str, context: Context) -> Sequence[Lookup]:
        """Entries of the list `name` that match what was typed, best first, at most 100."""
        return ()

    async def refine(self, context: Context) -> Refinement:
        """What the form's present values imply for its other inputs."""
        return Refinement()

    async def as_user(self, name: str, account: str) -> str:
        """An account as the parameter `name` takes a user: itself where that is a login.

        Raises `InvalidInput` where it is nobody there, and a `VendorError`.
        """
        return account

    async def check(self, parameters: Parameters) -> None:
        """Rules that need the vendor's lists (does this assignee exist …). Raises `InvalidInput`."""

    async def barred(
        self, parameters: Parameters, records: Sequence[Record], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        """Why an account may not change some of these records: id → reason.

        Asked for each approver, for an undo, and again when the run starts.
        """
        return {}

    async def out_of_scope(
        self, records: Sequence[Record], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        """Why some of these records lie outside an account's scope: id → reason.

        Asked where somebody only looks at what was, so that it must not depend on what is to be
        changed. Raises a `VendorError` where the vendor does not say.
        """
        if reach is not Reach.SCOPE:
            return {}
        return await self.barred(self.parameters.model_construct(), records, account, reach)

    async def out_of_scope_now(
        self, ids: Sequence[str], account: Account, reach: Reach
    ) -> Mapping[str, str]:
        """Why records lie outside an account's scope, read now: id → reason.

        Raises a `VendorError` where the vendor does not say.
        """
        why = "not known to lie within your scope"
        return dict.fromkeys(ids, why) if reach is Reach.SCOPE else {}

    async def notes(self, parameters: Parameters, records: Sequence[Record]) -> Sequence[str]:
        """Plain sentences that the review shows above its sample (what the vendor will execute …).

        `records` are the first few that will be sent. The notes are part of the digest.
        """
        return ()

    def goes_on(self, parameters: Parameters) -> bool:
        """True where the vendor goes on by itself after this very edit, so that it is followed."""
        return self.follows > 0

    async def follow_up(self, parameters: Parameters, ids: Sequence[str]) -> Mapping[str, str]:
        """What the vendor did by itself in the end: id → words; those it is not done with, absent."""
        return {}

    def offers(self, record: Record, outcome: Outcome) -> Sequence[Offer]:
        """The next steps that a record's outcome opens (a requested exception is to be decided)."""
        return ()

    def revert(self, record: Record) -> Reversal:
        """How a record that was changed goes back to `record.state`; pure."""
        return Reversal(lost=f"{self.vendor_title} cannot take this back")

    def narrowed(self, parameters: Parameters, ids: Sequence[str]) -> Parameters:
        """The same request for exactly these records."""
        rest = {name: None for name, spec in self.params().items() if spec.kind is Kind.SELECTION}
        return parameters.model_copy(update={**rest, self.records_in: tuple(ids)})

    def url(self, record_id: str) -> str:
        """Where a person opens the record at the vendor; "" where there is no such page."""
        return ""


@dataclass(frozen=True)
class Sighting:
    """A record as a watch saw it: its state now, since when (ISO, UTC) and by whom, if told.

    With a `reminder` it is no change of state, but an end that comes nearer.
    """

    id: str
    label: str
    state: str
    at: str
    by: str = ""
    url: str = ""
    reminder: Reminder | None = None


@dataclass(frozen=True)
class Cursor:
    """Where the next poll of a watch begins; it comes last.

    `ends`: each end that is near was among what came before it, so that no other is near any more.
    """

    value: str
    ends: bool = False


class Watcher(ABC):
    """Notices changes of state of one kind of record. Only reads.

    `name` is `VENDOR.THINGS`; `command` is what stands after `/amend watch`; `parameters` the
    selection, all of kind SELECTION and all optional; `records_in` the one that bare words fill ("":
    none does). `lets_end` names the operation whose rights let somebody end the reminders of a record.
    """

    name: ClassVar[str]
    vendor: ClassVar[str]
    vendor_title: ClassVar[str]
    command: ClassVar[str]
    noun: ClassVar[tuple[str, str]]
    parameters: ClassVar[type[Parameters]]
    records_in: ClassVar[str] = ""
    lets_end: ClassVar[str] = ""

    @classmethod
    def params(cls) -> dict[str, Param]:
        return specs(cls.parameters)

    @abstractmethod
    def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        """What changed since `cursor` ("": what is selected now, as the base), then the new cursor.

        Streams, so that 100,000 records need no more memory than a page. After the first poll no
        filter on the state is sent, because a record that leaves the selected states is news too.
        A record may be seen again; it must not be missed.
        """

    @abstractmethod
    def states(self, selection: Parameters) -> frozenset[str]:
        """The states the watch is about; empty for all. A change into or out of one is news."""

    def is_open(self, state: str) -> bool:
        """True where a record in this state still waits for somebody."""
        return True

    def apart(self) -> float:
        """Seconds that two polls have to be apart so that people's own calls keep theirs; 0: none."""
        return 0.0

    async def still_ends(self, record: str, ends: str) -> bool:
        """Does a record end on this ISO day still? Raises a `VendorError`."""
        return True

    def offers(self, sighting: Sighting) -> Sequence[Offer]:
        """The buttons that make sense for the present state; at most four."""
        return ()


@dataclass(frozen=True)
class Listing:
    """A table for one person: as many cells in each row as `columns` has names."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Register(ABC):
    """Lists what stands open at a vendor, for one person. Only reads.

    `command` is what stands after `/amend`; `parameters` are its filters, all of kind SELECTION
    and all optional; `rights` names the operation whose roles and scope say what somebody may see.
    """

    name: ClassVar[str]
    vendor_title: ClassVar[str]
    command: ClassVar[str]
    title: ClassVar[str]
    noun: ClassVar[tuple[str, str]]
    help: ClassVar[str]
    parameters: ClassVar[type[Parameters]]
    rights: ClassVar[str]

    @classmethod
    def params(cls) -> dict[str, Param]:
        return specs(cls.parameters)

    @abstractmethod
    async def rows(self, selection: Parameters, account: Account, reach: Reach) -> Listing:
        """What is selected and within reach, what matters soonest first. Raises a `VendorError`."""


@dataclass(frozen=True)
class VendorUser:
    """An account as the vendor lists it, to suggest whose it is."""

    account: str
    name: str
    email: str
    role: str
    scope: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vendor:
    """A vendor that is switched on: its operations, and how to check and close its client.

    `account` is whose credentials the calls go out under, and `edits_per_second` how many it may
    have (0: as many as the client's own limits let through). `users` lists the vendor's accounts,
    where it can. `personal` makes the same vendor under a person's own credentials, given by
    `credentials` (parameter → title; secret ones are shown nowhere); its `check` then tells whether
    they are good. `credential_choices` are those that are picked (name → value → words; the first is
    the default). `account_of` names the account that they belong to; `names_person` is False where
    that is no user's name (a key's id), so that it is not compared with the mapping. `parts` prove
    what a subscription may lack (name → check), which the vendor's other operations do without. `probes`
    tell by reading which settings fit where documents leave it open (name → words; raise
    `VendorError`). `oauth` stands in place of `credentials` and `personal` where people sign in at
    the vendor's own page.
    """

    name: str
    title: str
    operations: Sequence[Operation]
    roles: frozenset[str] | None
    check: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    warnings: Sequence[str] = ()
    secrets: Sequence[str] = ()
    watchers: Sequence[Watcher] = ()
    registers: Sequence[Register] = ()
    account: str = ""
    edits_per_second: int = 0
    users: Callable[[], Awaitable[Sequence[VendorUser]]] | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)
    credential_choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names_person: bool = True
    personal: Callable[[Mapping[str, str]], Vendor] | None = None
    parts: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    probes: Mapping[str, Callable[[], Awaitable[str]]] = field(default_factory=dict)
    account_of: Callable[[Mapping[str, str]], str] | None = None
    oauth: OAuth | None = None

    @property
    def takes_own(self) -> bool:
        """True where a person can act under an account of their own."""
        return self.personal is not None or self.oauth is not None

    def operation(self, name: str) -> Operation:
        """The operation of this name, which the vendor has."""
        return next(each for each in self.operations if each.name == name)


@dataclass(frozen=True)
class VendorEntry:
    """What a vendor registers under the entry point group `amend.vendors`.

    `commands` and `operations` describe it without settings (manifest, help, the README's table);
    `connect` reads its settings and returns the vendor, or None where its URL is not set. Raises
    `pydantic.ValidationError` for malformed settings. `settings` is that class of settings, for the
    reference, and `stand_in` names the vendor's stand-in for the sandbox (`MODULE:CLASS`), which
    brings its people; without it the sandbox has no such vendor.
    """

    name: str
    title: str
    operations: Sequence[type[Operation]]
    connect: Callable[[], Vendor | None]
    roles: frozenset[str] | None = None
    watchers: Sequence[type[Watcher]] = ()
    registers: Sequence[type[Register]] = ()
    settings: type[Any] | None = None
    stand_in: str = ""


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
        found = (each for each in self.operations if command and each.command == command)
        return next(found, None)

    def vendor(self, name: str) -> Vendor | None:
        return next((each for each in self.vendors if each.name == name), None)

    @property
    def registers(self) -> list[Register]:
        return [register for vendor in self.vendors for register in vendor.registers]

    def watcher(self, command: str) -> Watcher | None:
        watchers = (watcher for vendor in self.vendors for watcher in vendor.watchers)
        return next((each for each in watchers if command in (each.command, each.name)), None)


def canonical(parameters: Parameters) -> dict[str, Any]:
    """The set parameters as plain JSON values, in order of declaration."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given(parameters).items()
    }
