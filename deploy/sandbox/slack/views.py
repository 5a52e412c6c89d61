"""Modals and home tabs: the stack of three, hashes, and what survives an update."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox import company
from deploy.sandbox.slack import block_rules, forms
from deploy.sandbox.slack.workspace import Json, SlackError, Workspace

STACK = 3


@dataclass
class OpenView:
    """A view on somebody's screen: Slack's object, and what the person has entered."""

    user: str
    view: Json
    entered: Json = field(default_factory=dict)
    errors: dict[str, str] | None = None

    @property
    def id(self) -> str:
        """The view's id."""
        return str(self.view["id"])

    def slack(self) -> Json:
        """The view object as Slack sends it, with the form's present state."""
        return self.view | {"state": {"values": self.values()}}

    def page(self) -> Json:
        """The view object for the page, with the errors beside it."""
        return self.slack() | {"errors": self.errors}

    def values(self) -> Json:
        """`state.values`: what was entered, else the initial values."""
        return forms.values(self.view["blocks"], self.entered)


class Views:
    """Who has which views open."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.stacks: dict[str, list[OpenView]] = {}
        self.homes: dict[str, OpenView] = {}

    def stack(self, user: str) -> list[OpenView]:
        """A person's modals, the top one last."""
        return self.stacks.setdefault(user, [])

    def checked(self, given: Any, kind: block_rules.Surface, what: str) -> Json:
        """A view that keeps to the rules, or a refusal."""
        if not isinstance(given, dict) or given.get("type") != kind:
            raise SlackError("invalid_arguments", [f"/view: must be a {kind} view"])
        if len(json.dumps(given).encode()) > block_rules.VIEW_BYTES:
            self._workspace.violation(f"{what}: view_too_large")
            raise SlackError("view_too_large")
        self._workspace.clean_blocks(kind, given, what)
        return given

    def open(self, user: str, given: Json) -> OpenView:
        """A new stack with one view."""
        self._check_external_id(given)
        self.stacks[user] = []
        return self._put(user, given)

    def push(self, user: str, given: Json) -> OpenView:
        """One more view on top."""
        if len(self.stack(user)) >= STACK:
            raise SlackError("push_limit_reached")
        self._check_external_id(given)
        return self._put(user, given)

    def _put(self, user: str, given: Json) -> OpenView:
        stack = self.stack(user)
        view_id = self._workspace.new_id("V")
        view = self._object(given, view_id)
        view["root_view_id"] = stack[0].id if stack else view_id
        view["previous_view_id"] = stack[-1].id if stack else None
        stack.append(OpenView(user, view))
        self._workspace.changed()
        return stack[-1]

    def find(self, view_id: str = "", external_id: str = "") -> OpenView:
        """An open view, by either id."""
        everywhere = [one for stack in self.stacks.values() for one in stack]
        for one in [*everywhere, *self.homes.values()]:
            if view_id and one.id == view_id:
                return one
            if external_id and not view_id and one.view["external_id"] == external_id:
                return one
        raise SlackError("not_found")

    def update(self, target: OpenView, given: Json, view_hash: str = "") -> OpenView:
        """Replaces what a view shows; what was typed stays where both ids stay."""
        if view_hash and view_hash != target.view["hash"]:
            raise SlackError("hash_conflict")
        self._check_external_id(given, besides=target)
        fresh = self._object(given, target.id)
        fresh["root_view_id"] = target.view["root_view_id"]
        fresh["previous_view_id"] = target.view["previous_view_id"]
        target.view = fresh
        target.entered = forms.surviving(fresh["blocks"], target.entered)
        target.errors = None
        self._workspace.changed()
        return target

    def publish(self, user: str, given: Json, view_hash: str = "") -> OpenView:
        """Sets a person's home tab."""
        if user in self.homes:
            return self.update(self.homes[user], given, view_hash)
        self._check_external_id(given)
        view_id = self._workspace.new_id("V")
        home = self._object(given, view_id)
        home["root_view_id"], home["previous_view_id"] = view_id, None
        self.homes[user] = OpenView(user, home)
        self._workspace.changed()
        return self.homes[user]

    def close(self, target: OpenView, *, everything: bool = False) -> None:
        """Takes a view, or the whole stack, off the screen."""
        stack = self.stack(target.user)
        if everything:
            stack.clear()
        elif target in stack:
            stack.remove(target)
        self._workspace.changed()

    def _check_external_id(self, given: Json, besides: OpenView | None = None) -> None:
        external_id = given.get("external_id")
        if not external_id:
            return
        try:
            taken = self.find(external_id=external_id)
        except SlackError:
            return
        if taken is not besides:
            raise SlackError("duplicate_external_id")

    def _object(self, given: Json, view_id: str) -> Json:
        """Slack's view object; what the app left out takes Slack's defaults."""
        return {
            "id": view_id,
            "team_id": company.TEAM_ID,
            "type": given["type"],
            "blocks": self._workspace.named(given["blocks"]),
            "private_metadata": given.get("private_metadata", ""),
            "callback_id": given.get("callback_id", ""),
            "external_id": given.get("external_id", ""),
            "title": given.get("title", {"type": "plain_text", "text": "View Title"}),
            "submit": given.get("submit"),
            "close": given.get("close"),
            "clear_on_close": given.get("clear_on_close", False),
            "notify_on_close": given.get("notify_on_close", False),
            "submit_disabled": given.get("submit_disabled", False),
            "hash": f"{int(self._workspace.clock())}.{secrets.token_hex(4)}",
            "app_id": company.APP_ID,
            "app_installed_team_id": company.TEAM_ID,
            "bot_id": company.BOT_ID,
        }
