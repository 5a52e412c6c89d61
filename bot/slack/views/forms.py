"""Forms derived from an operation's parameters, and their values read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.domain.errors import InvalidInput, Problem
from bot.domain.operations import Lookup, Operation
from bot.domain.parameters import Kind, Param, Widget, as_list, read
from bot.slack.views.blocks import (
    Block,
    actions,
    button,
    cut,
    divider,
    escape,
    header,
    many,
    plain,
    section,
)
from bot.slack.views.inputs import (
    EMPTY,
    MOST_OPTIONS,
    TooLong,
    input_block,
    joined,
    options_of,
    read_inputs,
    selectable,
)

View = dict[str, Any]


def form_view(
    operation: Operation,
    values: Mapping[str, Any],
    *,
    draft: str,
    problems: Sequence[Problem] = (),
    choices: Mapping[str, Mapping[str, str]] | None = None,
) -> View:
    """An operation's form, filled with `values`; what is wrong and has no input stands on top.

    `choices` narrows what is offered: parameter → (wire value → words). Raises `TooLong` where an
    input cannot hold its value whole.
    """
    params = {
        name: _narrowed(spec, (choices or {}).get(name, {}), values.get(name))
        for name, spec in operation.params().items()
    }
    drawn = {name: spec for name, spec in params.items() if not spec.hidden or values.get(name)}
    first = [name for name in operation.leads or (operation.records_in,) if name in drawn]
    changes = [name for name, spec in drawn.items() if spec.kind is Kind.CHANGE]
    rest = [name for name in drawn if name not in (*first, *changes)]
    rest.sort(key=lambda name: drawn[name].advanced)
    blocks: list[Block] = [section(f":warning: {escape(each.message)}") for each in problems]

    def add(names: Sequence[str]) -> None:
        for name in names:
            required = operation.parameters.model_fields[name].is_required()
            block = input_block(name, drawn[name], values.get(name), required=required)
            if name in operation.refines:
                block["dispatch_action"] = True
            blocks.append(block)

    add(first)
    blocks.append(header("What changes"))
    add(changes)
    if rest:
        blocks += [divider(), header(f"Or choose {operation.noun[1]} by filter")]
        add(rest)
    return {
        "type": "modal",
        "callback_id": "form",
        "private_metadata": json.dumps({"operation": operation.name, "draft": draft}),
        "title": plain(f"{operation.vendor_title}: {operation.title.lower()}", 24),
        "submit": plain("Review", 24),
        "close": plain("Cancel", 24),
        "blocks": blocks,
    }


def loading_view(title: str, text: str) -> View:
    """A shell that uses the trigger at once; its contents follow."""
    return {
        "type": "modal",
        "callback_id": "shell",
        "title": plain(title, 24),
        "close": plain("Close", 24),
        "blocks": [section(f":hourglass_flowing_sand: {text}")],
    }


def message_view(title: str, text: str) -> View:
    """A modal that only says something; `text` is mrkdwn of ours."""
    return {
        "type": "modal",
        "callback_id": "message",
        "title": plain(title, 24),
        "close": plain("Close", 24),
        "blocks": [section(text)],
    }


def _narrowed(spec: Param, choices: Mapping[str, str], value: Any) -> Param:
    """A list that is known in full needs no looking up, where it holds what was chosen already."""
    if not selectable(choices) or (joined(value) and joined(value) not in choices):
        return spec
    widget = {Widget.LOOKUP: Widget.SELECT, Widget.MULTI_LOOKUP: Widget.MULTI_SELECT}
    return replace(spec, choices=choices, lookup="", widget=widget.get(spec.widget, spec.widget))


def form_or_review(
    operation: Operation,
    values: Mapping[str, Any],
    *,
    draft: str,
    problems: Sequence[Problem] = (),
) -> View:
    """The form filled with `values`; where it cannot hold them whole, what to do instead."""
    try:
        return form_view(operation, values, draft=draft, problems=problems)
    except TooLong:
        said = [f":warning: {escape(each.message)}" for each in problems]
        view = message_view(operation.title, "\n".join([*said, withheld(operation, values)]))
        return {**view, "blocks": [*view["blocks"], *review_button(operation, values, draft)]}


def holds(operation: Operation, values: Mapping[str, Any]) -> bool:
    """True where a form of this operation holds all of `values` whole."""
    try:
        form_view(operation, values, draft="")
    except TooLong:
        return False
    return True


def withheld(operation: Operation, values: Mapping[str, Any]) -> str:
    """Why no form is offered with `values`, beginning with what to do instead."""
    named = len(as_list(values.get(operation.records_in) or ""))
    what = many(named, operation.noun) if named else "What you typed"
    begin = "Review it" if _is_legal(operation, values) else "Name fewer, or type it once more"
    verb = "were" if named > 1 else "was"
    return f"{begin}: {what} {verb} understood, and no form can hold that much."


def review_button(operation: Operation, values: Mapping[str, Any], draft: str) -> list[Block]:
    """The button that reviews a draft without its form, where it is complete."""
    if not draft or not _is_legal(operation, values):
        return []
    return [actions([button("Review", "review", draft, style="primary")], "offer")]


def _is_legal(operation: Operation, values: Mapping[str, Any]) -> bool:
    try:
        read(operation.parameters, values)
    except InvalidInput:
        return False
    return True


def read_form(operation: Operation, state: Mapping[str, Any]) -> dict[str, Any]:
    """Slack's `state.values` → raw values by parameter name; what was left blank is absent."""
    return read_inputs(list(operation.params()), state)


def form_errors(
    operation: Operation, view: Mapping[str, Any], problems: Sequence[Problem]
) -> dict[str, str]:
    """What is wrong, on the input that it is about; the rest on the first one."""
    inputs = {each["block_id"] for each in view["blocks"] if each["type"] == "input"}
    errors: dict[str, str] = {}
    for each in problems:
        block = each.name if each.name in inputs else operation.records_in
        said = f"{errors[block]} {each.message}" if block in errors else each.message
        errors[block] = cut(said.replace("`", ""), 2000)
    return errors


def lookup_options(entries: Sequence[Lookup], typed: str, empty: str = "") -> list[Block]:
    """A vendor's entries as options, with the typed text itself as the last resort.

    `empty` is what an empty value does, where it does anything: then that is an option too.
    """
    options = options_of(
        {
            each.value: f"{each.label} · {each.detail}" if each.detail else each.label
            for each in entries[: MOST_OPTIONS - 2]
        }
    )
    word = typed.strip()
    if word and all(each["value"] != word for each in options):
        options += options_of({word: f"Use “{word}”"})
    if empty and not word:
        options = [*options_of({EMPTY: empty}), *options]
    return options
