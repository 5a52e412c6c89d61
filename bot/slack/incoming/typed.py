"""Typed words to typed parameters: read, with people where a vendor's user is asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from bot.domain.errors import InvalidInput, invalid
from bot.domain.operations import Operation, Watcher
from bot.domain.parameters import Param, Parameters, read
from bot.domain.reading import read_text, salvage
from bot.domain.text import Words, mentioned, resolve, unescape
from bot.pipeline import Pipeline
from bot.pipeline.parts import name_in
from bot.slack.outgoing.voice import SlackVoice

# Seconds that Slack and the database may take, together, to say who is meant; the acknowledgement
# has to hold the recording of the request as well.
ASK_WITHIN = 0.6
# A mention as Slack writes it, where somebody typed or copied those very signs.
_MARK = re.compile(r"<@([UW][A-Z0-9]{2,})(?:\|[^<>]*)?>")
_BY_ID = re.compile(r"@[UW][A-Z0-9]{2,}")  # as `by_id` leaves it
AsUser = Callable[[str, str], Awaitable[str]]
T = TypeVar("T")
D = TypeVar("D")
HELP_WORDS = frozenset({"help", "?", "--help", "—help", "–help", "-h"})


def wants_help(text: str, operation: Operation | None) -> bool:
    """True for a help word behind a command; a topic's may stand behind further words, too."""
    words = text.lower().split()
    return bool(words) and words[-1] in HELP_WORDS and (operation is None or len(words) == 1)


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
        who = self._who(operation, user, mentioned(raw), operation.as_user)
        accounts = await who.accounts(reading.values)
        values = {
            name: value
            if operation.params()[name].account
            else await who.named(operation, name, value)
            for name, value in accounts.items()
        }
        return Understood(
            read(operation.parameters, values), reading.guessed or accounts != reading.values
        )

    async def selected(self, watcher: Watcher, words: Words, user: str) -> Parameters:
        """What a watch selects, from words whose mentions are by id. Raises `InvalidInput`."""
        return await self.chosen(
            watcher, resolve(watcher.params(), words, watcher.records_in), user
        )

    async def chosen(self, watcher: Watcher, values: Mapping[str, Any], user: str) -> Parameters:
        """The same from values by their declared names, as a form has them."""
        texts = {name: value for name, value in values.items() if isinstance(value, str)}
        people = await self._who(watcher, user, _by_id(texts), _a_login).accounts(texts)
        return read(watcher.parameters, {**values, **people})

    async def salvaged(
        self, watcher: Watcher, values: Mapping[str, str], user: str
    ) -> dict[str, str]:
        """Values to fill a watch's form with: the vendor's users, and nobody who is none there."""
        who = self._who(watcher, user, _by_id(values), _a_login)
        found: dict[str, str] = {}
        for name, value in values.items():
            with suppress(InvalidInput):
                found |= await who.accounts({name: value})
        return found

    def _who(self, asks: Asks, user: str, mentions: Mapping[str, str], as_user: AsUser) -> _Who:
        until = asyncio.get_running_loop().time() + ASK_WITHIN
        return _Who(self, asks, user, mentions, as_user, until)


def _by_id(values: Mapping[str, str]) -> dict[str, str]:
    return {each: each[1:] for each in values.values() if _BY_ID.fullmatch(each)}


async def _a_login(_name: str, account: str) -> str:
    return account


class Asks(Protocol):
    """What asks for a vendor's user: an operation, or a watch."""

    vendor: ClassVar[str]
    vendor_title: ClassVar[str]

    @classmethod
    def params(cls) -> Mapping[str, Param]: ...


@dataclass(frozen=True)
class _Who:
    """Whom words of one message mean, in the terms of a vendor."""

    typed: Typed
    asks: Asks
    user: str
    mentions: Mapping[str, str]
    as_user: AsUser
    until: float

    async def accounts(self, values: Mapping[str, str]) -> dict[str, str]:
        """The values, with the vendor's users where people are meant."""
        people = {name for name, spec in self.asks.params().items() if spec.account}
        return {
            name: await self.account(name, value) if name in people else value
            for name, value in values.items()
        }

    async def named(self, operation: Operation, name: str, value: str) -> str:
        """A value with people's names in place of bare ids; the vendor knows no Slack ids."""
        for mention, user in self.mentions.items():
            if mention == f"@{user}" and mention in value:
                caller = await self._in_time(self.typed.pipeline.parts.directory.caller(user), None)
                if caller is None or caller.name == user:
                    message = f"Slack did not say who `{mention}` is; write the name instead."
                    raise invalid(message, name)
                value = value.replace(mention, f"@{name_in(operation, name, caller)}")
        return value

    async def account(self, name: str, value: str) -> str:
        """The vendor's user that a value stands for; itself where it names nobody in Slack."""
        found = await self._meant(name, value)
        if found == value:
            return value
        user = await self._in_time(self.as_user(name, found), None)
        if user is None:
            title = self.asks.vendor_title
            message = f"{title} did not say in time which user `{found}` is; please try again."
            raise invalid(message, name)
        return user

    async def _meant(self, name: str, value: str) -> str:
        if value.casefold() == "me":
            return await self._account_of(name, self.user, "you are")
        if spelled := _MARK.fullmatch(value):
            return await self._account_of(name, spelled[1], f"{value} is")
        if value.startswith("@"):
            if value not in self.mentions:
                message = f"Choose `{value}` from Slack's list, or type the user as"
                raise invalid(f"{message} {self.asks.vendor_title} knows it.", name)
            return await self._account_of(name, self.mentions[value], f"{value} is")
        # One plain word is a login as a rule, and nobody is looked up for it.
        if value.isascii() and not re.search(r"[@\s]", value):
            return value
        return await self._in_time(self._known_as(name, value), value)

    async def _account_of(self, name: str, user: str, who: str) -> str:
        store, team = self.typed.pipeline.parts.store, self.typed.pipeline.parts.directory.team
        accounts = await self._in_time(store.accounts(team, user), None)
        found = (accounts or {}).get(self.asks.vendor)
        if found is not None:
            return found.account
        why = "Type the vendor's own user" if accounts is not None else "Please try again"
        said = f"mapped to no account at {self.asks.vendor_title}"
        if accounts is None:
            said = "not to be looked up just now"
        raise invalid(f"{why}: {who} {said}.", name)

    async def _known_as(self, name: str, value: str) -> str:
        """The account of whoever has this address or name in Slack."""
        parts = self.typed.pipeline.parts
        mapped = await parts.store.mapped(parts.directory.team, self.asks.vendor)
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
