"""Typed parameters: each is declared once and serves the text grammar, the form, the review and the wire.

A parameter is an annotated pydantic field, `Annotated[str | None, Param(...), BeforeValidator(...)]`;
the constructors below (`choice`, `choices`, `number` …) build the common ones. A value in a model is a
`str`, an `int` or a tuple of `str`; `None` means "not set" and is never sent.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from bot.domain.errors import InvalidInput, Problem
from bot.domain.unseen import why_unseen


class Kind(StrEnum):
    """What a parameter is for: choosing records, or changing them."""

    SELECTION = "selection"
    CHANGE = "change"


class Widget(StrEnum):
    """How the form asks for a value."""

    TEXT = "text"
    LINES = "lines"
    SELECT = "select"
    MULTI_SELECT = "multi_select"
    NUMBER = "number"
    DATE = "date"
    LOOKUP = "lookup"
    MULTI_LOOKUP = "multi_lookup"


@dataclass(frozen=True)
class Param:
    """Everything that is derived from a parameter.

    `choices` maps wire value → words for people. `lookup` names a list that the operation can search
    (`Operation.lookup`). `most` is the upper bound of characters (text) or of the number itself
    (number); `aliases` are other names it may be typed under. `hidden` ones can only be typed: no
    form draws them. `empty_means` says what an explicitly empty value does, where it does anything.
    `verbs` are words that ask for a choice (`resolve` → RESOLVED), in small letters. `account`: its
    value is a user of the vendor, so that a mapped person may stand for it.
    """

    kind: Kind
    title: str
    help: str = ""
    widget: Widget = Widget.TEXT
    choices: Mapping[str, str] = field(default_factory=dict)
    lookup: str = ""
    least: int | None = None
    most: int | None = None
    aliases: tuple[str, ...] = ()
    example: str = ""
    advanced: bool = False
    hidden: bool = False
    empty_means: str = ""
    verbs: Mapping[str, str] = field(default_factory=dict)
    account: bool = False


class Parameters(BaseModel):
    """Base of every operation's parameters: immutable, and a name it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def specs(model: type[Parameters]) -> dict[str, Param]:
    """The declared parameters of `model` by name, in order of declaration."""
    found: dict[str, Param] = {}
    for name, info in model.model_fields.items():
        for meta in info.metadata:
            if isinstance(meta, Param):
                found[name] = meta
    return found


def given(parameters: Parameters) -> dict[str, str | int | tuple[str, ...]]:
    """The parameters that the caller set, as typed values."""
    return {
        name: value
        for name in specs(type(parameters))
        if (value := getattr(parameters, name)) is not None
    }


def wire(value: str | int | Sequence[str]) -> str:
    """One value as it goes over a form-encoded wire: lists joined with commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    return ",".join(value)


def read(model: type[Parameters], values: Mapping[str, Any]) -> Parameters:
    """Make typed parameters of what people typed, nothing of which may be unseen.

    Raises `InvalidInput` with one problem per bad name.
    """
    known = {name: value for name, value in values.items() if name in model.model_fields}
    unseen = [Problem(name, why) for name in known if (why := _unseen(model, name, known[name]))]
    if unseen:
        raise InvalidInput([*_unknown(model, values), *unseen])
    return read_stored(model, values)


def read_stored(model: type[Parameters], values: Mapping[str, Any]) -> Parameters:
    """The same of what was stored, which an earlier version may have taken with something unseen.

    It was reviewed, or sent, as it stands. Raises `InvalidInput` where it breaks any other rule.
    """
    problems = _unknown(model, values)
    known = {name: value for name, value in values.items() if name in model.model_fields}
    try:
        parameters = model.model_validate(known)
    except ValidationError as error:
        problems += [_problem(model, detail) for detail in error.errors()]
    if problems:
        raise InvalidInput(problems)
    return parameters


def _unknown(model: type[Parameters], values: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(name, unknown_name(name, names_of(model)))
        for name in values
        if name not in model.model_fields
    ]


def _unseen(model: type[Parameters], name: str, value: Any) -> str:
    """Why a value holds what nobody would see of it; each entry of a list stands on its line."""
    several = isinstance(value, list | tuple) or takes_several(model, name)
    spec = specs(model).get(name)
    lines = spec is not None and spec.widget is Widget.LINES
    texts = as_list(value) if several else [str(value).strip()]
    return next(filter(None, (why_unseen(each, lines=lines) for each in texts)), "")


@cache
def _adapter(model: type[Parameters], name: str) -> TypeAdapter[Any]:
    info = model.model_fields[name]
    declared: Any = Annotated[info.annotation, *info.metadata]
    return TypeAdapter(declared)


@dataclass(frozen=True)
class Declared:
    """A parameter by its operation's own reader, for what else names a value of it (the policy)."""

    model: type[Parameters]
    name: str

    @property
    def choices(self) -> Mapping[str, str]:
        return specs(self.model)[self.name].choices

    def read(self, value: str) -> str | int | tuple[str, ...] | None:
        """A value in the one spelling that counts; None where the parameter takes no such value."""
        try:
            found: str | int | tuple[str, ...] = _adapter(self.model, self.name).validate_python(
                value
            )
        except ValidationError:
            return None
        return found


def declared(model: type[Parameters]) -> dict[str, Declared]:
    """The parameters of `model` with their readers."""
    return {name: Declared(model, name) for name in specs(model)}


def takes(model: type[Parameters], name: str, value: str) -> bool:
    """True where `value` alone breaks no rule of the parameter `name`."""
    try:
        _adapter(model, name).validate_python(value)
    except ValidationError:
        return False
    return True


def keeps(model: type[Parameters], name: str, value: str) -> bool:
    """True where the parameter `name` takes `value` and changes no letter of it."""
    try:
        return bool(_adapter(model, name).validate_python(value) == value)
    except ValidationError:
        return False


def takes_several(model: type[Parameters], name: str) -> bool:
    """True for a parameter that is a list."""
    return "tuple" in str(model.model_fields[name].annotation)


def _problem(model: type[Parameters], detail: Any) -> Problem:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    if detail["type"] == "missing":
        title = specs(model)[name].title
        says_more = title.casefold() not in name.casefold().split("_")
        more = f": {title[0].lower()}{title[1:]}" if says_more else ""
        return Problem(name, f"`{name}` is required{more}.")
    context = detail.get("ctx") or {}
    if "name" in context:
        name = context["name"]
    return Problem(name, detail["msg"])


def names_of(model: type[Parameters]) -> tuple[str, ...]:
    return tuple(specs(model))


def nearest(word: str, known: Sequence[str], most: int = 3) -> list[str]:
    """The names nearest to `word`, best first; none when nothing is near."""
    if not word:
        return []
    folded = {name.casefold(): name for name in known}
    hits = difflib.get_close_matches(word.casefold(), folded, n=most, cutoff=0.5)
    inside = [name for name in folded if word.casefold() in name and name not in hits]
    return [folded[hit] for hit in [*hits, *inside][:most]]


def unknown_name(name: str, known: Sequence[str]) -> str:
    """One sentence for a parameter name that does not exist."""
    near = nearest(name, known)
    hint = f"Did you mean {_alternatives(near)}?" if near else f"Known are {_listed(known)}."
    return f"`{name}` is not a parameter here. {hint}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _alternatives(names: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def broken(message: str, name: str = "") -> PydanticCustomError:
    """A rule of ours that a validator found broken; `name` puts it on another parameter."""
    # The message goes in as a value, so that braces in a person's text are not read as a template;
    # it goes in last, so that nothing is filled into it.
    context = {"name": name} if name else {}
    return PydanticCustomError("rule", "{message}", {**context, "message": message})


# --- constructors ---------------------------------------------------------------------------------


Reader = Callable[[str, Any], Any]


def _field(kind: type[Any] | Any, spec: Param, reader: Callable[[Any], Any]) -> Any:
    def validate(value: Any) -> Any:
        return None if value is None else reader(value)

    return Annotated[kind, spec, BeforeValidator(validate)]


def as_list(value: Any) -> list[str]:
    """Comma-separated text or a list, blanks around items dropped, empty items left out."""
    several = isinstance(value, list | tuple)
    items = [str(item) for item in value] if several else str(value).split(",")
    return [item.strip() for item in items if item.strip()]


def pick(name: str, value: str, choices: Mapping[str, str]) -> str:
    """The choice that `value` names, in any case. Raises when there is none, naming the nearest."""
    folded = {choice.casefold(): choice for choice in choices}
    folded |= {label.casefold(): choice for choice, label in choices.items()}
    found = folded.get(str(value).strip().casefold())
    if found is not None:
        return found
    near = nearest(str(value), [*choices.values(), *choices], 1)
    hint = f" Did you mean {_alternatives(near)}?" if near else ""
    forms = ", ".join(_both_forms(*each) for each in choices.items())
    raise broken(f"`{name}` must be one of {forms}, not `{value}`.{hint}")


def _both_forms(value: str, label: str) -> str:
    """A choice in every form in which it may be typed."""
    same = value.casefold() == label.casefold()
    return f"`{value}`" if same else f"`{value}` (`{label}`)"


def choice(name: str, spec: Param) -> Any:
    """One of `spec.choices`, taken in any case."""
    return _field(str | None, spec, lambda value: pick(name, value, spec.choices))


def choices(name: str, spec: Param) -> Any:
    """Several of `spec.choices`, separated by commas, taken in any case."""

    def reader(value: Any) -> tuple[str, ...]:
        items = tuple(dict.fromkeys(pick(name, item, spec.choices) for item in as_list(value)))
        return _not_empty(name, items)

    return _field(tuple[str, ...] | None, spec, reader)


def number(name: str, spec: Param) -> Any:
    """A whole number between `spec.least` and `spec.most`."""

    def reader(value: Any) -> int:
        bounds = f"`{name}` must be a whole number from {spec.least} to {spec.most}"
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", str(value).strip()):
            raise broken(f"{bounds}, not `{value}`.")
        found = int(str(value))
        low, high = spec.least or 0, spec.most if spec.most is not None else found
        if not low <= found <= high:
            raise broken(f"{bounds}; the nearest to {found} is {min(max(found, low), high)}.")
        return found

    return _field(int | None, spec, reader)


def text(name: str, spec: Param, reader: Callable[[str], str] | None = None) -> Any:
    """Free text of at most `spec.most` characters."""

    def read_text(value: Any) -> str:
        found = (reader or str)(str(value)).strip()
        if not found:
            raise broken(f"`{name}` is empty; leave it out, or give it a value.")
        if spec.most is not None and len(found) > spec.most:
            over = len(found) - spec.most
            raise broken(
                f"`{name}` may have at most {spec.most:,} characters; cut {over:,} of them."
            )
        return found

    return _field(str | None, spec, read_text)


def items(name: str, spec: Param, reader: Callable[[str], str] | None = None) -> Any:
    """A list, separated by commas; `reader` checks each item; at most `spec.most` of them."""

    def read_items(value: Any) -> tuple[str, ...]:
        found = tuple(dict.fromkeys((reader or str)(item) for item in as_list(value)))
        if spec.most is not None and len(found) > spec.most:
            raise broken(f"`{name}` takes at most {spec.most} values, not {len(found)}.")
        return _not_empty(name, found)

    return _field(tuple[str, ...] | None, spec, read_items)


def _not_empty(name: str, found: tuple[str, ...]) -> tuple[str, ...]:
    if not found:
        raise broken(f"`{name}` is empty; leave it out, or give it a value.")
    return found


_TYPOGRAPHIC = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        "…": "...",
        "\u00a0": " ",
        "\u202f": " ",
    }
)


def to_ascii(name: str, value: str) -> str:
    """Typographic quotes and dashes become ASCII; any other character is refused by name."""
    for position, character in enumerate(value, start=1):
        if ord(character) in _TYPOGRAPHIC:
            continue
        if ord(character) > 126 or (ord(character) < 32 and character not in "\n\r\t"):
            called = unicodedata.name(character, f"U+{ord(character):04X}")
            raise broken(
                f"`{name}` takes ASCII only; character {position} is `{character}` ({called.lower()})."
            )
    return value.translate(_TYPOGRAPHIC)


def ascii_text(name: str, spec: Param) -> Any:
    """Free ASCII text of at most `spec.most` characters."""
    return text(name, spec, lambda value: to_ascii(name, value))
