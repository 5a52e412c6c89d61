"""Slack's own reference of its Web API: arguments, errors, scopes and rate tiers of each method.

`methods.json` holds what the public, machine-readable reference says of the methods that an app like
this may call. A call that does not fit it is refused, and noted as a violation.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.sandbox.slack.faults import ERROR
from deploy.sandbox.slack.workspace import SlackError

# Calls a minute of each tier; Slack calls the fifth "special", which is some hundreds.
TIERS = {"t1": 1, "t2": 20, "t3": 50, "t4": 100, "t5": 300}
# Taken beside those that the reference lists for a method: Slack answers them everywhere.
EVERYWHERE = frozenset(
    {"ratelimited", "internal_error", "fatal_error", "service_unavailable", "invalid_auth"}
)


@dataclass(frozen=True)
class Method:
    """One method; `scope` are scopes of which one is enough, none where none is needed."""

    args: frozenset[str]
    required: frozenset[str]
    errors: frozenset[str]
    scope: frozenset[str]
    rate: str

    def misfit(self, given: Mapping[str, Any]) -> str:
        """Why a call does not fit, "" where it does. The token may come as a header."""
        if unknown := sorted(set(given) - self.args):
            return f"no such argument: {', '.join(unknown)}"
        missing = sorted(self.required - {"token"} - set(given))
        return f"missing argument: {', '.join(missing)}" if missing else ""

    def lacks(self, granted: Collection[str]) -> str:
        """The scope that is needed and not granted, "" where none is."""
        return "" if not self.scope or self.scope & set(granted) else min(self.scope)


def methods() -> dict[str, Method]:
    """The reference by method."""
    told = json.loads(Path(__file__).with_name("methods.json").read_text(encoding="utf-8"))
    return {
        name: Method(
            frozenset(each["args"]),
            frozenset(each["required"]),
            frozenset(each["errors"]),
            frozenset(each["scope"] if isinstance(each["scope"], list) else ()),
            each["rate"],
        )
        for name, each in told.items()
    }


METHODS = methods()


def known(method: str) -> Method:
    """What the reference says of a method. Raises `SlackError` where it says nothing."""
    found = METHODS.get(method)
    if found is None:
        raise SlackError("unknown_method")
    return found


def is_error(fault: str, method: str | None) -> bool:
    """True for `error:NAME` where the reference lists that error for the method, or for any."""
    name = fault.removeprefix(ERROR)
    asked = [METHODS[method]] if method in METHODS else list(METHODS.values())
    return name != fault and any(name in each.errors | EVERYWHERE for each in asked)


@dataclass
class Tiers:
    """Keeps each method to its calls a minute, which may come all at once and then one by one."""

    clock: Callable[[], float] = time.monotonic
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait(self, method: str) -> float:
        """Seconds to wait before another call of this method; 0 where it may be, and is counted."""
        most = TIERS[known(method).rate]
        now = self.clock()
        left, since = self._left.get(method, (float(most), now))
        left = min(float(most), left + (now - since) * most / 60)
        if left < 1:
            self._left[method] = left, now
            return (1 - left) * 60 / most
        self._left[method] = left - 1, now
        return 0.0
