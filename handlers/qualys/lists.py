"""What the Qualys operations share: lists remembered for a moment, and the people in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from bot.domain.operations import Lookup
from integrations.qualys.models import User

T = TypeVar("T")

# vendors/qualys.md 10.2; the service's own name of the last differs between its pages.
SEES_EVERY_USER = frozenset({"manager", "user administrator", "administrator"})


class Remembered(Generic[T]):
    """A list of the vendor, kept for a minute: people type faster than its hourly limit allows."""

    SECONDS = 60.0

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept: tuple[float, T] | None = None

    async def get(self) -> T:
        if self._kept is None or self._clock() >= self._kept[0]:
            found = await self._fetch()
            self._kept = (self._clock() + self.SECONDS, found)
        return self._kept[1]


def may_own(user: User) -> bool:
    """document, `change_assignee`: "a user role other than Contact"; facts 10.3: Active."""
    return user.role.casefold() != "contact" and user.status.casefold() == "active"


def is_whole(users: Sequence[User], login: str) -> bool:
    """True where the account that listed them sees every user (vendors/qualys.md 10.2)."""
    own = next((each for each in users if each.login == login), None)
    return own is not None and own.role.casefold() in SEES_EVERY_USER


def best(typed: str, entries: Sequence[Lookup]) -> list[Lookup]:
    """The entries that hold what was typed, those that begin with it first; at most 100."""
    words = " ".join(typed.split()).casefold()
    matching = [each for each in entries if words in f"{each.value} {each.label}".casefold()]
    matching.sort(key=lambda each: (not _begins(each, words), each.label.casefold()))
    return matching[:100]


def _begins(entry: Lookup, typed: str) -> bool:
    return any(words.casefold().startswith(typed) for words in (entry.value, entry.label))
