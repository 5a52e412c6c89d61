"""The switch for the faults of a vendor's stand-in."""

from __future__ import annotations

import pytest

from deploy.sandbox.vendors.faults import FaultSwitch
from deploy.sandbox.vendors.qualys import FAULTS


def test_a_fault_switch_counts_calls_and_seconds() -> None:
    now = [0.0]
    switch = FaultSwitch(FAULTS, frozenset({"slow"}), clock=lambda: now[0])
    switch.set("http_500", {"times": 1})
    assert switch.take("/a") is not None
    assert switch.take("/a") is None
    switch.set("http_500", {"seconds": 10})
    assert switch.state()["active"] == {"name": "http_500", "times": None, "seconds": 10.0}
    now[0] = 11.0
    assert switch.take("/a") is None
    switch.set("slow", {"seconds": 1})
    now[0] = 99.0
    assert switch.take("/a") is not None
    with pytest.raises(ValueError, match="no such fault"):
        switch.set("boredom")
