"""What will change, value by value, so that no value hides another or looks like it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot.domain.operations import Operation, Record
from bot.domain.parameters import Kind, Param
from bot.domain.plans import RequestFacts
from bot.domain.unseen import visible
from bot.slack.views.blocks import Block, beginning, brief, size
from bot.slack.views.exact import line, one_line, quoted, words

# Of a message, in characters: what the changes have together, and what each may have at most.
MOST_CHANGES = 6_000
MOST_ONE = 2_800
# Of a view: how many blocks hold values, and the bytes of each value's part as Slack counts them.
MOST_PIECES = 40
PIECE = 2_800
SHORT = 80  # characters of a value that stands beside its title
MOST_MOVES = 1_800  # characters of a record's line for its values, before and after


@dataclass(frozen=True)
class Change:
    """A value as it will be sent; `plain` where its words are ours (a choice, what empty means)."""

    title: str
    text: str
    plain: bool = False
    comment: bool = False
    note: str = ""

    @property
    def beside(self) -> bool:
        """True where it stands beside its title, as code: it cannot pass for a line there."""
        short = len(self.text) <= SHORT and len(self.text.splitlines()) == 1
        return self.plain or (short and not self.comment)


def changes(operation: Operation, facts: RequestFacts) -> list[Change]:
    """The changes of all records alike, short ones first; an undo has its own for each record, and
    its comment alone in common."""
    found = [
        _change(spec, facts.parameters[name])
        for name, spec in operation.params().items()
        if name in facts.parameters and spec.kind is Kind.CHANGE and name != operation.comment
        if facts.relation != "undo"
    ]
    if facts.sent_comment:
        note = "without a name: it has no room for one" if facts.unsigned else ""
        found.append(Change("Comment", facts.sent_comment, comment=True, note=note))
    return sorted(found, key=lambda each: 0 if each.beside else len(each.text))


def _change(spec: Param, value: object) -> Change:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    ours = spec.choices.get(text) or ("" if text else spec.empty_means or "empty")
    return Change(spec.title, ours or text, plain=bool(ours))


def change_blocks(operation: Operation, facts: RequestFacts) -> list[Block]:
    """A block for each change; what does not fit says how much more there is."""
    return [_told(change, part) for change, part in _shares(operation, facts)]


def is_cut(operation: Operation, facts: RequestFacts) -> bool:
    """True where a card shows a beginning of some value only."""
    if facts.relation == "undo":
        moves = [(_room(each), each) for each in facts.sample]
        return any(
            beginning(value, room, one_line) != value
            for room, each in moves
            for value in _all(each)
        )
    return any(part != change.text for change, part in _shares(operation, facts))


def _shares(operation: Operation, facts: RequestFacts) -> Iterator[tuple[Change, str]]:
    """Each change with as much of it as its share of a message holds; what is short leaves more."""
    found, room = changes(operation, facts), MOST_CHANGES
    for at, change in enumerate(found):
        share = min(MOST_ONE, room // (len(found) - at))
        part = change.text if change.beside else beginning(change.text, share, visible)
        room -= size(visible(part))
        yield change, part


def _told(change: Change, part: str) -> Block:
    if change.beside:
        value = words(change.text) if change.plain else words(change.text, "code")
        return line(words(f"{change.title}:", "bold"), words(" "), value)
    rest = len(change.text) - len(part)
    return quoted(part, *_title(change, f"{rest:,} more characters: see Details" if rest else ""))


def _title(change: Change, more: str) -> Iterator[Block]:
    """The title of a value that is quoted below it, and what is to be known of it."""
    yield words(f"{change.title}:", "bold")
    for note in filter(None, (change.note, more)):
        yield words(f" {note}", "italic")


def whole_blocks(operation: Operation, facts: RequestFacts) -> list[Block]:
    """Each change whole, for a view, in as many blocks as that takes."""
    blocks: list[Block] = []
    for change in changes(operation, facts):
        blocks += _pieces(change, max(1, MOST_PIECES - len(blocks)))
    return blocks


def _pieces(change: Change, most: int) -> Iterator[Block]:
    """One value in up to `most` blocks; the first has its title."""
    if change.beside:
        yield _told(change, change.text)
        return
    parts: list[str] = []
    at = 0
    while at < len(change.text) and len(parts) < most:
        parts.append(beginning(change.text[at:], PIECE, visible, weight))
        at += len(parts[-1])
    rest = len(change.text) - at
    more = f"{rest:,} more characters: see the file in the thread" if rest else ""
    yield quoted(parts[0], *_title(change, more))
    yield from map(quoted, parts[1:])


def weight(text: str) -> int:
    """Bytes that a text takes in a view, whose limit counts them."""
    return len(json.dumps(text))


def record_block(record: Record, became: str = "", *, moves: bool = True) -> Block:
    """One record: what it is and `became`, and from → to, each on one line that no value leaves."""
    room = _room(record)
    rest = f" {_brief(record.label, 300)}" if record.label else ""
    rest += f" · {one_line(became)}" if became else ""
    for name, after in record.after.items() if moves else ():
        before = record.state.get(name, "")
        rest += f"\n{name.capitalize()}: {_brief(before, room)} → {_brief(after, room)}"
    head = words(one_line(record.id), "bold")
    return line(head, words(rest)) if rest else line(head)


def _brief(text: str, most: int) -> str:
    return brief(text, most, one_line)


def _room(record: Record) -> int:
    return min(200, MOST_MOVES // (2 * len(record.after) or 1))


def _all(record: Record) -> list[str]:
    return [*record.after.values(), *(record.state.get(name, "") for name in record.after)]


def in_full(operation: Operation, facts: RequestFacts) -> str:
    """All changes as a plain text, for who decides; each line of a value is set in."""
    return "".join(f"{each.title}\n{_set_in(each.text)}\n" for each in changes(operation, facts))


def record_in_full(record_id: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """A record's own way back as a plain text."""
    moves = "".join(
        f"  {name} from\n{_set_in(before.get(name, ''), 4)}  {name} to\n{_set_in(value, 4)}"
        for name, value in after.items()
    )
    return f"{record_id}\n{moves}\n"


def _set_in(text: str, by: int = 2) -> str:
    return "".join(f"{' ' * by}| {line}\n" for line in visible(text).splitlines() or [""])
