"""What can go wrong at a vendor, named by what the caller should do next."""

from __future__ import annotations

LONGEST_WORDS = 500


class VendorError(Exception):
    """Root of every vendor's errors; `str(error)` is one sentence that is safe to show.

    `vendor` is the vendor's name as people write it; `words` are its own words or a plain reason,
    in one line of at most 500 characters, never a secret.
    """

    lead = "{vendor} failed"

    def __init__(self, vendor: str, words: str) -> None:
        self.vendor = vendor
        self.words = one_line(words)
        super().__init__(vendor, self.words)

    def __str__(self) -> str:
        lead = self.lead.format(vendor=self.vendor)
        return f"{lead}: {self.words.rstrip('.')}." if self.words else f"{lead}."


class Temporary(VendorError):
    """Nothing was changed; try again, after `wait` seconds where the vendor named a time.

    Where it named none, and tries soon after do not help, `later` is when to come back, in seconds.
    """

    lead = "{vendor} did not take the request, and nothing was changed"

    def __init__(
        self, vendor: str, words: str, *, wait: float | None = None, later: float | None = None
    ) -> None:
        super().__init__(vendor, words)
        self.wait = wait
        self.later = later

    def lasting(self) -> Temporary:
        """The same after the tries soon after it: `later` is the wait."""
        return self if self.later is None else Temporary(self.vendor, self.words, wait=self.later)


class UnknownOutcome(VendorError):
    """The request was sent and there is no trustworthy answer: read the record back."""

    lead = "{vendor} gave no trustworthy answer, so the outcome is not known"


class NoAnswer(UnknownOutcome):
    """No answer at all came from the vendor itself, so the request may still be at work there."""


class Rejected(VendorError):
    """The vendor refused the request; sending it again would be refused again."""

    lead = "{vendor} refused the request"

    def __init__(self, vendor: str, words: str, *, code: str | None = None) -> None:
        super().__init__(vendor, words)
        self.code = code

    def __str__(self) -> str:
        plain = super().__str__()
        return f"{plain.rstrip('.')} (code {self.code})." if self.code else plain


class BadCredentials(VendorError):
    """The vendor did not accept the account; somebody has to mend the credentials."""

    lead = "{vendor} did not accept the account"


class Unreadable(VendorError):
    """The reply could not be read; after a write this is an unknown outcome."""

    lead = "{vendor} gave an answer that cannot be read"


def one_line(words: str) -> str:
    """`words` without control characters, in one line, at most `LONGEST_WORDS` long."""
    printable = "".join(each if each.isprintable() else " " for each in words)
    line = " ".join(printable.split())
    return line if len(line) <= LONGEST_WORDS else line[: LONGEST_WORDS - 1] + "…"
