"""Typed parameters: what each constructor takes, makes of it, and says when it refuses."""

from __future__ import annotations

from typing import Annotated, Any, Self

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st
from pydantic import model_validator

from bot.domain.errors import InvalidInput
from bot.domain.parameters import (
    Kind,
    Param,
    Parameters,
    Widget,
    ascii_text,
    broken,
    choice,
    choices,
    given,
    items,
    names_of,
    nearest,
    number,
    read,
    specs,
    text,
    unknown_name,
    wire,
)

STATES = {"OPEN": "Open", "RESOLVED": "Resolved", "IGNORED": "Closed/Ignored"}


def change(title: str, **more: Any) -> Param:
    return Param(Kind.CHANGE, title, **more)


NOTE = change("Note", most=20, widget=Widget.LINES)


def declared(field: Any) -> tuple[Any, ...]:
    found: tuple[Any, ...] = field.__metadata__
    return found


def upper(item: str) -> str:
    if "x" in item:
        raise broken(f"`codes` does not take `{item}`.")
    return item.upper()


class Small(Parameters):
    """One parameter of each sort."""

    key: Annotated[str, *declared(text("key", change("Key of the record")))]
    state: Annotated[str | None, *declared(choice("state", change("State", choices=STATES)))] = None
    states: Annotated[
        tuple[str, ...] | None, *declared(choices("states", change("States", choices=STATES)))
    ] = None
    days: Annotated[int | None, *declared(number("days", change("Days", least=1, most=730)))] = None
    title: Annotated[str | None, *declared(text("title", change("Title", most=10)))] = None
    codes: Annotated[
        tuple[str, ...] | None, *declared(items("codes", change("Codes", most=3), upper))
    ] = None
    note: Annotated[str | None, *declared(ascii_text("note", NOTE))] = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.title == "bad":
            raise broken("`note` is needed with {name} and {message}.", "note")
        return self


def one(name: str, value: Any) -> Any:
    return getattr(read(Small, {"key": "1", name: value}), name)


def refusal(**values: Any) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        read(Small, {"key": "1", **values})
    (problem,) = caught.value.problems
    return problem.name, problem.message


@pytest.mark.parametrize(
    ("name", "raw", "made"),
    [
        ("state", "open", "OPEN"),
        ("state", " Closed/ignored ", "IGNORED"),
        ("state", None, None),
        ("states", "open,,RESOLVED, open", ("OPEN", "RESOLVED")),
        ("states", ["ignored"], ("IGNORED",)),
        ("days", "7", 7),
        ("days", " +730 ", 730),
        ("days", 1, 1),
        ("title", "  ten chars! ", "ten chars!"),
        ("title", 7, "7"),
        ("codes", "a, b,a", ("A", "B")),
        ("codes", ("a", 2), ("A", "2")),
        ("codes", 5, ("5",)),
        ("note", "“a” – ‘b’… »c«\u00a0", '"a" - \'b\'... "c"'),
        ("note", "a\tb\nc", "a\tb\nc"),
    ],
)
def test_a_value_becomes_what_its_parameter_declares(name: str, raw: Any, made: Any) -> None:
    assert one(name, raw) == made


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        (
            "state",
            "RESOLVD",
            (
                "`state` must be one of `OPEN`, `RESOLVED`, `IGNORED` (`Closed/Ignored`), not `RESOLVD`."
                " Did you mean `RESOLVED`?"
            ),
        ),
        (
            "state",
            "",
            "`state` must be one of `OPEN`, `RESOLVED`, `IGNORED` (`Closed/Ignored`), not ``.",
        ),
        (
            "states",
            "OPEN,{x}",
            "`states` must be one of `OPEN`, `RESOLVED`, `IGNORED` (`Closed/Ignored`), not `{x}`.",
        ),
        ("states", " , ", "`states` is empty; leave it out, or give it a value."),
        ("days", "0", "`days` must be a whole number from 1 to 730; the nearest to 0 is 1."),
        ("days", "731", "`days` must be a whole number from 1 to 730; the nearest to 731 is 730."),
        ("days", "-5", "`days` must be a whole number from 1 to 730; the nearest to -5 is 1."),
        ("days", "7.5", "`days` must be a whole number from 1 to 730, not `7.5`."),
        ("days", "٧", "`days` must be a whole number from 1 to 730, not `٧`."),
        ("days", "{0}", "`days` must be a whole number from 1 to 730, not `{0}`."),
        ("days", "9" * 5000, f"`days` must be a whole number from 1 to 730, not `{'9' * 5000}`."),
        ("title", " ", "`title` is empty; leave it out, or give it a value."),
        ("title", "x" * 1011, "`title` may have at most 10 characters; cut 1,001 of them."),
        ("codes", "", "`codes` is empty; leave it out, or give it a value."),
        ("codes", "a,b,c,d", "`codes` takes at most 3 values, not 4."),
        ("codes", "a,{x}", "`codes` does not take `{x}`."),
        (
            "note",
            "… naïve",
            "`note` takes ASCII only; character 5 is `ï` (latin small letter i with diaeresis).",
        ),
        ("note", "\x07", "The character U+0007 cannot be sent; take it out."),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_with_the_rule(
    name: str, raw: str, message: str
) -> None:
    assert refusal(**{name: raw}) == (name, message)


@pytest.mark.parametrize("braces", ["{name}", "{message}", "{", "}", "{{}}", "{0!r}", "%s"])
def test_braces_in_a_value_are_shown_as_they_were_typed(braces: str) -> None:
    _, message = refusal(state=braces)
    assert message.endswith(f"not `{braces}`.")


def test_a_rule_over_several_parameters_can_be_put_on_one_of_them() -> None:
    assert refusal(title="bad") == ("note", "`note` is needed with {name} and {message}.")


def test_every_bad_name_is_a_problem_of_its_own() -> None:
    with pytest.raises(InvalidInput) as caught:
        read(Small, {"stat": "x", "days": "x", "title": ""})
    problems = {each.name: each.message for each in caught.value.problems}
    assert list(problems) == ["stat", "key", "days", "title"]
    assert problems["stat"] == ("`stat` is not a parameter here. Did you mean `state` or `states`?")
    assert problems["key"] == "`key` is required: key of the record."


def test_only_what_was_set_is_given_in_order_of_declaration() -> None:
    parameters = read(Small, {"codes": "a,b", "days": "7", "key": "1"})
    assert given(parameters) == {"key": "1", "days": 7, "codes": ("A", "B")}
    assert list(given(parameters)) == ["key", "days", "codes"]
    assert [wire(each) for each in given(parameters).values()] == ["1", "7", "A,B"]


def test_the_declarations_can_be_read_back() -> None:
    assert names_of(Small) == ("key", "state", "states", "days", "title", "codes", "note")
    assert specs(Small)["days"].most == 730


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("add_coment", ["add_comment"]),
        ("COMMENT", ["add_comment"]),
        ("State", ["change_state"]),
        ("zzz", []),
        ("", []),
    ],
)
def test_the_nearest_names_are_found_in_any_case(word: str, found: list[str]) -> None:
    assert nearest(word, ["add_comment", "change_state", "ips"]) == found


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("comment", "`comment` is not a parameter here. Did you mean `add_comment`?"),
        ("zzz", "`zzz` is not a parameter here. Known are `add_comment`, `ips`."),
    ],
)
def test_an_unknown_name_is_told_the_nearest_or_all_that_are_known(word: str, message: str) -> None:
    assert unknown_name(word, ["add_comment", "ips"]) == message


SCALARS = st.none() | st.text(max_size=30) | st.integers() | st.lists(st.text(max_size=5))


@any_of(st.dictionaries(st.sampled_from([*names_of(Small), "other"]), SCALARS))
def test_any_raw_values_are_read_or_refused(values: dict[str, Any]) -> None:
    try:
        parameters = read(Small, values)
    except InvalidInput:
        return
    assert read(Small, given(parameters)) == parameters
