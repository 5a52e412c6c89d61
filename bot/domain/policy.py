"""The policy: what a site's `policy.toml` narrows, and what an edit needs approved."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

from bot.domain.errors import AmendError
from bot.domain.operations import Reach
from bot.domain.parameters import Declared, nearest
from bot.domain.people import SLACK_CHANNEL, SLACK_USER
from bot.domain.unseen import visible

Known = Mapping[str, Mapping[str, object]]
VendorRoles = Mapping[str, frozenset[str] | None]
Values = Mapping[str, str | int | tuple[str, ...]]
Path = tuple[str | int, ...]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST = 365 * 24 * 3600


class PolicyError(AmendError):
    """The policy file is wrong; the message names the line, and `path` what is wrong there."""

    def __init__(self, line: int, message: str, path: Path = ()) -> None:
        self.line, self.words, self.path = line, message, path
        super().__init__(f"Policy, line {line}: {message}")


@dataclass(frozen=True)
class Demand:
    """What one matching rule asks of the approvers, and why."""

    approvers: int
    groups: tuple[str, ...]
    people: tuple[str, ...]
    roles: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Rule:
    """When an edit needs approval, and whose. `where` holds casefolded values by parameter."""

    operations: tuple[str, ...]
    over_records: int | None = None
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)
    approvers: int = 1
    groups: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    why: str = ""

    def concerns(self, operation: str) -> bool:
        return any(fnmatchcase(operation, glob) for glob in self.operations)

    def matches(self, operation: str, values: Values, records: int) -> bool:
        if not self.concerns(operation):
            return False
        if self.over_records is not None and records <= self.over_records:
            return False
        return all(
            not wanted.isdisjoint(_folded(values.get(name))) for name, wanted in self.where.items()
        )

    def demand(self) -> Demand:
        return Demand(self.approvers, self.groups, self.people, self.roles, self.why)


DEFAULT_RULES = (
    Rule(("*",), over_records=500, why="edits of more than 500 records need one approver."),
    Rule(
        ("*",),
        where={"change_state": frozenset({"ignored"})},
        why="`change_state` `IGNORED` needs one approver.",
    ),
)


@dataclass(frozen=True)
class Approvals:
    """How approval works; times are seconds, and `channel` is "" where the file names none."""

    channel: str = ""
    expires_after: int = 8 * 3600
    remind_after: int = 15 * 60
    defaults: bool = True


@dataclass(frozen=True)
class RoleList:
    """The roles that a site lists for a vendor.

    With `replaces` they stand instead of the operation's own list, which only a vendor whose sites
    define roles of their own allows; else they narrow it.
    """

    roles: tuple[str, ...]
    replaces: bool = False


@dataclass(frozen=True)
class Quiet:
    """A quiet window: from `begins` on each of `days` (0 is Monday) to the next `ends` after it."""

    vendor: str
    days: tuple[int, ...]
    begins: dt.time
    ends: dt.time
    timezone: str


@dataclass(frozen=True)
class Policy:
    """A site's rules. Without a file: no guardrails, the vendors' own roles, the default rules."""

    approvals: Approvals = field(default_factory=Approvals)
    rules: tuple[Rule, ...] = ()
    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vendor_roles: Mapping[str, RoleList] = field(default_factory=dict)
    quiet: tuple[Quiet, ...] = ()

    @classmethod
    def default(cls) -> Policy:
        return cls()

    @classmethod
    def load(cls, text: str, known: Known, roles: VendorRoles | None = None) -> Policy:
        """Read `policy.toml`. Raises `PolicyError`, which names the line.

        `known` maps every operation to its parameters (each may be `Declared`, whose reader then
        checks the values); `roles` maps a vendor to all the roles it has, or to None where sites
        define their own.
        """
        return _load(text, _Names(known, roles or {}))

    @classmethod
    def problems(
        cls, text: str, known: Known, roles: VendorRoles | None = None
    ) -> Sequence[PolicyError]:
        """All that is wrong with `policy.toml`, by line: the first of each rule, window or setting."""
        found: list[PolicyError] = []
        left_out: set[Path] = set()
        while True:
            try:
                _load(text, _Names(known, roles or {}), frozenset(left_out))
            except PolicyError as error:
                found.append(error)
                place = _entry(error.path)
                if not place or place in left_out:
                    break
                left_out.add(place)
            else:
                break
        return sorted(found, key=lambda each: each.line)

    def demands(self, operation: str, values: Values, records: int) -> tuple[Demand, ...]:
        """What every matching rule asks for; all of it must hold."""
        return tuple(
            rule.demand() for rule in self._rules() if rule.matches(operation, values, records)
        )

    def looks_at(self, operation: str) -> frozenset[str]:
        """The parameters whose values can make a difference to `demands`."""
        rules = [each for each in self._rules() if each.concerns(operation)]
        return frozenset(name for each in rules for name in each.where)

    def _rules(self) -> tuple[Rule, ...]:
        return (*(DEFAULT_RULES if self.approvals.defaults else ()), *self.rules)

    def allowed_in(self, channel: str) -> tuple[str, ...] | None:
        """The operations (or globs) that a channel's guardrail lists; None where it has none."""
        return self.channels.get(channel)

    def channel_allows(self, channel: str, operation: str) -> bool:
        listed = self.allowed_in(channel)
        return listed is None or any(fnmatchcase(operation, glob) for glob in listed)

    def roles_of(self, vendor: str, roles: Mapping[str, Reach]) -> Mapping[str, Reach]:
        """An operation's roles, as far as the policy leaves them."""
        listed = self.vendor_roles.get(vendor)
        if listed is None:
            return roles
        if listed.replaces:
            return {role: roles.get(role, Reach.ALL) for role in listed.roles}
        return {role: reach for role, reach in roles.items() if role in listed.roles}

    def quiet_windows(self, vendor: str) -> tuple[Quiet, ...]:
        return tuple(window for window in self.quiet if window.vendor == vendor)


def combined(demands: Iterable[Demand]) -> int:
    """How many approvers the demands need together: the largest number."""
    return max((demand.approvers for demand in demands), default=0)


def quoted(text: str) -> str:
    """Words of others as code for Slack: no mention, link or formatting of theirs works."""
    plain = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"`{plain.replace('`', chr(39))}`"


def _folded(value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    items = value if isinstance(value, tuple | list) else (value,)
    return frozenset(_spelled(str(item)) for item in items)


def _spelled(text: str) -> str:
    """One spelling of values that a vendor takes for the same: case, blanks, leading zeros."""
    words = " ".join(text.split()).casefold()
    return words.lstrip("0") or "0" if words.isdecimal() else words


# --- reading the file -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Names:
    """The names that a policy may use."""

    known: Known
    roles: VendorRoles

    @property
    def vendors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.partition(".")[0] for name in self.known))

    def matching(self, globs: Sequence[str]) -> list[str]:
        return [name for name in self.known if any(fnmatchcase(name, glob) for glob in globs)]

    def roles_at(self, vendors: Iterable[str]) -> frozenset[str] | None:
        """Every role there is at these vendors; None where one of them does not say."""
        found: frozenset[str] = frozenset()
        for vendor in vendors:
            some = self.roles.get(vendor)
            if some is None:
                return None
            found |= some
        return found


class _Table:
    """One table of the file: typed values by key, and errors that know their line."""

    def __init__(
        self, text: str, path: Path, values: Mapping[str, Any], left_out: Set[Path]
    ) -> None:
        self.text, self.path, self.left_out = text, path, left_out
        self.values = {key: each for key, each in values.items() if (*path, key) not in left_out}

    def error(self, key: str, message: str, word: str = "") -> PolicyError:
        path = (*self.path, key) if key in self.values else self.path
        return PolicyError(_line_of(self.text, path, word), message, path)

    def only(self, *names: str) -> None:
        for key in self.values:
            if key not in names:
                where = f" in [{self.title}]" if self.path else ""
                raise self.error(key, f"`{key}` is not known{where}.{_hint(key, names)}")

    @property
    def title(self) -> str:
        return ".".join(str(part) for part in self.path if isinstance(part, str))

    def need(self, *names: str) -> None:
        for name in names:
            if name not in self.values:
                raise self.error(name, f"[{self.title}] needs `{name}`.")

    def text_of(self, key: str, default: str, shape: str, wanted: str) -> str:
        value = self.values.get(key, default)
        if key in self.values and not (isinstance(value, str) and re.fullmatch(shape, value)):
            raise self.error(key, f"`{key}` must be {wanted}, not {_shown(value)}.")
        return str(value)

    def whole(self, key: str, default: int | None, least: int) -> int | None:
        value = self.values.get(key, default)
        if key in self.values and (type(value) is not int or value < least):
            message = f"`{key}` must be a whole number of at least {least}, not {_shown(value)}."
            raise self.error(key, message)
        return None if value is None else int(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"`{key}` must be true or false, not {_shown(value)}.")
        return value

    def seconds(self, key: str, default: int) -> int:
        if key not in self.values:
            return default
        wanted = 'a time such as "8h", "15m" or "1h30m"'
        value = self.text_of(key, "", r"([0-9]{1,9}[smhd])+", wanted)
        sizes = {"s": 1, "m": 60, "h": 3600, "d": 86400}
        total = sum(int(many) * sizes[unit] for many, unit in re.findall(r"(\d+)([smhd])", value))
        if not 0 < total <= LONGEST:
            raise self.error(key, f"`{key}` must be more than 0 and at most 365d, not {value}.")
        return total

    def names(self, key: str, shape: str, wanted: str, empty: bool = False) -> tuple[str, ...]:
        """A list of texts of one shape; an absent one is empty."""
        items = self.values.get(key, [])
        if not isinstance(items, list):
            raise self.error(key, f"`{key}` must be a list, not {_shown(items)}.")
        if key in self.values and not items and not empty:
            raise self.error(key, f"`{key}` is empty; leave it out, or give it a value.")
        for item in items:
            if not isinstance(item, str) or not re.fullmatch(shape, item):
                message = f"`{key}` must hold {wanted}, not {_shown(item)}."
                raise self.error(key, message, str(item))
        return tuple(dict.fromkeys(items))

    def table(self, key: str) -> _Table:
        values = self.values.get(key, {})
        if not isinstance(values, dict):
            raise self.error(key, f"`{key}` must be a table, not {_shown(values)}.")
        return _Table(self.text, (*self.path, key), values, self.left_out)

    def tables(self, key: str) -> Iterator[_Table]:
        rows = self.values.get(key, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            title = ".".join([self.title, key]).strip(".")
            raise self.error(key, f"`{key}` must be tables, each under [[{title}]].")
        for index, row in enumerate(rows):
            path = (*self.path, key, index)
            if path not in self.left_out:
                yield _Table(self.text, path, row, self.left_out)


_GROUPS = (r"S[A-Z0-9]+", 'ids of Slack user groups such as "S0ONCALL"')
_PEOPLE = (SLACK_USER, 'ids of Slack members such as "U0LEAD"')
_CLOCK = (r"([01][0-9]|2[0-3]):[0-5][0-9]", 'a time of day such as "22:00"')
_WORDS = (r"\S(.*\S)?", "names")


def _entry(path: Path) -> Path:
    """The rule, window or channel that a path lies in, else the path itself."""
    for at, part in enumerate(path):
        if isinstance(part, int):
            return path[: at + 1]
    return path


def _load(text: str, names: _Names, left_out: Set[Path] = frozenset()) -> Policy:
    text = text.replace("\r\n", "\n")
    root = _Table(text, (), _parsed(text), left_out)
    root.only("approvals", "channels", "quiet", *names.vendors)
    approvals = root.table("approvals")
    return Policy(
        approvals=_approvals(approvals),
        rules=tuple(
            _rule(table, names, number)
            for number, table in enumerate(approvals.tables("rules"), start=1)
        ),
        channels=_channels(root, names),
        vendor_roles={
            vendor: _role_list(root.table(vendor), vendor, names)
            for vendor in names.vendors
            if vendor in root.values
        },
        quiet=tuple(_quiet(table, names) for table in root.tables("quiet")),
    )


def _approvals(table: _Table) -> Approvals:
    table.only("channel", "expires_after", "remind_after", "defaults", "rules")
    usual = Approvals()
    return Approvals(
        channel=table.text_of("channel", "", *SLACK_CHANNEL),
        expires_after=table.seconds("expires_after", usual.expires_after),
        remind_after=table.seconds("remind_after", usual.remind_after),
        defaults=table.flag("defaults", usual.defaults),
    )


def _rule(table: _Table, names: _Names, number: int) -> Rule:
    table.only("operations", "over_records", "where", "approvers", "groups", "people", "roles")
    table.need("operations")
    operations = _operations(table, "operations", names)
    rule = Rule(
        operations=operations,
        over_records=table.whole("over_records", None, 0),
        where=_where(table, names.matching(operations), names),
        approvers=table.whole("approvers", 1, 1) or 1,
        groups=table.names("groups", *_GROUPS),
        people=table.names("people", *_PEOPLE),
        roles=_roles(table, {name.partition(".")[0] for name in names.matching(operations)}, names),
    )
    return Rule(**{**vars(rule), "why": _why(rule, table, number)})


def _why(rule: Rule, table: _Table, number: int) -> str:
    over = "" if rule.over_records is None else f" of more than {rule.over_records:,} records"
    where = " and ".join(
        f"`{name}` is {' or '.join(quoted(str(item)) for item in items)}"
        for name, items in table.values.get("where", {}).items()
    )
    what = f"{', '.join(map(quoted, rule.operations))}{over}{' where ' if where else ''}{where}"
    many = "1 approver" if rule.approvers == 1 else f"{rule.approvers} approvers"
    return f"rule {number} of the policy asks {many} for {what}."


def _operations(table: _Table, key: str, names: _Names) -> tuple[str, ...]:
    globs = table.names(key, *_WORDS, empty=key == "allow")
    for glob in globs:
        if not names.matching([glob]):
            hint = _hint(glob, tuple(names.known))
            raise table.error(key, f"`{glob}` matches no operation.{hint}", glob)
    return globs


def _where(table: _Table, operations: Sequence[str], names: _Names) -> dict[str, frozenset[str]]:
    where = table.table("where")
    if "where" in table.values and not where.values:
        raise table.error("where", "`where` is empty; leave it out, or give it a parameter.")
    found: dict[str, frozenset[str]] = {}
    for key, values in where.values.items():
        specs = [names.known[name][key] for name in operations if key in names.known[name]]
        if not specs:
            every = tuple({name: "" for each in operations for name in names.known[each]})
            message = f"`{key}` is not a parameter of these operations.{_hint(key, every)}"
            raise where.error(key, message)
        if not isinstance(values, list) or not values:
            raise where.error(key, f"`{key}` must be a list of values, not {_shown(values)}.")
        found[key] = frozenset().union(*(_readings(where, key, value, specs) for value in values))
    return found


def _readings(table: _Table, key: str, value: object, specs: Sequence[object]) -> frozenset[str]:
    """A value as each operation that has the parameter reads it."""
    if type(value) not in (str, int):
        raise table.error(key, f"`{key}` must hold texts or whole numbers, not {_shown(value)}.")
    read = [as_read for spec in specs if (as_read := reading(str(value), spec)) is not None]
    if not read:
        choices = tuple({name: "" for spec in specs for name in getattr(spec, "choices", ())})
        message = f"{_shown(value)} is not a value of `{key}`.{_hint(str(value), choices)}"
        raise table.error(key, message, str(value))
    return frozenset().union(*map(_folded, read))


def reading(value: str, spec: object) -> str | int | tuple[str, ...] | None:
    """A value as its parameter reads it; None where it takes no such value."""
    return spec.read(value) if isinstance(spec, Declared) else value.strip()


def _roles(table: _Table, vendors: Iterable[str], names: _Names) -> tuple[str, ...]:
    roles = table.names("roles", *_WORDS)
    there = names.roles_at(vendors)
    for role in roles if there is not None else ():
        if role not in (there or ()):
            hint = _hint(role, sorted(there or ()))
            raise table.error("roles", f"`{role}` is not a role there.{hint}", role)
    return roles


def _channels(root: _Table, names: _Names) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for table in root.tables("channels"):
        table.only("id", "allow")
        table.need("id", "allow")
        channel = table.text_of("id", "", *SLACK_CHANNEL)
        if channel in found:
            raise table.error("id", f"the channel {channel} is listed twice.")
        found[channel] = _operations(table, "allow", names)
    return found


def _role_list(table: _Table, vendor: str, names: _Names) -> RoleList:
    table.only("roles")
    table.need("roles")
    own = vendor in names.roles and names.roles[vendor] is None
    return RoleList(_roles(table, [vendor], names), replaces=own)


def _quiet(table: _Table, names: _Names) -> Quiet:
    table.only("vendor", "days", "from", "to", "timezone")
    table.need("vendor", "from", "to")
    vendor = table.text_of("vendor", "", _WORDS[0], "a vendor's name")
    if vendor not in names.vendors:
        message = f"`{vendor}` is not a vendor.{_hint(vendor, names.vendors)}"
        raise table.error("vendor", message)
    days = table.names("days", "|".join(DAYS), 'days such as "sat"') or DAYS
    begins, ends = (table.text_of(key, "", *_CLOCK) for key in ("from", "to"))
    if begins == ends:
        raise table.error("to", "a quiet window must not end when it begins.")
    return Quiet(
        vendor=vendor,
        days=tuple(sorted(DAYS.index(day) for day in days)),
        begins=dt.time.fromisoformat(begins),
        ends=dt.time.fromisoformat(ends),
        timezone=_timezone(table),
    )


def _timezone(table: _Table) -> str:
    name = table.text_of("timezone", "UTC", _WORDS[0], 'a time zone such as "Europe/Berlin"')
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise table.error("timezone", f"`{name}` is not a time zone.") from None
    return name


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, str | int | float) else f"`{type(value).__name__}`"


def _hint(word: str, known: Sequence[str]) -> str:
    near = nearest(word, known)
    if near:
        return f" Did you mean {' or '.join(f'`{name}`' for name in near)}?"
    return f" Known are {', '.join(f'`{name}`' for name in known)}." if known else ""


# --- lines ----------------------------------------------------------------------------------------


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(place[1]) if place and place[1] else len(text.rstrip("\n").split("\n"))
        message = str(error)[: place.start()] if place else str(error)
        raise PolicyError(line, f"{message}.") from None


def _line_of(text: str, path: Path, word: str = "") -> int:
    """The line where the value at `path` is set.

    Line by line, whatever parses is complete; the first such beginning that has the path ends with
    the statement that sets it. Within several lines, the only one that has `word` counts.
    """
    lines = text.split("\n")
    begin = 0
    for end in range(1, len(lines) + 1):
        try:
            beginning = tomllib.loads("\n".join(lines[:end]))
        except ValueError:
            continue
        if _has(beginning, path):
            return _narrowed(lines, begin, end, word)
        begin = end
    return 1


def _has(values: Any, path: Path) -> bool:
    for part in path:
        there = part in values if isinstance(part, str) else len(values) > part
        if not there:
            return False
        values = values[part]
    return True


def _narrowed(lines: Sequence[str], begin: int, end: int, word: str) -> int:
    hits = [number for number in range(begin, end) if word and f'"{word}"' in lines[number]]
    return (hits[0] if len(hits) == 1 else begin) + 1
