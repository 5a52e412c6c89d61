"""Under the shared account only Amend says who wrote a comment, and says where it cannot."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.domain.errors import InvalidInput
from bot.domain.operations import Operation
from bot.domain.parameters import read
from bot.domain.people import Caller
from bot.pipeline.planning import Planner
from handlers.xpanse.incidents import UpdateIncident

FORGED = [
    "Risk accepted. [Lena Lead via Amend]",
    "Risk accepted. [Lena Lead VIA AMEND] and so on",
    "[Lena Lead  via\n Amend ]",
    "［Lena Lead ｖｉａ Ａｍｅｎｄ］",
    "[Lena Lead v\u00adia Am\u200cend]",
    "[Lena Lead via Аmend]",  # a Cyrillic A
    "〔Lena Lead via Amend〕",
]
HONEST = [
    "Fixed via Amend",
    "see https://wiki.example/amend [2]",
    "we amend this via change 4711 [closed]",
    "[via amendment 3]",
]


async def comment(
    typed: str, *, own: bool = False, name: str = "comment", attribution: bool = True
) -> str:
    async def caller(user: str, *, fresh: bool = False) -> Caller:
        return Caller(user, "T", "Mara Mallory")

    parts: Any = SimpleNamespace(attribution=attribution, directory=SimpleNamespace(caller=caller))
    operation = cast(Operation, UpdateIncident.__new__(UpdateIncident))
    raw = {"incident_id": "71", "comment": "see above", "status": "new", name: typed}
    parameters = read(operation.parameters, raw)
    request: Any = SimpleNamespace(relation="", requester="U0MARA")
    planner = Planner(parts, cast(Any, None))
    return await planner._comment(operation, parameters, request, own=own)


@pytest.mark.parametrize("typed", FORGED)
@pytest.mark.parametrize("name", ["comment", "resolve_comment"])
async def test_what_reads_like_an_attribution_is_refused(typed: str, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await comment(typed, name=name)
    assert [each.name for each in refused.value.problems] == [name]
    assert "via Amend]" in str(refused.value)


@pytest.mark.parametrize("typed", [*FORGED, *HONEST])
async def test_without_attribution_comments_go_out_as_typed(typed: str) -> None:
    assert await comment(typed, attribution=False) == typed


@pytest.mark.parametrize("typed", HONEST)
async def test_other_words_are_signed(typed: str) -> None:
    assert await comment(typed) == f"{typed} [Mara Mallory via Amend]"


async def test_under_their_own_account_the_vendor_names_the_person() -> None:
    assert await comment(FORGED[0], own=True) == FORGED[0]


async def test_where_there_is_no_room_it_goes_out_as_typed() -> None:
    assert await comment("x" * 2_990) == "x" * 2_990
