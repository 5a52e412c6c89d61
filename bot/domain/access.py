"""Who may do what: person, channel, vendor role and scope, each of which can say no, with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.operations import Operation, Reach
from bot.domain.people import Account, Caller
from bot.domain.policy import Demand, Policy, quoted, said

People = Sequence[tuple[str, Account]]
MOST_NAMES = 3


@dataclass(frozen=True)
class Decision:
    """Yes or no, and why; an allow carries the account to act through and how far its right goes."""

    allowed: bool
    reasons: tuple[str, ...]
    account: Account | None = None
    reach: Reach | None = None


def decide(
    operation: Operation | type[Operation],
    caller: Caller,
    channel: str,
    policy: Policy,
    people: People = (),
) -> Decision:
    """May `caller` ask for `operation` in `channel`? `people` are all who are mapped at its vendor."""
    decision = _standing(operation, caller, policy, people)
    if caller.barred or policy.channel_allows(channel, operation.name):
        return decision
    guardrail = _guardrail(operation, channel, policy)
    return _denied(guardrail, *(() if decision.allowed else decision.reasons))


def may_approve(
    operation: Operation | type[Operation],
    approver: Caller,
    requester: str,
    requester_account: str,
    demands: Sequence[Demand],
    groups_of_approver: frozenset[str],
    policy: Policy,
) -> Decision:
    """May `approver` approve what `requester` asked for through `requester_account`?

    Their own scope against each record of the plan is the plan's to check.
    """
    standing = _standing(operation, approver, policy, ())
    if not standing.allowed or standing.account is None:
        return standing
    account = standing.account
    refusals = [
        *_own_request(operation, approver, account, requester, requester_account),
        *_unmet(approver, account, demands, groups_of_approver),
    ]
    if refusals:
        return _denied(*refusals)
    approves = f"<@{approver.user}> may approve `{operation.name}`."
    return Decision(True, (approves, *standing.reasons), account, standing.reach)


# --- the person, the role and the scope --------------------------------------------------------


def _standing(
    operation: Operation | type[Operation], caller: Caller, policy: Policy, people: People
) -> Decision:
    """The decision without the channel's guardrail."""
    if caller.barred:
        return _denied(f"<@{caller.user}> may do nothing here: {said(caller.barred)}")
    if not caller.user:
        return _denied("It is not known who asks.")
    account = caller.accounts.get(operation.vendor)
    if account is None or not account.account or account.vendor != operation.vendor:
        who = _who(operation, caller, policy, people)
        title = operation.vendor_title
        return _denied(f"No {title} account is mapped to <@{caller.user}>. {who}")
    roles = policy.roles_of(operation.vendor, operation.roles)
    if account.role not in roles:
        who = _who(operation, caller, policy, people)
        return _denied(f"{_missing_role(operation, account, roles, policy)} {who}")
    reach = roles[account.role]
    if reach is Reach.SCOPE and not _scope(account):
        who = _who(operation, caller, policy, people)
        return _denied(f"{_missing_scope(operation, account)} {who}")
    return Decision(True, (_granted(operation, account, reach),), account, reach)


def _denied(*reasons: str) -> Decision:
    return Decision(False, reasons)


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
    operation: Operation | type[Operation],
    account: Account,
    roles: Mapping[str, Reach],
    policy: Policy,
) -> str:
    title = operation.vendor_title
    has = f"role {quoted(account.role)}" if account.role else "account has no role, which"
    start = f"The {title} {has} may not do `{operation.name}`"
    if account.role in operation.roles:
        start = f"The policy's `[{operation.vendor}]` roles leave out {quoted(account.role)}"
    if not roles:
        return f"{start}; no role may."
    needed = " or ".join(
        quoted(role) + (" with a scope" if reach is Reach.SCOPE else "")
        for role, reach in roles.items()
    )
    return f"{start}; it needs {needed}."


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
    operation: Operation | type[Operation], caller: Caller, policy: Policy, people: People
) -> str:
    """Who may do the operation, as a sentence."""
    names = list(dict.fromkeys(_able(operation, caller, policy, people)))
    if not names:
        return "Nobody yet may do it."
    shown = ", ".join(f"<@{user}>" for user in names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"{shown}{more} may do it."


def _able(
    operation: Operation | type[Operation], caller: Caller, policy: Policy, people: People
) -> Iterator[str]:
    for user, account in people:
        one = Caller(user, caller.team, user, {account.vendor: account})
        if user != caller.user and _standing(operation, one, policy, ()).allowed:
            yield user


# --- approval ----------------------------------------------------------------------------------


def _own_request(
    operation: Operation | type[Operation],
    approver: Caller,
    account: Account,
    requester: str,
    requester_account: str,
) -> Iterator[str]:
    if not requester or not requester_account.strip():
        yield "It is not known who asked, or through which account, so nobody can approve it."
    if approver.user == requester:
        yield "Nobody approves their own request."
    if account.account.strip().casefold() == requester_account.strip().casefold():
        yield (
            f"<@{approver.user}> acts through {quoted(account.account)}, the same"
            f" {operation.vendor_title} account as <@{requester}>, who asked."
        )


def _unmet(
    approver: Caller, account: Account, demands: Iterable[Demand], groups: frozenset[str]
) -> Iterator[str]:
    for demand in demands:
        chosen = approver.user in demand.people or not groups.isdisjoint(demand.groups)
        if (demand.groups or demand.people) and not chosen:
            listed = ", ".join(
                [f"<!subteam^{group}>" for group in demand.groups]
                + [f"<@{user}>" for user in demand.people]
            )
            yield f"<@{approver.user}> is not one of {listed}, whom the policy asks for: {demand.why}"
        if demand.roles and account.role not in demand.roles:
            roles = " or ".join(map(quoted, demand.roles))
            role = quoted(account.role)
            yield f"The role {role} does not count; the policy asks for {roles}: {demand.why}"
