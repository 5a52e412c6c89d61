"""An entry as OCSF 1.x, class 6003 (API Activity), for a SIEM. Schema: https://schema.ocsf.io/1.4.0."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

VERSION = "1.4.0"
_CLASS, _CATEGORY = 6003, 6
_OTHER, _CREATE, _READ, _UPDATE, _DELETE = 99, 1, 2, 3, 4
_SUCCESS, _FAILURE, _UNKNOWN = 1, 2, 0

# What an action does, by the word behind its colon; what is not listed is "Other".
_ACTIVITIES = {
    "accepted": _CREATE,
    "added": _CREATE,
    "began": _CREATE,
    "made": _CREATE,
    "denied": _OTHER,
    "exported": _READ,
    "imported": _UPDATE,
    "mapped": _UPDATE,
    "ended": _DELETE,
    "removed": _DELETE,
    "revoked": _DELETE,
    "unmapped": _DELETE,
}
_FAILED = frozenset({"denied", "failed", "refused", "rejected", "vote_refused"})


def api_activity(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The event of one entry. `metadata.uid` is its number, so that what comes twice is known."""
    deed = str(entry["action"]).rpartition(":")[2]
    activity = _ACTIVITIES.get(deed, _OTHER)
    status = _UNKNOWN if deed == "unknown" else _FAILURE if deed in _FAILED else _SUCCESS
    event: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": _NAMES.get(activity, deed),
        "actor": {"user": {"uid": entry["actor"]}, "app_name": entry["via"]},
        "api": {"operation": entry["action"], "service": {"name": "amend"}},
        "category_uid": _CATEGORY,
        "category_name": "Application Activity",
        "class_uid": _CLASS,
        "class_name": "API Activity",
        "message": f"{entry['actor']} {entry['action']} {entry['request_id']}".strip(),
        "metadata": {
            "product": {"name": "Amend", "vendor_name": "Amend"},
            "uid": str(entry["seq"]),
            "sequence": entry["seq"],
            "version": VERSION,
        },
        "severity_id": 1 if status != _FAILURE else 2,
        "src_endpoint": {"name": entry["via"]},
        "status_id": status,
        "time": _milliseconds(entry["at"]),
        "type_uid": _CLASS * 100 + activity,
        "unmapped": dict(entry["facts"]),
    }
    if entry["request_id"]:
        event["api"]["request"] = {"uid": entry["request_id"]}
    return event


_NAMES = {_CREATE: "Create", _READ: "Read", _UPDATE: "Update", _DELETE: "Delete"}


def _milliseconds(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)
