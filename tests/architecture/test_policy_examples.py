"""Policy by example: what a page says of a policy is what follows from it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.bootstrap import entries, load_policy
from bot.domain.operations import Operation
from bot.domain.policy import Policy, combined
from bot.domain.quiet import next_window
from tests.documents import ROOT, fences

PAGE = ROOT / "docs/do/policy-by-example.md"
ROW = re.compile(r"^\| (?P<asked>(?!asked).+?) \| (?P<answer>.+?) \|$", re.MULTILINE)
OPERATIONS: dict[str, type[Operation]] = {
    each.name: each for entry in entries() for each in entry.operations
}


def demanded(policy: Policy, name: str, values: str, records: str) -> str:
    operation = OPERATIONS[name]
    given = dict(pair.split("=") for pair in values.split())
    assert set(given) <= set(operation.params())
    demands = policy.demands(name, given, int(records))
    many = combined(demands)
    if not many:
        return "no approval"
    within = " or ".join(
        dict.fromkeys(who for each in demands for who in (*each.groups, *each.people))
    )
    roles = " or ".join(dict.fromkeys(role for each in demands for role in each.roles))
    words = f"{many} approver{'' if many == 1 else 's'}"
    return f"{words}{', in ' if within else ''}{within}{', with the role ' if roles else ''}{roles}"


def placed(policy: Policy, name: str, channel: str) -> str:
    assert name in OPERATIONS
    return "allowed" if policy.channel_allows(channel, name) else "not allowed there"


def entitled(policy: Policy, role: str, name: str) -> str:
    operation = OPERATIONS[name]
    return "may" if role in policy.roles_of(operation.vendor, operation.roles) else "may not"


def quiet(policy: Policy, vendor: str, after: str) -> str:
    at = dt.datetime.strptime(after, "%Y-%m-%d %H:%M").replace(tzinfo=dt.UTC).timestamp()
    window = next_window(policy.quiet_windows(vendor), at)
    if window is None:
        return "there is none"
    begins = dt.datetime.fromtimestamp(window[0], dt.UTC)
    return "is open" if window[0] <= at else f"begins {begins:%Y-%m-%d %H:%M} UTC"


def waited(policy: Policy) -> str:
    return f"{policy.approvals.expires_after // 3600} h"


def reminded(policy: Policy) -> str:
    return f"{policy.approvals.remind_after // 60} min"


ASKED: dict[str, Callable[..., str]] = {
    r"`(\S+) ([^`]+)`, (\d+) records?": demanded,
    r"`(\S+)` in `(\S+)`": placed,
    r"the role `([^`]+)` for `(\S+)`": entitled,
    r"the quiet window of `(\S+)` after (\S+ \S+) UTC": quiet,
    r"how long an approval is waited for": waited,
    r"when the first reminder comes": reminded,
}


def answered(policy: Policy, asked: str) -> str:
    for pattern, answer in ASKED.items():
        found = re.fullmatch(pattern, asked)
        if found:
            return answer(policy, *found.groups())
    message = f"nobody can answer: {asked}"
    raise AssertionError(message)


def situations() -> Iterator[tuple[str, str, str]]:
    """Each situation's title, policy, and the table under it."""
    for part in re.split(r"^## (?=\d)", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        yield part.partition("\n")[0], *re.split(r"^```(?:toml)?$", part, flags=re.MULTILINE)[1:]


SITUATIONS = list(situations())


def test_there_are_ten_situations_each_with_its_policy() -> None:
    assert [int(title.partition(".")[0]) for title, _, _ in SITUATIONS] == list(range(1, 11))
    assert len([each for each in fences(PAGE) if each.kind == "toml"]) == len(SITUATIONS)


@pytest.mark.parametrize(("title", "policy", "table"), SITUATIONS, ids=[s[0] for s in SITUATIONS])
def test_what_the_page_says_follows(tmp_path: Path, title: str, policy: str, table: str) -> None:
    (tmp_path / "policy.toml").write_text(policy)
    found = load_policy(str(tmp_path / "policy.toml"), entries())
    rows = list(ROW.finditer(table))
    assert len(rows) >= 2, title
    for row in rows:
        assert answered(found, row["asked"]) == row["answer"], row["asked"]
