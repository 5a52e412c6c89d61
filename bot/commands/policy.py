"""`amend policy`: a policy checked, and what it demands for an edit. Needs no settings and no Slack."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from dotenv import dotenv_values

from bot import bootstrap
from bot.commands.common import FAILED
from bot.domain.operations import Operation
from bot.domain.parameters import Declared, declared
from bot.domain.policy import Demand, Policy, combined
from bot.settings import BadSettings, readable_env

app = typer.Typer(help="The policy, before it is in force.", no_args_is_help=True)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy.toml.")],
) -> None:
    """Print each error by its line; exit 1 if there are any."""
    text, names = bootstrap.policy_text(file), bootstrap.policy_names(bootstrap.entries())
    problems = Policy.problems(text, *names)
    for each in problems:
        print(f"{file}: {each}", file=sys.stderr)
    if problems:
        raise typer.Exit(FAILED)
    many = len(Policy.load(text, *names).rules)
    print(f"{file} holds: {many} {'rule' if many == 1 else 'rules'} of approval.")


@app.command("explain")
def explain(
    operation: Annotated[str, typer.Argument(help="Such as qualys.edit_tickets.")],
    values: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="What would be sent.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="A policy.toml; else AMEND_POLICY, else the defaults.")
    ] = None,
    records: Annotated[int, typer.Option(min=1, help="How many records it would change.")] = 1,
    channel: Annotated[str, typer.Option(help="The id of the channel it is asked in.")] = "",
) -> None:
    """Tell what a policy demands for an edit, and why."""
    found = _operation(operation)
    given = _values(found, values or [])
    known, named = bootstrap.entries(), "" if policy else _in_force()
    rules = bootstrap.read_policy(policy, known) if policy else bootstrap.load_policy(named, known)
    print(f"Policy: {policy or named or 'the defaults'}")
    if channel and not rules.channel_allows(channel, found.name):
        allowed = ", ".join(rules.allowed_in(channel) or ()) or "nothing"
        print(f"Refused: {channel} allows {allowed}.")
        return
    roles = rules.roles_of(found.vendor, found.roles)
    print(f"Roles that may: {', '.join(roles) or 'none'}.")
    _tell(rules.demands(found.name, given, records))


def _tell(demands: Sequence[Demand]) -> None:
    if not demands:
        print("Approvals: none.")
        return
    many = combined(demands)
    print(f"Approvals: {many}, and each of these has to be met.")
    for each in demands:
        who = [*each.roles, *each.groups, *each.people]
        by = f" by {', '.join(who)}" if who else ""
        print(f"- {each.approvers}{by}: {each.why}")


def _in_force() -> str:
    """The file that AMEND_POLICY names, in the environment or in `.env`; "" for none."""
    with readable_env():
        return os.environ.get("AMEND_POLICY", dotenv_values(".env").get("AMEND_POLICY") or "")


def _operation(name: str) -> type[Operation]:
    known = {each.name: each for entry in bootstrap.entries() for each in entry.operations}
    if name not in known:
        message = f"There is no operation {name}; there are {', '.join(sorted(known))}."
        raise BadSettings(message)
    return known[name]


def _values(operation: type[Operation], words: Sequence[str]) -> Mapping[str, Any]:
    """NAME=VALUE as the operation reads it. Raises `BadSettings`."""
    params, given = declared(operation.parameters), dict[str, Any]()
    for word in words:
        name, equals, value = word.partition("=")
        spec = params.get(name)
        if not equals or spec is None:
            message = f"`{word}`: {operation.name} takes {', '.join(params)}, each as NAME=VALUE."
            raise BadSettings(message)
        given[name] = _read(spec, name, value)
    return given


def _read(spec: Declared, name: str, value: str) -> str | int | tuple[str, ...]:
    found = spec.read(value)
    if found is None:
        message = f"{name} does not take `{value}`."
        raise BadSettings(message)
    return found
