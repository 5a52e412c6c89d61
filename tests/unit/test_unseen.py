"""What nobody sees is refused on every way in, by its name, and shown where a vendor wrote it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.errors import InvalidInput
from bot.domain.operations import Operation
from bot.domain.parameters import Parameters, read, read_stored
from bot.domain.policy import quoted
from bot.domain.text import parse
from bot.slack.views import exact
from bot.slack.views.blocks import escape, inline, plain
from bot.slack.views.tables import data_table
from handlers.ccs.tickets import TicketUpdate, UpdateTicket
from handlers.qualys.exceptions import RequestException
from handlers.qualys.tickets import EditTickets
from handlers.qualys.watches import WatchedTickets
from handlers.xpanse.incidents import IncidentUpdate, UpdateIncident
from handlers.zstack.tickets import ChangeTicketStatus

# character → what its refusal calls it; Unicode names, and numbers where it has none
REFUSED = {
    "\x00": "U+0000",
    "\x07": "U+0007",
    "\x0b": "U+000B",
    "\x1b": "U+001B",
    "\x7f": "U+007F",
    "\x85": "U+0085",
    "\ud800": "U+D800",
    "\u061c": "arabic letter mark",
    "\u200b": "zero width space",
    "\u200e": "left-to-right mark",
    "\u200f": "right-to-left mark",
    "\u202a": "left-to-right embedding",
    "\u202e": "right-to-left override",
    "\u2060": "word joiner",
    "\u2066": "left-to-right isolate",
    "\u2069": "pop directional isolate",
    "\ufeff": "zero width no-break space",
}
TAKEN = ["می‌خواهم", "क्‍ष", "👩‍💻", "naïve", "שלום", "a\u00adb", "tab\tand\r\nline", "补丁"]
UUID = "f4483251fdfd48cdae0dbb966a2652c9"


@pytest.mark.parametrize(("character", "name"), REFUSED.items())
def test_a_form_and_a_program_hear_its_name(character: str, name: str) -> None:
    raw = {"incident_id": "71", "comment": f"pa{character}tch", "status": f"n{character}ew"}
    with pytest.raises(InvalidInput) as refused:
        read(IncidentUpdate, raw)
    problems = {each.name: each.message for each in refused.value.problems}
    assert name in problems["comment"]
    assert name in problems["status"]


@pytest.mark.parametrize(("character", "name"), REFUSED.items())
def test_who_types_it_hears_the_same(character: str, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(f'71 comment="pa{character}tch"')
    assert name in str(refused.value)


@pytest.mark.parametrize("text", TAKEN)
def test_what_scripts_and_emoji_need_is_taken(text: str) -> None:
    assert read(IncidentUpdate, {"incident_id": "71", "comment": text}).comment == text  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", ["\n", "\r", "\t", "\u2028", "\u2029"])
def test_lines_are_taken_where_the_form_has_lines(line: str) -> None:
    raw = {"TicketNumber": "INCA0000009", "TicketDescription": f"a{line}b", "Priority": "Low"}
    read(TicketUpdate, raw)
    with pytest.raises(InvalidInput) as refused:
        read(TicketUpdate, {**raw, "Priority": f"Lo{line}w"})
    assert [each.name for each in refused.value.problems] == ["Priority"]


def test_a_list_may_stand_on_several_lines() -> None:
    found: Any = read(WatchedTickets, {"ticket_numbers": "1,\n2,\n3\n"})
    assert found.ticket_numbers == ("1", "2", "3")


EVERY: list[type[Operation]] = [
    EditTickets,
    RequestException,
    UpdateTicket,
    UpdateIncident,
    ChangeTicketStatus,
]
MODELS: list[type[Parameters]] = [*(each.parameters for each in EVERY), WatchedTickets]


@pytest.mark.parametrize("model", MODELS)
def test_no_parameter_takes_what_turns_the_text_around(model: type[Parameters]) -> None:
    for name in model.model_fields:
        for value in ("x\u202ey", ["ok", "x\u202ey"]):
            with pytest.raises(InvalidInput) as refused:
                read(model, {name: value})
            assert name in [each.name for each in refused.value.problems]
            assert "right-to-left override" in str(refused.value)


@pytest.mark.parametrize("character", REFUSED)
def test_what_a_vendor_wrote_is_shown(character: str) -> None:
    text, shown = f"evil{character}exe", f"evil‹U+{ord(character):04X}›exe"
    assert escape(text) == inline(text) == shown
    assert exact.words(text)["text"] == exact.one_line(text) == shown
    assert quoted(text) == f"`{shown}`"
    assert plain(text)["text"] == shown
    assert data_table("t", ["a"], [[text]])["rows"][1][0]["text"] == shown


def test_other_characters_are_shown_as_they_are() -> None:
    for text in TAKEN:
        assert escape(text) == text


@pytest.mark.parametrize("character", [each for each in REFUSED if each != "\ud800"])
def test_what_an_earlier_version_stored_is_read_as_it_stands(character: str) -> None:
    words = f"pa{character}tch"
    stored = {"incident_id": ["71"], "comment": words, "status": "new"}
    assert read_stored(IncidentUpdate, stored).model_dump()["comment"] == words
    with pytest.raises(InvalidInput, match="status"):
        read_stored(IncidentUpdate, {**stored, "status": f"n{character}ew"})
