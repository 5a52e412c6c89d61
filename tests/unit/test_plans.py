"""The digest that approvals name: the same for the same plan, another for any difference."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.operations import Record
from bot.domain.plans import Digest, as_json
from bot.pipeline.planning import Tally

TEXTS = st.text(max_size=12)
STATES = st.dictionaries(TEXTS, TEXTS, max_size=4)
RECORDS = st.builds(Record, id=TEXTS, label=TEXTS, state=STATES, after=STATES, left_out=TEXTS)


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@given(st.lists(RECORDS, max_size=4), STATES)
def test_the_digest_is_sha_256_of_the_canonical_form(
    records: list[Record], parameters: dict[str, str]
) -> None:
    digest, plain = Digest("x.do", parameters), hashlib.sha256(canonical(["x.do", parameters]))
    for each in records:
        digest.add(each)
        plain.update(canonical([each.id, dict(each.state), dict(each.after), each.left_out]))
    assert digest.hex() == plain.hexdigest()


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
        digest = Digest("x.do", {})
        digest.add(each)
        digests.add(digest.hex())
    digests.add(Digest("x.undo", {}).hex())
    digests.add(Digest("x.do", {"a": "b"}).hex())
    assert len(digests) == 7


def test_of_many_different_changes_none_escapes_what_policy_looks_at() -> None:
    tally = Tally(Digest("qualys.edit_tickets", {}), frozenset({"change_state"}))
    for number in range(3000):
        record = Record(str(number), "", {"state": "Open"}, {"assignee": f"user_{number}"})
        tally.add(record, {"change_assignee": f"user_{number}"})
    tally.add(Record("last", "", {}, {"state": "Closed/Ignored"}), {"change_state": "IGNORED"})
    assert tally.own_changes == {frozenset(), frozenset({("change_state", "IGNORED")})}
    assert (tally.records, tally.left_out) == (3001, 0)


def test_a_tally_keeps_the_first_that_will_be_sent() -> None:
    tally = Tally(Digest("x.do", {}))
    for number in range(100):
        tally.add(Record(str(number), "", {}, {}, "is so already" if number % 2 else ""), None)
    assert [each.id for each in tally.first] == [str(each) for each in range(0, 40, 2)]
    assert (tally.records, tally.left_out) == (100, 50)
