"""Events for a SIEM, held against the published schema of their class (`tests/samples/ocsf`)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from bot.proof.ocsf import api_activity

SCHEMA = json.loads(
    (Path(__file__).parents[1] / "samples/ocsf/api_activity-1.4.0.json").read_text()
)
SAYS = Draft202012Validator(SCHEMA)

ENTRY: dict[str, Any] = {
    "seq": 41,
    "at": "2026-05-04T10:00:00.250000Z",
    "actor": "U0MARA",
    "via": "slack",
    "action": "request:submitted",
    "request_id": "R2345678",
    "facts": {"digest": "ab12", "demands": []},
    "previous": "",
    "hash": "",
}


def event(**changed: Any) -> dict[str, Any]:
    return api_activity({**ENTRY, **changed})


def test_an_event_is_of_its_class_and_says_who_did_what() -> None:
    told = event()
    SAYS.validate(told)
    assert (told["class_uid"], told["category_uid"]) == (6003, 6)
    assert told["type_uid"] == 600300 + told["activity_id"]
    assert told["metadata"]["uid"] == "41"
    assert told["metadata"]["version"] == "1.4.0"
    assert told["actor"]["user"]["uid"] == "U0MARA"
    assert told["api"]["operation"] == "request:submitted"
    assert told["unmapped"] == {"digest": "ab12", "demands": []}
    assert told["time"] == 1777888800250


@pytest.mark.parametrize(
    ("action", "activity", "status"),
    [
        # 1 create, 2 read, 3 update, 4 delete, 99 other; 1 success, 2 failure, 0 unknown.
        ("token:made", 1, 1),
        ("evidence:made", 1, 1),
        ("people:mapped", 3, 1),
        ("people:unmapped", 4, 1),
        ("link:removed", 4, 1),
        ("access:denied", 99, 2),
        ("request:denied", 99, 2),
        ("request:vote_refused", 99, 2),
        ("request:rejected", 99, 2),
        ("request:failed", 99, 2),
        ("request:unknown", 99, 0),
        ("request:succeeded", 99, 1),
    ],
)
def test_what_was_done_and_whether_it_went_well(action: str, activity: int, status: int) -> None:
    told = event(action=action)
    SAYS.validate(told)
    assert (told["activity_id"], told["status_id"]) == (activity, status)


@given(
    st.fixed_dictionaries(
        {
            "seq": st.integers(1, 2**53 - 1),
            "at": st.datetimes(
                datetime(2000, 1, 1),  # noqa: DTZ001 - the zone is added below
                datetime(2199, 1, 1),  # noqa: DTZ001 - as above
            ).map(lambda at: at.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")),
            "actor": st.text(min_size=1),
            "via": st.sampled_from(["slack", "cli", "mcp", "amend"]),
            "action": st.text(min_size=1),
            "request_id": st.text(),
            "facts": st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())),
        }
    )
)
def test_whatever_an_entry_holds_its_event_is_valid(entry: dict[str, Any]) -> None:
    SAYS.validate(api_activity(entry))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told.pop("src_endpoint"),
        lambda told: told.update(activity_id=7),
        lambda told: told.update(type_uid=600404),
        lambda told: told.update(time="2026-05-04"),
        lambda told: told["metadata"].pop("product"),
        lambda told: told["actor"].clear(),
        lambda told: told.update(digest="ab12"),
    ],
)
def test_the_schema_refuses_what_is_not_of_the_class(spoil: Any) -> None:
    told = event()
    spoil(told)
    with pytest.raises(ValidationError):
        SAYS.validate(told)
