"""The rules, the plan, the scope and the reading of replies of `qualys.edit_tickets`."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from bot.domain.errors import InvalidInput
from bot.domain.operations import Batch, Context, Reach, Record, Result, canonical
from bot.domain.parameters import Kind, Widget, given, read, wire
from bot.domain.people import Account
from bot.settings import explain
from handlers.qualys import vendor as qualys
from handlers.qualys.scope import Scope
from handlers.qualys.tickets import EditTickets, TicketParameters
from integrations.errors import Rejected, Temporary, UnknownOutcome, Unreadable, VendorError
from integrations.qualys.client import QualysClient
from integrations.qualys.models import EditReply, Ticket, User

NOW = datetime(2026, 1, 5, 10, 0, 0, 500_000, tzinfo=UTC)
ALL_FOUR = "OPEN,RESOLVED,CLOSED,IGNORED"
STATE = {
    "OPEN": ("OPEN", ""),
    "REOPENED": ("OPEN", "REOPENED"),
    "RESOLVED": ("RESOLVED", ""),
    "FIXED": ("CLOSED", "FIXED"),
    "IGNORED": ("CLOSED", "IGNORED"),
}


def typed(**values: Any) -> TicketParameters:
    found = read(TicketParameters, values)
    assert isinstance(found, TicketParameters)
    return found


def refusal(**values: Any) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        read(TicketParameters, values)
    (problem,) = caught.value.problems
    return problem.name, problem.message


SELECTION = """
ticket_numbers since_ticket_number until_ticket_number ticket_assignee overdue invalid states
modified_since_datetime unmodified_since_datetime unmodified_since modified_since ips asset_groups
dns_contains netbios_contains vuln_severities potential_vuln_severities qids vuln_title_contains
vuln_details_contains vendor_ref_contains host_id
"""
COMMENT = {"add_comment": "x"}
ONE = {"ticket_numbers": "1"}


# --- rules -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "name", "message"),
    [
        (
            {**COMMENT, "ticket_numbers": "abc"},
            "ticket_numbers",
            (
                "`ticket_numbers` takes numbers such as `23456` and ranges such as `23460-23470`,"
                " not `abc`."
            ),
        ),
        (
            {**COMMENT, "ticket_numbers": "9-5"},
            "ticket_numbers",
            "`ticket_numbers` takes ranges from low to high: `5-9`, not `9-5`.",
        ),
        (
            {**COMMENT, "ticket_numbers": " , "},
            "ticket_numbers",
            "`ticket_numbers` is empty; leave it out, or give it a value.",
        ),
        (
            {**COMMENT, "since_ticket_number": "#12-13"},
            "since_ticket_number",
            "`since_ticket_number` takes one number, such as `12`, not `#12-13`.",
        ),
        (
            {**COMMENT, "until_ticket_number": "x"},
            "until_ticket_number",
            "`until_ticket_number` takes one number, such as `215555`, not `x`.",
        ),
        (
            {**COMMENT, "since_ticket_number": "0020", "until_ticket_number": "19"},
            "until_ticket_number",
            "`until_ticket_number` must not be below `since_ticket_number`; the nearest is `0020`.",
        ),
        (
            {**COMMENT, "modified_since": "2018/1/1"},
            "modified_since",
            (
                "`modified_since` takes `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SSZ` (UTC), such as"
                " `2018-01-01`, not `2018/1/1`."
            ),
        ),
        (
            {**COMMENT, "unmodified_since_datetime": "yesterday"},
            "unmodified_since_datetime",
            (
                "`unmodified_since_datetime` takes `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SSZ` (UTC),"
                " such as `2018-01-01`, not `yesterday`."
            ),
        ),
        (
            {**COMMENT, "unmodified_since": "2026-02-30"},
            "unmodified_since",
            "`unmodified_since` must be a real date; the nearest to `2026-02-30` is `2026-02-28`.",
        ),
        (
            {**COMMENT, "modified_since_datetime": "2026-13-01T10:00:00Z"},
            "modified_since_datetime",
            (
                "`modified_since_datetime` must be a real date; the nearest to"
                " `2026-13-01T10:00:00Z` is `2026-12-01T10:00:00Z`."
            ),
        ),
        (
            {**COMMENT, "modified_since_datetime": "2026-01-01T24:00:00Z"},
            "modified_since_datetime",
            (
                "`modified_since_datetime` must be a real date; the nearest to"
                " `2026-01-01T24:00:00Z` is `2026-01-01`."
            ),
        ),
        (
            {
                **COMMENT,
                "modified_since": "2018-01-01",
                "modified_since_datetime": "2018-01-01",
            },
            "modified_since",
            "`modified_since_datetime` and `modified_since` are one filter; give only one.",
        ),
        (
            {
                **COMMENT,
                "unmodified_since": "2018-01-01",
                "unmodified_since_datetime": "2018-01-01",
            },
            "unmodified_since",
            "`unmodified_since_datetime` and `unmodified_since` are one filter; give only one.",
        ),
        (
            {**COMMENT, "qids": ",".join(map(str, range(1, 12)))},
            "qids",
            "`qids` takes at most 10 values, not 11.",
        ),
        (
            {**COMMENT, "qids": "QID-38170"},
            "qids",
            "`qids` takes whole numbers, such as `38170`, not `QID-38170`.",
        ),
        (
            {**COMMENT, "ips": "10.10.10.300"},
            "ips",
            "`ips` takes IPv4 addresses and ranges, such as `10.10.10.255`, not `10.10.10.300`.",
        ),
        (
            {**COMMENT, "ips": "10.0.0.0/30"},
            "ips",
            (
                "`ips` takes IPv4 addresses and ranges, such as `10.0.0.0-10.0.0.3`,"
                " not `10.0.0.0/30`."
            ),
        ),
        (
            {**COMMENT, "ips": "10.0.0.5-20"},
            "ips",
            (
                "`ips` takes IPv4 addresses and ranges, such as `10.0.0.5-10.0.0.20`,"
                " not `10.0.0.5-20`."
            ),
        ),
        (
            {**COMMENT, "ips": "::1"},
            "ips",
            "`ips` takes IPv4 addresses and ranges, such as `10.10.10.120`, not `::1`.",
        ),
        (
            {**COMMENT, "ips": "10.0.0.1-10.0.0.2-10.0.0.3"},
            "ips",
            (
                "`ips` takes IPv4 addresses and ranges, such as `10.0.0.1`,"
                " not `10.0.0.1-10.0.0.2-10.0.0.3`."
            ),
        ),
        (
            {**COMMENT, "ips": "10.0.0.9-10.0.0.1"},
            "ips",
            "`ips` takes ranges from low to high: `10.0.0.1-10.0.0.9`, not `10.0.0.9-10.0.0.1`.",
        ),
        (
            {**COMMENT, "asset_groups": ["Paris, Texas"]},
            "asset_groups",
            (
                "`asset_groups` cannot take a title with a comma; Qualys would read `Paris, Texas`"
                " as `Paris` …"
            ),
        ),
        (
            {**COMMENT, "ticket_assignee": "@qualys_tb, qualys_ac"},
            "ticket_assignee",
            (
                "`ticket_assignee` takes one user login, such as `qualys_tb`,"
                " not `@qualys_tb, qualys_ac`."
            ),
        ),
        (
            {**ONE, "change_assignee": "Ann Chovey"},
            "change_assignee",
            "`change_assignee` takes one user login, such as `Ann`, not `Ann Chovey`.",
        ),
        (
            {**ONE, "reopen_ignored_days": "731"},
            "reopen_ignored_days",
            (
                "`reopen_ignored_days` must be a whole number from 1 to 730;"
                " the nearest to 731 is 730."
            ),
        ),
        (
            {**ONE, "reopen_ignored_days": 0},
            "reopen_ignored_days",
            "`reopen_ignored_days` must be a whole number from 1 to 730; the nearest to 0 is 1.",
        ),
        (
            {**ONE, "add_comment": "x" * 2001},
            "add_comment",
            "`add_comment` may have at most 2,000 characters; cut 1 of them.",
        ),
        (
            {**ONE, "add_comment": "Grüße"},
            "add_comment",
            (
                "`add_comment` takes ASCII only; character 3 is `ü`"
                " (latin small letter u with diaeresis)."
            ),
        ),
        (
            {**COMMENT, "dns_contains": "x" * 101},
            "dns_contains",
            "`dns_contains` may have at most 100 characters; cut 1 of them.",
        ),
        (
            dict(COMMENT),
            "ticket_numbers",
            "At least one selection is needed, such as `ticket_numbers=23456`.",
        ),
        (
            dict(ONE),
            "change_state",
            (
                "At least one change is needed: `change_state`, `add_comment`, `change_assignee`"
                " or `reopen_ignored_days`."
            ),
        ),
    ],
)
def test_each_rule_says_what_it_wants(values: dict[str, Any], name: str, message: str) -> None:
    assert refusal(**values) == (name, message)


SEVERITIES = "`1` (`1 Minimal`), `2` (`2 Medium`), `3` (`3 Serious`), `4` (`4 Critical`)"
SEVERITIES += ", `5` (`5 Urgent`)"


@pytest.mark.parametrize(
    ("values", "known"),
    [
        ({**ONE, "change_state": "CLOSED"}, "`OPEN`, `RESOLVED`, `IGNORED` (`Closed/Ignored`)"),
        (
            {**COMMENT, "states": "OPEN,FIXD"},
            "`OPEN`, `RESOLVED`, `CLOSED` (`Closed/Fixed`), `IGNORED` (`Closed/Ignored`)",
        ),
        ({**COMMENT, "vuln_severities": "6"}, SEVERITIES),
        ({**COMMENT, "potential_vuln_severities": "0"}, SEVERITIES),
        ({**COMMENT, "overdue": "2"}, "`1` (`Only overdue`), `0` (`Only not overdue`)"),
        ({**COMMENT, "invalid": "yes"}, "`1` (`Only invalid`), `0` (`Only valid`)"),
    ],
)
def test_enumerations_list_their_values(values: dict[str, Any], known: str) -> None:
    name, message = refusal(**values)
    assert name in values
    assert message.startswith(f"`{name}` must be one of {known}, not ")


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("ticket_numbers", "00123, 1800–2800", "00123,1800-2800"),
        ("ticket_numbers", ["5", "7 - 9", "5"], "5,7-9"),
        ("since_ticket_number", "00215555", "00215555"),
        ("states", "open,Closed/Fixed", "OPEN,CLOSED"),
        ("states", ["OPEN", "IGNORED"], "OPEN,IGNORED"),
        ("overdue", "Only overdue", "1"),
        ("invalid", 0, "0"),
        ("ips", "10.0.0.1 - 10.0.0.9,10.10.10.120", "10.0.0.1-10.0.0.9,10.10.10.120"),
        ("ips", "10.0.0.1-10.0.0.1", "10.0.0.1-10.0.0.1"),
        ("asset_groups", "New York,London", "New York,London"),
        ("asset_groups", ["New York", "London"], "New York,London"),
        ("vuln_severities", ["4", "5"], "4,5"),
        ("qids", "38170, 38171", "38170,38171"),
        ("modified_since", "2024-02-29", "2024-02-29"),
        ("unmodified_since_datetime", "2018-01-01t10:00:00z", "2018-01-01T10:00:00Z"),
        ("vuln_title_contains", "“OpenSSH”", '"OpenSSH"'),
        ("ticket_assignee", "tb@example.com", "tb@example.com"),
    ],
)
def test_what_is_typed_goes_out_as_the_vendor_writes_it(name: str, value: Any, sent: str) -> None:
    assert wire(cast(Any, getattr(typed(**COMMENT, **{name: value}), name))) == sent


def test_limits_themselves_are_allowed() -> None:
    typed(**ONE, add_comment="x" * 2000, reopen_ignored_days="730")
    typed(qids=",".join(map(str, range(10))), netbios_contains="x" * 100, reopen_ignored_days=1)
    typed(since_ticket_number="0020", until_ticket_number="20", **COMMENT)


def test_every_parameter_of_the_vendor_is_declared_and_drawn_once() -> None:
    params = EditTickets.params()
    changes = [name for name, spec in params.items() if spec.kind is Kind.CHANGE]
    assert changes == ["change_state", "add_comment", "change_assignee", "reopen_ignored_days"]
    assert "ticket_numbers" in params
    assert {name for name, spec in params.items() if spec.hidden} == {
        "modified_since",
        "unmodified_since",
    }
    assert params["add_comment"].widget is Widget.LINES
    assert set(params) - set(changes) == set(SELECTION.split())
    aliases = [alias for spec in params.values() for alias in spec.aliases]
    assert len(set(aliases)) == len(aliases)
    assert not set(aliases) & set(params)


# --- plan --------------------------------------------------------------------------------------


def ticket(number: int, condition: str = "OPEN", **more: Any) -> Ticket:
    state, status = STATE[condition]
    found = Ticket(
        number=number,
        state=state,
        status=status,
        assignee_login="qualys_tb",
        ip="10.10.10.120",
        title="OpenSSH",
        due_at="2026-02-01T00:00:00Z",
        created_at="2026-01-01T00:00:00Z",
    )
    return found._replace(**more)


def user(login: str, role: str = "Scanner", status: str = "Active", name: str = "") -> User:
    return User(
        login=login,
        id=1,
        name=name,
        email="",
        role=role,
        status=status,
        business_unit="",
        asset_groups=(),
    )


class Tenant:
    """A client whose tenant is a list of tickets; filters by number and by one asset group."""

    def __init__(self, *tickets: Ticket, groups: Mapping[str, set[int]] | None = None) -> None:
        self.rows = {each.number: each for each in tickets}
        self.groups = groups or {}
        self.asked: list[dict[str, str]] = []
        self.edits: list[tuple[list[int], dict[str, str]]] = []
        self.reply = EditReply(changed=(), skipped={}, text="")
        self.people: list[User] = []
        self.user_calls = 0
        self.broken: Exception | None = None
        self.username = "qualys_tb"

    async def tickets(self, filters: Mapping[str, str]) -> AsyncIterator[Ticket]:
        self.asked.append(dict(filters))
        numbers = filters.get("ticket_numbers")
        spans = [each.split("-") for each in numbers.split(",")] if numbers else []
        titles = filters.get("asset_groups", "").split(",")
        for row in list(self.rows.values()):
            named = any(int(ends[0]) <= row.number <= int(ends[-1]) for ends in spans)
            grouped = any(row.number in self.groups.get(title, ()) for title in titles)
            if (named or not spans) and (grouped or titles == [""]):
                yield row

    async def pages(
        self, filters: Mapping[str, str], *, history: bool = True
    ) -> AsyncGenerator[list[Ticket]]:
        found = [each async for each in self.tickets(filters)]
        for at in range(0, len(found), 1000):
            yield found[at : at + 1000]

    async def tickets_by_number(self, numbers: Sequence[int]) -> dict[int, Ticket]:
        if self.broken:
            raise self.broken
        return {each: self.rows[each] for each in numbers if each in self.rows}

    async def edit(self, numbers: Sequence[int], changes: Mapping[str, str]) -> EditReply:
        self.edits.append((list(numbers), dict(changes)))
        return self.reply

    async def users(self) -> list[User]:
        self.user_calls += 1
        if self.broken:
            raise self.broken
        return self.people

    async def asset_groups(self, title_contains: str = "") -> list[str]:
        return [title for title in self.groups if title_contains in title.casefold()]


def operation(tenant: Tenant, clock: Any = lambda: 0.0) -> EditTickets:
    return EditTickets(cast(QualysClient, tenant), now=lambda: NOW, clock=clock)


async def planned(
    tenant: Tenant, scope: Sequence[str] | None = None, **values: Any
) -> list[Record]:
    account = Account("qualys", "acme_tb", "Manager", tuple(scope or ()))
    reach = Reach.ALL if scope is None else Reach.SCOPE
    return [each async for each in operation(tenant).plan(typed(**values), account, reach)]


async def test_a_selection_by_numbers_names_all_four_states() -> None:
    tenant = Tenant(ticket(7))
    await planned(tenant, ticket_numbers="7", change_state="RESOLVED")
    assert tenant.asked == [{"ticket_numbers": "7", "states": ALL_FOUR}]


async def test_filters_go_out_under_the_names_that_were_typed() -> None:
    tenant = Tenant(ticket(7))
    await planned(tenant, since_ticket_number="007", unmodified_since="2018-01-01", **COMMENT)
    typed_ones = {"unmodified_since": "2018-01-01", "since_ticket_number": "007"}
    assert tenant.asked == [{**typed_ones, "states": ALL_FOUR}]


async def test_a_record_shows_from_and_to() -> None:
    (record,) = await planned(Tenant(ticket(7)), ticket_numbers="7", change_state="IGNORED")
    assert record == Record(
        id="7",
        label="10.10.10.120 · OpenSSH",
        state={"state": "Open", "assignee": "qualys_tb"},
        after={"state": "Closed/Ignored"},
        places=("10.10.10.120",),
    )


@pytest.mark.parametrize(
    ("condition", "target", "expected"),
    [
        ("OPEN", "OPEN", "already"),
        ("OPEN", "RESOLVED", "Resolved"),
        ("OPEN", "IGNORED", "Closed/Ignored"),
        ("REOPENED", "OPEN", "already"),
        ("REOPENED", "RESOLVED", "Resolved"),
        ("REOPENED", "IGNORED", "Closed/Ignored"),
        ("RESOLVED", "OPEN", "Open"),
        ("RESOLVED", "RESOLVED", "already"),
        ("RESOLVED", "IGNORED", "Closed/Ignored"),
        ("FIXED", "OPEN", "Open"),
        ("FIXED", "RESOLVED", "never"),
        ("FIXED", "IGNORED", "Closed/Ignored"),
        ("IGNORED", "OPEN", "Open"),
        ("IGNORED", "RESOLVED", "never"),
        ("IGNORED", "IGNORED", "already"),
    ],
)
async def test_the_transition_table(condition: str, target: str, expected: str) -> None:
    (record,) = await planned(Tenant(ticket(7, condition)), ticket_numbers="7", change_state=target)
    if expected == "already":
        assert (record.already, record.left_out, record.after) == (True, "is so already", {})
    elif expected == "never":
        assert record.left_out == (
            "a Closed/Fixed or Closed/Ignored ticket cannot be changed to Resolved"
        )
        assert not record.already
    else:
        assert (record.left_out, record.after) == ("", {"state": expected})


async def test_a_ticket_that_is_so_already_still_gets_its_comment() -> None:
    (record,) = await planned(
        Tenant(ticket(7)), ticket_numbers="7", change_state="OPEN", add_comment="seen"
    )
    assert (record.left_out, record.already, record.after) == ("", False, {})


async def test_only_the_fields_that_change_are_in_after() -> None:
    (record,) = await planned(
        Tenant(ticket(7)), ticket_numbers="7", change_state="OPEN", change_assignee="acme_ac"
    )
    assert record.after == {"assignee": "acme_ac"}


@pytest.mark.parametrize(
    ("condition", "changes", "due"),
    [
        ("IGNORED", {}, True),
        ("OPEN", {}, False),
        ("OPEN", {"change_state": "IGNORED"}, True),
        ("IGNORED", {"change_state": "OPEN"}, False),
    ],
)
async def test_reopening_is_for_ignored_tickets(
    condition: str, changes: dict[str, str], due: bool
) -> None:
    (record,) = await planned(
        Tenant(ticket(7, condition)), ticket_numbers="7", reopen_ignored_days="7", **changes
    )
    assert record.state["due"] == "2026-02-01"
    assert record.after.get("due") == ("7 days after the edit" if due else None)
    assert bool(record.left_out) is not due
    assert due or "Closed/Ignored" in record.left_out


async def test_numbers_that_are_not_listed_are_said() -> None:
    records = await planned(Tenant(ticket(7)), ticket_numbers="5,7-8,100-5000", **COMMENT)
    assert [(each.id, each.left_out) for each in records] == [
        ("7", ""),
        ("5", "Qualys does not list this ticket"),
        ("8", "Qualys does not list this ticket"),
    ]
    (other,) = await planned(Tenant(), ticket_numbers="5", states="OPEN", **COMMENT)
    assert other.left_out == "Qualys does not list this ticket under the other filters"


async def test_a_long_selection_is_streamed() -> None:
    class Endless(Tenant):
        async def pages(
            self, filters: Mapping[str, str], *, history: bool = True
        ) -> AsyncGenerator[list[Ticket]]:
            for at in itertools.count(0, 1000):
                yield [ticket(at + each) for each in range(1, 1001)]

    account = Account("qualys", "acme_tb", "Manager")
    stream = operation(Endless()).plan(typed(states="OPEN", **COMMENT), account, Reach.ALL)
    seen = 0
    async for record in stream:
        seen += 1
        assert record.id == str(seen)
        if seen == 2500:
            break
    await cast(Any, stream).aclose()


# --- scope -------------------------------------------------------------------------------------


def test_roles_are_those_of_the_document() -> None:
    assert EditTickets.roles == {"Manager": Reach.ALL, "Unit Manager": Reach.SCOPE}
    assert set(EditTickets.roles) < (qualys.ENTRY.roles or frozenset())


@pytest.mark.parametrize(
    ("entry", "held"),
    [
        ("10.10.10.120", True),
        ("10.10.10.121", False),
        ("10.10.10.100-10.10.10.130", True),
        ("10.10.10.130 - 10.10.10.140", False),
        ("10.10.10.200-10.10.10.100", False),
        ("10.10.0.0/16", True),
        ("10.10.10.7/24", True),
        ("10.11.0.0/16", False),
        ("New York", False),
        ("10.10.10.999", False),
    ],
)
def test_addresses_of_a_scope(entry: str, held: bool) -> None:
    assert Scope([entry]).holds("10.10.10.120") is held


@pytest.mark.parametrize(
    ("entry", "held"),
    [
        ("2001:db8::/32", True),
        ("2001:db8::17", True),
        ("2001:DB8:0:0::1-2001:db8::ff", True),
        ("2001:db9::/32", False),
        ("2001:db8::18 - 2001:db8::20", False),
        ("::/0", True),
        ("0.0.0.0/0", False),
        ("0.0.0.0-2001:db8::ffff", False),
    ],
)
def test_ipv6_addresses_of_a_scope(entry: str, held: bool) -> None:
    assert Scope([entry]).holds("2001:db8::17") is held
    assert not Scope(["2001:db8::/32"]).holds("10.10.10.120")


def test_no_scope_entry_widens() -> None:
    scope = Scope(["All", "all", "Paris, Texas", " ", "New York"])
    assert scope.titles == ("New York",)
    assert not Scope(["0.0.0.0/0"]).holds("")
    assert str(Scope([str(each) for each in range(9)])) == "0, 1, 2, 3, 4 and 4 more"


async def test_scope_by_address_asks_nobody() -> None:
    tenant = Tenant(ticket(1, ip="10.0.0.1"), ticket(2, ip="10.9.0.1"))
    inside, outside = await planned(tenant, ["10.0.0.0/24"], states="OPEN", change_state="RESOLVED")
    assert (inside.left_out, inside.after) == ("", {"state": "Resolved"})
    assert (outside.left_out, outside.after) == ("outside your scope (10.0.0.0/24)", {})
    assert len(tenant.asked) == 1


async def test_scope_by_group_asks_the_vendor_for_the_undecided() -> None:
    tenant = Tenant(
        *(ticket(number, ip="10.9.0.1") for number in range(1, 1503)),
        groups={"New York": {2, 1501}, "London": {3}},
    )
    tenant.rows[1] = ticket(1, ip="10.0.0.1")
    records = await planned(
        tenant, ["10.0.0.1", "New York", "London"], states="OPEN", change_state="RESOLVED"
    )
    assert [each.id for each in records if not each.left_out] == ["1", "2", "3", "1501"]
    assert {each.left_out for each in records} == {
        "",
        "outside your scope (10.0.0.1, New York, London)",
    }
    first, second = tenant.asked[1:]
    assert first["ticket_numbers"] == ",".join(map(str, range(2, 1001)))
    assert second == {
        "ticket_numbers": ",".join(map(str, range(1001, 1503))),
        "asset_groups": "New York,London",
        "states": ALL_FOUR,
    }


async def test_an_empty_scope_holds_nothing() -> None:
    (record,) = await planned(Tenant(ticket(7)), [], ticket_numbers="7", change_state="RESOLVED")
    assert record.left_out == "outside your scope (it is empty)"


# --- one or many, again or not -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ticket_numbers": "7"}, True),
        ({"ticket_numbers": "7,8"}, False),
        ({"ticket_numbers": "7-7"}, False),
        ({"ticket_numbers": "7", "states": "OPEN"}, False),
        ({"ips": "10.0.0.1"}, False),
    ],
)
def test_single(values: dict[str, str], expected: bool) -> None:
    assert operation(Tenant()).single(typed(**values, **COMMENT)) is expected


def test_a_comment_is_not_repeatable() -> None:
    edit = operation(Tenant())
    assert edit.repeatable(typed(**ONE, change_state="OPEN", reopen_ignored_days="7"))
    assert not edit.repeatable(typed(**ONE, change_state="OPEN", add_comment="x"))


# --- apply -------------------------------------------------------------------------------------


def batch(*records: Record, **changes: str) -> Batch:
    return Batch(typed(**ONE, **changes), changes, records)


def record(number: int, after: Mapping[str, str] | None = None, **state: str) -> Record:
    present = {"state": "Open", "assignee": "qualys_tb"} | state
    return Record(str(number), "", present, {"state": "Resolved"} if after is None else after)


async def test_the_reply_decides() -> None:
    tenant = Tenant()
    tenant.reply = EditReply(changed=(1,), skipped={2: "Not your host", 3: ""}, text="")
    outcomes = await operation(tenant).apply(
        batch(record(3), record(1), record(2), change_state="RESOLVED")
    )
    assert tenant.edits == [([3, 1, 2], {"change_state": "RESOLVED"})]
    assert [(each.id, each.result, each.words) for each in outcomes] == [
        ("3", Result.REFUSED, "Qualys skipped it"),
        ("1", Result.CHANGED, ""),
        ("2", Result.REFUSED, "Not your host"),
    ]


async def test_what_the_reply_omits_is_read_back() -> None:
    tenant = Tenant(ticket(1, "RESOLVED"), ticket(2, "OPEN"))
    outcomes = await operation(tenant).apply(
        batch(record(1), record(2), record(3), change_state="RESOLVED")
    )
    assert [(each.id, each.result) for each in outcomes] == [
        ("1", Result.CHANGED),
        ("2", Result.REFUSED),
        ("3", Result.UNKNOWN),
    ]
    assert outcomes[1].words == "Qualys left it as it was"


def said(words: str, at: str = "2026-01-05T10:00:00Z") -> str:
    return f"{at}\nsvc\n{' '.join(words.split())}\n"


@pytest.mark.parametrize(
    ("entries", "result"),
    [
        (said("Host  patched\n"), Result.CHANGED),
        (said("Host patched", "2026-01-05T09:59:59Z"), Result.UNKNOWN),
        (said("Host patched", ""), Result.UNKNOWN),
        (said("something else"), Result.UNKNOWN),
        ("", Result.UNKNOWN),
    ],
)
async def test_a_comment_alone_is_looked_up_in_the_history(entries: str, result: Result) -> None:
    edit = operation(Tenant(ticket(1, entries=entries)))
    sent = batch(record(1, {}), add_comment="Host patched")
    assert [each.result for each in await edit.apply(sent)] == [result]
    assert [each.result for each in await edit.reconcile(sent, NOW.isoformat())] == [result]


async def test_a_failed_read_back_is_unknown_and_never_looks_unsent() -> None:
    tenant = Tenant()
    tenant.broken = Temporary("Qualys", "it is busy")
    (outcome,) = await operation(tenant).apply(batch(record(1), change_state="RESOLVED"))
    assert outcome.result is Result.UNKNOWN
    assert "it is busy" in outcome.words


async def test_a_half_done_edit_says_what_was_left() -> None:
    tenant = Tenant(ticket(1, "RESOLVED"))
    sent = record(1, {"state": "Resolved", "assignee": "acme_ac"})
    changes = {"change_state": "RESOLVED", "change_assignee": "acme_ac"}
    (outcome,) = await operation(tenant).apply(batch(sent, **changes))
    assert (outcome.result, outcome.words) == (
        Result.CHANGED,
        "Qualys left as it was: assignee",
    )


@pytest.mark.parametrize(
    ("before", "now", "applied", "reconciled"),
    [
        ("2026-02-01", "2026-01-12T00:00:00Z", Result.CHANGED, Result.CHANGED),
        ("2026-02-01", "2026-01-13T00:00:00Z", Result.CHANGED, Result.CHANGED),
        ("2026-02-01", "2026-02-01T00:00:00Z", Result.REFUSED, Result.TO_SEND),
        ("2026-01-12", "2026-01-12T00:00:00Z", Result.UNKNOWN, Result.TO_SEND),
    ],
)
async def test_a_due_date_is_compared_by_day(
    before: str, now: str, applied: Result, reconciled: Result
) -> None:
    edit = operation(Tenant(ticket(1, "IGNORED", due_at=now)))
    planned_one = record(1, {"due": "7 days after the edit"}, state="Closed/Ignored", due=before)
    sent = batch(planned_one, reopen_ignored_days="7")
    assert [each.result for each in await edit.apply(sent)] == [applied]
    assert [each.result for each in await edit.reconcile(sent, NOW.isoformat())] == [reconciled]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (UnknownOutcome("Qualys", "no answer"), UnknownOutcome),
        (Unreadable("Qualys", "HTML"), UnknownOutcome),
        (Temporary("Qualys", "busy"), Temporary),
        (Rejected("Qualys", "no"), Rejected),
    ],
)
async def test_errors_of_the_edit(fault: VendorError, seen: type[VendorError]) -> None:
    class Lost(Tenant):
        async def edit(self, numbers: Sequence[int], changes: Mapping[str, str]) -> EditReply:
            raise fault

    with pytest.raises(seen):
        await operation(Lost()).apply(batch(record(1), change_state="RESOLVED"))


# --- reconcile ---------------------------------------------------------------------------------


async def test_reconcile_of_what_may_be_repeated() -> None:
    tenant = Tenant(ticket(1, "RESOLVED"), ticket(2, "OPEN"))
    outcomes = await operation(tenant).reconcile(
        batch(record(1), record(2), record(3), change_state="RESOLVED"), NOW.isoformat()
    )
    assert [each.result for each in outcomes] == [Result.CHANGED, Result.TO_SEND, Result.UNKNOWN]


async def test_reconcile_never_repeats_a_comment() -> None:
    tenant = Tenant(ticket(1, "RESOLVED"), ticket(2, entries=said("Host patched")), ticket(3))
    outcomes = await operation(tenant).reconcile(
        batch(record(1), record(2), record(3), change_state="RESOLVED", add_comment="Host patched"),
        "2026-01-05T10:00:00.900+00:00",
    )
    assert [each.result for each in outcomes] == [
        Result.CHANGED,
        Result.CHANGED,
        Result.UNKNOWN,
    ]


async def test_read_gives_states_by_id() -> None:
    found = await operation(Tenant(ticket(7, "REOPENED", due_at=""))).read(["7", "8"])
    assert found == {"7": {"state": "Open/Reopened", "assignee": "qualys_tb", "due": ""}}


# --- lists -------------------------------------------------------------------------------------

PEOPLE = [
    user("acme_ac", name="Ann Chovey"),
    user("acme_co", role="Contact", name="Connie"),
    user("acme_in", status="Inactive", name="Ina"),
    user("qualys_tb", role="Manager", name="Theo Brown"),
]


@pytest.mark.parametrize(
    ("login", "message"),
    [
        (
            "acme_a",
            (
                "`change_assignee` must be the login of a Qualys user, not `acme_a`;"
                " the nearest is `acme_ac`."
            ),
        ),
        (
            "acme_co",
            (
                "`change_assignee` must be a user whose role is not Contact, not `acme_co`;"
                " the nearest is `acme_ac`."
            ),
        ),
        (
            "acme_in",
            (
                "`change_assignee` must be an active user (acme_in is Inactive), not `acme_in`;"
                " the nearest is `acme_ac`."
            ),
        ),
        ("zzz", "`change_assignee` must be the login of a Qualys user, not `zzz`."),
    ],
)
async def test_an_assignee_who_cannot_have_tickets(login: str, message: str) -> None:
    tenant = Tenant()
    tenant.people = PEOPLE
    with pytest.raises(InvalidInput) as caught:
        await operation(tenant).check(typed(**ONE, change_assignee=login))
    assert [(each.name, each.message) for each in caught.value.problems] == [
        ("change_assignee", message)
    ]


async def test_an_assignee_passes_when_known_or_when_the_list_is_not_readable() -> None:
    tenant = Tenant()
    tenant.people = PEOPLE
    edit = operation(tenant)
    await edit.check(typed(**ONE, change_assignee="acme_ac"))
    await edit.check(typed(**ONE, change_state="OPEN"))
    unreadable = Tenant()
    unreadable.broken = Temporary("Qualys", "it is busy")
    await operation(unreadable).check(typed(**ONE, change_assignee="nobody"))


@pytest.mark.parametrize("own", ["", "acme_um"])
async def test_a_list_that_is_not_whole_refuses_nobody_whom_it_does_not_name(own: str) -> None:
    tenant = Tenant()
    tenant.username = own
    tenant.people = [*PEOPLE, user("acme_um", role="Unit Manager")]
    await operation(tenant).check(typed(**ONE, change_assignee="of_another_unit"))
    with pytest.raises(InvalidInput, match="not Contact"):
        await operation(tenant).check(typed(**ONE, change_assignee="acme_co"))


async def test_an_error_about_a_group_is_not_outside_the_scope() -> None:
    class Failing(Tenant):
        async def tickets(self, filters: Mapping[str, str]) -> AsyncIterator[Ticket]:
            if "asset_groups" in filters:
                raise Rejected("Qualys", "the account has no right to this", code="2012")
            async for each in super().tickets(filters):
                yield each

    with pytest.raises(Rejected):
        await planned(Failing(ticket(7)), ["London"], ticket_numbers="7", change_state="RESOLVED")


async def test_where_no_state_is_asked_for_any_is_planned() -> None:
    """The document's second example has to reach ignored tickets on every platform."""
    tenant = Tenant(ticket(7, "IGNORED"))
    (record,) = await planned(tenant, ["10.0.0.0/8"], ips="10.0.0.1", reopen_ignored_days=7)
    assert tenant.asked == [{"ips": "10.0.0.1", "states": ALL_FOUR}]
    assert record.after
    tenant.asked.clear()
    await planned(tenant, ["10.0.0.0/8"], ips="10.0.0.1", states="IGNORED", reopen_ignored_days=7)
    assert tenant.asked == [{"ips": "10.0.0.1", "states": "IGNORED"}]


def test_a_host_is_selected_by_its_asset_id() -> None:
    assert given(typed(host_id="3753479", change_state="OPEN"))["host_id"] == "3753479"
    with pytest.raises(InvalidInput, match="one number"):
        typed(host_id="3753479,3753480", change_state="OPEN")


async def test_people_are_looked_up_and_kept_for_a_minute() -> None:
    tenant = Tenant()
    tenant.people = PEOPLE
    time = [0.0]
    edit = operation(tenant, lambda: time[0])
    assert [each.value for each in await edit.lookup("people", "", Context())] == [
        "acme_ac",
        "qualys_tb",
    ]
    (theo,) = await edit.lookup("people", " theo  BR ", Context())
    assert (theo.value, theo.label, theo.detail) == (
        "qualys_tb",
        "Theo Brown (qualys_tb)",
        "Manager",
    )
    assert tenant.user_calls == 1
    time[0] = 61.0
    await edit.lookup("people", "", Context())
    assert tenant.user_calls == 2


async def test_asset_groups_are_looked_up() -> None:
    tenant = Tenant(groups={"London": set(), "East London": set(), "London, Ontario": set()})
    found = await operation(tenant).lookup("asset_groups", "LON", Context())
    assert [each.value for each in found] == ["London", "East London"]
    assert await operation(tenant).lookup("nothing", "x", Context()) == ()


# --- registration ------------------------------------------------------------------------------


ACCOUNT = {
    "QUALYS_URL": "https://qualysapi.example",
    "QUALYS_USERNAME": "svc",
    "QUALYS_PASSWORD": "s3cr3t-word",
}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_without_a_url_qualys_is_off(account: pytest.MonkeyPatch) -> None:
    account.delenv("QUALYS_URL")
    assert qualys.ENTRY.connect() is None


@pytest.mark.parametrize("missing", ["QUALYS_USERNAME", "QUALYS_PASSWORD"])
def test_a_url_without_an_account_stops_the_start(
    account: pytest.MonkeyPatch, missing: str
) -> None:
    account.delenv(missing)
    with pytest.raises(ValidationError) as caught:
        qualys.ENTRY.connect()
    assert str(explain(caught.value, "qualys_")) == f"{missing}: is not set."
    assert "s3cr3t-word" not in str(caught.value)


@pytest.mark.usefixtures("account")
async def test_with_settings_qualys_is_on() -> None:
    vendor = qualys.ENTRY.connect()
    assert vendor is not None
    assert [each.name for each in vendor.operations] == [
        "qualys.edit_tickets",
        "qualys.request_exception",
        "qualys.decide_exception",
        "qualys.renew_exception",
    ]
    assert vendor.secrets == ("s3cr3t-word",)
    await vendor.close()


def test_the_entry_is_registered() -> None:
    (found,) = entry_points(group="amend.vendors", name="qualys")
    assert found.load() is qualys.ENTRY


def test_canonical_parameters_are_plain() -> None:
    assert canonical(typed(ticket_numbers="1,2", reopen_ignored_days="7")) == {
        "ticket_numbers": ["1", "2"],
        "reopen_ignored_days": 7,
    }
