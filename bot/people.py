"""People by CSV: read and checked row by row, resolved in Slack, exported again."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import AmendError
from bot.domain.mapping import Vendors, entry, entry_problems
from bot.domain.people import SLACK_USER, Account

COLUMNS = ("slack_user", "vendor", "account", "role", "scope")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class BadPeople(AmendError):
    """Rows that cannot be imported, one line each; nothing was imported."""


@dataclass(frozen=True)
class Row:
    """A checked row; `line` counts from 1, the header included."""

    line: int
    slack_user: str
    account: Account


def parse_people(text: str, vendors: Vendors) -> list[Row]:
    """Rows of a CSV. `vendors` maps each to its roles (None: any). Raises `BadPeople`."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    found = tuple(reader.fieldnames or ())
    if set(found) != set(COLUMNS):
        message = (
            f"line 1: the columns must be {','.join(COLUMNS)}, not {','.join(found) or 'none'}"
        )
        raise BadPeople(message)
    rows: list[Row] = []
    problems: list[str] = []
    seen: set[tuple[str, str]] = set()
    for raw in reader:
        line = reader.line_num
        wrong = _wrong(raw, vendors)
        key = ((raw["slack_user"] or "").strip().lower(), (raw["vendor"] or "").strip().lower())
        if not wrong and key in seen:
            wrong = [("slack_user", "has an entry for this vendor already")]
        seen.add(key)
        problems += [f"line {line}, column {column}: {words}" for column, words in wrong]
        if not wrong:
            rows.append(_row(line, raw, vendors))
    if problems:
        raise BadPeople("\n".join(problems))
    return rows


def _wrong(raw: Mapping[str, Any], vendors: Vendors) -> list[tuple[str, str]]:
    """(column, what is wrong) for each bad cell."""
    if None in raw or any(raw[name] is None for name in COLUMNS):
        return [("scope", "the row has not exactly five cells")]
    wrong = [(name, "is empty") for name in COLUMNS[:4] if not raw[name].strip()]
    wrong += [each for each in entry_problems(raw, vendors) if each not in wrong]
    wrong += [(name, "holds a control character") for name in COLUMNS if _CONTROL.search(raw[name])]
    user = raw["slack_user"].strip()
    if user and "@" not in user and not re.fullmatch(SLACK_USER, user):
        wrong.append(("slack_user", f"{user} is no Slack user id and no e-mail address"))
    return wrong


def _row(line: int, raw: Mapping[str, str], vendors: Vendors) -> Row:
    account = entry(raw, vendors)
    return Row(line, raw["slack_user"].strip(), account)


async def resolve_people(
    rows: Sequence[Row], client: AsyncWebClient, team: str
) -> list[tuple[str, Account]]:
    """Rows with Slack user ids. Raises `BadPeople` for unknown people, guests, bots, outsiders."""
    known: dict[str, tuple[str, str]] = {}
    found: list[tuple[str, Account]] = []
    problems: list[str] = []
    for row in rows:
        if row.slack_user not in known:
            known[row.slack_user] = await _person(row.slack_user, client, team)
        user, wrong = known[row.slack_user]
        if wrong:
            problems.append(f"line {row.line}, column slack_user: {row.slack_user} {wrong}")
        else:
            found.append((user, row.account))
    if problems:
        raise BadPeople("\n".join(problems))
    return found


async def _person(who: str, client: AsyncWebClient, team: str) -> tuple[str, str]:
    """(user id, what is wrong with them)."""
    try:
        if "@" in who:
            answer = await client.users_lookupByEmail(email=who)
        else:
            answer = await client.users_info(user=who)
    except SlackApiError as error:
        if error.response.get("error") in ("users_not_found", "user_not_found", "user_not_visible"):
            return "", "is not known in this workspace"
        raise
    user: Mapping[str, Any] = answer["user"]
    return str(user["id"]), _unfit(user, team)


def _unfit(user: Mapping[str, Any], team: str) -> str:
    if user.get("deleted"):
        return "is deactivated"
    if user.get("is_bot"):
        return "is a bot"
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return "is a guest"
    if user.get("is_stranger") or (user.get("team_id") or team) != team:
        return "belongs to another organisation"
    return ""


def export_csv(people: Sequence[tuple[str, Account]]) -> str:
    """The mapping in the form that `parse_people` reads."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for user, each in people:
        writer.writerow([user, each.vendor, each.account, each.role, ";".join(each.scope)])
    return buffer.getvalue()
