"""What people type: Slack's escaping undone, words read, and names made into declared parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import unquote_plus

from bot.domain.errors import InvalidInput, Problem, invalid
from bot.domain.parameters import Param, unknown_name
from bot.domain.unseen import why_unseen

# --- Slack's escaping -----------------------------------------------------------------------------

_LINK = re.compile(
    r"<(?:(?P<mail>mailto:|tel:)(?P<address>[^<>|]+)|(?P<url>[A-Za-z][A-Za-z0-9+.-]*://[^<>|]+))"
    r"(?:\|(?P<label>[^<>]*))?>"
)
_MENTION = re.compile(r"<(?P<sign>[@#!])(?P<target>[^<>|\s]+)(?:\|(?P<label>[^<>]*))?>")


def unescape(text: str) -> str:
    """Undo Slack's escaping, once: links and mentions become their labels, entities characters."""
    text = _MENTION.sub(_mention, _LINK.sub(_link, text))
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _link(found: re.Match[str]) -> str:
    return found["label"] or found["address"] or found["url"]


def _mention(found: re.Match[str]) -> str:
    sign = "#" if found["sign"] == "#" else "@"
    if found["sign"] == "!" and found["label"]:
        return found["label"]
    if found["sign"] == "@" and re.search(r"\s", found["label"] or ""):
        return f"@{found['target']}"  # a name of two words would be read as two
    # `<!subteam^S1>` and `<!date^…>` without words of their own: the part that names something.
    return sign + (found["label"] or found["target"].removeprefix("subteam^"))


def mentioned(text: str) -> dict[str, str]:
    """The people mentioned in an escaped text: as `unescape` writes each → Slack user id.

    Two people under the same label are left out.
    """
    found: dict[str, set[str]] = {}
    for each in _MENTION.finditer(text):
        if each["sign"] == "@":
            found.setdefault(_mention(each), set()).add(each["target"])
    return {label: users.pop() for label, users in found.items() if len(users) == 1}


def by_id(text: str) -> str:
    """An escaped text whose mentions of people have no labels, so that each stays told by its id."""
    return _MENTION.sub(
        lambda each: f"<@{each['target']}>" if each["sign"] == "@" else each[0], text
    )


# --- words ----------------------------------------------------------------------------------------

# Opening quote → the quotes that may close it: English, German, Swedish and French pairs.
_PAIRS = {
    '"': '"',
    "“": "”“",
    "„": "“”",
    "”": "”",
    "«": "»",
    "»": "«",
    "'": "'",
    "‘": "’",
    "’": "’",
}
_QUOTES = frozenset("".join(_PAIRS) + "".join(_PAIRS.values()))
_APOSTROPHES = "'‘’"
_DOUBLE = "".join(sorted(_QUOTES - set(_APOSTROPHES)))

_NAME = r"[A-Za-z_][A-Za-z0-9_.-]*+"
_ASSIGNMENT = re.compile(rf"({_NAME})\s*+=")
_BLANKS = re.compile(r"\s*+")
_WORD = re.compile(r"\S*+")
_NEXT_NAME = re.compile(rf"&({_NAME})=")
# The vendor's own form, to the end of the text; see `parse`. From the second name on its values may
# have blanks and quotes, which are theirs, and an `&` before what is no name.
_PIECE = rf"{_NAME}=(?![{_APOSTROPHES}])[^\s&{_DOUBLE}]*+"
_FURTHER = rf"{_NAME}=(?:[^&]|&(?!{_NAME}=|\s*+\Z))*+"
_FORM = re.compile(rf"({_PIECE}(?:&{_FURTHER})++)&?\s*+\Z")
_BETWEEN = re.compile(rf"&(?={_NAME}=)")


@dataclass(frozen=True)
class Words:
    """What was typed: leading record ids, and the values by name as typed, in order."""

    records: tuple[str, ...]
    values: dict[str, str]


@dataclass(frozen=True)
class Part:
    """One word; `name` is "" for a bare one, `raw` is the value as typed."""

    name: str
    value: str
    raw: str
    quoted: bool = False


def parse(text: str) -> Words:
    """Read record ids and NAME=VALUE words. Raises `InvalidInput`.

    `a=b&c=d+e` is the vendor's form, and decoded, only where it ends the text and has a second NAME=
    after an `&`; so `add_comment=C++` keeps its signs, and an address in a comment its `%20`.
    """
    return words_of(list(parts(text)))


def words_of(found: Sequence[Part]) -> Words:
    """Leading words as records, the rest by name. Raises `InvalidInput`."""
    leading = list(takewhile(lambda part: not part.name, found))
    named = found[len(leading) :]
    refuse_bare(named)
    items = [item.strip() for part in leading for item in part.value.split(",")]
    return together([item for item in items if item], named)


def together(records: Sequence[str], named: Sequence[Part]) -> Words:
    """Records and named parts as what was typed. Raises `InvalidInput` for what cannot be sent."""
    _refuse_twice(named)
    values = {part.name: part.value for part in named}
    _refuse_unseen([*records, *values.values()])
    return Words(tuple(records), values)


def parts(text: str, assignment: re.Pattern[str] = _ASSIGNMENT) -> Iterator[Part]:
    """The words of a text, in order. Raises `InvalidInput`.

    `assignment` is what stands before a value; its first group that took part is the name.
    """
    position, named = _skip(text, 0), False
    while position < len(text):
        form = None if named else _FORM.match(text, position)
        if form:
            yield from _decoded(form[1])
            return
        part, position = _part(text, position, assignment)
        named = named or bool(part.name)
        yield part
        position = _skip(text, position)


def _decoded(form: str) -> Iterator[Part]:
    for piece in _BETWEEN.split(form):
        name, _, value = piece.partition("=")
        # Quoted: an `&` that was spelt %26 is part of the value.
        yield Part(name, unquote_plus(value.strip()), value, quoted=True)


def _skip(text: str, position: int) -> int:
    return _end(_BLANKS, text, position)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _part(text: str, position: int, assignment: re.Pattern[str]) -> tuple[Part, int]:
    """The word at `position`, with its name if it has one, and where it ends."""
    if text[position] == "=":
        word = text[position : _end(_WORD, text, position)]
        raise invalid(f"`{_shown(word)}` has no name before its `=`.")
    found = assignment.match(text, position)
    if not found:
        return _value("", text, position)
    start, name = _skip(text, found.end()), next(filter(None, found.groups()))
    # `name= other=x`: after a blank, another name means that this one has no value.
    if start > found.end() and assignment.match(text, start):
        return Part(name, "", ""), start
    part, end = _value(name, text, start)
    if not part.quoted and (other := _NEXT_NAME.search(part.value)):
        raise invalid(
            f"The value of `{part.name}` runs on into `{other[0]}`; put blanks between the names, or"
            " quotes around the value, or paste the vendor's form without any blanks and quotes."
        )
    return part, end


def _value(name: str, text: str, start: int) -> tuple[Part, int]:
    """The value at `start`: a quoted part with what touches it, or all up to the next blank."""
    if start == len(text) or text[start] not in _PAIRS:
        end = _end(_WORD, text, start)
        return Part(name, text[start:end], text[start:end]), end
    value, closed = _quoted(text, start)
    end = _end(_WORD, text, closed)
    tail = text[closed:end]
    # What touches the quote belongs to the value (`"New York",London`), unless it looks like more.
    if re.search(rf"[={_DOUBLE}]", tail):
        raise invalid(
            f"`{_shown(tail)}` touches the closing quote before it; put a blank between them, or one"
            " pair of quotes around the whole value and a backslash before each quote inside."
        )
    return Part(name, value + tail, text[start:end], quoted=True), end


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The characters of the quoted part that opens at `start`, and the position after its end."""
    closing = _PAIRS[text[start]]
    characters: list[str] = []
    position = start + 1
    while position < len(text):
        character = text[position]
        if character == "\\" and text[position + 1 : position + 2] in _QUOTES:
            position += 1
            character = text[position]
        elif character in closing and not _inside_word(text, position):
            return "".join(characters), position + 1
        characters.append(character)
        position += 1
    raise invalid(
        f"The quote that begins at `{_shown(text[start:])}` is not closed;"
        f" put `{closing[0]}` where its value ends."
    )


def _inside_word(text: str, position: int) -> bool:
    """True for an apostrophe between two letters, which closes nothing: ‘don’t reboot’."""
    around = text[position - 1] + text[position + 1 : position + 2]
    return text[position] in _APOSTROPHES and len(around) == 2 and around.isalnum()


def in_quotes(value: str) -> bool:
    """True for a value that itself begins and ends with quotes, as a pasted form may have it."""
    return len(value) > 1 and value[0] in _PAIRS and value[-1] in _PAIRS[value[0]]


def closings(text: str) -> Iterator[str]:
    """A text as it stands, and with its last quote closed in each way in which that can be meant."""
    yield text
    for closing in sorted({each for pair in _PAIRS.values() for each in pair}):
        yield text + closing


def _shown(text: str, most: int = 60) -> str:
    """The beginning of `text` on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


# --- what is refused ------------------------------------------------------------------------------


def refuse_bare(named: Sequence[Part]) -> None:
    """Raises `InvalidInput` for a word without a name behind one that has some."""
    at = next((index for index, part in enumerate(named) if not part.name), None)
    if at is None:
        return
    before = named[at - 1]
    run = takewhile(lambda part: not part.name, named[at:])
    whole = " ".join([before.value, *(part.raw for part in run)]).strip()
    hint = f"{before.name}={_in_quotes(_shown(whole, 200))}"
    raise invalid(
        f"`{_shown(named[at].raw)}` has no name before it; write `{hint}` if it belongs to that"
        " value, or put it first if it is a record."
    )


def _in_quotes(value: str) -> str:
    return '"' + value.replace('"', '\\"') + '"'


def _refuse_twice(named: Sequence[Part]) -> None:
    seen: set[str] = set()
    for part in named:
        if part.name.casefold() in seen:
            raise invalid(f"`{part.name}` is given twice; give it once.")
        seen.add(part.name.casefold())


def _refuse_unseen(values: Sequence[str]) -> None:
    """Here already, because what is not understood is kept as a draft before it is read."""
    if why := why_unseen("".join(values)):
        raise invalid(why)


# --- names ----------------------------------------------------------------------------------------


def resolve(operation_params: Mapping[str, Param], words: Words, records_in: str) -> dict[str, str]:
    """The values by declared name, with the records in `records_in`. Raises `InvalidInput`."""
    known = spellings(operation_params)
    values = {records_in: ",".join(words.records)} if words.records else {}
    typed_as: dict[str, str] = {}
    problems: list[Problem] = []
    for typed, value in words.values.items():
        name = known.get(typed.casefold())
        message = _trouble(operation_params, name, typed, value)
        if name in values:
            message = _both(name, typed, typed_as.get(name))
        if message:
            problems.append(Problem(name or typed, message))
        elif name:
            values[name], typed_as[name] = value, typed
    if problems:
        raise InvalidInput(problems)
    return values


def spellings(operation_params: Mapping[str, Param]) -> dict[str, str]:
    """Declared name by everything it may be typed as; a declared name wins over an alias."""
    aliases = {
        alias.casefold(): name for name, spec in operation_params.items() for alias in spec.aliases
    }
    return aliases | {name.casefold(): name for name in operation_params}


def _trouble(
    operation_params: Mapping[str, Param], name: str | None, typed: str, value: str
) -> str:
    if name is None:
        return unknown_name(typed, tuple(operation_params))
    if not value and not operation_params[name].empty_means:
        return f"`{name}` is empty; leave it out, or give it a value."
    return ""


def _both(name: str, typed: str, before: str | None) -> str:
    if before is None:
        return f"`{name}` is given twice, by the words at the front and by name; give it once."
    return f"`{before}` and `{typed}` are both `{name}`; give only one."
