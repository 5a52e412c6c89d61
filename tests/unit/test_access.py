"""Who may do what: every Qualys role at every operation, what a denial says, and who approves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.access import Answer, Asker, Decision, Voter, decide, may_approve
from bot.domain.operations import Batch, Operation, Outcome, Reach, Record
from bot.domain.parameters import Parameters
from bot.domain.people import Account, Caller
from bot.domain.policy import Demand, Policy, RoleList, Rule, combined

ALL, SCOPE = Reach.ALL, Reach.SCOPE
QUALYS_ROLES = (
    "Manager",
    "Unit Manager",
    "Auditor",
    "Scanner",
    "Reader",
    "Remediation User",
    "KnowledgeBase Only",
    "User Administrator",
    "Contact",
    "",
)


class Fake(Operation):
    """An operation of which only the declaration matters."""

    title = "Fake"
    summary = "Does nothing."
    noun = ("record", "records")
    parameters = Parameters
    records_in = ""

    def repeatable(self, parameters: Parameters) -> bool:
        return True

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        nothing: tuple[Record, ...] = ()
        for record in nothing:
            yield record

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        return {}

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        return ()

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        return ()


class Qualys(Fake):
    vendor = "qualys"
    vendor_title = "Qualys"


class EditTickets(Qualys):
    name = "qualys.edit_tickets"
    command = "qualys"
    roles: ClassVar[Mapping[str, Reach]] = {"Manager": ALL, "Unit Manager": SCOPE}


class RequestException(Qualys):
    name = "qualys.request_exception"
    command = "exception"
    roles: ClassVar[Mapping[str, Reach]] = {
        "Manager": ALL,
        "Auditor": ALL,
        "Unit Manager": SCOPE,
        "Scanner": SCOPE,
        "Reader": SCOPE,
    }


class DecideException(Qualys):
    name = "qualys.decide_exception"
    command = ""
    roles: ClassVar[Mapping[str, Reach]] = {"Manager": ALL, "Auditor": ALL, "Unit Manager": SCOPE}


class UpdateIncident(Fake):
    name = "xpanse.update_incident"
    vendor = "xpanse"
    vendor_title = "Xpanse"
    command = "xpanse"
    roles: ClassVar[Mapping[str, Reach]] = {"Investigator": ALL, "Responder": ALL}


OPERATIONS: tuple[type[Operation], ...] = (EditTickets, RequestException, DecideException)
EVERY: tuple[type[Operation], ...] = (*OPERATIONS, UpdateIncident)
KNOWN = {each.name: {"change_state": ""} for each in EVERY}
# role → operation → how far, written out here and not taken from the classes
GRANTS: dict[str, dict[str, Reach]] = {
    "Manager": dict.fromkeys([each.name for each in OPERATIONS], ALL),
    "Unit Manager": dict.fromkeys([each.name for each in OPERATIONS], SCOPE),
    "Auditor": {"qualys.request_exception": ALL, "qualys.decide_exception": ALL},
    "Scanner": {"qualys.request_exception": SCOPE},
    "Reader": {"qualys.request_exception": SCOPE},
}


def account(role: str, scope: tuple[str, ...] = (), name: str = "acme_jd") -> Account:
    return Account("qualys", name, role, scope)


def caller(*accounts: Account, user: str = "U1", barred: str = "") -> Caller:
    return Caller(user, "T1", user, {each.vendor: each for each in accounts}, barred)


def words(decision: Decision) -> str:
    return " ".join(decision.reasons)


@pytest.mark.parametrize("scope", [(), ("10.0.0.0/8",), ("", " ")])
@pytest.mark.parametrize("role", QUALYS_ROLES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_role_at_every_operation(
    operation: type[Operation], role: str, scope: tuple[str, ...]
) -> None:
    expected = GRANTS.get(role, {}).get(operation.name)
    allowed = expected is ALL or (expected is SCOPE and scope == ("10.0.0.0/8",))
    one = account(role, scope)
    decision = decide(operation, caller(one), "C1", Policy.default())
    assert decision.allowed is allowed
    assert decision.reasons
    assert (decision.account, decision.reach) == ((one, expected) if allowed else (None, None))
    if allowed:
        assert role in words(decision)
        assert ("10.0.0.0/8" in words(decision)) is (expected is SCOPE)
    else:
        assert words(decision).endswith("Nobody yet may do it.")
        assert ("within a scope" in words(decision)) is (expected is SCOPE)


def test_an_instance_is_taken_as_well_as_a_class() -> None:
    assert decide(EditTickets(), caller(account("Manager")), "C1", Policy.default()).allowed


# --- what a denial says ------------------------------------------------------------------------


def test_barred() -> None:
    decision = decide(
        EditTickets, caller(account("Manager"), barred="guests are refused"), "C1", Policy.default()
    )
    assert decision == Decision(Answer.NO, ("<@U1> may do nothing here: guests are refused.",))


@pytest.mark.parametrize(
    "accounts",
    [
        {},
        {"xpanse": Account("xpanse", "jd", "Manager")},
        {"qualys": Account("xpanse", "jd", "Manager")},
        {"qualys": Account("qualys", "", "Manager")},
    ],
)
def test_not_mapped(accounts: dict[str, Account]) -> None:
    one = Caller("U1", "T1", "Jo", accounts)
    decision = decide(EditTickets, one, "C1", Policy.default())
    assert not decision.allowed
    assert words(decision).startswith("No Qualys account is mapped to <@U1>.")


def test_nobody_in_particular_is_denied() -> None:
    assert not decide(
        EditTickets, caller(account("Manager"), user=""), "C1", Policy.default()
    ).allowed


def test_a_missing_role_names_the_role_and_who_has_it() -> None:
    people = [
        ("U1", account("Manager")),
        ("U2", account("Manager")),
        ("U3", account("Unit Manager", ("10.0.0.1",))),
        ("U4", account("Unit Manager")),
        ("U5", account("Reader")),
    ]
    decision = decide(EditTickets, caller(account("Reader")), "C1", Policy.default(), people)
    assert words(decision) == (
        "The Qualys role `Reader` may not do `qualys.edit_tickets`; it needs `Manager` or"
        " `Unit Manager` with a scope. <@U2>, <@U3> may do it."
    )


@pytest.mark.parametrize(
    ("many", "ending"),
    [
        (0, " Nobody yet may do it."),
        (3, " <@U20>, <@U21>, <@U22> may do it."),
        (5, " <@U20>, <@U21>, <@U22> and 2 more may do it."),
    ],
)
def test_at_most_three_names(many: int, ending: str) -> None:
    people = [(f"U{20 + index}", account("Manager")) for index in range(many)] * 2
    decision = decide(EditTickets, caller(), "C1", Policy.default(), people)
    assert words(decision).endswith(ending)


def test_a_missing_scope_says_so() -> None:
    decision = decide(EditTickets, caller(account("Unit Manager")), "C1", Policy.default())
    assert "only within a scope" in words(decision)
    assert "`acme_jd`" in words(decision)


def test_the_guardrail_says_what_it_allows_and_the_rest_is_said_too() -> None:
    policy = Policy(channels={"C1": ("xpanse.*",), "C2": ()})
    manager = caller(account("Manager"))
    assert decide(EditTickets, manager, "C1", policy).reasons == (
        "The policy's guardrail for <#C1> allows only `xpanse.*`, not `qualys.edit_tickets`.",
    )
    assert "allows nothing" in words(decide(EditTickets, manager, "C2", policy))
    assert decide(EditTickets, manager, "C3", policy).allowed
    both = decide(EditTickets, caller(account("Reader")), "C1", policy)
    assert len(both.reasons) == 2
    assert not both.allowed


def test_a_role_that_the_policy_leaves_out() -> None:
    policy = Policy(vendor_roles={"qualys": RoleList(("Manager", "Reader"))})
    out = decide(EditTickets, caller(account("Unit Manager", ("10.0.0.1",))), "C1", policy)
    assert not out.allowed
    assert "The policy's list of Qualys roles leaves out `Unit Manager`" in words(out)
    assert decide(EditTickets, caller(account("Manager")), "C1", policy).allowed
    assert not decide(EditTickets, caller(account("Reader")), "C1", policy).allowed
    nobody = Policy(vendor_roles={"qualys": RoleList(())})
    assert "no role may" in words(decide(EditTickets, caller(account("Manager")), "C1", nobody))


def test_roles_of_the_site_count_where_the_vendor_has_them() -> None:
    policy = Policy(vendor_roles={"xpanse": RoleList(("Our Team",), replaces=True)})
    ours = caller(Account("xpanse", "jd", "Our Team"))
    theirs = caller(Account("xpanse", "jd", "Responder"))
    assert decide(UpdateIncident, ours, "C1", policy).reach is ALL
    assert not decide(UpdateIncident, ours, "C1", Policy.default()).allowed
    assert not decide(UpdateIncident, theirs, "C1", policy).allowed


def test_words_of_others_never_work_in_slack() -> None:
    evil = account("<!channel> `x` & <@U9>")
    said = words(decide(EditTickets, caller(evil), "C1", Policy.default()))
    assert "`&lt;!channel&gt; 'x' &amp; &lt;@U9&gt;`" in said
    many = account("Unit Manager", ("<!here>", "2", "3", "4", "5"))
    said = words(decide(EditTickets, caller(many), "C1", Policy.default()))
    assert "`&lt;!here&gt;`, `2`, `3` and 2 more" in said


# --- approval ----------------------------------------------------------------------------------

APPROVER = caller(account("Manager", name="acme_boss"), user="U0BOSS")


def approve(
    approver: Caller = APPROVER,
    demands: Sequence[Demand] = (),
    groups: frozenset[str] = frozenset(),
    requester: tuple[str, str] = ("U1", "acme_jd"),
    policy: Policy | None = None,
) -> Decision:
    return may_approve(
        EditTickets,
        Voter(approver, groups),
        Asker(*requester),
        demands,
        policy or Policy.default(),
    )


def demand(
    groups: tuple[str, ...] = (), people: tuple[str, ...] = (), roles: tuple[str, ...] = ()
) -> Demand:
    return Demand(1, groups, people, roles, "rule 1 of the policy asks.")


def test_whoever_may_do_it_may_approve() -> None:
    decision = approve()
    assert decision.allowed
    assert decision.reach is ALL
    assert decision.account == APPROVER.accounts["qualys"]
    assert decision.reasons[0] == "<@U0BOSS> may approve `qualys.edit_tickets`."


@pytest.mark.parametrize(
    ("approver", "requester", "words_of_it"),
    [
        (APPROVER, ("U0BOSS", "acme_other"), "Nobody approves their own request"),
        (APPROVER, ("U1", "acme_boss"), "the same Qualys account as <@U1>"),
        (APPROVER, ("U1", " ACME_Boss "), "the same Qualys account as <@U1>"),
        (APPROVER, ("", "acme_jd"), "not known who asked"),
        (APPROVER, ("U1", ""), "not known who asked"),
        (caller(account("Reader"), user="U2"), ("U1", "x"), "may not do"),
        (caller(account("Unit Manager"), user="U2"), ("U1", "x"), "only within a scope"),
        (caller(user="U2"), ("U1", "x"), "No Qualys account is mapped"),
        (caller(account("Manager"), user="U2", barred="Left."), ("U1", "x"), "Left."),
    ],
)
def test_who_may_not_approve(
    approver: Caller, requester: tuple[str, str], words_of_it: str
) -> None:
    decision = approve(approver, requester=requester)
    assert not decision.allowed
    assert words_of_it in words(decision)
    assert "Nobody yet" not in words(decision)


def test_whose_own_request_it_is_hears_that_alone() -> None:
    own = words(approve(APPROVER, requester=("U0BOSS", "acme_boss")))
    assert "Nobody approves their own request" in own
    assert "the same" not in own


@pytest.mark.parametrize(
    ("demands", "groups", "allowed"),
    [
        ([demand()], set(), True),
        ([demand(groups=("S1",))], {"S1", "S2"}, True),
        ([demand(groups=("S1",))], {"S2"}, False),
        ([demand(people=("U0BOSS",))], set(), True),
        ([demand(people=("U0LEAD",))], set(), False),
        ([demand(groups=("S1",), people=("U0BOSS",))], set(), True),
        ([demand(groups=("S1",), people=("U0LEAD",))], {"S1"}, True),
        ([demand(roles=("Manager",))], set(), True),
        ([demand(roles=("Auditor",))], set(), False),
        ([demand(groups=("S1",), roles=("Auditor",))], {"S1"}, False),
        ([demand(people=("U0BOSS",), roles=("Auditor", "Manager"))], set(), True),
        ([demand(groups=("S1",)), demand(groups=("S2",))], {"S1"}, False),
        ([demand(groups=("S1",)), demand(groups=("S2",))], {"S1", "S2"}, True),
    ],
)
def test_demands(demands: list[Demand], groups: set[str], allowed: bool) -> None:
    decision = approve(demands=demands, groups=frozenset(groups))
    assert decision.allowed is allowed
    assert allowed or "rule 1 of the policy asks." in words(decision)


def test_a_guardrail_does_not_concern_the_approval() -> None:
    policy = Policy(channels={"C1": ()})
    assert approve(policy=policy).allowed
    narrowed = Policy(vendor_roles={"qualys": RoleList(("Unit Manager",))})
    assert not approve(policy=narrowed).allowed


# --- whatever comes ----------------------------------------------------------------------------

GLOBS = ("*", "qualys.*", "qualys.edit_tickets", "xpanse.*")
globs = st.lists(st.sampled_from(GLOBS), unique=True).map(tuple)
roles = st.sampled_from([*QUALYS_ROLES, "Responder", "Our Team"])
callers = st.builds(
    lambda user, role, scope, vendor, barred: Caller(
        user, "T1", "Jo", {vendor: Account(vendor, "acme_jd", role, scope)}, barred
    ),
    st.sampled_from(["U1", "U2", ""]),
    roles,
    st.sampled_from([(), ("10.0.0.0/8",), ("",)]),
    st.sampled_from(["qualys", "xpanse"]),
    st.sampled_from(["", "", "a guest"]),
)
rules = st.builds(
    Rule,
    operations=globs,
    over_records=st.none() | st.integers(0, 900),
    approvers=st.integers(1, 4),
    why=st.just("because."),
)
policies = st.builds(
    Policy,
    rules=st.lists(rules, max_size=3).map(tuple),
    channels=st.dictionaries(st.sampled_from(["C1", "C2"]), globs),
    vendor_roles=st.dictionaries(
        st.sampled_from(["qualys", "xpanse"]),
        st.lists(roles, unique=True).map(lambda names: RoleList(tuple(names))),
    ),
)
operations = st.sampled_from(EVERY)
mapped = st.lists(st.tuples(st.sampled_from(["U1", "U7", "U8"]), st.builds(account, roles)))


@given(operations, callers, policies, mapped)
def test_every_decision_has_a_reason_and_the_barred_get_nothing(
    operation: type[Operation], one: Caller, policy: Policy, people: list[tuple[str, Account]]
) -> None:
    decision = decide(operation, one, "C1", policy, people)
    approval = may_approve(operation, Voter(one), Asker("U5", "acme_x"), (), policy)
    for each in (decision, approval):
        assert each.reasons
        assert all(reason.strip() for reason in each.reasons)
        assert each.allowed is (each.account is not None) is (each.reach is not None)
        assert not (one.barred and each.allowed)


@given(operations, callers, policies, st.integers(0, 1000), st.sampled_from(["IGNORED", "OPEN"]))
def test_a_policy_never_widens(
    operation: type[Operation], one: Caller, policy: Policy, records: int, state: str
) -> None:
    plain = Policy.default()
    narrowed = decide(operation, one, "C1", policy)
    assert decide(operation, one, "C1", plain).allowed or not narrowed.allowed
    values = {"change_state": state}
    before = plain.demands(operation.name, values, records)
    after = policy.demands(operation.name, values, records)
    assert set(before) <= set(after)
    assert combined(before) <= combined(after)
    voter, asker = Voter(one), Asker("U5", "acme_x")
    if may_approve(operation, voter, asker, after, policy).allowed:
        assert may_approve(operation, voter, asker, before, plain).allowed


@given(st.lists(st.sampled_from(GLOBS), min_size=1), operations, callers)
def test_a_loaded_guardrail_never_widens(
    allow: list[str], operation: type[Operation], one: Caller
) -> None:
    text = f'[[channels]]\nid = "C1"\nallow = {allow!r}\n'
    guarded = decide(operation, one, "C1", Policy.load(text, KNOWN))
    assert decide(operation, one, "C1", Policy.default()).allowed or not guarded.allowed


NOT_SAID = [
    ([demand(groups=("S1",))], set(), {"S1"}, Answer.NOT_NOW),
    ([demand(groups=("S1", "S2"))], {"S2"}, {"S1"}, Answer.YES),
    ([demand(groups=("S1",), people=("U0BOSS",))], set(), {"S1"}, Answer.YES),
    ([demand(groups=("S1",)), demand(groups=("S2",))], set(), {"S1"}, Answer.NO),
    ([demand(groups=("S1",), roles=("Auditor",))], set(), {"S1"}, Answer.NO),
    ([], set(), {"S1"}, Answer.YES),
]


@pytest.mark.parametrize(("demands", "groups", "not_known", "answer"), NOT_SAID)
def test_a_group_of_which_slack_says_nothing_is_neither_yes_nor_no(
    demands: list[Demand], groups: set[str], not_known: set[str], answer: Answer
) -> None:
    voter = Voter(APPROVER, frozenset(groups), frozenset(not_known))
    found = may_approve(EditTickets, voter, Asker("U1", "acme_jd"), demands, Policy.default())
    assert found.answer is answer


def test_who_cannot_be_looked_up_now_is_neither_yes_nor_no() -> None:
    unsure = Caller("U0BOSS", "T1", "Boss", unsure="Slack could not say who you are just now.")
    assert decide(EditTickets, unsure, "C1", Policy.default()).answer is Answer.NOT_NOW
    found = may_approve(EditTickets, Voter(unsure), Asker("U1", "acme_jd"), (), Policy.default())
    assert found.answer is Answer.NOT_NOW


@pytest.mark.parametrize(
    ("theirs", "own"),
    [(("svc",), ("SVC ",)), (("acme_boss",), ()), ((), ("acme_jd",))],
)
def test_linked_accounts_are_compared_too(theirs: tuple[str, ...], own: tuple[str, ...]) -> None:
    voter, asker = Voter(APPROVER, linked=own), Asker("U1", "acme_jd", theirs)
    found = may_approve(EditTickets, voter, asker, (), Policy.default())
    assert "the same Qualys account" in " ".join(found.reasons)
