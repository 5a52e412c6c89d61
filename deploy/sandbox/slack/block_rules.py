"""Validates every payload of blocks the way Slack does, and reports all that is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from deploy.sandbox.slack.rule_charts import CHART
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
    mrkdwn_text,
    needs_one_of,
    plain_text,
    string,
    typed,
)
from deploy.sandbox.slack.rule_elements import (
    ACCESSORIES,
    ACTION_ELEMENTS,
    ELEMENTS,
    INPUT_ELEMENTS,
    SLACK_FILE,
    URL,
)

Surface = Literal["message", "modal", "home"]

MOST_BLOCKS = {"message": 50, "modal": 100, "home": 100}
MESSAGE_CHARACTERS = 13_000  # a message was refused at about 13,200 with every single limit kept
VIEW_BYTES = 250_000
MARKDOWN_CHARACTERS = 12_000
TABLE_CHARACTERS = 10_000
DATA_TABLE_CHARACTERS = 20_000

_EVERYWHERE = {"actions", "card", "context", "divider", "header", "image", "input", "rich_text"}
_EVERYWHERE |= {"section", "video"}
_TABLES = {"carousel", "container", "data_table", "data_visualization", "table"}
SURFACES: dict[Surface, set[str]] = {
    "message": _EVERYWHERE | _TABLES | {"context_actions", "file", "markdown", "plan", "task_card"},
    # Tables, markdown, containers and plans have no place in a modal.
    "modal": _EVERYWHERE | {"alert"},
    "home": _EVERYWHERE | _TABLES,
}

# What a workspace may be too old to know.
NEWEST = frozenset({"data_table", "data_visualization"})

_BLOCK: dict[str, Check] = {"type": anything, "block_id": string(255)}
_IMAGE: dict[str, Check] = {"image_url": URL, "slack_file": SLACK_FILE}
_PICTURE = typed(ELEMENTS, {"image"})
_RICH_PARTS = (
    "rich_text_section",
    "rich_text_list",
    "rich_text_preformatted",
    "rich_text_quote",
)


def _dispatching_file(block: Json, path: str, found: list[str]) -> None:
    element = block.get("element")
    is_file = isinstance(element, dict) and element.get("type") == "file_input"
    if is_file and block.get("dispatch_action"):
        found.append(f"{path}: dispatch_action does not go with file_input")


def _context_part(value: Any, path: str, found: list[str]) -> None:
    is_image = isinstance(value, dict) and value.get("type") == "image"
    (_PICTURE if is_image else any_text(3000))(value, path, found)


_RICH_LEAF = typed(
    {
        "text": Shape({"text": string(12_000)}, {"type": anything, "style": anything}),
        "link": Shape(
            {"url": URL},
            {"type": anything, "text": string(3000), "style": anything, "unsafe": boolean},
        ),
        "user": Shape({"user_id": string(50)}, {"type": anything, "style": anything}),
        "channel": Shape({"channel_id": string(50)}, {"type": anything, "style": anything}),
        "usergroup": Shape({"usergroup_id": string(50)}, {"type": anything, "style": anything}),
        "broadcast": Shape({"range": choice("here", "channel", "everyone")}, {"type": anything}),
        "emoji": Shape(
            {"name": string(100)}, {"type": anything, "unicode": anything, "style": anything}
        ),
        "date": Shape(
            {"timestamp": anything, "format": string(100)},
            {"type": anything, "url": URL, "fallback": string(300), "style": anything},
        ),
        "color": Shape({"value": string(20)}, {"type": anything}),
    }
)
_RICH_FLOW = Shape(
    {"elements": array(_RICH_LEAF, 500, 0)},
    {"type": anything, "border": anything, "language": anything},
)
_RICH_SECTION = typed({"rich_text_section": _RICH_FLOW})
_RICH_ELEMENTS = {
    "rich_text_section": _RICH_FLOW,
    "rich_text_preformatted": _RICH_FLOW,
    "rich_text_quote": _RICH_FLOW,
    "rich_text_list": Shape(
        {"elements": array(_RICH_SECTION, 500), "style": choice("bullet", "ordered")},
        {"type": anything, "indent": integer(0, 8), "offset": anything, "border": anything},
    ),
}
RICH_TEXT = Shape({"elements": array(typed(_RICH_ELEMENTS, _RICH_PARTS), 500)}, _BLOCK)

_RAW_CELLS = {
    "raw_text": Shape({"text": string(TABLE_CHARACTERS)}, {"type": anything}),
    "raw_number": Shape({"value": anything}, {"type": anything, "text": anything}),
}
_CELL = typed({**_RAW_CELLS, "rich_text": RICH_TEXT})


def _data_table_rows(block: Json, path: str, found: list[str]) -> None:
    rows = block.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows) or not rows:
        return
    if len({len(row) for row in rows}) > 1:
        found.append(f"{path}/rows: all rows must be equally long")
    for place, cell in enumerate(rows[0]):
        if isinstance(cell, dict) and cell.get("type") == "rich_text":
            found.append(f"{path}/rows/0/{place}: no rich_text in the header row")


_TASK: dict[str, Check] = {
    "task_id": string(255),
    "title": string(300),
    "status": choice("pending", "in_progress", "complete", "error"),
}
_TASK_MORE: dict[str, Check] = {
    "details": RICH_TEXT,
    "output": RICH_TEXT,
    "sources": array(typed(ELEMENTS, {"url"}), 20, 0),
}

BLOCKS: dict[str, Shape] = {
    "section": Shape(
        {},
        _BLOCK
        | {
            "text": any_text(3000),
            "fields": array(any_text(2000), 10),
            "accessory": typed(ELEMENTS, ACCESSORIES),
            "expand": boolean,
        },
        (needs_one_of("text", "fields"),),
    ),
    "header": Shape({"text": plain_text(150)}, _BLOCK),
    "divider": Shape({}, _BLOCK),
    "context": Shape(
        {"elements": array(_context_part, 10)},
        _BLOCK,
    ),
    "actions": Shape({"elements": array(typed(ELEMENTS, ACTION_ELEMENTS), 25)}, _BLOCK),
    "context_actions": Shape(
        {"elements": array(typed(ELEMENTS, {"feedback_buttons", "icon_button"}), 5)}, _BLOCK
    ),
    "image": Shape(
        {"alt_text": string(2000)},
        _BLOCK | _IMAGE | {"title": plain_text(2000)},
        (exactly_one_of("image_url", "slack_file"),),
    ),
    "input": Shape(
        {"label": plain_text(2000), "element": typed(ELEMENTS, INPUT_ELEMENTS)},
        _BLOCK | {"hint": plain_text(2000), "optional": boolean, "dispatch_action": boolean},
        (_dispatching_file,),
    ),
    "rich_text": RICH_TEXT,
    "file": Shape({"external_id": string(255), "source": choice("remote")}, _BLOCK),
    "markdown": Shape({"text": string(MARKDOWN_CHARACTERS)}, _BLOCK),
    "video": Shape(
        {
            "alt_text": string(2000),
            "title": plain_text(200),
            "thumbnail_url": URL,
            "video_url": URL,
        },
        _BLOCK
        | {
            "title_url": URL,
            "description": plain_text(200),
            "author_name": string(50),
            "provider_name": string(50),
            "provider_icon_url": URL,
        },
    ),
    "table": Shape(
        {"rows": array(array(_CELL, 20), 100)}, _BLOCK | {"column_settings": array(anything, 20)}
    ),
    "data_table": Shape(
        {"rows": array(array(_CELL, 20), 201, 2), "caption": string(300)},
        _BLOCK | {"page_size": integer(1, 100), "row_header_column_index": integer(0, 19)},
        (_data_table_rows,),
    ),
    "data_visualization": Shape({"title": string(50), "chart": CHART}, _BLOCK),
    "alert": Shape(
        {"text": any_text(200)},
        _BLOCK | {"level": choice("default", "info", "warning", "error", "success")},
    ),
    "card": Shape(
        {},
        _BLOCK
        | {
            "hero_image": _PICTURE,
            "icon": _PICTURE,
            "title": mrkdwn_text(150),
            "subtitle": mrkdwn_text(150),
            "body": mrkdwn_text(200),
            "actions": array(typed(ELEMENTS, {"button"}), 3),
        },
        (needs_one_of("hero_image", "title", "actions", "body"),),
    ),
    "task_card": Shape(_TASK, _BLOCK | _TASK_MORE),
    "plan": Shape(
        {
            "title": string(300),
            "tasks": array(Shape(_TASK, {"type": anything, **_BLOCK, **_TASK_MORE}), 50),
        },
        _BLOCK,
    ),
}
_CONTAINED = ("actions", "context", "divider", "file", "header", "image", "input", "rich_text")
BLOCKS["carousel"] = Shape({"elements": array(typed(BLOCKS, {"card"}), 10)}, _BLOCK)
BLOCKS["container"] = Shape(
    {"child_blocks": array(typed(BLOCKS, {*_CONTAINED, "section", "table", "video"}), 10)},
    _BLOCK
    | {
        "title": plain_text(150),
        "rich_text_title": RICH_TEXT,
        "subtitle": plain_text(150),
        "icon": _PICTURE,
        "width": choice("narrow", "standard", "wide", "full"),
        "is_collapsible": boolean,
        "default_collapsed": boolean,
        "has_header_divider": boolean,
    },
    (exactly_one_of("title", "rich_text_title"),),
)


_SHARED_VIEW: dict[str, Check] = {
    "type": choice("modal", "home"),
    "blocks": anything,  # checked as blocks, below
    "private_metadata": string(3000, 0),
    "callback_id": string(255, 0),
    "external_id": string(255, 0),
}
MODAL = Shape(
    {"type": choice("modal"), "title": plain_text(24), "blocks": anything},
    _SHARED_VIEW
    | {
        "submit": plain_text(24),
        "close": plain_text(24),
        "clear_on_close": boolean,
        "notify_on_close": boolean,
        "submit_disabled": boolean,
    },
)
HOME = Shape({"type": choice("home"), "blocks": anything}, _SHARED_VIEW)


def problems(payload_kind: Surface, blocks_or_view: Any) -> list[str]:
    """All that Slack would refuse in a message's blocks, a modal or a home tab."""
    found: list[str] = []
    if payload_kind == "message":
        _check_blocks(payload_kind, blocks_or_view, found)
        if len(json.dumps(blocks_or_view, ensure_ascii=False)) > MESSAGE_CHARACTERS:
            found.append(f"/blocks: msg_blocks_too_long, over {MESSAGE_CHARACTERS} characters")
        return found
    shape = MODAL if payload_kind == "modal" else HOME
    shape(blocks_or_view, "/view", found)
    if not isinstance(blocks_or_view, dict) or "blocks" not in blocks_or_view:
        return found
    _check_blocks(payload_kind, blocks_or_view["blocks"], found)
    blocks = [one for one in _dicts(blocks_or_view["blocks"]) if one.get("type") == "input"]
    if payload_kind == "modal" and blocks and "submit" not in blocks_or_view:
        found.append("/view: submit is required in a modal with inputs")
    if len(json.dumps(blocks_or_view).encode()) > VIEW_BYTES:
        found.append(f"/view: view_too_large, over {VIEW_BYTES} bytes")
    return found


def _check_blocks(surface: Surface, blocks: Any, found: list[str]) -> None:
    array(typed(BLOCKS, SURFACES[surface]), MOST_BLOCKS[surface], 0)(blocks, "/blocks", found)
    if surface == "modal" and blocks == []:
        found.append("/blocks: at least 1 items needed")
    nested = list(_every_block(blocks))
    _check_ids(nested, found)
    _check_totals(nested, found)


def _dicts(values: Any) -> list[Json]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _every_block(blocks: Any) -> Iterator[Json]:
    for block in _dicts(blocks):
        yield block
        yield from _dicts(block.get("child_blocks"))


def elements_of(block: Json) -> list[Json]:
    """The elements that a block holds, wherever it holds them."""
    inside = [block.get("accessory"), block.get("element")]
    found = [one for one in inside if isinstance(one, dict)]
    if block.get("type") in ("actions", "context_actions"):
        found += _dicts(block.get("elements"))
    if block.get("type") == "card":
        found += _dicts(block.get("actions"))
    if block.get("type") == "carousel":
        found += [one for card in _dicts(block.get("elements")) for one in elements_of(card)]
    return found


def kinds(given: Any) -> list[str]:
    """The types of the blocks of a message or view."""
    blocks = given.get("blocks") if isinstance(given, dict) else given
    found = blocks if isinstance(blocks, list) else []
    return [str(each.get("type")) for each in found if isinstance(each, dict)]


def _check_ids(blocks: list[Json], found: list[str]) -> None:
    ids = [block["block_id"] for block in blocks if isinstance(block.get("block_id"), str)]
    found += [f"/blocks: duplicate block_id: {one}" for one in sorted(_repeated(ids))]
    focused = 0
    for block in blocks:
        elements = elements_of(block)
        names = [one["action_id"] for one in elements if isinstance(one.get("action_id"), str)]
        found += [f"/blocks: duplicate action_id: {one}" for one in sorted(_repeated(names))]
        focused += sum(one.get("focus_on_load") is True for one in elements)
    if focused > 1:
        found.append("/blocks: focus_on_load on more than one element")


def _repeated(values: list[str]) -> set[str]:
    return {one for one in values if values.count(one) > 1}


def _check_totals(blocks: list[Json], found: list[str]) -> None:
    by_type = [block.get("type") for block in blocks]
    if by_type.count("table") > 1:
        found.append("/blocks: only_one_table_allowed")
    if by_type.count("data_visualization") > 2:
        found.append("/blocks: no more than 2 data_visualization blocks")
    limits = {
        "markdown": MARKDOWN_CHARACTERS,
        "table": TABLE_CHARACTERS,
        "data_table": DATA_TABLE_CHARACTERS,
    }
    for kind, most in limits.items():
        total = sum(_characters(block) for block in blocks if block.get("type") == kind)
        if total > most:
            found.append(f"/blocks: over {most} characters in {kind} blocks")


def _characters(value: Any) -> int:
    """The length of all `text` within a value."""
    if isinstance(value, dict):
        own = value.get("text")
        rest = sum(_characters(one) for key, one in value.items() if key != "text")
        return rest + (len(own) if isinstance(own, str) else _characters(own))
    return sum(_characters(one) for one in value) if isinstance(value, list) else 0
