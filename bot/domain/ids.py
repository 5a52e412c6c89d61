"""How a vendor's record ids look, and how people write them: dressed, in ranges, as addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_RANGE = re.compile(r"(.+?)\s*(?:\.\.+|…|-)\s*(.+)")
_AROUND = "()[]{},;.:"


@dataclass(frozen=True)
class Ids:
    """Declared by an operation for its records.

    `plain` is an entry as the vendor itself takes it, ranges included where it takes some; `one` a
    single id, in any case; `address` an address of the vendor's console, whose first group is the
    id. `before` are words that people put in front of an id (`INC` in `INC-71`). `spelled` brings
    an id to the vendor's spelling. `between` are the entries from one id to another, () where they
    make no range.
    """

    plain: str
    one: str
    address: str = ""
    before: tuple[str, ...] = ()
    spelled: Callable[[str], str] = str
    between: Callable[[str, str], Sequence[str]] = lambda _low, _high: ()

    def is_plain(self, entry: str) -> bool:
        return re.fullmatch(self.plain, entry) is not None

    def read(self, word: str) -> tuple[str, ...]:
        """The entries that one word names, in any dress; () where a part of it names none."""
        pieces = [each for each in re.split(r"[,;]", word) if each.strip(_AROUND)]
        found = [self._piece(each.strip()) for each in pieces]
        return tuple(entry for each in found for entry in each) if all(found) else ()

    def span(self, low: str, high: str) -> tuple[str, ...]:
        """The entries from one word to another; () where either is no id."""
        first, last = self._single(low), self._single(high)
        return tuple(self.between(first, last)) if first and last else ()

    def _piece(self, piece: str) -> tuple[str, ...]:
        single = self._single(piece)
        if single:
            return (single,)
        ends = _RANGE.fullmatch(piece.strip(_AROUND))
        return self.span(ends[1], ends[2]) if ends else ()

    def _single(self, word: str) -> str:
        if "/" in word:
            return self._named_by(word)
        bare = "|".join(map(re.escape, self.before))
        dress = rf"(?:(?:{bare})[-_:#]*)?" if bare else ""
        found = re.fullmatch(rf"#?{dress}({self.one})", word.strip(_AROUND), re.IGNORECASE)
        return self.spelled(found[1]) if found else ""

    def _named_by(self, address: str) -> str:
        """The one id that an address names; "" for none, and for several."""
        if not self.address:
            return ""
        found = {self.spelled(each) for each in re.findall(self.address, address, re.IGNORECASE)}
        return found.pop() if len(found) == 1 else ""


def count_up(most: int) -> Callable[[str, str], Sequence[str]]:
    """A `between` for ids that end in digits after the same letters; at most `most` of them."""

    def between(low: str, high: str) -> Sequence[str]:
        first, last = (re.fullmatch(r"(\D*)(\d+)", each) for each in (low, high))
        if first is None or last is None or first[1] != last[1]:
            return ()
        start, end = int(first[2]), int(last[2])
        if not start <= end < start + most:
            return ()
        # The width of the lower end: INCA0000009 goes on to INCA0000010.
        return [f"{first[1]}{each:0{len(first[2])}}" for each in range(start, end + 1)]

    return between
