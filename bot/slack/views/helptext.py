"""Help, launcher and whoami, generated from what is declared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bot.domain.operations import Operation, Register
from bot.domain.parameters import Kind, Param, specs
from bot.domain.people import Caller
from bot.slack.views.blocks import button, code, context, cut, escape, section

Message = dict[str, Any]


TOPIC_HELP = {
    "whoami": "`/amend whoami` shows the accounts that you are mapped to, with role and scope.",
    "can": "`/amend can @person VENDOR [NAME=VALUE …]` says whether they may do it, and why not.",
    "requests": "`/amend requests` lists your running and latest requests.",
    "show": "`/amend show REQUEST` shows a request's card and receipt once more.",
    "evidence": "`/amend evidence REQUEST` sends you all about a request as a ZIP that proves itself.",
    "cancel": "`/amend cancel REQUEST` stops your request after the calls under way.",
    "undo": "`/amend undo REQUEST` reviews what brings your request's records back.",
    "retry": "`/amend retry REQUEST` reviews what your request missed.",
    "history": "`/amend history [RECORD]` lists what was done, to one record or at all.",
    "watch": "`/amend watch VENDOR [NAME=VALUE …] [mode=hourly] [quiet=22:00-06:00]` has this"
    " channel told of changes; without values it opens a form.",
    "unwatch": "`/amend unwatch VENDOR` (or a watch's id) ends a watch of this channel.",
    "watches": "`/amend watches` lists the watches of this channel.",
    "report": "`/amend report [VENDOR] [days=30] [every=mon@09:00]` posts a look back in numbers into"
    " this channel, once or each week.",
    "link": "`/amend link VENDOR` keeps your own credentials there, so that your edits run as you.",
    "unlink": "`/amend unlink VENDOR` removes your own credentials there at once.",
    "token": "`/amend token` makes a token with which a program of yours may look, plan and propose.",
    "tokens": "`/amend tokens` lists your tokens; a button ends each.",
    "people": "`/amend people` lets administrators map people to vendors' accounts.",
}


TOPICS = f"*/amend* and then: {' · '.join(f'*{word}*' for word in ('help TOPIC', *TOPIC_HELP))}"


def register_help(register: Register) -> Message:
    """How to ask for a register."""
    text = how_to_list(type(register))
    return {"text": text, "blocks": [section(text)]}


def how_to_list(register: type[Register]) -> str:
    """The same in a line."""
    names = " ".join(f"{each}=" for each in specs(register.parameters))
    return f"`/amend {register.command} [{names}]` {register.help}"


def launcher(operations: Sequence[Operation], name: str) -> Message:
    """What this person may do here, each with its button."""
    if not operations:
        text = "There is nothing that you may do here yet. `/amend whoami` shows what is missing."
        return {"text": text, "blocks": [section(text)]}
    blocks = [section(f"*Hello {escape(name)}.* What should change?")]
    for each in operations:
        press = button(each.title, f"launch:{each.name}", each.name)
        title = f"{each.vendor_title}: {each.title.lower()}"
        block = section(f"*{escape(title)}*\n{escape(each.summary)}")
        blocks.append({**block, "accessory": press})
    blocks.append(context("Or type: `/amend help` shows how."))
    return {"text": "What should change?", "blocks": blocks}


def help_message(operations: Sequence[Operation], topic: str | None) -> Message:
    """How to type what this person may do; a topic is a command or a parameter."""
    word = (topic or "").strip().lstrip("/").casefold()
    if word in TOPIC_HELP:
        return {"text": TOPIC_HELP[word], "blocks": [section(TOPIC_HELP[word])]}
    chosen = [each for each in operations if word and word in (each.command, each.name)]
    if word and not chosen:
        found = [
            (name, spec)
            for each in operations
            for name, spec in each.params().items()
            if name.casefold() == word
        ]
        if found:
            text = "\n".join(_parameter(name, spec) for name, spec in found)
            return {"text": cut(text, 3000), "blocks": [section(text)]}
    if chosen:
        return _operation(chosen[0])
    lines = [
        f"*{each.typed_as()}* {escape(each.summary)}\n{code(f'{each.typed_as()} {_example(each)}')}"
        for each in operations
        if each.command
    ]
    if word and not chosen:
        lines.insert(0, f"There is no help about {code(word)}. This is what there is:")
    lines.append(TOPICS)
    text = "\n".join(lines)
    return {"text": cut(text, 3000), "blocks": [section(line) for line in lines]}


def _example(operation: Operation) -> str:
    return operation.examples[0] if operation.examples else ""


def _operation(operation: Operation) -> Message:
    params = {name: spec for name, spec in operation.params().items() if not spec.hidden}
    blocks = [section(f"*{operation.typed_as()}* {escape(operation.summary)}")]
    for kind, title in ((Kind.SELECTION, "Which"), (Kind.CHANGE, "What changes")):
        lines = [_parameter(name, spec) for name, spec in params.items() if spec.kind is kind]
        blocks += [
            section(f"*{title}*\n" + "\n".join(lines[at : at + 8]))
            for at in range(0, len(lines), 8)
        ]
    examples = "\n".join(code(f"{operation.typed_as()} {each}") for each in operation.examples)
    if examples:
        blocks.append(section(f"*Examples*\n{examples}"))
    return {"text": f"How to use {operation.typed_as()}", "blocks": blocks}


def _parameter(name: str, spec: Param) -> str:
    values = f" ({', '.join(spec.choices)})" if spec.choices else ""
    return f"{code(name)} {escape(spec.help or spec.title)}{escape(values)}"


SHUT = ", which cannot be opened with the present key: use `/amend link {}` once more"


def whoami(
    caller: Caller,
    linked: Mapping[str, str] | None = None,
    shut: Collection[str] = (),
    unscoped: Collection[str] = (),
) -> Message:
    """The caller's accounts, roles and scopes; `linked` are those with credentials of their own.

    `shut` are the vendors whose credentials are stored, and cannot be opened any more; `unscoped`
    those where the role may do something within a scope only, and none is mapped.
    """
    own = linked or {}
    lines = [
        f"*{escape(each.vendor)}*: {code(each.account)} as {escape(each.role)}"
        + (f", scope {escape('; '.join(each.scope))}" if each.scope else "")
        + (" · no scope, so nothing" if each.vendor in unscoped else "")
        + (f" · linked as {code(own[each.vendor])}" if each.vendor in own else "")
        + (SHUT.format(each.vendor) if each.vendor in shut else "")
        for each in caller.accounts.values()
    ]
    text = "\n".join(lines) or "You are not mapped to any vendor account; ask an administrator."
    return {"text": cut(text, 3000), "blocks": [section(cut(text, 2900))]}
