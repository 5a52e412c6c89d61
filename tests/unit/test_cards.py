"""What a card tells of a run: how far it is, how long it still takes, what waits."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bot.domain.operations import Operation
from bot.domain.plans import Counts, RequestFacts, State
from bot.slack.views.blocks import lasting
from bot.slack.views.cards import card
from handlers.ccs.tickets import UpdateTicket
from tests.e2e.conftest import text_of

CCS = cast(Operation, UpdateTicket(cast(Any, None)))


def facts(**more: Any) -> RequestFacts:
    known: dict[str, Any] = {
        "id": "R2ABCDEF",
        "operation": "ccs.update_ticket",
        "state": State.RUNNING,
        "requester": "U0MARA",
        "parameters": {"TicketNumber": ["INCA0000001"], "Priority": "High"},
        "digest": "ab" * 32,
        "started": 1000.0,
    }
    return RequestFacts(**{**known, **more})


def shown(known: RequestFacts, now: float) -> str:
    return text_of(card(CCS, known, now=now, offers=frozenset()))


@pytest.mark.parametrize(
    ("done", "seconds", "line"),
    [
        (0, 30.0, "░░░░░░░░░░ 0 of 20,000"),
        (5_000, 20.0, "▓▓░░░░░░░░ 5,000 of 20,000 · 250/s · about 60 s left"),
        (10_000, 1_000.0, "▓▓▓▓▓░░░░░ 10,000 of 20,000 · 10/s · about 17 min left"),
        (100, 200.0, "░░░░░░░░░░ 100 of 20,000 · 30/min · about 11 h 3 min left"),
    ],
)
def test_a_running_card_tells_how_far_it_is(done: int, seconds: float, line: str) -> None:
    counts = Counts(records=20_000, changed=done)
    assert line in shown(facts(counts=counts), 1000.0 + seconds)


def test_records_that_were_left_out_are_no_progress() -> None:
    counts = Counts(records=300, changed=50, unchanged=80, not_sent=20)
    assert "50 of 200" in shown(facts(counts=counts, left_out_many=100), 1010.0)


def test_a_run_in_line_has_no_bar_yet() -> None:
    words = shown(
        facts(counts=Counts(records=300), started=None, words="Another one goes first."), 1000.0
    )
    assert "In line" in words
    assert "░" not in words


@pytest.mark.parametrize(
    ("counts", "left_out", "title"),
    [
        (
            Counts(1, unchanged=1),
            [("is High already", 1, ["INCA0000001"])],
            "ticket INCA0000001 is so",
        ),
        (Counts(1, not_sent=1, held=1), [("is Closed", 1, ["INCA0000001"])], "ticket INCA0000001"),
        (Counts(3, unchanged=3), [("is High already", 3, ["A", "B", "C"])], "3 tickets"),
        (Counts(3, changed=1, unchanged=2), [("is High already", 2, ["A", "B"])], "1 ticket"),
    ],
)
def test_a_title_says_what_the_plan_has(counts: Counts, left_out: Any, title: str) -> None:
    many = sum(each[1] for each in left_out)
    known = facts(state=State.SUCCEEDED, counts=counts, left_out=left_out, left_out_many=many)
    assert title in shown(known, 0.0).splitlines()[0]


def test_a_card_carries_its_counts_and_digest() -> None:
    message = card(CCS, facts(counts=Counts(records=3, changed=2)), now=0.0, offers=frozenset())
    payload = message["metadata"]["event_payload"]
    assert message["metadata"]["event_type"] == "amend_request"
    assert (payload["records"], payload["changed"], payload["digest"]) == (3, 2, "ab" * 32)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3_599, "1 h 0 min"), (7_380, "2 h 3 min")],
)
def test_lengths_of_time_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_head_of_its_own(state: State) -> None:
    heads = {each: shown(facts(state=each), 1.0).split(":")[0] for each in State}
    assert [each for each in State if heads[each] == heads[state]] == [state]
