"""What the doctor says of parts that a subscription may lack."""

from __future__ import annotations

from structlog.testing import capture_logs

from bot.doctor import warn_of_parts
from bot.domain.operations import Registry, Vendor
from integrations.errors import Rejected


async def nothing() -> None:
    pass


async def ended() -> None:
    raise Rejected("Qualys", "the exceptions API 2.0 is not there")


async def test_a_part_that_does_not_answer_is_warned_of_at_the_start() -> None:
    parts = {"exceptions": ended, "tickets": nothing}
    vendor = Vendor("qualys", "Qualys", (), None, nothing, nothing, parts=parts)
    with capture_logs() as logged:
        await warn_of_parts(Registry([vendor]))
    (line,) = logged
    assert (line["log_level"], line["part"]) == ("warning", "qualys exceptions")
    assert "the exceptions API 2.0 is not there" in line["words"]
