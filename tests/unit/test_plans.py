"""The digest that approvals name: the same for the same plan, another for any difference."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.operations import Record
from bot.domain.plans import (
    NEXT,
    OVER,
    Counts,
    Digest,
    Intent,
    State,
    as_json,
    notes_line,
    outcome,
    record_line,
    steps,
)
from bot.pipeline.planning import Tally

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", max_size=6)
STATES = st.dictionaries(NAMES, TEXTS, max_size=4)
RECORDS = st.builds(Record, id=TEXTS, label=TEXTS, state=STATES, after=STATES, left_out=TEXTS)


def lines(*values: object) -> bytes:
    """RFC 8785 by its library: one value a line."""
    return b"".join(rfc8785.dumps(value) + b"\n" for value in values)  # type: ignore[arg-type]


INTENT = Intent("x.do", {"a": ["b"]}, "as sent", "svc", own_account=False)


@given(st.lists(st.tuples(RECORDS, st.none() | STATES), max_size=4), STATES, st.lists(TEXTS))
def test_the_digest_is_sha_256_of_the_lines_of_the_plan(
    records: list[tuple[Record, dict[str, str] | None]],
    parameters: dict[str, str],
    notes: list[str],
) -> None:
    intent = Intent("x.do", parameters, "é\n", "svc", own_account=True)
    digest = Digest(intent.line())
    told: list[dict[str, object]] = [
        {
            "operation": "x.do",
            "parameters": parameters,
            "comment": "é\n",
            "account": "svc",
            "own_account": True,
        }
    ]
    for each, changes in records:
        digest.add(record_line(each, changes))
        own = {} if changes is None else {"changes": changes}
        shown = {"state": dict(each.state), "after": dict(each.after), "left_out": each.left_out}
        told.append({"id": each.id, **shown, **own})
    digest.add(notes_line(notes))
    if notes:
        told.append({"notes": notes})
    assert digest.hex() == hashlib.sha256(lines(*told)).hexdigest()


@given(STATES)
def test_a_state_is_one_text_whatever_its_order(state: dict[str, str]) -> None:
    assert as_json(state) == as_json(dict(reversed(state.items())))
    assert json.loads(as_json(state)) == state


def test_any_difference_makes_another_digest() -> None:
    record = Record("1", "a label", {"state": "Open"}, {"state": "Resolved"})
    others = [
        replace(record, id="2"),
        replace(record, state={"state": "Resolved"}),
        replace(record, after={"state": "Closed/Ignored"}),
        replace(record, left_out="outside your scope"),
    ]
    digests = set()
    for each in [record, *others]:
        digest = Digest(INTENT.line())
        digest.add(record_line(each, None))
        digests.add(digest.hex())
    intents = [
        INTENT,
        replace(INTENT, operation="x.undo"),
        replace(INTENT, parameters={"a": "b"}),
        replace(INTENT, comment="another"),
        replace(INTENT, account="other"),
        replace(INTENT, own_account=True),
    ]
    digests |= {Digest(each.line()).hex() for each in intents}
    assert len(digests) == 11


def test_of_many_different_changes_none_escapes_what_policy_looks_at() -> None:
    tally = Tally(Digest(INTENT.line()), frozenset({"change_state"}))
    for number in range(3000):
        record = Record(str(number), "", {"state": "Open"}, {"assignee": f"user_{number}"})
        tally.add(record, {"change_assignee": f"user_{number}"})
    tally.add(Record("last", "", {}, {"state": "Closed/Ignored"}), {"change_state": "IGNORED"})
    assert tally.own_changes == {frozenset(), frozenset({("change_state", "IGNORED")})}
    assert (tally.records, tally.left_out) == (3001, 0)


def test_a_tally_keeps_the_first_that_will_be_sent() -> None:
    tally = Tally(Digest(INTENT.line()))
    for number in range(100):
        tally.add(Record(str(number), "", {}, {}, "is so already" if number % 2 else ""), None)
    assert [each.id for each in tally.first] == [str(each) for each in range(0, 40, 2)]
    assert (tally.records, tally.left_out) == (100, 50)


def test_every_state_is_reached_and_an_end_stays_an_end() -> None:
    reached, left = {State.RECEIVED}, [State.RECEIVED]
    while left:
        for each in NEXT.get(left.pop(), frozenset()):
            if each not in reached:
                reached.add(each)
                left.append(each)
    assert reached == set(State)
    ends = {"succeeded", "partial", "failed", "unknown", "cancelled", "rejected", "expired"}
    assert {each.value for each in OVER} == ends | {"denied"}


@pytest.mark.parametrize("end", sorted(OVER))
@pytest.mark.parametrize("to", list(State))
def test_nothing_comes_after_an_end(end: State, to: State) -> None:
    with pytest.raises(ValueError, match="never becomes"):
        steps((State.RUNNING, end), to)


# What may become of a record: was it to be sent, and how it ended.
ENDED = st.sampled_from(
    [
        (True, "changed"),
        (True, "unchanged"),
        (True, "refused"),
        (True, "unknown"),
        (True, "not_sent"),
        (False, "unchanged"),  # it is so already
        (False, "not_sent"),  # left out for another reason
    ]
)


@given(st.lists(ENDED, max_size=8), st.booleans())
def test_a_run_has_succeeded_only_where_all_that_was_to_be_sent_was_done(
    ended: list[tuple[bool, str]], cancelling: bool
) -> None:
    by_result = Counter(result for _, result in ended)
    held = sum(not sent and result == "not_sent" for sent, result in ended)
    state = outcome(Counts.of(by_result, held), cancelling)
    missed = [result for sent, result in ended if sent and result in {"refused", "not_sent"}]
    if cancelling and (True, "not_sent") in ended:
        assert state is State.CANCELLED
    elif missed or by_result["unknown"]:
        assert state in {State.PARTIAL, State.FAILED, State.UNKNOWN}
        assert (state is State.PARTIAL) == bool(by_result["changed"])
    elif by_result["changed"] or by_result["unchanged"]:
        assert state is State.SUCCEEDED
    else:
        assert state is State.FAILED
