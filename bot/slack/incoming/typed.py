"""Typed words to typed parameters: read, with people where a vendor's user is asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bot.domain.errors import InvalidInput, invalid
from bot.domain.operations import Operation
from bot.domain.parameters import Parameters, read
from bot.domain.reading import read_text, salvage
from bot.domain.text import mentioned, unescape
from bot.pipeline import Pipeline
from bot.pipeline.parts import name_in
from bot.slack.outgoing.voice import SlackVoice

# Seconds that Slack and the database may take, together, to say who is meant; the acknowledgement
# has to hold the recording of the request as well.
ASK_WITHIN = 0.6
# A mention as Slack writes it, where somebody typed or copied those very signs.
_MARK = re.compile(r"<@([UW][A-Z0-9]{2,})(?:\|[^<>]*)?>")
T = TypeVar("T")
D = TypeVar("D")
HELP_WORDS = frozenset({"help", "?", "--help", "—help", "–help", "-h"})


@dataclass(frozen=True)
class Understood:
    """What was typed; `guessed` where it has to be reviewed because of how it was typed."""

    parameters: Parameters
    guessed: bool = False


def understand(operation: Operation, text: str) -> Parameters:
    """Plain words → typed parameters, nobody looked up. Raises `InvalidInput`."""
    return read(operation.parameters, read_text(operation, text).values)


def understood(operation: Operation, text: str) -> dict[str, str]:
    """What can be made of a text that breaks a rule, to fill its form with."""
    try:
        return dict(read_text(operation, text).values)
    except InvalidInput:
        return salvage(operation, text)


@dataclass(frozen=True)
class Typed:
    """Reads what one person typed, as Slack sent it."""

    pipeline: Pipeline
    voice: SlackVoice

    async def understand(self, operation: Operation, raw: str, user: str) -> Understood:
        """Raises `InvalidInput`; looks somebody up only where the text names them."""
        reading = read_text(operation, unescape(raw).strip())
        until = asyncio.get_running_loop().time() + ASK_WITHIN
        who = _Who(self, operation, user, mentioned(raw), until)
        values = {
            name: await who.account(name, value)
            if operation.params()[name].account
            else await who.named(name, value)
            for name, value in reading.values.items()
        }
        swapped = any(
            values[name] != value
            for name, value in reading.values.items()
            if operation.params()[name].account
        )
        return Understood(read(operation.parameters, values), reading.guessed or swapped)


@dataclass(frozen=True)
class _Who:
    """Whom words of one message mean, in the terms of the operation's vendor."""

    typed: Typed
    operation: Operation
    user: str
    mentions: Mapping[str, str]
    until: float

    async def named(self, name: str, value: str) -> str:
        """A value with people's names in place of bare ids; the vendor knows no Slack ids."""
        for mention, user in self.mentions.items():
            if mention == f"@{user}" and mention in value:
                caller = await self._in_time(self.typed.pipeline.parts.directory.caller(user), None)
                if caller is None or caller.name == user:
                    message = f"Slack did not say who `{mention}` is; write the name instead."
                    raise invalid(message, name)
                value = value.replace(mention, f"@{name_in(self.operation, name, caller)}")
        return value

    async def account(self, name: str, value: str) -> str:
        """The vendor's user that a value stands for; itself where it names nobody in Slack."""
        if value.casefold() == "me":
            return await self._account_of(name, self.user, "you are")
        if spelled := _MARK.fullmatch(value):
            return await self._account_of(name, spelled[1], f"{value} is")
        if value.startswith("@"):
            if value not in self.mentions:
                message = f"Choose `{value}` from Slack's list, or type the user as"
                raise invalid(f"{message} {self.operation.vendor_title} knows it.", name)
            return await self._account_of(name, self.mentions[value], f"{value} is")
        if not re.search(r"[@\s]", value):
            return value
        return await self._in_time(self._known_as(name, value), value)

    async def _account_of(self, name: str, user: str, who: str) -> str:
        store, team = self.typed.pipeline.parts.store, self.typed.pipeline.parts.directory.team
        accounts = await self._in_time(store.accounts(team, user), None)
        found = (accounts or {}).get(self.operation.vendor)
        if found is not None:
            return found.account
        why = "Type the vendor's own user" if accounts is not None else "Please try again"
        said = f"mapped to no account at {self.operation.vendor_title}"
        if accounts is None:
            said = "not to be looked up just now"
        raise invalid(f"{why}: {who} {said}.", name)

    async def _known_as(self, name: str, value: str) -> str:
        """The account of whoever has this address or name in Slack."""
        parts = self.typed.pipeline.parts
        mapped = await parts.store.mapped(parts.directory.team, self.operation.vendor)
        if any(each.account.casefold() == value.casefold() for _, each in mapped):
            return value
        if "@" in value:
            person = await self.typed.voice.person_of(value)
            found = [each.account for user, each in mapped if user == person]
        else:
            callers = [(await parts.directory.caller(user), each.account) for user, each in mapped]
            found = [account for each, account in callers if _same(each.name, value)]
        if len(found) > 1:
            message = f"Type the vendor's own user: several people here are called `{value}`."
            raise invalid(message, name)
        return found[0] if found else value

    async def _in_time(self, asking: Awaitable[T], otherwise: D) -> T | D:
        """An answer within the acknowledgement's time; an outage is no answer."""
        try:
            async with asyncio.timeout_at(self.until):
                return await asking
        except InvalidInput:
            raise
        except Exception:
            return otherwise


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
