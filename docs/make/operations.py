"""Operations, their parameters and their watches, from the declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bot.bootstrap import entries
from bot.domain.operations import Operation, Reach
from bot.domain.parameters import Kind, Param, Parameters, Widget, takes_several
from docs.make.markdown import code, table


def _operations() -> Iterator[type[Operation]]:
    for entry in entries():
        yield from entry.operations


def _may_all(roles: Mapping[str, Reach]) -> str:
    own = {role: "" if reach is Reach.ALL else " (own scope)" for role, reach in roles.items()}
    return ", ".join(f"{role}{words}" for role, words in own.items())


def overview() -> str:
    """Each operation in a line."""
    rows = [
        (
            code(each.name),
            code(each.typed_as()) if each.command else "buttons",
            each.summary,
            _may_all(each.roles),
        )
        for each in _operations()
    ]
    return table(("operation", "typed", "what it does", "who may"), rows)


def roles() -> str:
    """Every vendor's roles, as an import takes them, and what each may do."""
    rows = []
    for entry in entries():
        listed = dict.fromkeys(role for each in entry.operations for role in each.roles)
        every = [*listed, *sorted((entry.roles or frozenset()) - set(listed))]
        rows += [(entry.title, role, _may(entry.operations, role)) for role in every]
        if entry.roles is None:
            rows.append((entry.title, "any other name", "nothing, unless the policy lists it"))
    return table(("vendor", "role", "may"), rows)


def _may(operations: Sequence[type[Operation]], role: str) -> str:
    found = [
        code(each.name) + ("" if each.roles[role] is Reach.ALL else " (own scope)")
        for each in operations
        if role in each.roles
    ]
    return ", ".join(found) or "nothing"


def parameters() -> str:
    """A section for each operation: examples, then a table of its parameters."""
    return "\n\n".join(_section(each) for each in _operations())


def _section(operation: type[Operation]) -> str:
    command = operation.typed_as()
    title = f"## {operation.title}: `{operation.name}`"
    typed = f"Typed as `{command}`." if command else "Reached by the buttons under a request."
    who = f"Who may: {_may_all(operation.roles)}."
    lines = [title, f"{operation.summary}. {typed} {who}"]
    if command and operation.examples:
        examples = "\n".join(f"{command} {each}" for each in operation.examples)
        lines.append(f"```slack parse\n{examples}\n```")
    rows = [_row(operation.parameters, name, spec) for name, spec in operation.params().items()]
    lines.append(table(("parameter", "for", "takes", "words"), rows))
    return "\n\n".join(lines)


def _row(model: type[Parameters], name: str, spec: Param) -> tuple[str, ...]:
    kind = "which" if spec.kind is Kind.SELECTION else "change"
    aliases = f" Also `{'`, `'.join(spec.aliases)}`." if spec.aliases else ""
    empty = f' `{name}=""`: {spec.empty_means}.' if spec.empty_means else ""
    words = f"{spec.title}. {spec.help}{aliases}{empty}".strip()
    return code(name), kind, _takes(model, name, spec), " ".join(words.split())


def _takes(model: type[Parameters], name: str, spec: Param) -> str:
    many = "several of " if takes_several(model, name) else ""
    if spec.choices:
        return many + ", ".join(_choice(*each) for each in spec.choices.items())
    if spec.widget is Widget.NUMBER:
        return f"a whole number from {spec.least} to {spec.most}"
    if spec.widget is Widget.DATE:
        return "a date"
    most = f", at most {spec.most:,}" if spec.most else ""
    if many:
        return f"a list{most}"
    return f"text{most}{' characters' if most else ''}"


def _choice(value: str, label: str) -> str:
    same = value.casefold() == label.casefold()
    return code(value) if same else f"{code(value)} ({label})"


def watches() -> str:
    """What can be watched, and by which selection."""
    rows = [
        (
            code(f"/amend watch {each.command}"),
            f"{each.vendor_title}: {each.noun[1]}",
            " ".join(code(name) for name in each.params()),
        )
        for entry in entries()
        for each in entry.watchers
    ]
    return table(("typed", "what", "selected by"), rows)
