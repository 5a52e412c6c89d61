"""The states of a request, the ends of a record, and the metrics."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from prometheus_client.metrics import MetricWrapperBase

import bot.metrics
import integrations.telemetry
from bot.domain.operations import Result
from bot.domain.plans import NEXT, OVER, RESULT_WORDS, WAITING, State
from docs.make.markdown import code, table

STATES: Mapping[State, str] = {
    State.RECEIVED: "recorded; the plan is being made",
    State.DENIED: "who asked may not; told privately, there is no card",
    State.PLANNED: "the plan is frozen and its review is open; forgotten after a day",
    State.PENDING_APPROVAL: "submitted; somebody else has to approve this digest",
    State.SCHEDULED: "waits for its time, a quiet window, or a vendor that asked for a pause",
    State.RUNNING: "calls go out, or it waits in line for its turn at the vendor",
    State.SUCCEEDED: "all of the plan is done: changed, or was so already",
    State.PARTIAL: "some records changed, others were refused, not sent or are unknown",
    State.FAILED: "no record changed, and at least one was refused or not sent",
    State.UNKNOWN: "something went out, and not even reading back could tell what became of it",
    State.CANCELLED: "stopped by a person; the counts tell what was done before",
    State.REJECTED: "an approver said no",
    State.EXPIRED: "nobody decided in time",
}
RESULTS: Mapping[Result, str] = {
    Result.CHANGED: "the vendor confirmed it, by its answer or by reading back",
    Result.UNCHANGED: "it was as wanted before the call",
    Result.REFUSED: "the vendor said no; its words stand beside it",
    Result.UNKNOWN: "sent, and not even a read-back could tell",
    Result.NOT_SENT: "left out by the plan, or it changed since the plan, or the run ended before",
}


def states() -> str:
    """Every state with what it means, and whether it is an end."""
    rows = [(code(each.value), STATES[each], _kind(each)) for each in State]
    return table(("state", "means", "kind"), rows)


def _kind(state: State) -> str:
    if state in OVER:
        return "an end"
    return "waits" if state in WAITING else "goes on"


def life() -> str:
    """What a request may become, from each state that is no end."""
    rows = [(code(each.value), " ".join(_codes(NEXT[each]))) for each in State if each in NEXT]
    return table(("state", "may become"), rows)


def _codes(states: Collection[State]) -> list[str]:
    return [code(each.value) for each in State if each in states]


def results() -> str:
    """How a record may end."""
    rows = [(code(each.value), RESULT_WORDS[each], words) for each, words in RESULTS.items()]
    return table(("result", "in a receipt", "means"), rows)


def metrics() -> str:
    """Every metric of ours, with its kind and labels, as the code declares it."""
    homes = (bot.metrics, integrations.telemetry)
    named = [each for home in homes for each in vars(home).values()]
    declared = [each for each in named if isinstance(each, MetricWrapperBase)]
    rows = sorted(_metric(each) for each in declared)
    return table(("metric", "kind", "labels", "words"), rows)


def _metric(declared: MetricWrapperBase) -> tuple[str, ...]:
    (described,) = declared.describe()
    counted = "_total" if described.type == "counter" else ""
    labels = " ".join(code(name) for name in declared._labelnames)
    words = described.documentation
    return code(f"{described.name}{counted}"), described.type, labels or "none", words
