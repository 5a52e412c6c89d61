"""Inputs derived from parameters, and their values read back. A value is held whole, or refused.

Slack's limits (docs.slack.dev, Block Kit reference): 3,000 characters in a text input, 150 in the
value of an option, 100 options in a select or chosen in a multi-select.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from bot.domain.parameters import Param, Widget
from bot.slack.views.blocks import Block, plain

EMPTY = "—none—"  # Slack takes no empty option value; this one means ""
MOST_OPTIONS = 100
MOST_VALUE = 150
MOST_TEXT = 3000
_LONE_LIST = frozenset({Widget.MULTI_SELECT, Widget.MULTI_LOOKUP})


class TooLong(ValueError):
    """A value that no input holds whole; `name` is its parameter."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no input holds the value of {name}")
        self.name = name


def input_block(name: str, spec: Param, value: Any, *, required: bool) -> Block:
    """The input of one parameter, filled with `value`. Raises `TooLong`."""
    if len(joined(value)) > MOST_TEXT and spec.widget not in _LONE_LIST:
        raise TooLong(name)
    element = _element(spec, value)
    if len(str(element.get("initial_value", ""))) > MOST_TEXT:
        raise TooLong(name)
    block: Block = {
        "type": "input",
        "block_id": name,
        "optional": not required,
        "label": plain(spec.title, 2000),
        "element": {"action_id": name, **element},
    }
    if spec.help:
        block["hint"] = plain(spec.help, 2000)
    return block


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
    """Also for what does not fit the parameter's own widget: the text holds it as it was typed."""
    initial = joined(value)
    lines = spec.widget is Widget.LINES or "\n" in initial
    element: Block = {"type": "plain_text_input", "multiline": lines}
    if spec.example:
        element["placeholder"] = plain(spec.example, 150)
    if spec.widget is Widget.LINES:
        own = min(spec.most or MOST_TEXT, MOST_TEXT)
        # A text over the parameter's own limit is shown whole; submitting it says what is wrong.
        element["max_length"] = own if len(initial) <= own else MOST_TEXT
    if initial:
        element["initial_value"] = initial
    return element


def _number(spec: Param, value: Any) -> Block:
    initial = joined(value)
    if initial and not (re.fullmatch(r"-?[0-9]{1,15}", initial) and _inside(int(initial), spec)):
        return _text(spec, value)
    element: Block = {"type": "number_input", "is_decimal_allowed": False}
    if spec.least is not None:
        element["min_value"] = str(spec.least)
    if spec.most is not None:
        element["max_value"] = str(spec.most)
    if initial:
        element["initial_value"] = str(int(initial))
    return element


def _inside(number: int, spec: Param) -> bool:
    low = spec.least if spec.least is not None else number
    high = spec.most if spec.most is not None else number
    return low <= number <= high


def _date(spec: Param, value: Any) -> Block:
    initial = joined(value)
    if initial and not _is_day(initial):
        return _text(spec, value)
    element: Block = {"type": "datepicker"}
    if initial:
        element["initial_date"] = initial
    return element


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _select(spec: Param, value: Any) -> Block:
    options = _choices(spec)
    element: Block = {"type": "static_select", "options": options}
    wanted = EMPTY if value == "" else joined(value)
    initial = _chosen(options, [wanted])
    if initial:
        element["initial_option"] = initial[0]
    return element


def _multi_select(spec: Param, value: Any) -> Block:
    options = _choices(spec)
    element: Block = {"type": "multi_static_select", "options": options}
    chosen = _chosen(options, _items(value))
    if chosen:
        element["initial_options"] = chosen
    return element


def _chosen(options: Sequence[Block], wanted: Sequence[str]) -> list[Block]:
    """The options that were chosen, by value or by words, in any case."""
    known = {each["text"]["text"].casefold(): each for each in options}
    known |= {each["value"].casefold(): each for each in options}
    found = {name: known[name] for each in wanted if (name := each.casefold()) in known}
    return list({each["value"]: each for each in found.values()}.values())


def _choices(spec: Param) -> list[Block]:
    found = [_option(label, value) for value, label in spec.choices.items()]
    return [*found, _option(spec.empty_means, EMPTY)] if spec.empty_means else found


def _lookup(spec: Param, value: Any) -> Block:
    initial = joined(value)
    if not _is_value(initial):
        return _text(spec, value)
    element: Block = {"type": "external_select", "min_query_length": 0}
    if value == "" and spec.empty_means:
        element["initial_option"] = _option(spec.empty_means, EMPTY)
    elif initial:
        element["initial_option"] = _option(initial, initial)
    return element


def _multi_lookup(spec: Param, value: Any) -> Block:
    chosen = list(dict.fromkeys(_items(value)))
    if len(chosen) > MOST_OPTIONS or not all(map(_is_value, chosen)):
        return _text(spec, value)
    element: Block = {"type": "multi_external_select", "min_query_length": 0}
    if chosen:
        element["initial_options"] = [_option(each, each) for each in chosen]
    return element


def _is_value(text: str) -> bool:
    """True for what can stand as the value of an option."""
    return len(text) <= MOST_VALUE and text.strip() == text


def _option(label: str, value: str) -> Block:
    return {"text": plain(label, 75), "value": value}


def options_of(entries: Mapping[str, str]) -> list[Block]:
    """Value → words as options; a value that is too long for one is not offered."""
    return [_option(words, value) for value, words in entries.items() if _is_value(value)]


def selectable(choices: Mapping[str, str]) -> bool:
    """True where a select holds all of these choices."""
    return 0 < len(choices) <= MOST_OPTIONS and all(map(_is_value, choices))


def _items(value: Any) -> list[str]:
    if value is None:
        return []
    parts = value.split(",") if isinstance(value, str) else value
    return [text for each in parts if (text := str(each).strip())]


def joined(value: Any) -> str:
    """A raw value as text: lists joined with commas, None as nothing."""
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


# --- reading back ---------------------------------------------------------------------------------


def read_inputs(names: Sequence[str], state: Mapping[str, Any]) -> dict[str, Any]:
    """Slack's `state.values` → raw values by name; what was left blank is absent."""
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
