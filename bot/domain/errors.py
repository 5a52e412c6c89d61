"""Our own errors; `str(error)` is one sentence that is safe to show to a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class AmendError(Exception):
    """Root of everything that Amend itself refuses."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with one parameter (`name` is "" where it is about the request as a whole)."""

    name: str
    message: str


class InvalidInput(AmendError):
    """What was typed breaks a rule; nothing was sent to the vendor."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(" ".join(problem.message for problem in self.problems))


def invalid(message: str, name: str = "") -> InvalidInput:
    """An `InvalidInput` with a single problem."""
    return InvalidInput([Problem(name, message)])


class Denied(AmendError):
    """A rule said no to this person; `reasons` says which, and what is missing."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(" ".join(self.reasons))


class NotAllowed(Denied):
    """This person's rights are what said no: the audit trail keeps it."""


class Barred(NotAllowed):
    """This person may do nothing here at all, so that they hand nothing on either."""


class NotNow(AmendError):
    """Yes or no cannot be known now (Slack or a vendor does not say), which means: wait."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(" ".join(self.reasons))


class NotAccepted(AmendError):
    """The request could not be recorded in time, so it will not run."""
