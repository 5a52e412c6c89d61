"""The shapes of Block Kit's elements and composition objects, with their limits."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.slack.rule_checks import (
    Check,
    Json,
    Shape,
    any_text,
    anything,
    array,
    boolean,
    choice,
    exactly_one_of,
    integer,
    matching,
    plain_text,
    string,
)

URL = string(3000)
DATE = matching(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", "a date as YYYY-MM-DD")
TIME = matching(r"([01]\d|2[0-3]):[0-5]\d", "a time as HH:mm")
NUMBER = matching(r"-?\d+(\.\d+)?", "a number in a string")
PLACEHOLDER = plain_text(150)

CONFIRM = Shape(
    {"title": plain_text(100), "text": any_text(300)},
    {"confirm": plain_text(30), "deny": plain_text(30), "style": choice("primary", "danger")},
)
DISPATCH = Shape(
    {},
    {"trigger_actions_on": array(choice("on_enter_pressed", "on_character_entered"), 2)},
)
SLACK_FILE = Shape({}, {"id": string(255), "url": URL}, (exactly_one_of("id", "url"),))
FILTER = Shape(
    {},
    {
        "include": array(choice("im", "mpim", "private", "public"), 4),
        "exclude_external_shared_channels": boolean,
        "exclude_bot_users": boolean,
    },
)


_DESCRIPTION: dict[str, Check] = {"description": any_text(75)}
OPTION = Shape({"text": plain_text(75), "value": string(150)}, _DESCRIPTION)
RICH_OPTION = Shape({"text": any_text(75), "value": string(150)}, _DESCRIPTION)
# Only the options of an overflow menu carry a URL.
LINK_OPTION = Shape(OPTION.required, _DESCRIPTION | {"url": URL})
OPTION_GROUP = Shape({"label": plain_text(75), "options": array(OPTION, 100)})

# What answers a block_suggestion: one of the two lists, possibly empty.
SUGGESTIONS = Shape(
    {},
    {"options": array(OPTION, 100, 0), "option_groups": array(OPTION_GROUP, 100, 0)},
    (exactly_one_of("options", "option_groups"),),
)


def _listed(element: Json) -> list[Any]:
    groups = element.get("option_groups") or []
    grouped = [one for group in groups if isinstance(group, dict) for one in group["options"]]
    return [*(element.get("options") or []), *grouped]


def _initial_is_listed(element: Json, path: str, found: list[str]) -> None:
    chosen = [*(element.get("initial_options") or [])]
    if "initial_option" in element:
        chosen.append(element["initial_option"])
    if not chosen:
        return
    try:
        listed = _listed(element)
    except (KeyError, TypeError):
        return  # the groups' own shape is reported already
    found += [
        f"{path}: initial option {one!r} is not one of the options"
        for one in chosen
        if one not in listed
    ]


def _values_differ(element: Json, path: str, found: list[str]) -> None:
    values = [one.get("value") for one in element.get("options") or [] if isinstance(one, dict)]
    if len(set(map(str, values))) < len(values):
        found.append(f"{path}: two options have the same value")


def _lengths_in_order(element: Json, path: str, found: list[str]) -> None:
    low, high = element.get("min_length"), element.get("max_length")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        found.append(f"{path}: min_length is greater than max_length")


def _initial_fits(element: Json, path: str, found: list[str]) -> None:
    initial, longest = element.get("initial_value"), element.get("max_length")
    if isinstance(initial, str) and isinstance(longest, int) and len(initial) > longest:
        found.append(f"{path}: initial_value is longer than max_length")


_COMMON: dict[str, Check] = {"type": anything, "action_id": string(255)}
_ASKED: dict[str, Check] = _COMMON | {"confirm": CONFIRM, "focus_on_load": boolean}
_TYPED: dict[str, Check] = _COMMON | {
    "placeholder": PLACEHOLDER,
    "focus_on_load": boolean,
    "dispatch_action_config": DISPATCH,
}
_SELECT: dict[str, Check] = _ASKED | {"placeholder": PLACEHOLDER}
_MANY: dict[str, Check] = _SELECT | {"max_selected_items": integer(1, 1000)}
_IDS = array(string(50), 100, 0)
_OPTIONS: dict[str, Check] = {
    "options": array(OPTION, 100),
    "option_groups": array(OPTION_GROUP, 100),
}
_STATIC = (exactly_one_of("options", "option_groups"), _initial_is_listed, _values_differ)
_QUERY: dict[str, Check] = {"min_query_length": integer(0, 100)}
_BUTTON_TEXT: dict[str, Check] = {"text": plain_text(75)}
_FEEDBACK = Shape(
    {"text": plain_text(75), "value": string(2000)}, {"accessibility_label": string(75)}
)

ELEMENTS: dict[str, Shape] = {
    "button": Shape(
        _BUTTON_TEXT,
        _COMMON
        | {
            "value": string(2000),
            "url": URL,
            "style": choice("primary", "danger"),
            "confirm": CONFIRM,
            "accessibility_label": string(75),
        },
    ),
    "static_select": Shape({}, _SELECT | _OPTIONS | {"initial_option": OPTION}, _STATIC),
    "multi_static_select": Shape(
        {}, _MANY | _OPTIONS | {"initial_options": array(OPTION, 100)}, _STATIC
    ),
    "external_select": Shape({}, _SELECT | _QUERY | {"initial_option": OPTION}),
    "multi_external_select": Shape({}, _MANY | _QUERY | {"initial_options": array(OPTION, 100)}),
    "users_select": Shape({}, _SELECT | {"initial_user": string(50)}),
    "multi_users_select": Shape({}, _MANY | {"initial_users": _IDS}),
    "conversations_select": Shape(
        {},
        _SELECT
        | {
            "initial_conversation": string(50),
            "default_to_current_conversation": boolean,
            "response_url_enabled": boolean,
            "filter": FILTER,
        },
    ),
    "multi_conversations_select": Shape(
        {},
        _MANY
        | {
            "initial_conversations": _IDS,
            "default_to_current_conversation": boolean,
            "filter": FILTER,
        },
    ),
    "channels_select": Shape(
        {}, _SELECT | {"initial_channel": string(50), "response_url_enabled": boolean}
    ),
    "multi_channels_select": Shape({}, _MANY | {"initial_channels": _IDS}),
    "overflow": Shape({"options": array(LINK_OPTION, 5)}, _COMMON | {"confirm": CONFIRM}),
    "checkboxes": Shape(
        {"options": array(RICH_OPTION, 10)},
        _ASKED | {"initial_options": array(RICH_OPTION, 10)},
        (_initial_is_listed, _values_differ),
    ),
    "radio_buttons": Shape(
        {"options": array(RICH_OPTION, 10)},
        _ASKED | {"initial_option": RICH_OPTION},
        (_initial_is_listed, _values_differ),
    ),
    "datepicker": Shape({}, _SELECT | {"initial_date": DATE}),
    "timepicker": Shape({}, _SELECT | {"initial_time": TIME, "timezone": string(100)}),
    "datetimepicker": Shape(
        {}, _ASKED | {"initial_date_time": integer(1_000_000_000, 9_999_999_999)}
    ),
    "plain_text_input": Shape(
        {},
        _TYPED
        | {
            "initial_value": string(3000, 0),
            "multiline": boolean,
            "min_length": integer(0, 3000),
            "max_length": integer(1, 3000),
        },
        (_lengths_in_order, _initial_fits),
    ),
    "number_input": Shape(
        {"is_decimal_allowed": boolean},
        _TYPED | {"initial_value": NUMBER, "min_value": NUMBER, "max_value": NUMBER},
    ),
    "email_text_input": Shape({}, _TYPED | {"initial_value": string(3000, 0)}),
    "url_text_input": Shape({}, _TYPED | {"initial_value": string(3000, 0)}),
    "rich_text_input": Shape({}, _TYPED | {"initial_value": anything}),
    "file_input": Shape(
        {}, _COMMON | {"filetypes": array(string(20), 50), "max_files": integer(1, 10)}
    ),
    "image": Shape(
        {"alt_text": string(2000)},
        {"type": anything, "image_url": URL, "slack_file": SLACK_FILE},
        (exactly_one_of("image_url", "slack_file"),),
    ),
    "feedback_buttons": Shape(
        {"positive_button": _FEEDBACK, "negative_button": _FEEDBACK}, _COMMON
    ),
    "icon_button": Shape(
        {"icon": string(50), "text": plain_text(75)},
        _COMMON
        | {
            "value": string(2000),
            "confirm": CONFIRM,
            "accessibility_label": string(75),
            "visible_to_user_ids": array(string(50), 10),
        },
    ),
    "url": Shape({"url": URL, "text": string(300)}, {"type": anything}),
}

SINGLE_SELECTS = frozenset(
    f"{source}_select" for source in ("static", "external", "users", "conversations", "channels")
)
MULTI_SELECTS = frozenset(f"multi_{name}" for name in SINGLE_SELECTS)
SELECTS = SINGLE_SELECTS | MULTI_SELECTS
PICKERS = frozenset({"checkboxes", "radio_buttons", "datepicker", "timepicker"})
INPUT_ELEMENTS = (
    SELECTS
    | PICKERS
    | {"datetimepicker", "plain_text_input", "number_input", "email_text_input"}
    | {"url_text_input", "rich_text_input", "file_input"}
)
ACTION_ELEMENTS = SELECTS | PICKERS | {"button", "overflow", "datetimepicker", "rich_text_input"}
ACCESSORIES = SELECTS | PICKERS | {"button", "overflow", "image"}
