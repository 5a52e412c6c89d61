"""Who asks: the caller, with their account, role and scope at each vendor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# How Slack writes ids: of a person, and of a channel or conversation (with words for who typed another).
SLACK_USER = r"[UW][A-Z0-9]+"
SLACK_CHANNEL = (r"[CGD][A-Z0-9]+", 'a Slack channel id such as "C0OPS"')


@dataclass(frozen=True)
class Account:
    """A person's account at one vendor. `scope` holds IPs, ranges, CIDRs or group titles.

    `linked` is the account whose credentials they have stored for it, "" for none.
    """

    vendor: str
    account: str
    role: str
    scope: tuple[str, ...] = ()
    linked: str = ""

    @property
    def names(self) -> frozenset[str]:
        """Every account through which this person acts there, in small letters."""
        return folded(self.account, self.linked)


def folded(*accounts: str) -> frozenset[str]:
    """Accounts as they are compared: in small letters, without those that are none."""
    return frozenset(each.strip().casefold() for each in accounts if each.strip())


@dataclass(frozen=True)
class Caller:
    """A member of the workspace; `barred` says why this person may do nothing at all, "" if not.

    `unsure` says why it cannot be known now who they are.
    """

    user: str
    team: str
    name: str
    accounts: Mapping[str, Account] = field(default_factory=dict)
    barred: str = ""
    timezone: str = "UTC"
    unsure: str = ""
