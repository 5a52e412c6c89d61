"""What people type who have not read the grammar: read where only one thing can be meant.

`read_text` takes the text grammar first (`bot.domain.text`). Where a text breaks it, it is read
leniently: ids in any dress, words that are a value of one change, `name:value`, `--name value`,
lists with a blank after the comma, a JSON body. Such a `Reading` is `guessed`, and must be reviewed.
Whatever is left over, a negation, or a second value for one change means that nothing is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, Protocol

from bot.domain.errors import InvalidInput, invalid
from bot.domain.operations import Operation
from bot.domain.parameters import (
    Kind,
    Param,
    Parameters,
    nearest,
    read,
    takes,
    takes_several,
    unknown_name,
)
from bot.domain.text import (
    Part,
    Words,
    closings,
    in_quotes,
    parse,
    parts,
    refuse_bare,
    resolve,
    spellings,
    together,
    words_of,
)

NEGATIONS = frozenset(
    {"not", "no", "never", "none", "without", "except", "but", "unless", "cannot"}
)
_ENDS_NEGATED = ("n't", "dont", "doesnt", "wont", "cant")
_TO = frozenset({"to", "-", "..", "...", "…", "until", "through"})
_AND = frozenset({"and", "&", "+"})
_STOPS = frozenset({",", ";"})
_PLAIN_SIGNS = str.maketrans({**dict.fromkeys("‐‑‒–—−", "-"), **dict.fromkeys("‘’", "'")})
MOST_WORDS = 4  # of a value's words for people, such as "Remediation Performed"


@dataclass(frozen=True)
class Reading:
    """Raw values by parameter; `guessed` where the text is not the grammar's, so is to be reviewed."""

    values: Mapping[str, str]
    guessed: bool = False


def read_text(operation: Operation, text: str) -> Reading:
    """What a text asks for, its values not yet checked. Raises `InvalidInput`."""
    if text.lstrip().startswith("{"):
        return Reading(_of_json(operation, text), guessed=True)
    return _strict(operation, text) or Reading(_guess(operation, text), guessed=True)


class Filters(Protocol):
    """What a selection may name: a watch's or a register's. It changes nothing at the vendor."""

    parameters: ClassVar[type[Parameters]]

    @classmethod
    def params(cls) -> Mapping[str, Param]: ...


def read_filters(filters: Filters, text: str, besides: Sequence[str] = ()) -> Words:
    """What a selection's text says, `besides` its filters' names others. Raises `InvalidInput`.

    As leniently as an edit's, and without a review: nothing comes of it but what is shown.
    """
    names = [*spellings(filters.params()), *besides]
    return words_of(_lists_joined(filters, list(parts(text, _assignment(names)))))


def salvage_filters(filters: Filters, text: str, besides: Sequence[str] = ()) -> dict[str, str]:
    """What can be made of a selection's text that is refused, by declared name."""
    known = spellings(filters.params()) | {name: name for name in besides}
    found = _as_if_closed(text, _assignment(known)) or []
    named = ((known.get(part.name.casefold(), ""), part.value) for part in found if part.name)
    return {
        name: value
        for name, value in named
        if name in besides or (name and takes(filters.parameters, name, value))
    }


def salvage(operation: Operation, text: str) -> dict[str, str]:
    """What can be made of a text that is refused: the ids, and values under names that exist."""
    found = _as_if_closed(text, _lenient(operation))
    if found is None:
        return {operation.comment: text} if operation.comment else {}
    whole = list(_texts_joined(operation, _lists_joined(operation, found)))
    bare = [part.value for part in whole if not part.name]
    values = _meant(operation, bare)
    for part in whole:
        try:
            one = Words((), {part.name: part.value} if part.name else {})
            values |= resolve(operation.params(), one, operation.records_in)
        except InvalidInput:
            continue
    records = [each for word in bare if operation.ids for each in operation.ids.read(word)]
    return {operation.records_in: ",".join(records), **values} if records else values


def _as_if_closed(text: str, assignment: re.Pattern[str]) -> list[Part] | None:
    """The words of a text, a quote that nobody closed ending with it; None for any other break."""
    for each in closings(text):
        with suppress(InvalidInput):
            return list(parts(each, assignment))
    return None


def _meant(operation: Operation, words: Sequence[str]) -> dict[str, str]:
    """The changes that single words ask for, where no other word takes that back."""
    if any(map(_negates, words)):
        return {}
    found = {one for word in words if len(one := tuple(_meanings(operation, word))) == 1}
    names = [name for ((name, _),) in found]
    return {name: value for ((name, value),) in found if names.count(name) == 1}


def _negates(word: str) -> bool:
    plain = word.translate(_PLAIN_SIGNS).casefold().strip(",;.!?")
    return plain in NEGATIONS or plain.endswith(_ENDS_NEGATED)


def _texts_joined(operation: Operation, found: Sequence[Part]) -> Iterator[Part]:
    """`comment=Host patched` as what was probably meant, for a form that shows it."""
    joined: list[Part] = []
    for part in found:
        before = joined[-1] if joined else None
        if before and before.name and not part.name and _may_belong(operation, before, part):
            whole = f"{before.value} {part.raw}"
            joined[-1] = Part(before.name, whole, f"{before.raw} {part.raw}")
        else:
            joined.append(part)
    yield from joined


def _may_belong(operation: Operation, before: Part, after: Part) -> bool:
    """True where a word without a name may be the rest of the free text before it."""
    name = spellings(operation.params()).get(before.name.casefold())
    whole = f"{before.value} {after.value}"
    return name is None or (not before.quoted and takes(operation.parameters, name, whole))


def _strict(operation: Operation, text: str) -> Reading | None:
    """As the grammar has it; None where something has to be guessed."""
    try:
        words = parse(text)
    except InvalidInput:
        return None
    values = resolve(operation.params(), _without_fixed(operation, words), operation.records_in)
    if any(_needs_guess(operation, name, value) for name, value in values.items()):
        return None
    return Reading(values)


def _needs_guess(operation: Operation, name: str, value: str) -> bool:
    """True for ids in another dress, for a value that runs on into another name, and for one that
    came with quotes of its own."""
    if in_quotes(value):
        return True
    if name == operation.records_in and operation.ids:
        entries = [each.strip() for each in value.split(",") if each.strip()]
        return not all(operation.ids.is_plain(each) for each in entries)
    return _run_on(operation, name, value) is not None


def _without_fixed(operation: Operation, words: Words) -> Words:
    """Without the vendor's own fixed parameters (`action=request`), which say nothing new."""
    fixed = operation.fixed
    values = {
        name: value
        for name, value in words.values.items()
        if value not in fixed.get(name.casefold(), ())
    }
    return Words(words.records, values)


def _run_on(operation: Operation, name: str, value: str) -> tuple[str, str, str] | None:
    """`12reopen=1` where a sign between two parameters was lost: its value, and the next two."""
    if takes(operation.parameters, name, value):
        return None
    found = _names(tuple(operation.params())).search(value)
    if found is None or not takes(operation.parameters, name, value[: found.start()]):
        return None
    return value[: found.start()], found[1], value[found.end() :]


@lru_cache
def _names(known: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"({'|'.join(map(re.escape, known))})=", re.IGNORECASE)


# --- guessing -------------------------------------------------------------------------------------


def _guess(operation: Operation, text: str) -> dict[str, str]:
    guess = _Guess(operation)
    guess.take(_lists_joined(operation, list(parts(text, _lenient(operation)))))
    words = together(guess.records, guess.named)
    values = resolve(operation.params(), _without_fixed(operation, words), operation.records_in)
    return {name: value for each in values.items() for name, value in _mended(operation, *each)}


def _lenient(operation: Operation) -> re.Pattern[str]:
    return _assignment(spellings(operation.params()))


def _assignment(known: Iterable[str]) -> re.Pattern[str]:
    """`name=`, `name:`, `--name=` and `--name `, the last three for names that are known."""
    names = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    word = r"[A-Za-z_][A-Za-z0-9_.-]*+"
    return re.compile(
        rf"(?:--|[—–])({names})(?:\s*+[=:]|\s)|({names})\s*+:(?!//)|({word})\s*+=", re.IGNORECASE
    )


def _lists_joined(filters: Filters, found: Sequence[Part]) -> list[Part]:
    """`ips=1, 2` with the words behind a comma joined to the list that they go on with."""
    known = spellings(filters.params())
    joined: list[Part] = []
    for part in found:
        before = joined[-1] if joined else None
        if before is not None and not part.name and _goes_on(filters, known, before, part):
            value = f"{before.value}{part.value}"
            joined[-1] = Part(before.name, value, f"{before.raw} {part.raw}", before.quoted)
        else:
            joined.append(part)
    return joined


def _goes_on(filters: Filters, known: Mapping[str, str], before: Part, part: Part) -> bool:
    name = known.get(before.name.casefold())
    touches = before.value.endswith(",") or part.value.startswith(",")
    return name is not None and touches and takes_several(filters.parameters, name)


def _mended(operation: Operation, name: str, value: str) -> Iterator[tuple[str, str]]:
    """A value as it is meant: ids undressed, and what ran on into another name taken apart."""
    if name == operation.records_in and operation.ids:
        entries = [each.strip() for each in value.split(",") if each.strip()]
        read_as = [operation.ids.read(each) or (each,) for each in entries]
        yield name, ",".join(entry for each in read_as for entry in each)
        return
    run_on = _run_on(operation, name, value)
    if run_on is None:
        yield name, value
        return
    yield name, run_on[0]
    yield spellings(operation.params())[run_on[1].casefold()], run_on[2]


@dataclass
class _Guess:
    """The records and values that a text's words stand for."""

    operation: Operation
    records: list[str] = field(default_factory=list)
    named: list[Part] = field(default_factory=list)

    def take(self, found: Sequence[Part]) -> None:
        """Read all words. Raises `InvalidInput` naming the first that means nothing."""
        self.named = [part for part in found if part.name]
        self._refuse_unknown()
        self._refuse_negation([part for part in found if not part.name])
        for before, after in pairwise(found):
            if before.name and not after.name and _may_belong(self.operation, before, after):
                refuse_bare([before, after])
        run: list[str] = []
        for part in [*found, Part("end", "", "")]:
            if part.name:
                self._run(run)
                run = []
            else:
                run.append(part.value.translate(_PLAIN_SIGNS).strip())

    def _refuse_unknown(self) -> None:
        params, fixed = self.operation.params(), self.operation.fixed
        known = spellings(params)
        for part in self.named:
            if part.name.casefold() not in known and part.name.casefold() not in fixed:
                raise invalid(unknown_name(part.name, tuple(params)), part.name)

    def _refuse_negation(self, bare: Sequence[Part]) -> None:
        for part in bare:
            if _negates(part.value):
                message = (
                    f"`{part.value}` turns the meaning round, so nothing was read; type what shall"
                    " happen, without it."
                )
                raise invalid(message)

    # --- words without a name ---------------------------------------------------------------------

    def _run(self, words: Sequence[str]) -> None:
        position = 0
        while position < len(words):
            taken = (
                self._ids(words, position)
                or self._value(words, position)
                or self._filler(words, position)
            )
            if not taken:
                raise invalid(self._left_over(words[position]))
            position += taken

    def _ids(self, words: Sequence[str], at: int) -> int:
        ids = self.operation.ids
        if ids is None:
            return 0
        if at + 2 < len(words) and words[at + 1].casefold() in _TO:
            span = ids.span(words[at], words[at + 2])
            self.records += span
            if span:
                return 3
        entries = ids.read(words[at])
        self.records += entries
        return 1 if entries else 0

    def _value(self, words: Sequence[str], at: int) -> int:
        for many in range(min(MOST_WORDS, len(words) - at), 0, -1):
            phrase = " ".join(words[at : at + many]).strip(",;")
            found = _meanings(self.operation, phrase)
            if len(found) > 1:
                names = " or ".join(f"`{name}={value}`" for name, value in found)
                message = f"`{phrase}` may be {names}, so nothing was read; type the one you mean."
                raise invalid(message)
            if found:
                self._set(phrase, *found[0])
                return many
        return 0

    def _set(self, phrase: str, name: str, value: str) -> None:
        known = spellings(self.operation.params())
        if any(known.get(part.name.casefold()) == name for part in self.named):
            message = (
                f"`{phrase}` is a second value for `{name}`, so nothing was read; give it once."
            )
            raise invalid(message, name)
        self.named.append(Part(name, value, phrase))

    def _filler(self, words: Sequence[str], at: int) -> int:
        """Commas; `and` between ids; the name of the thing in front of an id."""
        word, ids = words[at].casefold().rstrip(":"), self.operation.ids
        if word in _STOPS:
            return 1
        if ids is None or at + 1 == len(words) or not ids.read(words[at + 1]):
            return 0
        joins = word in _AND and bool(self.records)
        return int(joins or word.strip("#") in ("", *self.operation.noun, *ids.before))

    def _left_over(self, word: str) -> str:
        """One sentence for a word that means nothing here, with the nearest that does."""
        if word.startswith("--"):
            return unknown_name(word, tuple(self.operation.params()))
        near = nearest(word, list(_vocabulary(self.operation)), 2)
        meant = " or ".join(f"`{each}`" for each in near)
        hint = f"Did you mean {meant}?" if near else self._rule_of_ids(word) or self._how()
        return f"`{word}` is not understood here, so nothing was read. {hint}"

    def _rule_of_ids(self, word: str) -> str:
        """What the operation's ids look like; "" where it says nothing of `word`."""
        records_in = self.operation.records_in
        try:
            read(self.operation.parameters, {records_in: word})
        except InvalidInput as error:
            said = [each.message for each in error.problems if f"`{word}`" in each.message]
            return said[0] if said else ""
        return ""

    def _how(self) -> str:
        comment = self.operation.comment
        if not comment:
            return "Write each value with its name, as NAME=VALUE."
        return f'Words for people go in quotes behind their name: `{comment}="…"`.'


def _vocabulary(operation: Operation) -> dict[str, set[tuple[str, str]]]:
    """What a bare word may mean: a value, its words, or its verb → (parameter, value)."""
    found: dict[str, set[tuple[str, str]]] = {}
    for name, spec in operation.params().items():
        if spec.kind is not Kind.CHANGE:
            continue
        said = [*((value, value) for value in spec.choices), *spec.verbs.items()]
        said += [(label, value) for value, label in spec.choices.items()]
        for word, value in said:
            if re.search(r"[A-Za-z]", word):
                found.setdefault(word.casefold(), set()).add((name, value))
    return found


def means_something(operation: Operation, word: str) -> bool:
    """True for a word that is a value, or the verb of a value, of this operation."""
    return bool(_meanings(operation, word))


def _meanings(operation: Operation, phrase: str) -> list[tuple[str, str]]:
    return sorted(_vocabulary(operation).get(phrase.casefold(), ()))


# --- the vendor's JSON ----------------------------------------------------------------------------


def _of_json(operation: Operation, text: str) -> dict[str, str]:
    """A body as the vendor's document shows it; names that say nothing new are passed over."""
    # The documents' own examples have a user's single backslash (`domain\\user`), which JSON has not.
    mended = re.sub(r'\\(?!["\\/bfnrtu])', r"\\\\", text)
    try:
        leaves = list(_leaves(operation, json.loads(mended), ""))
    except (ValueError, RecursionError):
        raise invalid("This begins like JSON and is none; check its quotes and braces.") from None
    named = [Part(name, value, value) for name, value in leaves]
    words = _without_fixed(operation, together((), named))
    return resolve(operation.params(), words, operation.records_in)


def _leaves(operation: Operation, body: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(body, dict):
        known = spellings(operation.params())
        for key, value in body.items():
            inside = name if key == "value" and name else key
            nested = isinstance(value, dict) and key.casefold() not in known
            yield from _leaves(operation, value, "" if nested else inside)
    elif isinstance(body, list):
        yield name, ",".join(map(str, body))
    else:
        yield name, "" if body is None else str(body)
