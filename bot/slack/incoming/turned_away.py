"""What is answered at once where Amend is busy: nothing was recorded, and nothing will run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from slack_bolt.response import BoltResponse

from bot.slack.incoming.frame import BUSY, private
from bot.slack.views.forms import message_view

_JSON: dict[str, str | Sequence[str]] = {"content-type": "application/json"}


def turned_away(body: Mapping[str, Any]) -> BoltResponse | None:
    """The answer to a delivery that cannot be taken on; None for one that costs nothing.

    Where Slack shows no words of an acknowledgement (clicks, shortcuts) the refusal is a 503, of
    which it warns the person by itself; a mention is delivered again.
    """
    if body.get("command"):
        return _says(private(BUSY))
    kind = str(body.get("type") or "")
    if kind == "view_submission":
        return _says({"response_action": "push", "view": message_view("Busy", BUSY)})
    if kind == "block_suggestion":
        return _says({"options": []})
    event = body.get("event")
    wanted = isinstance(event, Mapping) and event.get("type") in ("app_mention", "app_home_opened")
    if wanted or kind in ("block_actions", "shortcut", "message_action"):
        return BoltResponse(status=503, body="busy")
    return None


def _says(answer: Mapping[str, Any]) -> BoltResponse:
    return BoltResponse(status=200, body=json.dumps(answer), headers=_JSON)
