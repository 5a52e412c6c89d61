"""What decides is read on the card and in the review: no value hides another or looks like it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import example, settings
from hypothesis import given as any_of
from hypothesis import strategies as st

from bot.domain.operations import Operation, Record, Result
from bot.domain.plans import Counts, RequestFacts, State
from bot.domain.reading import read_text
from bot.slack.views.blocks import beginning, inline, size
from bot.slack.views.cards import card, thread_reply
from bot.slack.views.review import review_view
from deploy.sandbox.slack.block_rules import problems
from handlers.ccs.tickets import UpdateTicket

CCS = cast(Operation, UpdateTicket(cast(Any, None)))
TITLES = {
    "TicketState": "State",
    "TicketDescription": "Description",
    "Priority": "Priority",
    "AssignedTo": "Assigned to",
}
DECIDES = frozenset({"approve", "reject", "details"})
FORGED = "Patched in change 4711\n*Priority:* High\n*Assigned to:* corp\\alice\n"
# What somebody writes who wants another line to be read, and what takes much room.
PIECES = [
    "\n*Priority:* High",
    "\u2028*Assigned to:* corp\\alice",
    "\r*State:* Open",
    "\n",
    "> ",
    "```",
    "`",
    "*",
    "_",
    "&" * 200,
    "补" * 700,
    "x" * 900,
    "\\" * 400,
    '"' * 400,
    ".\n" * 400,
    "\u2800\n" * 300,
]


# Without what nobody sees: that is shown by its number (tests/unit/test_unseen.py).
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs"]), max_size=30)


def long_text(most: int) -> st.SearchStrategy[str]:
    pieces = st.lists(st.sampled_from(PIECES) | WORDS, min_size=1, max_size=8)
    return pieces.map(lambda each: "".join(each)[:most].strip()).filter(bool)


def waiting(values: Mapping[str, str], comment: str = "", **more: Any) -> RequestFacts:
    after = {name.lower(): value for name, value in values.items()}
    before = dict.fromkeys(after, "\n*Priority:* High")
    record = Record("INCA0000009", "srv1\n*Priority:* High", before, after)
    known: dict[str, Any] = {
        "id": "R2345678",
        "operation": CCS.name,
        "state": State.PENDING_APPROVAL,
        "requester": "U0MARA",
        "parameters": {"TicketNumber": ["INCA0000009"], **values},
        "digest": "ab" * 32,
        "account": "svc",
        "counts": Counts(records=4),
        "sample": [record] * 4,
        "left_out": [("changed since: it is\n*Priority:* High", 1, ["INCA0000001"])],
        "left_out_many": 1,
        "notes": ["CCS runs its job\n*Priority:* High"],
        "reason": "because\n*Priority:* High",
        "sent_comment": comment,
        "approvals_needed": 1,
        "approvers": "rule 1 of the policy asks 1 approver.",
    }
    return RequestFacts(**{**known, **more})


# What a mark, a mention, a link, an emoji or an entity of Slack's is made of.
MARKS = st.lists(
    st.sampled_from(
        ["*", "_", "~", "`", "```", ":wave:", "<@U0MARA>", "<!here>", "&amp;", ">", "\n"]
    )
    | st.text("abc *_~`<>&|", max_size=5),
    min_size=1,
    max_size=30,
)
MARKED = MARKS.map(lambda each: "".join(each).strip()).filter(bool)


def read(block: Mapping[str, Any]) -> str:
    """A block as its reader sees it, by Slack's rules: what is quoted stands behind `>`."""
    if block["type"] == "rich_text":
        return "".join(map(_read_part, block["elements"]))
    if block["type"] == "context":
        return "\n".join(html.unescape(each["text"]) for each in block["elements"])
    return html.unescape(block["text"]["text"]) if block["type"] == "section" else ""


def _read_part(part: Mapping[str, Any]) -> str:
    assert all(each["type"] == "text" for each in part["elements"])
    text = "".join(map(_read_piece, part["elements"]))
    quoted = part["type"] == "rich_text_quote"
    return "".join(f"\n>{each}" for each in text.split("\n")) if quoted else text


def _read_piece(piece: Mapping[str, Any]) -> str:
    return title_of(piece["text"]) if piece.get("style", {}).get("bold") else piece["text"]


def title_of(name: str) -> str:
    """What stands in bold; no text of others can (what nobody sees in one is shown by its number)."""
    return f"\x02{name}\x02"


def sections(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    return [text for each in blocks if (text := read(each))]


def surfaces(facts: RequestFacts) -> list[list[str]]:
    message = card(CCS, facts, now=1.0, offers=DECIDES)
    view = review_view(CCS, facts)
    assert problems("message", message["blocks"]) == []
    assert problems("modal", view) == []
    return [sections(message["blocks"]), sections(view["blocks"])]


def said(section: str, title: str) -> str:
    """What stands of a value below or behind its title, as its reader sees it."""
    head, *below = section.split("\n")
    beside = head.removeprefix(title_of(f"{title}:")).removeprefix(" ")
    assert all(each.startswith(">") for each in below), section
    return "\n".join(each[1:] for each in below) if below else beside


def shown_alone(texts: Sequence[str], title: str, value: str) -> None:
    """One line only begins with the title, and the value's own beginning stands with it."""
    lines = [line for each in texts for line in each.split("\n")]
    assert sum(each.startswith(title_of(f"{title}:")) for each in lines) == 1, (title, lines)
    (section,) = [each for each in texts if each.startswith(title_of(f"{title}:"))]
    assert value.startswith(said(section, title)[:20])


@any_of(description=MARKED, priority=MARKED, comment=MARKED, reason=MARKED)
@example("~not~ urgent", "_low_ *high*", "a `tick` & <b>", "<!channel> :fire:")
@settings(deadline=None, max_examples=150)
def test_who_decides_reads_exactly_what_goes_out(
    description: str, priority: str, comment: str, reason: str
) -> None:
    facts = waiting({"TicketDescription": description, "Priority": priority}, comment)
    facts = replace(facts, reason=reason)
    on_card, in_review = surfaces(facts)
    values = {"Description": description, "Priority": priority, "Comment": comment}
    for texts, titles in ((on_card, {**values, "Why": reason}), (in_review, values)):
        for title, value in titles.items():
            (section,) = [each for each in texts if each.startswith(title_of(f"{title}:"))]
            assert said(section, title) == value


@any_of(why=MARKED, before=MARKED, words=MARKED)
@settings(deadline=None, max_examples=50)
def test_what_was_decided_and_what_a_vendor_said_is_read_exactly(
    why: str, before: str, words: str
) -> None:
    record = Record("INCA0000009", "", {"priority": before}, {"priority": "Low"})
    decided = {"state": State.REJECTED, "decided_by": "U0LEAD", "ended": 2.0}
    facts = waiting({"Priority": "Low"}, decided_why=why, words=words, sample=[record], **decided)
    blocks = card(CCS, facts, now=3.0, offers=frozenset())["blocks"]
    assert {in_quote(why), in_quote(words)} <= set(sections(blocks))
    receipt = thread_reply(CCS, facts, [(record, Result.CHANGED, words)] * 1)
    assert in_quote(words) in sections(receipt["blocks"])
    assert problems("message", receipt["blocks"]) == []
    review = sections(review_view(CCS, waiting({"Priority": "Low"}, sample=[record]))["blocks"])
    one_line = " ⏎ ".join(before.splitlines())
    assert f"{title_of('INCA0000009')}\nPriority: {one_line} → Low" in review


def in_quote(text: str) -> str:
    return "".join(f"\n>{each}" for each in text.split("\n"))


TYPED = "As Amend reads it: "


@any_of(description=MARKED, priority=MARKED)
@example("a `tick`", "two\nlines `x`")
@settings(deadline=None, max_examples=150)
def test_the_command_that_is_shown_says_the_same_when_it_is_typed(
    description: str, priority: str
) -> None:
    values = {"TicketDescription": description, "Priority": priority}
    for text in sections(review_view(CCS, waiting(values))["blocks"]):
        if text.startswith(TYPED):
            head, *below = text.split("\n")
            shown = "\n".join(each[1:] for each in below) or head.removeprefix(TYPED)
            command, _, typed = shown.partition(" ")
            assert command == "/ccs"
            found = read_text(CCS, typed)
            assert {name: found.values.get(name) for name in values} == values


@any_of(
    description=long_text(3000),
    priority=long_text(100),
    assigned=long_text(256),
    comment=long_text(3000),
)
@example(FORGED + ".\n" * 1450 + ".", "Low", "corp\\mallory", "")
@example("补" * 2950, "Low", "corp\\mallory", "")
@example("&" * 3000, "&" * 100, "\\" * 256, "&" * 3000)
@settings(deadline=None, max_examples=150)
def test_each_change_stands_on_a_line_of_its_own(
    description: str, priority: str, assigned: str, comment: str
) -> None:
    values = {"TicketDescription": description, "Priority": priority, "AssignedTo": assigned}
    facts = waiting(values, comment)
    for texts in surfaces(facts):
        for name in values:
            shown_alone(texts, TITLES[name], str(facts.parameters[name]))
        if comment:
            shown_alone(texts, "Comment", comment)


@any_of(description=long_text(3000), priority=long_text(100))
@settings(deadline=None, max_examples=50)
def test_of_an_undo_each_record_tells_each_way_back(description: str, priority: str) -> None:
    after = {"description": description, "priority": priority}
    record = Record("INCA0000009", "srv1", {"description": "*x", "priority": "*y"}, after)
    facts = waiting({"Priority": "Low"}, relation="undo", sample=[record])
    for texts in surfaces(facts):
        (section,) = [each for each in texts if each.startswith(title_of("INCA0000009"))]
        _head, *lines = section.split("\n")
        assert [each.split(":")[0] for each in lines] == ["Description", "Priority"]


def test_a_value_that_is_cut_says_by_how_much() -> None:
    facts = waiting({"TicketDescription": "word " * 590 + "end", "Priority": "Low"}, "c" * 9_000)
    message = card(CCS, facts, now=1.0, offers=DECIDES)
    (section,) = [s for s in sections(message["blocks"]) if s.startswith(title_of("Comment:"))]
    head, quoted = section.split("\n")
    missing = 9_000 - len(quoted.removeprefix(">"))
    assert missing > 0
    assert f"{missing:,} more characters" in head


def test_the_review_has_every_value_whole() -> None:
    description = "\n".join(f"line {number} <&> ." for number in range(180))
    facts = waiting({"TicketDescription": description}, "补" * 2_000)
    texts = sections(review_view(CCS, facts)["blocks"])
    quoted = [line[1:] for each in texts for line in each.split("\n") if line.startswith(">")]
    said_all = "".join(quoted)
    assert description.replace("\n", "") in said_all
    assert "补" * 2_000 in said_all


@pytest.mark.parametrize("value", ["Low", "2", "with `ticks`", "two\nlines", "w" * 90])
def test_short_values_stand_beside_their_title_and_others_in_a_quote(value: str) -> None:
    texts = sections(card(CCS, waiting({"Priority": value}), now=1.0, offers=frozenset())["blocks"])
    (section,) = [each for each in texts if each.startswith(title_of("Priority:"))]
    quoted = len(value) > 80 or "\n" in value
    title = title_of("Priority:")
    assert section == (f"{title}{in_quote(value)}" if quoted else f"{title} {value}")


def test_what_is_dropped_from_a_full_message_is_no_change() -> None:
    lots = [("because " + "y" * 300, 3, ["INCA0000001"] * 5)] * 8
    facts = waiting(
        {"TicketDescription": "d" * 2_999, "Priority": "Low", "AssignedTo": "corp\\mallory"},
        "c" * 3_000,
        left_out=lots,
        notes=["n" * 2_800],
        reason="r" * 500,
    )
    texts = sections(card(CCS, facts, now=1.0, offers=DECIDES)["blocks"])
    for title in ("Description", "Priority", "Assigned to", "Comment"):
        assert any(each.startswith(title_of(f"{title}:")) for each in texts)
    assert any("rule 1 of the policy" in each for each in texts)
    assert any("more than a message holds" in each for each in texts)


def test_a_comment_without_a_name_says_so_where_it_is_decided_on() -> None:
    for unsigned in (True, False):
        for texts in surfaces(waiting({"Priority": "Low"}, "c" * 40, unsigned=unsigned)):
            (section,) = [each for each in texts if each.startswith(title_of("Comment:"))]
            assert ("without a name" in section.split("\n")[0]) is unsigned


@pytest.mark.parametrize("state", [State.PLANNED, State.PENDING_APPROVAL])
def test_whoever_decides_from_a_card_reads_what_the_vendor_will_do(state: State) -> None:
    facts = waiting({"Priority": "Low"}, state=state, notes=["It executes at once"])
    texts = sections(card(CCS, facts, now=1.0, offers=DECIDES)["blocks"])
    assert any("It executes at once" in each for each in texts)


def test_a_review_with_nothing_to_confirm_asks_for_nothing() -> None:
    left = {"counts": Counts(records=1), "sample": [], "left_out_many": 1}
    view = review_view(CCS, waiting({"Priority": "Low"}, **left))
    said = " ".join(sections(view["blocks"]))
    assert "submit" not in view
    assert "confirm" not in said
    assert "Nothing was sent." in said


@pytest.mark.parametrize("most", range(-1, 9))
def test_a_beginning_never_takes_more_room_than_there_is(most: int) -> None:
    part = beginning("abcdef", most)
    assert "abcdef".startswith(part)
    assert not part or size(inline(part)) <= most
