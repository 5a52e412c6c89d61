"""Whoever was refused waits: an account is tried once a minute at most, and never locked out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from integrations.errors import BadCredentials

LEFT_IN_PEACE = 60.0  # seconds between two tries with credentials that the vendor refuses


@dataclass
class Breaker:
    """One account's: shared by all calls under it, so that a refusal of one holds for all.

    `clock` is monotonic, in seconds. Where each call carries the credentials, it goes into `attempt`;
    where signing in is a call of its own, that one asks `enter` first, and the others `check`.
    """

    clock: Callable[[], float] = time.monotonic
    _refused: BadCredentials | None = None
    _until: float = 0.0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """One call with the credentials, up to the reading of its answer. Raises as `check` does."""
        self.enter()
        try:
            yield
        except BadCredentials as error:
            raise self.refused(error) from None
        self.accepted()

    def check(self) -> None:
        """Raises `BadCredentials`, with the vendor's words, while the account is left in peace."""
        if self._refused is not None and self.clock() < self._until:
            raise BadCredentials(self._refused.vendor, self._refused.words)

    def enter(self) -> None:
        """The same; and after the peace, only the first who comes is let through."""
        self.check()
        if self._refused is not None:
            self._until = self.clock() + LEFT_IN_PEACE

    def refused(self, error: BadCredentials) -> BadCredentials:
        """Note that the vendor refused the account; the error, to be raised."""
        self._refused, self._until = error, self.clock() + LEFT_IN_PEACE
        return error

    def accepted(self) -> None:
        """The vendor let us in."""
        self._refused = None
