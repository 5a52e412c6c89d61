"""What CCS shows of a ticket, in whatever shape: the answers' form is in no source (facts A.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.ccs.reading import Ticket, read_page
from integrations.http import Reply


def shown(value: Any) -> Ticket:
    record = {"TicketNumber": "INCA0000001", "TicketState": 1, "AssignedTo": value}
    (ticket,) = read_page(Reply(200, {}, json.dumps(record).encode())).tickets
    return ticket


@pytest.mark.parametrize(
    ("value", "assignee"),
    [
        ("corp\\jdoe", "corp\\jdoe"),
        (7, "7"),
        ({"Id": 7, "Name": "corp\\jdoe"}, "corp\\jdoe"),
        (["corp\\jdoe"], "corp\\jdoe"),
        ([{"Name": "corp\\jdoe"}], "corp\\jdoe"),
        ([["corp\\jdoe"]], "corp\\jdoe"),
        # Empty is what can be seen to be.
        ("", ""),
        (None, ""),
        ([], ""),
        ([None], ""),
        ({"Name": None, "Id": None}, ""),
        # What is there and cannot be read is not known.
        (["corp\\jdoe", "corp\\asmith"], None),
        ({"Mail": "jdoe@corp.example"}, None),
        ([{"Mail": "jdoe@corp.example"}], None),
    ],
)
def test_a_value_is_known_or_empty_or_not_known(value: Any, assignee: str | None) -> None:
    assert shown(value).assignee == assignee


@pytest.mark.parametrize("state", [4, "4", "4.0", "failed", [4], ["Failed"], {"Value": 4}])
def test_a_state_is_read_in_the_same_shapes(state: Any) -> None:
    record = {"Number": "INCA0000001", "State": state}
    (ticket,) = read_page(Reply(200, {}, json.dumps([record]).encode())).tickets
    assert ticket.state == "Failed"
