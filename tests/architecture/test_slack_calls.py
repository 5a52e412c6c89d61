"""Every call of Slack's Web API in the code, held against Slack's own reference."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from bot.slack.link.manifest import SCOPES

ROOT = Path(__file__).parents[2]
TOLD = json.loads((ROOT / "deploy/sandbox/slack/methods.json").read_text())
BY_NAME = {method.replace(".", "_"): method for method in TOLD}  # as the SDK spells them
OF_THE_SDK = {"app_token"}  # goes as the token
SOCKET_MODE = {"apps.connections.open"}  # under the app's token, which has a scope of its own


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """(where, the method, the call) of all of `bot/`."""
    for file in sorted((ROOT / "bot").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                method = BY_NAME.get(node.func.attr)
                if method:
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", method, node


def test_they_are_found() -> None:
    assert {"chat.postMessage", "views.update", "auth.test"} <= {method for _, method, _ in calls()}


def test_each_has_only_arguments_that_slack_knows() -> None:
    wrong = [
        f"{where}: {method} has no {each.arg}"
        for where, method, call in calls()
        for each in call.keywords
        if each.arg and each.arg not in TOLD[method]["args"] and each.arg not in OF_THE_SDK
    ]
    assert wrong == []


def test_each_has_those_that_slack_requires() -> None:
    wrong = [
        f"{where}: {method} lacks {name}"
        for where, method, call in calls()
        if not any(each.arg is None for each in call.keywords)  # **arguments: seen in the sandbox
        for name in TOLD[method]["required"]
        if name != "token" and name not in {each.arg for each in call.keywords}
    ]
    assert wrong == []


def test_the_manifest_asks_for_a_scope_that_each_needs_and_for_no_unused_kind() -> None:
    for method in {method for _, method, _ in calls()} - SOCKET_MODE:
        needed = TOLD[method]["scope"]
        if isinstance(needed, list):
            assert set(needed) & set(SCOPES), method
