"""What a form holds: initial values, what a person entered, and what the client checks itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from deploy.sandbox.slack.block_rules import elements_of
from deploy.sandbox.slack.workspace import Json

# For each stateful element: the key of its value in the state, and of its initial value.
KEYS = {
    "plain_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "rich_text_input": ("rich_text_value", "initial_value"),
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "users_select": ("selected_user", "initial_user"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "channels_select": ("selected_channel", "initial_channel"),
    "multi_static_select": ("selected_options", "initial_options"),
    "multi_external_select": ("selected_options", "initial_options"),
    "checkboxes": ("selected_options", "initial_options"),
    "multi_users_select": ("selected_users", "initial_users"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "file_input": ("files", ""),
}
REQUIRED = "Please complete this required field."
_FORMS = {
    "number_input": (r"-?\d+(\.\d+)?", "Please enter a number."),
    "email_text_input": (r"[^@\s]+@[^@\s]+\.[^@\s]+", "Please enter an email address."),
    "url_text_input": (r"https?://\S+", "Please enter a URL."),
}


class BadEntry(ValueError):
    """A person cannot do this with that element."""


def stateful(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Each block and element that holds a value."""
    for block in blocks:
        yield from stateful(block.get("child_blocks") or [])
        for element in elements_of(block):
            if element.get("type") in KEYS:
                yield block, element


def element_at(blocks: list[Json], block_id: str, action_id: str) -> tuple[Json, Json]:
    """The element with these ids."""
    for block in blocks:
        for inner in [block, *(block.get("child_blocks") or [])]:
            for element in elements_of(inner):
                if (inner.get("block_id"), element.get("action_id")) == (block_id, action_id):
                    return inner, element
    raise BadEntry(f"no element {action_id!r} in block {block_id!r}")


def values(blocks: list[Json], entered: Json) -> Json:
    """`state.values` of all stateful elements; untouched ones keep their initial values."""
    found: Json = {}
    for block, element in stateful(blocks):
        given = entered.get(block["block_id"], {}).get(element["action_id"])
        state = _initial(element) if given is None else given
        found.setdefault(block["block_id"], {})[element["action_id"]] = state
    return found


def surviving(blocks: list[Json], entered: Json) -> Json:
    """What of the entered values still has its element, with both ids unchanged."""
    kept: Json = {}
    for block, element in stateful(blocks):
        given = entered.get(block["block_id"], {}).get(element["action_id"])
        if given is not None and given["type"] == element["type"]:
            kept.setdefault(block["block_id"], {})[element["action_id"]] = given
    return kept


def entered(blocks: list[Json], given: Json) -> Json:
    """Values from the page, checked against the elements and completed to Slack's form."""
    found: Json = {}
    for block_id, actions in given.items():
        for action_id, value in actions.items():
            _, element = element_at(blocks, block_id, action_id)
            found.setdefault(block_id, {})[action_id] = state_of(element, value)
    return found


def state_of(element: Json, given: Json) -> Json:
    """One element's state."""
    kind = str(element.get("type"))
    if kind not in KEYS:
        raise BadEntry(f"{kind} holds no value")
    key = KEYS[kind][0]
    unknown = set(given) - {key, "type", "timezone"}
    if unknown:
        raise BadEntry(f"{kind} has no {', '.join(sorted(unknown))}")
    value = given.get(key)
    if key in ("selected_option", "selected_options"):
        value = _chosen(element, value)
    state: Json = {"type": kind, key: (value or None) if key == "value" else value}
    if kind == "timepicker":
        state["timezone"] = element.get("timezone")
    return state


def _chosen(element: Json, value: Any) -> Any:
    """Options as the element lists them; those of an external source are taken as given."""
    if isinstance(value, list):
        return [_chosen(element, one) for one in value]
    if value is None or "external" in str(element["type"]):
        return value
    for one in listed(element):
        if one["value"] == value.get("value"):
            return one
    raise BadEntry(f"{value.get('value')!r} is not one of the options")


def listed(element: Json) -> list[Json]:
    """All options of an element, groups opened."""
    groups = element.get("option_groups") or []
    return [*(element.get("options") or []), *(one for group in groups for one in group["options"])]


def _initial(element: Json) -> Json:
    key, initial = KEYS[element["type"]]
    empty: Any = [] if key.endswith("s") else None
    value = element.get(initial, empty)
    state: Json = {"type": element["type"], key: (value or None) if key == "value" else value}
    if element["type"] == "timepicker":
        state["timezone"] = element.get("timezone")
    return state


def client_errors(blocks: list[Json], state: Json) -> dict[str, str]:
    """What Slack's client refuses before it sends a submission, by block id."""
    found: dict[str, str] = {}
    for block, element in stateful(blocks):
        if block.get("type") != "input":
            continue
        value = state[block["block_id"]][element["action_id"]].get(KEYS[element["type"]][0])
        error = _entry_error(element, value, optional=block.get("optional", False))
        if error:
            found[block["block_id"]] = error
    return found


def _entry_error(element: Json, value: Any, *, optional: bool) -> str:
    if value in (None, "", []):
        return "" if optional else REQUIRED
    if isinstance(value, list):
        most = element.get("max_selected_items", len(value))
        return f"Please choose at most {most}." if len(value) > most else ""
    return _text_error(element, value) if isinstance(value, str) else ""


def _text_error(element: Json, value: str) -> str:
    pattern, text = _FORMS.get(element["type"], ("", ""))
    if pattern and not re.fullmatch(pattern, value):
        return text
    if element["type"] == "number_input":
        return _number_error(element, value)
    if len(value) < element.get("min_length", 0):
        return f"Please enter at least {element['min_length']} characters."
    if element["type"] == "plain_text_input" and len(value) > element.get("max_length", 3000):
        return f"Please enter at most {element.get('max_length', 3000)} characters."
    return ""


def _number_error(element: Json, value: str) -> str:
    if "." in value and not element.get("is_decimal_allowed"):
        return "Please enter a whole number."
    if "min_value" in element and float(value) < float(element["min_value"]):
        return f"Please enter {element['min_value']} or more."
    if "max_value" in element and float(value) > float(element["max_value"]):
        return f"Please enter {element['max_value']} or less."
    return ""
