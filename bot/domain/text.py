"""The text grammar: what a person types after a command becomes record ids and named values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from bot.domain.errors import InvalidInput, Problem, invalid
from bot.domain.parameters import Param, nearest, unknown_name

_NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"
_ASSIGNMENT = re.compile(rf"({_NAME})=(.*)", re.DOTALL)
_FORM = re.compile(rf"{_NAME}=[^&\"'“”„‘«\s]*(?:&{_NAME}=[^&\"“”„«\s]*)+")
_ENCODED = re.compile(rf"{_NAME}=[^&\"'“”\s]*(?:%[0-9A-Fa-f]{{2}})[^&\s]*")
_CLOSING = {
    '"': '"“”„‟″',
    "“": '"”“‟',
    "”": '"”“',
    "„": '"”“‟',
    "«": "»",
    "'": "'’‘",
    "‘": "'’‘",
    "‚": "'’‘",
}
_ANGLED = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")


@dataclass(frozen=True)
class Words:
    """What was typed: leading record ids, then values by the names that were typed, in order."""

    records: tuple[str, ...] = ()
    values: dict[str, str] = field(default_factory=dict)


def unescape(text: str) -> str:
    """Undo what Slack does to typed text: mentions, channels, links, mail addresses and & < >."""
    plain = _ANGLED.sub(_typed, text)
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _typed(found: re.Match[str]) -> str:
    target, label = found[1], found[2]
    if target.startswith("@"):
        return f"@{label or target[1:]}"
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    if target.startswith("!"):
        return label or target[1:]
    return label or target.removeprefix("mailto:")


def parse(text: str) -> Words:
    """Read a command's text. Raises `InvalidInput` with one sentence that says what to change.

    Words are split at blanks; quotes (straight or typographic) keep a value together; the
    vendor's own `a=b&c=d+e` is taken as it stands, also after leading record ids.
    """
    records: list[str] = []
    values: dict[str, str] = {}
    last = ""
    for name, value in _parts(text):
        if name is None and not values:
            records += [each for each in value.split(",") if each]
        elif name is None:
            raise _stray(value, last, values[last])
        elif name in values:
            raise invalid(f"`{name}` is given twice; keep one of them.")
        else:
            values[name] = value
            last = name
    return Words(tuple(records), values)


def _stray(word: str, last: str, value: str) -> InvalidInput:
    return invalid(
        f"`{word}` stands alone after `{last}`; put the whole value in quotes: "
        f'`{last}="{value} {word} …"`.'
    )


def _parts(text: str) -> Iterator[tuple[str | None, str]]:
    """(name, value) for an assignment, (None, word) for a bare word."""
    for word, quoted in _words(_join_blanks(text)):
        form = not quoted and (_FORM.fullmatch(word) or _ENCODED.fullmatch(word))
        if form:
            for pair in word.split("&"):
                name, _, value = pair.partition("=")
                yield name, unquote_plus(value)
            continue
        found = _ASSIGNMENT.fullmatch(word)
        if found:
            yield found[1], found[2]
        elif word.startswith("="):
            raise invalid(f"`{word}` has a value and no name; write NAME=VALUE.")
        else:
            yield None, word


_BLANKS_AROUND = re.compile(rf"(?<!\S)({_NAME})(?:\s+=\s*|=\s+(?={_NAME}\s*=)|\s*=\s+)")


def _join_blanks(text: str) -> str:
    """Blanks around `=` are fine; those inside quotes are left alone."""
    pieces: list[str] = []
    at = 0
    for start, end in _quoted_spans(text):
        pieces += [_squeeze(text[at:start]), text[start:end]]
        at = end
    return "".join([*pieces, _squeeze(text[at:])])


def _squeeze(text: str) -> str:
    def join(found: re.Match[str]) -> str:
        # `name= other=…` is an empty value followed by the next one, not a value `other=…`.
        empty = found[0].endswith((" ", "\t", "\n")) and re.match(
            rf"{_NAME}\s*=", text[found.end() :]
        )
        return f"{found[1]}={' ' if empty else ''}"

    return _BLANKS_AROUND.sub(join, text)


def _quoted_spans(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(text):
        opens = text[at] in _CLOSING and (at == 0 or text[at - 1].isspace() or text[at - 1] == "=")
        if not opens:
            at += 1
            continue
        end = _closing(text, at)
        yield at, end + 1
        at = end + 1


def _closing(text: str, start: int) -> int:
    """Where the quote that opens at `start` closes. Raises `InvalidInput` where it does not.

    An apostrophe closes only at a word's end, so that `'don't worry'` is one value.
    """
    closers = _CLOSING[text[start]]
    at = start + 1
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in tuple(closers):
            at += 2
            continue
        if text[at] in closers and _ends(text, at):
            return at
        at += 1
    begin = text[start : start + 20]
    raise invalid(f"The quote that begins at `{begin}` is not closed; add the closing quote.")


def _ends(text: str, at: int) -> bool:
    if text[at] not in "'’‘":
        return True
    return at + 1 == len(text) or text[at + 1].isspace()


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Each word with its quotes taken off, and whether it had any."""
    spans = dict(_quoted_spans(text))
    word: list[str] = []
    quoted = False
    at = 0
    while at < len(text):
        if at in spans:
            word.append(_inside(text[at : spans[at]]))
            at, quoted = spans[at], True
            continue
        if text[at].isspace():
            if word or quoted:
                yield "".join(word), quoted
            word, quoted = [], False
        else:
            word.append(text[at])
        at += 1
    if word or quoted:
        yield "".join(word), quoted


def _inside(quoted: str) -> str:
    """A quoted part without its quotes; a backslash counts only before a quote."""
    closers = re.escape(_CLOSING[quoted[0]])
    return re.sub(rf"\\([{closers}])", r"\1", quoted[1:-1])


def resolve(params: Mapping[str, Param], words: Words, records_in: str) -> dict[str, str]:
    """Typed names → declared names, in any case and by their aliases; records → `records_in`.

    Raises `InvalidInput` with one problem for each name that does not exist.
    """
    known = {alias.casefold(): name for name, spec in params.items() for alias in spec.aliases}
    known |= {name.casefold(): name for name in params}
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for typed, value in words.values.items():
        name = known.get(typed.casefold())
        if name is None:
            problems.append(Problem(typed, _unknown(typed, params, known)))
        elif name in values:
            problems.append(Problem(name, f"`{name}` is given twice; keep one of them."))
        elif value == "" and not params[name].empty_means:
            problems.append(Problem(name, f"`{name}` is empty; leave it out, or give it a value."))
        else:
            values[name] = value
    if words.records and records_in in values:
        problems.append(Problem(records_in, f"`{records_in}` is given twice; keep one of them."))
    if problems:
        raise InvalidInput(problems)
    if words.records:
        values = {records_in: ",".join(words.records), **values}
    return values


def _unknown(typed: str, params: Mapping[str, Param], known: Mapping[str, str]) -> str:
    near = list(dict.fromkeys(known[each.casefold()] for each in nearest(typed, list(known))))
    if near:
        return f"`{typed}` is not a parameter here. Did you mean {_either(near)}?"
    return unknown_name(typed, [name for name, spec in params.items() if not spec.advanced])


def _either(names: list[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)
