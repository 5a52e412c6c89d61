"""About this person: launcher, help, whoami, can."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.domain.access import Decision
from bot.domain.errors import InvalidInput
from bot.domain.operations import Operation, Reach
from bot.domain.parameters import given, nearest
from bot.pipeline import Pipeline
from bot.slack.incoming.commands import Asked
from bot.slack.incoming.frame import Message, first_word
from bot.slack.incoming.typed import understand
from bot.slack.views import cards, helptext
from bot.slack.views.blocks import code, escape

_PERSON = re.compile(r"<?@?([UW][A-Z0-9]{2,})(?:\|[^>]*)?>?")


@dataclass
class About:
    """Answers without a form; each shows only what concerns who asks."""

    pipeline: Pipeline

    async def launcher(self, asked: Asked) -> Message:
        caller = await self.pipeline.parts.directory.caller(asked.user)
        allowed = await self.pipeline.acting.allowed(asked.user, asked.channel)
        return helptext.launcher(allowed, caller.name)

    async def help(self, asked: Asked) -> Message:
        for register in self.pipeline.parts.registry.registers:
            if asked.words.strip().lower() == register.command:
                return helptext.register_help(register)
        allowed = await self.pipeline.acting.allowed(asked.user, asked.channel)
        return helptext.help_message(allowed, asked.words or None)

    async def whoami(self, asked: Asked) -> Message:
        caller = await self.pipeline.parts.directory.caller(asked.user)
        vault = self.pipeline.parts.vault
        linked = await vault.linked(caller.team, asked.user)
        shut = await vault.shut(caller.team, asked.user)
        unscoped = self.pipeline.acting.unscoped(caller)
        return helptext.whoami(caller, linked, shut, unscoped)

    async def can(self, asked: Asked) -> Message:
        """`can @person qualys change_state=IGNORED`: the reasons that a denial would show."""
        who, rest = first_word(asked.words)
        person = _PERSON.fullmatch(who.upper())
        command, text = first_word(rest)
        operation = self.pipeline.parts.registry.by_command(command)
        if person is None or operation is None:
            return _how(self.pipeline, command, "" if person else who)
        return await self._can(operation, person[1], text, asked.channel)

    async def _can(self, operation: Operation, user: str, text: str, channel: str) -> Message:
        caller = await self.pipeline.parts.directory.caller(user)
        if caller.barred:
            return cards.verdict(user, operation, allowed=False, reasons=[caller.barred])
        decision = await self.pipeline.acting.decide(operation, user, channel)
        reasons = list(decision.reasons)
        if decision.allowed and text:
            try:
                reasons += self._demanded(operation, text)
                reasons += _if_within(operation, decision, text)
            except InvalidInput as error:
                return {"text": escape(str(error))}
        return cards.verdict(user, operation, allowed=decision.allowed, reasons=reasons)

    def _demanded(self, operation: Operation, text: str) -> list[str]:
        """What policy would still ask for, for one record with these values. Raises `InvalidInput`."""
        values = given(understand(operation, _with_a_record(operation, text)))
        demands = self.pipeline.parts.policy.demands(operation.name, values, 1)
        return [f"But it needs an approval: {each.why}" for each in demands]


def _if_within(operation: Operation, decision: Decision, text: str) -> list[str]:
    """Of records that are named, a role within a scope holds only where they lie in it."""
    named = operation.find(text)
    if decision.reach is not Reach.SCOPE or not named:
        return []
    more = f" and {len(named) - 3:,} more" if len(named) > 3 else ""
    return [f"But only if {', '.join(map(code, named[:3]))}{more} lies in that scope."]


def _with_a_record(operation: Operation, text: str) -> str:
    """The question is about the change; where no record is named, any stands for it."""
    named = operation.find(text) or any(f"{each}=" in text for each in operation.params())
    example = operation.examples[0].split()[0] if operation.examples else ""
    return text if operation.find(text) or not named else f"{example} {text}"


def _how(pipeline: Pipeline, command: str, nobody: str) -> Message:
    """How to ask; it names the word that is `nobody`, or the command that is not known."""
    commands = [each.command for each in pipeline.parts.registry.operations if each.command]
    near = nearest(command, commands, 1) or commands[:1] or ["qualys"]
    unknown = nobody or (command if command not in commands else "")
    why = f"Amend does not know {code(unknown)} here. " if unknown else ""
    text = f"{why}Ask like this: `/amend can @person {near[0]}`, with the change if you like."
    return {"text": text}
