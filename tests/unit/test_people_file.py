"""A file of people with what nobody can store is refused in a sentence."""

from __future__ import annotations

import pytest

from bot.people import BadPeople, parse_people


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\x7f", "\ud83d"])
@pytest.mark.parametrize("column", ["slack_user", "account", "role", "scope"])
def test_a_control_character_is_named_by_line_and_column(bad: str, column: str) -> None:
    cells = {"slack_user": "U0MARA", "vendor": "acme", "account": "me", "role": "r", "scope": "s"}
    cells[column] += bad
    row = ",".join(f'"{each}"' for each in cells.values())
    with pytest.raises(BadPeople) as told:
        parse_people(f"{','.join(cells)}\n{row}\n", {"acme": None})
    assert f"line 2, column {column}: holds a control character" in str(told.value).splitlines()
