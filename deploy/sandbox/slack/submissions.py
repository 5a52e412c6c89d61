"""What the acknowledgement of a submitted modal does to the stack."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.slack.core import Core
from deploy.sandbox.slack.views import OpenView
from deploy.sandbox.slack.workspace import Json, SlackError

# What Slack's client says when the app's answer makes no sense to it.
TROUBLE = "We had some trouble connecting. Try again?"


def submitted(core: Core, view: OpenView, body: Any) -> str:
    """Follows the `response_action`; answers what the person is told when it cannot."""
    if body in ("", None, {}):
        core.views.close(view)
        return ""
    try:
        _follow(core, view, body if isinstance(body, dict) else {})
    except SlackError as refusal:
        core.workspace.violation(f"view_submission: {refusal.error} {refusal.messages}")
        return TROUBLE
    return ""


def _follow(core: Core, view: OpenView, body: Json) -> None:
    action = body.get("response_action")
    if action == "clear":
        core.views.close(view, everything=True)
    elif action == "update":
        fresh = core.views.checked(body.get("view"), "modal", "response_action update")
        core.views.update(view, fresh)
    elif action == "push":
        fresh = core.views.checked(body.get("view"), "modal", "response_action push")
        core.views.push(view.user, fresh)
    elif action == "errors":
        _show_errors(core, view, body.get("errors"))
    else:
        raise SlackError("invalid_response_action", [str(action)])


def _show_errors(core: Core, view: OpenView, errors: Any) -> None:
    inputs = {one["block_id"] for one in view.view["blocks"] if one["type"] == "input"}
    if not isinstance(errors, dict) or not errors:
        raise SlackError("invalid_errors", ["errors must name at least one block"])
    wrong = [
        f"{block_id}: not an input block, or no text"
        for block_id, text in errors.items()
        if block_id not in inputs or not isinstance(text, str) or not text
    ]
    if wrong:
        raise SlackError("invalid_errors", wrong)
    view.errors = errors
    core.workspace.changed()
