"""The sandbox's Block Kit rules: good samples pass, and each bad one is told apart."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deploy.sandbox.slack.block_rules import problems

Json = dict[str, Any]


def plain(text: str = "text") -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str = "text") -> Json:
    return {"type": "mrkdwn", "text": text}


def section(**more: Any) -> Json:
    return {"type": "section", "text": mrkdwn(), **more}


def option(value: str = "a") -> Json:
    return {"text": plain(value), "value": value}


def button(action_id: str = "go", **more: Any) -> Json:
    return {"type": "button", "action_id": action_id, "text": plain(), **more}


def actions(*elements: Json, **more: Any) -> Json:
    return {"type": "actions", "elements": list(elements), **more}


def asked(element: Json, **more: Any) -> Json:
    return {"type": "input", "label": plain(), "element": element, **more}


def select(**more: Any) -> Json:
    return {"type": "static_select", "action_id": "s", "options": [option()], **more}


def table(rows: int = 1, cells: int = 1, text: str = "x") -> Json:
    row = [{"type": "raw_text", "text": text} for _ in range(cells)]
    return {"type": "table", "rows": [copy.deepcopy(row) for _ in range(rows)]}


def data_table(**more: Any) -> Json:
    cell = {"type": "raw_text", "text": "x"}
    return {"type": "data_table", "caption": "c", "rows": [[cell, cell], [cell, cell]], **more}


TEXT = {"type": "plain_text_input", "action_id": "t"}
CONFIRM = {"title": plain(), "text": mrkdwn(), "confirm": plain("Yes"), "deny": plain("No")}

GOOD_MESSAGE = [
    {"type": "header", "text": plain("Heading")},
    section(block_id="one", fields=[mrkdwn()] * 10, accessory=button(confirm=CONFIRM)),
    {"type": "divider"},
    {
        "type": "context",
        "elements": [
            mrkdwn(),
            {"type": "image", "image_url": "https://x.example", "alt_text": "x"},
        ],
    },
    actions(button("a", style="danger", value="v"), select(initial_option=option())),
    table(100, 2),
    {"type": "markdown", "text": "# hello"},
    {
        "type": "rich_text",
        "elements": [
            {"type": "rich_text_section", "elements": [{"type": "text", "text": "hello"}]},
            {
                "type": "rich_text_list",
                "style": "bullet",
                "elements": [
                    {"type": "rich_text_section", "elements": [{"type": "text", "text": "one"}]}
                ],
            },
        ],
    },
]

GOOD_MODAL = {
    "type": "modal",
    "callback_id": "form",
    "title": plain("A form"),
    "submit": plain("Send"),
    "private_metadata": "{}",
    "notify_on_close": True,
    "blocks": [
        section(),
        {"type": "alert", "text": mrkdwn("careful"), "level": "warning"},
        asked(TEXT | {"multiline": True, "max_length": 3000, "min_length": 1}, block_id="i1"),
        asked(select(initial_option=option()), optional=True, hint=plain()),
        asked({"type": "checkboxes", "action_id": "c", "options": [option(), option("b")]}),
        asked({"type": "number_input", "action_id": "n", "is_decimal_allowed": False}),
        asked({"type": "datepicker", "action_id": "d", "initial_date": "2026-11-30"}),
        asked({"type": "external_select", "action_id": "e", "min_query_length": 0}),
        asked({"type": "multi_users_select", "action_id": "u", "initial_users": ["U0MARA"]}),
    ],
}


def test_good_samples_pass() -> None:
    assert problems("message", GOOD_MESSAGE) == []
    assert problems("message", []) == []
    assert problems("modal", GOOD_MODAL) == []
    assert problems("home", {"type": "home", "blocks": [section(), data_table()]}) == []
    assert problems("message", [data_table(page_size=10, row_header_column_index=0)]) == []


BAD_BLOCKS: list[tuple[str, list[Any]]] = [
    ("no more than 50", [section()] * 51),
    ("unsupported type: nonsense", [{"type": "nonsense"}]),
    ("must be an object", ["text"]),
    ("at least 1 characters", [{"type": "section", "text": mrkdwn("")}]),
    ("no more than 3000", [{"type": "section", "text": mrkdwn("x" * 3001)}]),
    ("needs one of text, fields", [{"type": "section"}]),
    ("no more than 10 items", [section(fields=[mrkdwn()] * 11)]),
    ("no more than 2000", [section(fields=[mrkdwn("x" * 2001)])]),
    ("unknown field: colour", [section(colour="red")]),
    ("must be one of plain_text", [{"type": "header", "text": mrkdwn()}]),
    ("no more than 150", [{"type": "header", "text": plain("x" * 151)}]),
    ("no more than 255", [section(block_id="x" * 256)]),
    ("duplicate block_id: b", [section(block_id="b"), section(block_id="b")]),
    ("duplicate action_id: go", [actions(button(), button())]),
    ("no more than 25 items", [actions(*(button(str(i)) for i in range(26)))]),
    ("at least 1 items", [actions()]),
    ("no more than 75", [actions({"type": "button", "text": plain("x" * 76)})]),
    ("no more than 2000", [actions(button(value="x" * 2001))]),
    ("must be one of primary", [actions(button(style="default"))]),
    ("unsupported type: plain_text_input", [actions(TEXT)]),
    ("missing required field: title", [actions(button(confirm={"text": mrkdwn()}))]),
    ("no more than 30", [actions(button(confirm=CONFIRM | {"deny": plain("x" * 31)}))]),
    ("no more than 100 items", [actions(select(options=[option(str(i)) for i in range(101)]))]),
    ("at least 1 items", [actions(select(options=[]))]),
    ("exactly one of options", [actions({"type": "static_select"})]),
    ("same value", [actions(select(options=[option(), option()]))]),
    ("not one of the options", [actions(select(initial_option=option("z")))]),
    ("no more than 150", [actions(select(options=[option("x") | {"value": "v" * 151}]))]),
    ("unknown field: url", [actions(select(options=[option() | {"url": "https://x.example"}]))]),
    ("no more than 5 items", [actions({"type": "overflow", "options": [option()] * 6})]),
    (
        "no more than 10 items",
        [actions({"type": "radio_buttons", "options": [option(str(i)) for i in range(11)]})],
    ),
    ("missing required field: alt_text", [{"type": "image", "image_url": "https://x.example"}]),
    ("a date as", [actions({"type": "datepicker", "initial_date": "30.11.2026"})]),
    ("a date as", [actions({"type": "datepicker", "initial_date": "2026-13-01"})]),
    ("no more than 10 items", [{"type": "context", "elements": [mrkdwn()] * 11}]),
    ("must be one of plain_text, mrkdwn", [{"type": "context", "elements": [button()]}]),
    ("unsupported type: alert", [{"type": "alert", "text": mrkdwn()}]),
    ("only_one_table_allowed", [table(), table()]),
    ("no more than 100 items", [table(101)]),
    ("no more than 20 items", [table(1, 21)]),
    ("at least 1 characters", [table(text="")]),
    ("over 10000 characters in table", [table(10, 10, "x" * 110)]),
    ("equally long", [data_table(rows=[[{"type": "raw_text", "text": "x"}], []])]),
    ("missing required field: caption", [{"type": "data_table", "rows": data_table()["rows"]}]),
    ("over 12000 characters in markdown", [{"type": "markdown", "text": "x" * 7000}] * 2),
    ("msg_blocks_too_long", [{"type": "section", "text": mrkdwn("x" * 2900)}] * 5),
]


@pytest.mark.parametrize(("expected", "blocks"), BAD_BLOCKS)
def test_bad_message_blocks(expected: str, blocks: list[Any]) -> None:
    found = problems("message", blocks)
    assert any(expected in one for one in found), found


def without(*keys: str) -> Json:
    return {key: value for key, value in GOOD_MODAL.items() if key not in keys}


BAD_MODALS: list[tuple[str, Json]] = [
    ("missing required field: title", without("title")),
    ("missing required field: blocks", without("blocks")),
    ("submit is required", without("submit")),
    ("no more than 24", GOOD_MODAL | {"title": plain("x" * 25)}),
    ("no more than 3000", GOOD_MODAL | {"private_metadata": "x" * 3001}),
    ("no more than 255", GOOD_MODAL | {"external_id": "x" * 256}),
    ("at least 1 items", GOOD_MODAL | {"blocks": []}),
    ("no more than 100 items", GOOD_MODAL | {"blocks": [section()] * 101}),
    ("unsupported type: table", GOOD_MODAL | {"blocks": [table()]}),
    ("unsupported type: markdown", GOOD_MODAL | {"blocks": [{"type": "markdown", "text": "x"}]}),
    ("unsupported type: data_table", GOOD_MODAL | {"blocks": [data_table()]}),
    ("unsupported type: button", GOOD_MODAL | {"blocks": [asked(button())]}),
    ("no more than 2000", GOOD_MODAL | {"blocks": [asked(TEXT, hint=plain("x" * 2001))]}),
    ("between 1 and 3000", GOOD_MODAL | {"blocks": [asked(TEXT | {"max_length": 3001})]}),
    (
        "min_length is greater",
        GOOD_MODAL | {"blocks": [asked(TEXT | {"min_length": 5, "max_length": 2})]},
    ),
    (
        "is_decimal_allowed",
        GOOD_MODAL | {"blocks": [asked({"type": "number_input", "action_id": "n"})]},
    ),
    (
        "focus_on_load on more than one",
        GOOD_MODAL
        | {
            "blocks": [
                asked(TEXT | {"focus_on_load": True}),
                asked(TEXT | {"focus_on_load": True}),
            ]
        },
    ),
    (
        "does not go with file_input",
        GOOD_MODAL | {"blocks": [asked({"type": "file_input"}, dispatch_action=True)]},
    ),
    ("unknown field: width", GOOD_MODAL | {"width": "wide"}),
    ("must be one of modal", GOOD_MODAL | {"type": "home"}),
]


@pytest.mark.parametrize(("expected", "view"), BAD_MODALS)
def test_bad_modals(expected: str, view: Json) -> None:
    found = problems("modal", view)
    assert any(expected in one for one in found), found


def test_a_home_tab_has_no_submit() -> None:
    found = problems("home", {"type": "home", "submit": plain(), "blocks": [section()]})
    assert found == ["/view: unknown field: submit"]


@pytest.mark.parametrize("value", [None, 1, "text", [1], {"type": 3}, [[]]])
def test_nonsense_is_refused_and_never_fails(value: Any) -> None:
    assert problems("message", value)
    assert problems("modal", value)
    assert problems("home", value)
