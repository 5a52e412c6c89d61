"""What the Qualys operations share: lists remembered for a moment, and the people in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from bot.domain.operations import Lookup
from integrations.qualys.models import User

T = TypeVar("T")

# vendors/qualys.md 10.2; the service's own name of the last differs between its pages.
SEES_EVERY_USER = frozenset({"manager", "user administrator", "administrator"})


class Remembered(Generic[T]):
    """A list of the vendor, kept for a minute: people type faster than its hourly limit allows.

    It is asked for once, whoever waits for it, and kept however soon they stop waiting.
    """

    SECONDS = 60.0

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept: tuple[float, T] | None = None
        self._asking: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The list. Raises what asking for it raises."""
        if self._kept is not None and self._clock() < self._kept[0]:
            return self._kept[1]
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    async def _ask(self) -> T:
        found = await self._fetch()
        self._kept = (self._clock() + self.SECONDS, found)
        return found

    def _asked(self, done: asyncio.Task[T]) -> None:
        self._asking = None
        if not done.cancelled():
            done.exception()  # nobody may be waiting for it any more


def may_own(user: User) -> bool:
    """document, `change_assignee`: "a user role other than Contact"; facts 10.3: Active."""
    return user.role.casefold() != "contact" and user.status.casefold() == "active"


def is_login(user: User, login: str) -> bool:
    """True for a user's login, in any case: that of a mapping may be written otherwise."""
    return user.login.casefold() == login.casefold()


def is_whole(users: Sequence[User], login: str) -> bool:
    """True where the account that listed them sees every user (vendors/qualys.md 10.2)."""
    own = next((each for each in users if is_login(each, login)), None)
    return own is not None and own.role.casefold() in SEES_EVERY_USER


def best(typed: str, entries: Sequence[Lookup]) -> list[Lookup]:
    """The entries that hold what was typed, those that begin with it first; at most 100."""
    words = " ".join(typed.split()).casefold()
    matching = [each for each in entries if words in f"{each.value} {each.label}".casefold()]
    matching.sort(key=lambda each: (not _begins(each, words), each.label.casefold()))
    return matching[:100]


def _begins(entry: Lookup, typed: str) -> bool:
    return any(words.casefold().startswith(typed) for words in (entry.value, entry.label))
