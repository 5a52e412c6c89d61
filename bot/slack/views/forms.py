"""Forms derived from an operation's parameters, and their values read back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.domain.errors import Problem
from bot.domain.operations import Lookup, Operation
from bot.domain.parameters import Kind, Param, Widget
from bot.slack.views.blocks import Block, cut, divider, escape, header, plain, section

View = dict[str, Any]

EMPTY = "—none—"  # Slack takes no empty option value; this one means ""
MOST_OPTIONS = 100
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def form_view(
    operation: Operation,
    values: Mapping[str, Any],
    *,
    draft: str,
    problems: Sequence[Problem] = (),
    choices: Mapping[str, Mapping[str, str]] | None = None,
) -> View:
    """An operation's form, filled with `values`; what is wrong and has no input stands on top.

    `choices` narrows what is offered: parameter → (wire value → words).
    """
    params = {
        name: replace(spec, choices=narrow[name], lookup="", widget=_narrowed(spec))
        if name in (narrow := choices or {}) and narrow[name]
        else spec
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


# --- inputs ---------------------------------------------------------------------------------------


def input_block(name: str, spec: Param, value: Any, *, required: bool) -> Block:
    """The input of one parameter, filled with `value`."""
    block: Block = {
        "type": "input",
        "block_id": name,
        "optional": not required,
        "label": plain(spec.title, 2000),
        "element": {"action_id": name, **_element(spec, value)},
    }
    if spec.help:
        block["hint"] = plain(spec.help, 2000)
    return block


def _narrowed(spec: Param) -> Widget:
    """A list that is known in full needs no looking up."""
    return {Widget.LOOKUP: Widget.SELECT, Widget.MULTI_LOOKUP: Widget.MULTI_SELECT}.get(
        spec.widget, spec.widget
    )


def _element(spec: Param, value: Any) -> Block:
    draw = {
        Widget.SELECT: _select,
        Widget.MULTI_SELECT: _multi_select,
        Widget.NUMBER: _number,
        Widget.DATE: _date,
        Widget.LOOKUP: _lookup,
        Widget.MULTI_LOOKUP: _multi_lookup,
    }.get(spec.widget, _text)
    return draw(spec, value)


def _text(spec: Param, value: Any) -> Block:
    element: Block = {"type": "plain_text_input", "multiline": spec.widget is Widget.LINES}
    if spec.example:
        element["placeholder"] = plain(spec.example, 150)
    limit = 3000
    if spec.most is not None and spec.widget in (Widget.TEXT, Widget.LINES):
        limit = min(spec.most, 3000) if spec.widget is Widget.LINES else 3000
    if spec.widget is Widget.LINES:
        element["max_length"] = limit
    initial = _joined(value)
    if initial:
        element["initial_value"] = initial[:limit]
    return element


def _number(spec: Param, value: Any) -> Block:
    initial = _joined(value)
    if initial and not re.fullmatch(r"-?\d{1,15}", initial):
        return _text(spec, value)
    element: Block = {"type": "number_input", "is_decimal_allowed": False}
    if spec.least is not None:
        element["min_value"] = str(spec.least)
    if spec.most is not None:
        element["max_value"] = str(spec.most)
    if initial and _inside(int(initial), spec):
        element["initial_value"] = str(int(initial))
    return element


def _inside(number: int, spec: Param) -> bool:
    low = spec.least if spec.least is not None else number
    high = spec.most if spec.most is not None else number
    return low <= number <= high


def _date(spec: Param, value: Any) -> Block:
    initial = _joined(value)
    if initial and not _DATE.fullmatch(initial):
        return _text(spec, value)
    element: Block = {"type": "datepicker"}
    if initial:
        element["initial_date"] = initial
    return element


def _select(spec: Param, value: Any) -> Block:
    options = {each["value"]: each for each in _choices(spec)}
    element: Block = {"type": "static_select", "options": list(options.values())}
    wanted = EMPTY if value == "" else _joined(value)
    initial = options.get(wanted) or options.get(wanted.upper())
    if initial:
        element["initial_option"] = initial
    return element


def _multi_select(spec: Param, value: Any) -> Block:
    options = {each["value"]: each for each in _choices(spec)}
    element: Block = {"type": "multi_static_select", "options": list(options.values())}
    chosen = [options[each.upper()] for each in _items(value) if each.upper() in options]
    if chosen:
        element["initial_options"] = chosen
    return element


def _choices(spec: Param) -> list[Block]:
    found = [_option(label, value) for value, label in spec.choices.items()]
    return [*found, _option(spec.empty_means, EMPTY)] if spec.empty_means else found


def _lookup(spec: Param, value: Any) -> Block:
    element: Block = {"type": "external_select", "min_query_length": 0}
    initial = _joined(value)
    if value == "" and spec.empty_means:
        element["initial_option"] = _option(spec.empty_means, EMPTY)
    elif initial:
        element["initial_option"] = _option(initial, initial)
    return element


def _multi_lookup(_spec: Param, value: Any) -> Block:
    element: Block = {"type": "multi_external_select", "min_query_length": 0}
    chosen = [_option(each, each) for each in _items(value)[:MOST_OPTIONS]]
    if chosen:
        element["initial_options"] = chosen
    return element


def _option(label: str, value: str) -> Block:
    return {"text": plain(label, 75), "value": cut(value, 150)}


def _items(value: Any) -> list[str]:
    if value is None:
        return []
    parts = value.split(",") if isinstance(value, str) else value
    return [text for each in parts if (text := str(each).strip())]


def _joined(value: Any) -> str:
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


# --- reading back ---------------------------------------------------------------------------------


def read_form(operation: Operation, state: Mapping[str, Any]) -> dict[str, Any]:
    """Slack's `state.values` → raw values by parameter name; what was left blank is absent."""
    return read_inputs(list(operation.params()), state)


def read_inputs(names: Sequence[str], state: Mapping[str, Any]) -> dict[str, Any]:
    """The same for any inputs, by their names."""
    raw: dict[str, Any] = {}
    for name in names:
        for element in (state.get(name) or {}).values():
            value = _value(element)
            if value:
                raw[name] = "" if value == EMPTY else value
    return raw


def _value(element: Mapping[str, Any]) -> str | list[str]:
    for key in ("selected_option", "selected_options"):
        chosen = element.get(key)
        if isinstance(chosen, list):
            return [str(each["value"]) for each in chosen]
        if chosen:
            return str(chosen["value"])
    found = element.get("selected_date") or element.get("value")
    return str(found).strip() if found else ""


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
    options = [
        _option(f"{each.label} · {each.detail}" if each.detail else each.label, each.value)
        for each in entries[: MOST_OPTIONS - 2]
        if len(each.value) <= 150
    ]
    word = typed.strip()
    if word and len(word) <= 150 and all(each["value"] != word for each in options):
        options.append(_option(f"Use “{word}”", word))
    if empty and not word:
        options.insert(0, _option(empty, EMPTY))
    return options
