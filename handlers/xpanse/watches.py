"""Watches of Xpanse incidents: what was modified since the last look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, ClassVar

from bot.domain.operations import Cursor, Offer, Sighting, Watcher
from bot.domain.parameters import Kind, Param, Parameters, Widget, choices, given
from handlers.xpanse.incidents import Statuses, resolves
from integrations.xpanse.client import XpanseClient
from integrations.xpanse.protocol import SEVERITIES, Incident

OVERLAP = 60_000  # ms; facts B.8: late changes appear up to a minute afterwards

WATCHED_STATUS = Param(
    Kind.SELECTION,
    "Status",
    help="Told when incidents come into or leave one of them; empty for all.",
    widget=Widget.MULTI_SELECT,
    choices=Statuses(),
)
WATCHED_SEVERITY = Param(Kind.SELECTION, "Severity", widget=Widget.MULTI_SELECT, choices=SEVERITIES)


class WatchedIncidents(Parameters):
    """Which incidents a channel is told of."""

    status: Annotated[tuple[str, ...] | None, *choices("status", WATCHED_STATUS).__metadata__] = (
        None
    )
    manual_severity: Annotated[
        tuple[str, ...] | None, *choices("manual_severity", WATCHED_SEVERITY).__metadata__
    ] = None


class _Chosen(frozenset[str]):
    """States that were chosen, in small letters; any state of the vendor's may be asked for.

    The vendor's own sources write them in either case, and have several words for what resolves: with
    `resolved` all of them are chosen (facts B.5).
    """

    def __contains__(self, state: object) -> bool:
        told = str(state).casefold()
        either = super().__contains__
        return either(told) or (either("resolved") and resolves(told))


class IncidentWatcher(Watcher):
    """Polls `get_incidents` by `modification_time`, with an overlap for late changes."""

    name: ClassVar[str] = "xpanse.incidents"
    vendor: ClassVar[str] = "xpanse"
    vendor_title: ClassVar[str] = "Cortex Xpanse"
    command: ClassVar[str] = "xpanse"
    noun: ClassVar[tuple[str, str]] = ("incident", "incidents")
    parameters: ClassVar[type[Parameters]] = WatchedIncidents

    def __init__(self, client: XpanseClient) -> None:
        self._client = client

    async def poll(self, selection: Parameters, cursor: str) -> AsyncIterator[Sighting | Cursor]:
        chosen = given(selection)
        wanted = chosen.get("manual_severity")
        severities = {each.casefold() for each in wanted} if isinstance(wanted, tuple) else ()
        newest = int(cursor) if cursor else 0
        since = max(0, newest - OVERLAP) if cursor else 0
        async for page in self._client.changed(since):
            for each in page:
                newest = max(newest, each.modified)
                if not severities or each.severity.casefold() in severities:
                    yield _sighting(each)
        yield Cursor(str(newest or 1))

    def states(self, selection: Parameters) -> frozenset[str]:
        chosen = given(selection).get("status") or ()
        return _Chosen(map(str.casefold, chosen) if isinstance(chosen, tuple) else ())

    def is_open(self, state: str) -> bool:
        return not resolves(state)

    def offers(self, sighting: Sighting) -> Sequence[Offer]:
        def offer(key: str, label: str, **values: str) -> Offer:
            picked = {"incident_id": sighting.id, **values}
            return Offer(key, label, "xpanse.update_incident", picked)

        if resolves(sighting.state):
            return (offer("reopen", "Reopen", status="new"),)
        start = offer("investigate", "Investigate", status="under_investigation")
        resolve = offer("resolve", "Resolve", status="resolved")
        return (start, resolve) if sighting.state.casefold() == "new" else (resolve,)


def _sighting(incident: Incident) -> Sighting:
    at = datetime.fromtimestamp(incident.modified / 1000, UTC).isoformat(timespec="seconds")
    return Sighting(incident.id, incident.name, incident.status, at, "", incident.url)
