"""The Web API's views methods."""

from __future__ import annotations

from deploy.sandbox.slack.core import Arguments, Core
from deploy.sandbox.slack.views import OpenView
from deploy.sandbox.slack.workspace import Json, SlackError


def _answer(view: OpenView) -> Json:
    return {"view": view.slack()}


def open_view(core: Core, given: Arguments) -> Json:
    """views.open"""
    view = core.views.checked(given.get("view"), "modal", "views.open")
    trigger = core.triggers.exchange(str(given.get("trigger_id", "")))
    return _answer(core.views.open(trigger.user, view))


def push(core: Core, given: Arguments) -> Json:
    """views.push"""
    view = core.views.checked(given.get("view"), "modal", "views.push")
    trigger = core.triggers.exchange(str(given.get("trigger_id", "")), from_view=True)
    return _answer(core.views.push(trigger.user, view))


def update(core: Core, given: Arguments) -> Json:
    """views.update"""
    view_id, external_id = str(given.get("view_id", "")), str(given.get("external_id", ""))
    if bool(view_id) == bool(external_id):
        raise SlackError("invalid_arguments", ["give one of view_id and external_id"])
    view = core.views.checked(given.get("view"), "modal", "views.update")
    target = core.views.find(view_id, external_id)
    if target.view["type"] != "modal":
        raise SlackError("not_found")
    return _answer(core.views.update(target, view, str(given.get("hash") or "")))


def publish(core: Core, given: Arguments) -> Json:
    """views.publish"""
    user = str(given.get("user_id", ""))
    core.workspace.person(user)
    view = core.views.checked(given.get("view"), "home", "views.publish")
    return _answer(core.views.publish(user, view, str(given.get("hash") or "")))


METHODS = {
    "views.open": open_view,
    "views.push": push,
    "views.update": update,
    "views.publish": publish,
}
