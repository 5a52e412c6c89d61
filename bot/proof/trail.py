"""The trail as lines: each sealed with the hash of the one before, and all of them leaves of a tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.proof.canonical import NotCanonical, canonical, digest, parse
from bot.proof.checkpoints import Checkpoint
from bot.proof.tree import Frontier, leaf_hash

FIELDS = frozenset(
    {"seq", "at", "actor", "via", "action", "request_id", "facts", "previous", "hash"}
)


def seal(entry: Mapping[str, Any]) -> tuple[bytes, str]:
    """The line of an entry that has no `hash` yet, in RFC 8785 form without a line end, and its hash."""
    told = digest(entry)
    return canonical({**entry, "hash": told}), told


@dataclass(frozen=True)
class Finding:
    """What is wrong: at which line (from 1; 0 for the trail as a whole), and why."""

    line: int
    why: str


@dataclass
class Reading:
    """A trail that is read line by line, with what was to be checked on the way.

    `checkpoints` are heads that were seen before: at its size, each must be this trail's head.
    """

    checkpoints: Sequence[Checkpoint] = ()
    frontier: Frontier = field(default_factory=Frontier)
    previous: str = ""

    def take(self, line: bytes) -> Finding | None:
        """Check one more line (without its line end); None where it holds."""
        seq = self.frontier.size + 1
        why = self._wrong(line, seq)
        self.frontier = self.frontier.append(leaf_hash(line))
        return Finding(seq, why) if why else self._at(seq)

    def _wrong(self, line: bytes, seq: int) -> str:
        try:
            entry = parse(line)
        except NotCanonical as error:
            return str(error)
        if not isinstance(entry, dict) or set(entry) != FIELDS:
            return "not an entry of a trail"
        told = entry.pop("hash")
        if entry["seq"] != seq:
            return f"entry {entry['seq']} stands where entry {seq} belongs"
        if entry["previous"] != self.previous:
            return f"entry {seq} does not continue the one before it"
        if digest(entry) != told:
            return f"entry {seq} was changed after it was sealed"
        self.previous = told
        return ""

    def _at(self, size: int) -> Finding | None:
        for each in self.checkpoints:
            if each.size == size and each.root != self.frontier.root:
                return Finding(size, f"the checkpoint of {size} entries was of another trail")
        return None

    def end(self) -> Finding | None:
        """After the last line: is every checkpoint within the trail?"""
        size = self.frontier.size
        for each in self.checkpoints:
            if each.size > size:
                return Finding(0, f"a checkpoint knows {each.size} entries, and {size} are here")
        return None


def verify(lines: Iterable[bytes], checkpoints: Sequence[Checkpoint] = ()) -> Finding | None:
    """The first thing that is wrong with a trail, or None where all of it holds."""
    reading = Reading(checkpoints)
    for line in lines:
        found = reading.take(line)
        if found:
            return found
    return reading.end()
