"""Watches as views and messages, and what a person set in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.db.tables import Watch
from bot.db.watching import REPORT
from bot.domain.errors import Problem, invalid
from bot.domain.operations import Watcher
from bot.slack.views.blocks import (
    MOST_BUTTON_VALUE,
    Block,
    actions,
    button,
    code,
    context,
    cut,
    escape,
    plain,
    section,
    when,
)
from bot.slack.views.inputs import input_block, read_inputs

Message = dict[str, Any]

MODES = {
    "now": "at once",
    "hourly": "as an hourly digest",
    "daily": "as a daily digest, in the morning",
}
MOST = 50  # watches of one channel
OWN_NAMES = frozenset({"mode", "quiet"})
_SPAN = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class WatchSettings:
    """How a watch speaks: `mode`, and quiet hours (`from`, `to`, `timezone`) or nothing."""

    mode: str = "now"
    quiet: dict[str, str] = field(default_factory=dict)

    def placed(self, zone: str) -> WatchSettings:
        """The same in another time zone."""
        return WatchSettings(self.mode, {**self.quiet, "timezone": zone})


def settings_of(raw: dict[str, Any], zone: str) -> WatchSettings:
    """Take `mode` and `quiet` out of typed values, their names in any case. Raises `InvalidInput`."""
    own = {name.casefold(): raw.pop(name) for name in list(raw) if name.casefold() in OWN_NAMES}
    mode = str(own.get("mode") or "now").lower()
    if mode not in MODES:
        message = f"`mode` must be one of {', '.join(f'`{each}`' for each in MODES)}."
        raise invalid(message, "mode")
    quiet = str(own.get("quiet") or "")
    if not quiet:
        return WatchSettings(mode, {"timezone": zone})
    found = _SPAN.fullmatch(quiet.strip())
    if found is None or found.group(1, 2) == found.group(3, 4):
        message = f"`quiet` takes hours such as `22:00-06:00`, not `{quiet}`."
        raise invalid(message, "quiet")
    begins, ends = (f"{int(found[at]):02}:{found[at + 1]}" for at in (1, 3))
    return WatchSettings(mode, {"from": begins, "to": ends, "timezone": zone})


def not_understood(problem: str, typed: str) -> Message:
    """What is wrong, and the form filled with what was understood of `typed`."""
    begin = "Correct it in the form" if len(typed) <= MOST_BUTTON_VALUE else "Type it once more"
    blocks = [section(f"*{begin}*\n:warning: {escape(problem)}")]
    if len(typed) <= MOST_BUTTON_VALUE:
        blocks.append(actions([button("Open the form", "watch_form", typed)], "offer"))
    return {"text": cut(f"{begin}: {escape(problem)}", 3000), "blocks": blocks}


def watch_view(
    watcher: Watcher, channel: str, values: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The form: what is watched, how it speaks, when it is quiet; filled with `values`."""
    params, known = watcher.params(), values or {}
    modes = [{"text": plain(words), "value": name} for name, words in MODES.items()]
    mode = next(
        (each for each in modes if each["value"] == known.get("mode", "").lower()), modes[0]
    )
    quiet = {"initial_value": known["quiet"]} if known.get("quiet") else {}
    blocks = [section(f"<#{channel}> is told when {watcher.noun[1]} change their state.")]
    blocks += [
        input_block(name, spec, known.get(name), required=False)
        for name, spec in params.items()
        if not spec.hidden
    ]
    blocks.append(
        _input(
            "mode",
            "How?",
            {"type": "static_select", "options": modes, "initial_option": mode},
        )
    )
    blocks.append(
        _input(
            "quiet",
            "Quiet hours",
            {"type": "plain_text_input", "placeholder": plain("22:00-06:00"), **quiet},
            "In your time zone; what happens then is told afterwards.",
        )
    )
    return {
        "type": "modal",
        "callback_id": "watch",
        "private_metadata": json.dumps({"watcher": watcher.name, "channel": channel}),
        "title": plain(f"Watch {watcher.vendor_title}", 24),
        "submit": plain("Watch", 24),
        "close": plain("Cancel", 24),
        "blocks": blocks,
    }


def let_end_view(name: str, about: Mapping[str, str]) -> dict[str, Any]:
    """Why may it end? The reason stands in the audit trail and in the channel."""
    reason = {
        "type": "input",
        "block_id": "reason",
        "label": plain("Why may it end?"),
        "hint": plain(
            "It stands in the audit trail and in this channel; no more is told of this end."
        ),
        "element": {"type": "plain_text_input", "action_id": "reason", "max_length": 500},
    }
    return {
        "type": "modal",
        "callback_id": "let_end",
        "private_metadata": json.dumps(dict(about)),
        "title": plain("Let it end", 24),
        "submit": plain("Let it end", 24),
        "close": plain("Back", 24),
        "blocks": [section(escape(name)), reason],
    }


def read_let_end(state: Mapping[str, Any]) -> str:
    return str(state["reason"]["reason"].get("value") or "").strip()


def _input(name: str, label: str, element: Block, hint: str = "") -> Block:
    block: Block = {
        "type": "input",
        "block_id": name,
        "optional": True,
        "label": plain(label),
        "element": {**element, "action_id": name},
    }
    if hint:
        block["hint"] = plain(hint, 150)
    return block


def read_watch(watcher: Watcher, state: Mapping[str, Any]) -> dict[str, Any]:
    """Slack's `state.values` as raw values, `mode` and `quiet` among them."""
    return read_inputs([*watcher.params(), *OWN_NAMES], state)


def errors_of(view: Mapping[str, Any], problems: Sequence[Problem]) -> dict[str, str]:
    """What is wrong, on the input that it is about; the rest on the mode."""
    inputs = {each["block_id"] for each in view["blocks"] if each["type"] == "input"}
    return {
        (each.name if each.name in inputs else "mode"): cut(each.message.replace("`", ""), 2000)
        for each in problems
    }


def _summary(watcher: Watcher, watch: Watch) -> str:
    """What a watch is about, in one line."""
    parts = [
        f"{name}={','.join(value) if isinstance(value, list) else value}"
        for name, value in watch.selection.items()
    ]
    chosen = f" with {code(' '.join(parts))}" if parts else ""
    return f"{watcher.vendor_title} {watcher.noun[1]}{chosen}, {MODES[watch.mode]}{_quiet(watch)}"


def _report_summary(watch: Watch) -> str:
    """What a repeated look back is about, in one line."""
    about = watch.selection
    vendor = f" of {escape(str(about['vendor']))}" if about.get("vendor") else ""
    zone = watch.quiet.get("timezone") or "UTC"
    return (
        f"a look back{vendor} on the last {about['days']} days, every"
        f" {code(str(about['every']))} ({zone})"
    )


def _quiet(watch: Watch) -> str:
    if not watch.quiet.get("from"):
        return ""
    return f", quiet {watch.quiet['from']}–{watch.quiet['to']} ({watch.quiet['timezone']})"


def watches_message(rows: Sequence[tuple[Watch, Watcher | None]]) -> Message:
    """The watches of a channel, each with how it fares."""
    if not rows:
        text = "This channel has no watches. `/amend watch VENDOR` sets one up."
        return {"text": text, "blocks": [section(text)]}
    blocks: list[Block] = []
    for watch, watcher in rows[:20]:
        what = watch_summary(watcher, watch)
        press = button("End", f"unwatch:{watch.id}", watch.id)
        words = f"{code(watch.id)} {what}\n<@{watch.owner}> · {_fares(watch)}"
        blocks.append({**section(words), "accessory": press})
    if len(rows) > 20:
        blocks.append(context(f"… and {len(rows) - 20} more"))
    return {"text": "Watches of this channel", "blocks": blocks}


def watch_summary(watcher: Watcher | None, watch: Watch) -> str:
    """What a watch or a repeated look back is about, in one line."""
    if watcher is not None:
        return _summary(watcher, watch)
    return _report_summary(watch) if watch.watcher == REPORT else escape(watch.watcher)


def _fares(watch: Watch) -> str:
    if watch.parked:
        return f"parked: {escape(watch.parked)}"
    if watch.trouble:
        return f":warning: {escape(cut(watch.trouble, 200))}"
    if watch.watcher == REPORT:
        return f"next {when(watch.next_at)}"
    return f"last read {when(watch.polled_at)}" if watch.polled_at else "not read yet"
