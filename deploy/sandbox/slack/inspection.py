"""What became of one request, put together from the bot's trail and the vendors' traffic."""

from __future__ import annotations

from datetime import datetime

from deploy.sandbox.slack.core import Core
from deploy.sandbox.slack.workspace import Json

OVER = frozenset(
    f"request:{state}"
    for state in ("succeeded", "partial", "failed", "unknown", "cancelled", "rejected", "expired")
)
# A call is noted when it is answered, an entry when it is written; their clocks are the same.
MARGIN = 0.05


async def watched(core: Core, request_id: str) -> Json:
    """A request's digest, its audit entries, and the calls to its vendor while it was at work."""
    entries = await core.trail(request_id) if request_id else []
    if not entries:
        return {"ok": True, "id": request_id, "entries": [], "calls": []}
    vendor = str(_fact(entries, "operation") or "").partition(".")[0]
    return {
        "ok": True,
        "id": request_id,
        "vendor": vendor,
        "digest": _fact(entries, "digest"),
        "entries": entries,
        "calls": [one for one in core.traffic.entries if _belongs(one, vendor, entries)],
    }


def _fact(entries: list[Json], name: str) -> object:
    return next((one["facts"][name] for one in entries if one["facts"].get(name)), None)


def _belongs(call: Json, vendor: str, entries: list[Json]) -> bool:
    began = call["at"] - call["ms"] / 1000
    return bool(
        call["link"] == "vendor"
        and call.get("vendor") == vendor
        and began >= _at(entries[0]) - MARGIN
        and began <= _ended(entries) + MARGIN
    )


def _ended(entries: list[Json]) -> float:
    return next((_at(one) for one in entries if one["action"] in OVER), float("inf"))


def _at(entry: Json) -> float:
    return datetime.fromisoformat(entry["at"]).timestamp()
