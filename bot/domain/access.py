"""Who may do what: person, channel, vendor role and scope can each say no, and say why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.operations import Operation, Reach
from bot.domain.people import Account, Caller
from bot.domain.policy import Demand, Policy, quoted

People = Sequence[tuple[str, Account]]
MOST_NAMES = 3
GROUPS_NOT_SAID = "Slack does not say just now who is in the group that the policy asks for."


class Answer(StrEnum):
    """Of three kinds: what cannot be known now is neither yes nor no, and means: wait."""

    YES = "yes"
    NO = "no"
    NOT_NOW = "not_now"


@dataclass(frozen=True)
class Decision:
    """An answer, and why; a yes carries the account to act through and its role's reach."""

    answer: Answer
    reasons: tuple[str, ...]
    account: Account | None = None
    reach: Reach | None = None

    @property
    def allowed(self) -> bool:
        return self.answer is Answer.YES

    @property
    def unsure(self) -> bool:
        """True where it is neither yes nor no."""
        return self.answer is Answer.NOT_NOW


def decide(
    operation: Operation | type[Operation],
    caller: Caller,
    channel: str,
    policy: Policy,
    people: People = (),
) -> Decision:
    """May `caller` ask for `operation` in `channel`?

    `people` are all who are mapped at its vendor, by Slack user id: a denial names who may.
    """
    decision = _standing(operation, caller, policy, people)
    if caller.barred or decision.unsure or policy.channel_allows(channel, operation.name):
        return decision
    guardrail = _guardrail(operation, channel, policy)
    return _denied(guardrail, *(() if decision.allowed else decision.reasons))


@dataclass(frozen=True)
class Asker:
    """Who asked, through which account, and whose credentials they have stored besides."""

    user: str
    account: str
    linked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Voter:
    """Who decides: the groups they are in, those that Slack says nothing of now, linked accounts."""

    caller: Caller
    groups: frozenset[str] = frozenset()
    groups_not_known: frozenset[str] = frozenset()
    linked: tuple[str, ...] = ()


def may_approve(
    operation: Operation | type[Operation],
    voter: Voter,
    asker: Asker,
    demands: Sequence[Demand],
    policy: Policy,
) -> Decision:
    """May `voter` approve what `asker` asked for?

    Their own scope against each record of the plan is the plan's to check.
    """
    approver = voter.caller
    standing = _standing(operation, approver, policy, None)
    if not standing.allowed or standing.account is None:
        return standing
    account = standing.account
    refusals = [
        *_own_request(operation, voter, asker, account),
        *_unmet(voter, account, demands),
    ]
    if refusals:
        return _denied(*refusals)
    if _unsaid(voter, demands):
        return Decision(Answer.NOT_NOW, (GROUPS_NOT_SAID,))
    approves = f"<@{approver.user}> may approve `{operation.name}`."
    return Decision(Answer.YES, (approves, *standing.reasons), account, standing.reach)


# --- the person, the role and the scope -----------------------------------------------------------


def barred(caller: Caller) -> str:
    """Why this caller may do nothing here at all, in a sentence; "" where they may ask."""
    if not caller.user:
        return "It is not known who asks."
    why = caller.barred.rstrip(".")
    return f"<@{caller.user}> may do nothing here: {why}." if why else ""


def _standing(
    operation: Operation | type[Operation], caller: Caller, policy: Policy, people: People | None
) -> Decision:
    """The decision without the channel's guardrail; it names nobody where `people` is None."""
    if caller.unsure:
        return Decision(Answer.NOT_NOW, (caller.unsure,))
    if why := barred(caller):
        return _denied(why)
    account = caller.accounts.get(operation.vendor)
    if account is None or not account.account or account.vendor != operation.vendor:
        missing = f"No {operation.vendor_title} account is mapped to <@{caller.user}>."
        return _denied(missing + _who(operation, caller, policy, people))
    roles = policy.roles_of(operation.vendor, operation.roles)
    if account.role not in roles:
        missing = _missing_role(operation, account, roles)
        return _denied(missing + _who(operation, caller, policy, people))
    reach = roles[account.role]
    if reach is Reach.SCOPE and not _scope(account):
        missing = _missing_scope(operation, account)
        return _denied(missing + _who(operation, caller, policy, people))
    return Decision(Answer.YES, (_granted(operation, account, reach),), account, reach)


def _denied(*reasons: str) -> Decision:
    return Decision(Answer.NO, reasons)


def _scope(account: Account) -> tuple[str, ...]:
    return tuple(entry for entry in account.scope if entry.strip())


def _granted(operation: Operation | type[Operation], account: Account, reach: Reach) -> str:
    role = f"The {operation.vendor_title} role {quoted(account.role)} ({quoted(account.account)})"
    if reach is Reach.ALL:
        return f"{role} may do `{operation.name}`."
    scope = _scope(account)
    shown = ", ".join(quoted(entry) for entry in scope[:MOST_NAMES])
    more = f" and {len(scope) - MOST_NAMES:,} more" if len(scope) > MOST_NAMES else ""
    return f"{role} may do `{operation.name}` within the scope {shown}{more}."


def _missing_role(
    operation: Operation | type[Operation], account: Account, roles: Mapping[str, Reach]
) -> str:
    title, role = operation.vendor_title, quoted(account.role)
    if account.role in operation.roles:
        start = f"The policy's list of {title} roles leaves out {role} for `{operation.name}`"
    elif account.role:
        start = f"The {title} role {role} may not do `{operation.name}`"
    else:
        start = f"The {title} account {quoted(account.account)} has no role"
    needed = [
        quoted(role) + (" with a scope" if reach is Reach.SCOPE else "")
        for role, reach in roles.items()
    ]
    return f"{start}; {'it needs ' + ' or '.join(needed) if needed else 'no role may'}."


def _missing_scope(operation: Operation | type[Operation], account: Account) -> str:
    return (
        f"The {operation.vendor_title} role {quoted(account.role)} may do `{operation.name}` only"
        " within a scope (IPs, ranges, CIDRs or asset groups), and none is mapped to"
        f" {quoted(account.account)}."
    )


def _guardrail(operation: Operation | type[Operation], channel: str, policy: Policy) -> str:
    allowed = policy.allowed_in(channel)
    only = f"allows only {', '.join(map(quoted, allowed))}" if allowed else "allows nothing"
    return f"The policy's guardrail for <#{channel}> {only}, not `{operation.name}`."


def _who(
    operation: Operation | type[Operation], caller: Caller, policy: Policy, people: People | None
) -> str:
    """Who may do the operation, as a sentence to append."""
    if people is None:
        return ""
    able = others(operation, caller.user, policy, people)
    return f" {who_may([user for user, _, _ in able])}"


def who_may(users: Sequence[str]) -> str:
    """Who may do it, as a sentence."""
    names = list(dict.fromkeys(users))
    if not names:
        return "Nobody yet may do it."
    shown = ", ".join(f"<@{user}>" for user in names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"{shown}{more} may do it."


def others(
    operation: Operation | type[Operation], user: str, policy: Policy, people: People
) -> Iterator[tuple[str, Account, Reach]]:
    """Those of `people` but `user` who may do an operation, by account and its reach."""
    for other, account in people:
        one = Caller(other, "", other, {account.vendor: account})
        decision = _standing(operation, one, policy, None)
        if other != user and decision.account is not None and decision.reach is not None:
            yield other, decision.account, decision.reach


# --- approval -------------------------------------------------------------------------------------


def _own_request(
    operation: Operation | type[Operation], voter: Voter, asker: Asker, account: Account
) -> Iterator[str]:
    """Four eyes: another person, through another account, linked ones included."""
    approver = voter.caller.user
    if not asker.user or not asker.account.strip():
        yield "It is not known who asked, or through which account, so nobody can approve it."
    if approver == asker.user:
        yield "Nobody approves their own request."
    theirs = {each.strip().casefold() for each in (asker.account, *asker.linked)}
    own = (account.account, *voter.linked)
    shared = next((each for each in own if each.strip().casefold() in theirs), None)
    if shared is not None and approver != asker.user:
        yield (
            f"<@{approver}> acts through {quoted(shared)}, the same"
            f" {operation.vendor_title} account as <@{asker.user}>, who asked."
        )


def _unmet(voter: Voter, account: Account, demands: Iterable[Demand]) -> Iterator[str]:
    """What a demand asks for and this voter certainly is not."""
    for demand in demands:
        chosen = _chosen(voter, demand, voter.groups | voter.groups_not_known)
        if (demand.groups or demand.people) and not chosen:
            listed = ", ".join(
                [f"<!subteam^{group}>" for group in demand.groups]
                + [f"<@{user}>" for user in demand.people]
            )
            who = f"<@{voter.caller.user}> is not one of {listed}"
            yield f"{who}, whom the policy asks for: {demand.why}"
        if demand.roles and account.role not in demand.roles:
            roles = " or ".join(map(quoted, demand.roles))
            role = quoted(account.role)
            yield f"The role {role} does not count; the policy asks for {roles}: {demand.why}"


def _unsaid(voter: Voter, demands: Iterable[Demand]) -> bool:
    """True where it depends on a group of which Slack says nothing now."""
    asked = (each for each in demands if not voter.groups_not_known.isdisjoint(each.groups))
    return any(not _chosen(voter, each, voter.groups) for each in asked)


def _chosen(voter: Voter, demand: Demand, groups: frozenset[str]) -> bool:
    return voter.caller.user in demand.people or not groups.isdisjoint(demand.groups)
