"""`/amend exceptions`: what stands, as far as role and scope let somebody see it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.conftest import GUEST, MARA, SAMI, UMAR, World, until

TODAY = datetime.now(UTC).date()


def stand(
    world: World, *ends_in: int, network: str = "10.10.10.", status: str = "Approved"
) -> list[int]:
    """Approved exceptions on hosts of a network that end in so many days; no other one is left."""
    exceptions = world.qualys.compliance.exceptions
    here = [n for n, e in sorted(exceptions.items()) if str(e.result.host.ip).startswith(network)]
    chosen = here[: len(ends_in)]
    for number, days in zip(chosen, ends_in, strict=True):
        ends = (TODAY + timedelta(days=days)).isoformat()
        exceptions[number] = replace(exceptions[number], status=status, expires=ends)
    return chosen


@pytest.fixture(autouse=True)
def nothing_stands(world: World) -> None:
    exceptions = world.qualys.compliance.exceptions
    for number, each in list(exceptions.items()):
        exceptions[number] = replace(each, status="Rejected")


async def listed(world: World, user: str, words: str = "") -> str:
    known = len(world.private(user))
    await world.type(user, f"/amend exceptions {words}".strip())
    await until(lambda: len(world.private(user)) > known, "an answer")
    return world.private(user)[-1]


async def test_what_ends_soonest_comes_first_and_what_ends_later_is_not_listed(
    world: World,
) -> None:
    late, soon, next_year = stand(world, 80, 3, 300)
    said = await listed(world, MARA)
    assert "2 exceptions" in said
    assert said.index(f"*{soon}*") < said.index(f"*{late}*")
    assert f"*{next_year}*" not in said
    assert "1 exception" in await listed(world, MARA, "ends_within=30")
    everything = await listed(world, MARA, "ends_within=365")
    assert f"*{next_year}*" in everything
    ends = (TODAY + timedelta(days=3)).isoformat()
    assert ends in said


@pytest.mark.parametrize(
    ("user", "near", "far"),
    [(MARA, True, True), (UMAR, True, False), (SAMI, True, False)],
)
async def test_nobody_sees_more_than_role_and_scope(
    world: World, user: str, near: bool, far: bool
) -> None:
    (inside,) = stand(world, 5)
    (outside,) = stand(world, 6, network="10.20.4.")
    said = await listed(world, user)
    assert (f"*{inside}*" in said) is near
    assert (f"*{outside}*" in said) is far


async def test_who_has_no_right_there_sees_nothing(world: World) -> None:
    (number,) = stand(world, 5)
    await world.type(GUEST, "/amend exceptions")
    await until(lambda: bool(world.private(GUEST)))
    assert str(number) not in " ".join(world.private(GUEST))


async def test_filters_compare_whole_numbers(world: World) -> None:
    numbers = stand(world, 5, 6, 7, 8, 9, 10, 11, 12)
    exceptions = world.qualys.compliance.exceptions
    first = exceptions[numbers[0]].result
    said = await listed(world, MARA, f"control_id={first.control}")
    same = [n for n in numbers if exceptions[n].result.control == first.control]
    assert all(f"*{n}*" in said for n in same)
    assert not any(f"*{n}*" in said for n in numbers if n not in same)
    beginning = first.control[:2]
    assert "no exceptions" in await listed(world, MARA, f"control_id={beginning}")
    low, high = first.host.id - 1, first.host.id + 1
    near = await listed(world, MARA, f"host_id=0{low}-{high}")
    for number in numbers:
        assert (f"*{number}*" in near) is (low <= exceptions[number].result.host.id <= high)
    on_host = await listed(world, MARA, f"host_id={first.host.id}")
    here = [n for n in numbers if exceptions[n].result.host.id == first.host.id]
    assert all(f"*{n}*" in on_host for n in here)
    assert not any(f"*{n}*" in on_host for n in numbers if n not in here)


async def test_another_status_is_listed_whole(world: World) -> None:
    (number,) = stand(world, -100, status="Expired")
    assert f"*{number}*" in await listed(world, MARA, "status=expired")
    assert "no exceptions" in await listed(world, MARA)


async def test_more_than_twenty_come_as_a_file_too(world: World) -> None:
    numbers = stand(world, *range(1, 26))
    said = await listed(world, MARA)
    assert "25 exceptions" in said
    assert "5 more" in said
    await until(world.files_there, "the file")
    (file,) = world.slack.core.files.values()
    rows = list(csv.reader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert rows[0][0] == "Number"
    assert [int(each[0]) for each in rows[1:]] == numbers


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("ends_within=0", "ends_within"),
        ("ends_within=366", "ends_within"),
        ("status=Open", "Approved"),
        ("stat=Approved", "status"),
        ("59", "NAME=VALUE"),
    ],
)
async def test_a_wrong_filter_is_one_sentence(world: World, words: str, answer: str) -> None:
    assert answer in await listed(world, MARA, words)


async def test_a_vendor_that_does_not_answer_is_said_so(world: World) -> None:
    world.qualys.set_fault("http_500", {})
    said = await listed(world, MARA)
    assert "Qualys" in said
    assert "no exceptions" not in said
    world.qualys.set_fault(None)


async def test_help_knows_it(world: World) -> None:
    await world.type(MARA, "/amend help exceptions")
    assert "ends_within=" in await world.told(MARA, "/amend exceptions")
