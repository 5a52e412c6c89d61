"""How long a request waits that cannot go on, and from when that counts."""

from __future__ import annotations

from typing import Any

import pytest

from bot.db.tables import Request
from bot.jobs.pausing import longer, too_long
from bot.pipeline.parts import ended_by_its_run

HOUR, DAY = 3600.0, 24 * 3600.0
NOW = 1_800_000_000.0


def request(**fields: Any) -> Request:
    common = {"id": "R2ABCDEF", "team": "T0", "operation": "x.do", "requester": "U0MARA"}
    where = {"channel": "C0OPS", "state": "running", "parameters": {}, "created_at": NOW}
    return Request(**{**common, **where, **fields})


@pytest.mark.parametrize("waited", [2 * HOUR, 7 * HOUR, 30 * HOUR, 6 * DAY])
def test_a_wait_for_an_approval_is_no_wait_for_the_vendor(waited: float) -> None:
    """However late the yes came, the first hitch after it costs a minute, and ends nothing."""
    released = request(planned_at=NOW - waited, released_at=NOW)
    assert longer(released, NOW + 1) <= 61
    assert not too_long(released, NOW + 1)
    assert not too_long(released, NOW + 23 * HOUR)
    assert too_long(released, NOW + 25 * HOUR)


def test_what_policy_lets_wait_longer_is_not_given_up_before() -> None:
    patient = request(planned_at=NOW, released_at=NOW, expires_at=NOW + 7 * DAY)
    assert not too_long(patient, NOW + 6 * DAY)
    assert too_long(patient, NOW + 8 * DAY)


def test_a_time_that_was_wished_for_counts_from_then() -> None:
    wished = request(planned_at=NOW, released_at=NOW, wished_at=NOW + 3 * DAY)
    assert not too_long(wished, NOW + 3 * DAY + 23 * HOUR)
    assert too_long(wished, NOW + 4 * DAY + HOUR)


@pytest.mark.parametrize(
    ("fields", "told_by_receipt"),
    [
        ({"state": "denied"}, False),
        ({"state": "failed"}, False),
        ({"state": "failed", "released_at": NOW}, True),
        ({"state": "failed", "released_at": NOW, "started_at": NOW}, True),
        ({"state": "cancelled", "released_at": NOW}, False),
        ({"state": "cancelled", "released_at": NOW, "started_at": NOW}, True),
        ({"state": "partial", "started_at": NOW}, True),  # of a version that noted no release
        ({"state": "running", "released_at": NOW, "started_at": NOW}, False),
        ({"state": "scheduled", "released_at": NOW, "started_at": NOW}, False),
    ],
)
def test_a_receipt_tells_the_end_of_what_was_released(
    fields: dict[str, Any], told_by_receipt: bool
) -> None:
    assert ended_by_its_run(request(**fields)) is told_by_receipt
