"""What Qualys answers to an edit of exceptions, number by number; what it leaves open is looked up.

Places: "facts" are the Qualys API facts, by section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast
from urllib.parse import parse_qsl

import httpx
import pytest
from pydantic import SecretStr

from bot.domain.operations import Batch, Outcome, Record, Result
from bot.domain.parameters import Parameters
from handlers.qualys.decisions import DecideException
from handlers.qualys.exceptions import RequestException
from handlers.qualys.renewals import RenewException
from integrations.qualys.client import QualysClient
from integrations.qualys.config import QualysSettings
from integrations.qualys.exceptions import ExceptionClient

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
YES = "Successfully Updated"  # facts 5.3
NO_ACCESS = "User has no access to the exception"


def batches(*told: tuple[str, str, str]) -> str:
    """A BATCH_RETURN of (CODE, TEXT, numbers), each part left out where it is empty."""
    inside = "".join(
        "<BATCH>"
        + (f"<CODE>{code}</CODE>" if code else "")
        + f"<TEXT>{words}</TEXT>"
        + (f"<NUMBER_SET><NUMBER>{numbers}</NUMBER></NUMBER_SET>" if numbers else "")
        + "</BATCH>"
        for code, words, numbers in told
    )
    return f"<BATCH_RETURN><RESPONSE><BATCH_LIST>{inside}</BATCH_LIST></RESPONSE></BATCH_RETURN>"


def listed(*exceptions: str) -> str:
    inside = "".join(f"<EXCEPTION>{each}</EXCEPTION>" for each in exceptions)
    listing = f"<EXCEPTION_LIST>{inside}</EXCEPTION_LIST>"
    return f"<EXCEPTION_LIST_OUTPUT><RESPONSE>{listing}</RESPONSE></EXCEPTION_LIST_OUTPUT>"


def standing(number: str, status: str, ends: str = "") -> str:
    end = f"<EXPIRATION_DATE>{ends}</EXPIRATION_DATE>" if ends else ""
    return f"<EXCEPTION_NUMBER>{number}</EXCEPTION_NUMBER><STATUS>{status}</STATUS>{end}"


class Tenant:
    """Answers an update with one text and every list with another; counts the lists."""

    def __init__(self, update: str, listing: str, *, lists: int = 200) -> None:
        self.update, self.listing, self.status = update, listing, lists
        self.looks = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode())) or dict(request.url.params)
        if form["action"] != "list":
            return httpx.Response(200, text=self.update)
        self.looks += 1
        return httpx.Response(self.status, text=self.listing)

    def clients(self) -> tuple[QualysClient, ExceptionClient]:
        async def no_sleep(_: float) -> None:
            pass

        settings = QualysSettings(
            url="https://q.example", username="amend_api", password=SecretStr("sandbox")
        )
        client = QualysClient(settings, transport=httpx.MockTransport(self), sleep=no_sleep)
        return client, ExceptionClient(client, settings.url, "2.0")


def batch(changes: Mapping[str, str], *records: Record) -> Batch:
    return Batch(cast(Parameters, None), changes, records, "0" * 32)


def pending(*numbers: str, **after: str) -> list[Record]:
    state = {"state": "Pending", "ends": "2026-01-01", "assignee": "acme_ac"}
    return [Record(each, "", state, after) for each in numbers]


def told(outcomes: Sequence[Outcome]) -> dict[str, tuple[Result, str]]:
    return {each.id: (each.result, each.words) for each in outcomes}


async def rejected(tenant: Tenant, *numbers: str) -> dict[str, tuple[Result, str]]:
    operation = DecideException(*tenant.clients())
    sent = batch({"status": "Rejected", "comments": "no"}, *pending(*numbers, state="Rejected"))
    return told(await operation.apply(sent))


# --- an update ---------------------------------------------------------------------------------------


async def test_every_number_has_the_words_of_its_own_batch() -> None:
    answer = batches(("", YES, "55"), ("1905", NO_ACCESS, "56"), ("1920", "It is locked", "57"))
    tenant = Tenant(answer, listed())
    assert await rejected(tenant, "55", "56", "57") == {
        "55": (Result.CHANGED, YES),
        "56": (Result.REFUSED, NO_ACCESS),
        "57": (Result.REFUSED, "It is locked"),
    }
    assert tenant.looks == 0, "there is nothing to look up"


# facts 5.3: only a TEXT that is a known success is one.
@pytest.mark.parametrize(
    ("now", "result"),
    [("Rejected", Result.CHANGED), ("Pending", Result.REFUSED), ("", Result.UNKNOWN)],
)
@pytest.mark.parametrize("words", [NO_ACCESS, "Partially updated", ""])
async def test_other_words_than_a_known_success_are_looked_up(
    words: str, now: str, result: Result
) -> None:
    answer = batches(("", YES, "55"), ("", words, "56"))
    tenant = Tenant(answer, listed(*[standing("56", now)] if now else []))
    outcomes = await rejected(tenant, "55", "56")
    assert outcomes["55"] == (Result.CHANGED, YES)
    assert outcomes["56"][0] is result
    assert words in outcomes["56"][1]


@pytest.mark.parametrize("words", ["successfully updated", "SUCCESSFULLY UPDATED.", " \n" + YES])
async def test_a_known_success_is_known_in_any_case(words: str) -> None:
    tenant = Tenant(batches(("", words, "55-56")), listed())
    results = {result for result, _ in (await rejected(tenant, "55", "56")).values()}
    assert results == {Result.CHANGED}


# facts 5.3: "check that all requested numbers are covered".
@pytest.mark.parametrize(
    ("now", "result"),
    [("Rejected", Result.CHANGED), ("Pending", Result.REFUSED), ("", Result.UNKNOWN)],
)
async def test_what_the_answer_does_not_mention_is_looked_up(now: str, result: Result) -> None:
    loose = "exception 56: user has no access to this host"
    for more, words in ([], ""), ([("1905", loose, "")], loose), ([("", loose, "")], loose):
        tenant = Tenant(
            batches(("", YES, "55"), *more), listed(*[standing("56", now)] if now else [])
        )
        outcomes = await rejected(tenant, "55", "56")
        assert outcomes["55"] == (Result.CHANGED, YES)
        assert outcomes["56"][0] is result
        assert words in outcomes["56"][1]
        assert tenant.looks == 1


async def test_a_number_that_two_batches_name_otherwise_is_no_success() -> None:
    tenant = Tenant(batches(("", YES, "55"), ("1905", NO_ACCESS, "55")), listed())
    assert await rejected(tenant, "55") == {"55": (Result.REFUSED, NO_ACCESS)}
    tenant = Tenant(batches(("", YES, "55"), ("", NO_ACCESS, "55")), listed())
    assert (await rejected(tenant, "55"))["55"][0] is Result.UNKNOWN


async def test_an_update_whose_look_fails_is_unknown_and_never_looks_unsent() -> None:
    tenant = Tenant(batches(("", NO_ACCESS, "56")), "", lists=503)
    (result, words) = (await rejected(tenant, "56"))["56"]
    assert result is Result.UNKNOWN
    assert NO_ACCESS in words
    assert "503" in words


@pytest.mark.parametrize(
    ("status", "ends", "result", "words"),
    [
        ("Approved", "2027-03-31", Result.CHANGED, ""),
        ("Approved", "2026-01-01", Result.CHANGED, "left as it was: ends"),
        ("Pending", "2026-01-01", Result.REFUSED, "left it as it was"),
    ],
)
async def test_a_half_done_decision_says_what_was_left(
    status: str, ends: str, result: Result, words: str
) -> None:
    tenant = Tenant(batches(("", "", "55")), listed(standing("55", status, ends)))
    operation = DecideException(*tenant.clients())
    changes = {"status": "Approved", "end_date": "2027-03-31", "comments": "yes"}
    sent = batch(changes, *pending("55", state="Approved", ends="2027-03-31"))
    (outcome,) = await operation.apply(sent)
    assert outcome.result is result
    assert words in outcome.words


# A comment or another assignee (whom the list names otherwise than the update) shows no trace.
@pytest.mark.parametrize("after", [{}, {"assignee": "500101"}])
async def test_what_leaves_no_trace_that_could_be_read_is_unknown(after: dict[str, str]) -> None:
    tenant = Tenant(batches(("", NO_ACCESS, "55")), listed(standing("55", "Pending")))
    operation = DecideException(*tenant.clients())
    sent = batch({"reassign_to": "500101", "comments": "yours"}, *pending("55", **after))
    (outcome,) = await operation.apply(sent)
    assert (outcome.result, NO_ACCESS in outcome.words) == (Result.UNKNOWN, True)


@pytest.mark.parametrize(
    ("ends", "result"), [("2027-03-31", Result.CHANGED), ("2026-06-30", Result.REFUSED)]
)
async def test_a_renewal_is_looked_up_by_its_end(ends: str, result: Result) -> None:
    tenant = Tenant(batches(("", "", "59")), listed(standing("59", "Approved", ends)))
    operation = RenewException(*tenant.clients())
    state = {"state": "Approved", "ends": "2026-06-30", "assignee": ""}
    sent = batch(
        {"end_date": "2027-03-31", "comments": "still isolated"},
        Record("59", "", state, {"ends": "2027-03-31"}),
    )
    (outcome,) = await operation.apply(sent)
    assert outcome.result is result
    # Without an answer that much is not told: it may still be at work.
    (outcome,) = await operation.reconcile(sent, NOW.isoformat())
    assert outcome.result is (result if result is Result.CHANGED else Result.UNKNOWN)


# --- a request whose answer was lost -----------------------------------------------------------------

PLACE = "3/1113/28595192824/45/MSSQL 2022:1:1433:MSSQLSERVER:master"
MINE = "isolated  until\nMarch [Mara via Amend]"


def remark(comment: str, ago: int = 60) -> str:
    at = (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = f"<USER>amend_api</USER><COMMENT><![CDATA[{comment}]]></COMMENT>"
    return f"<HISTORY>{said}<INSERTION_DATE>{at}</INSERTION_DATE></HISTORY>"


def made(number: str = "59", *, remarks: str | None = None, **other: str) -> str:
    """An exception as the list has it: for our control, host and technology, with our comment."""
    shown = {"technology": "45", "policy": "3", "control": "1113", "ip": "10.0.0.1", **other}
    technology = f"<TECHNOLOGY><ID>{shown['technology']}</ID></TECHNOLOGY>"
    history = f"<HISTORY_LIST>{remark(MINE) if remarks is None else remarks}</HISTORY_LIST>"
    return (
        f"{standing(number, 'Pending')}<HOST><IP_ADDRESS>{shown['ip']}</IP_ADDRESS></HOST>"
        f"<POLICY><ID>{shown['policy']}</ID></POLICY><CONTROL><CID>{shown['control']}</CID></CONTROL>"
        f"{technology if shown['technology'] else ''}"
        f"<CREATED_DATE>{NOW.strftime('%Y-%m-%dT%H:%M:%SZ')}</CREATED_DATE>{history}"
    )


async def looked_for(*exceptions: str) -> Outcome:
    operation = RequestException(*Tenant("", listed(*exceptions)).clients())
    record = Record(PLACE, "", {}, {"exception": "Pending"}, places=("10.0.0.1",))
    sent = batch({"assignee_id": "500101", "comments": MINE}, record)
    (outcome,) = await operation.reconcile(sent, NOW.isoformat())
    return outcome


# facts 5.1: one exception is for one technology; 5.2: what a list shows, all of it optional.
@pytest.mark.parametrize(
    "one",
    [
        made(),
        made(technology=""),
        made(remarks=""),
        made(remarks=remark("and another word", 1) + remark(MINE)),
        made(remarks=remark(" ".join(MINE.split()))),
    ],
)
async def test_a_lost_request_is_found_by_what_it_said(one: str) -> None:
    others = (made("57", control="11130"), made("58", remarks=remark("quite another reason")))
    outcome = await looked_for(*others, one)
    assert (outcome.result, outcome.made) == (Result.CHANGED, "59")


@pytest.mark.parametrize(
    "other",
    [
        made(technology="7"),
        made(policy="4"),
        made(control="11130"),
        made(ip="10.0.0.2"),
        made(remarks=remark("quite another reason")),
        made(remarks=remark(MINE, 1) + remark("quite another reason")),
        made(remarks=remark("")),
    ],
)
async def test_somebody_elses_exception_is_not_ours(other: str) -> None:
    outcome = await looked_for(other)
    assert (outcome.result, outcome.made) == (Result.UNKNOWN, "")


async def test_of_two_that_look_like_ours_neither_is_taken() -> None:
    # facts 5.1: a request is for one instance, and 5.2: a list names none.
    outcome = await looked_for(made("59"), made("60"))
    assert (outcome.result, outcome.made) == (Result.UNKNOWN, "")
    assert "59 and 60" in outcome.words
