"""What Qualys answers, sample by sample, and what is sent to it, example by example."""

from __future__ import annotations

import pickle
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations import errors
from integrations.http import Reply, Request
from integrations.qualys import protocol
from integrations.qualys.config import QualysSettings, load_settings
from integrations.qualys.models import Page
from integrations.qualys.ticket_lists import read_page

SAMPLES = Path(__file__).parents[1] / "samples" / "qualys"
CASES = sorted(each.name for each in SAMPLES.iterdir() if each.is_dir())
BASE = "https://qualysapi.example"


async def read_list(reply: Reply) -> Page:
    return read_page(reply)


async def read(call: str, reply: Reply) -> Any:
    if call == "list":
        return await read_list(reply)
    return {"edit": protocol.read_edit, "users": protocol.read_users}[call](reply)


def check_error(error: errors.VendorError, meta: dict[str, Any]) -> None:
    assert type(error).__name__ == meta["error"]
    assert meta.get("words", "") in error.words
    assert getattr(error, "code", None) == meta.get("code")
    assert getattr(error, "wait", None) == meta.get("wait")
    assert getattr(error, "later", None) == meta.get("later")
    assert "\n" not in str(error)
    assert str(error).endswith(".")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes


def check_value(call: str, value: Any, meta: dict[str, Any]) -> None:
    if call == "edit":
        assert list(value.changed) == meta["changed"]
        assert {str(n): why for n, why in value.skipped.items()} == meta.get("skipped", {})
    elif call == "users":
        wanted = [{**each, "asset_groups": tuple(each["asset_groups"])} for each in meta["users"]]
        assert value == [protocol.User(**each) for each in wanted]
    else:
        assert value.last == meta.get("last")
        assert len(value.tickets) == len(meta["tickets"])
        for ticket, wanted in zip(value.tickets, meta["tickets"], strict=True):
            assert {name: getattr(ticket, name) for name in wanted} == wanted


@pytest.mark.parametrize("case", CASES)
async def test_a_sample_is_read_as_its_meta_says(case: str) -> None:
    meta = tomllib.loads((SAMPLES / case / "meta.toml").read_text("utf-8"))
    body = (SAMPLES / case / "reply.xml").read_bytes()
    reply = Reply(meta.get("status", 200), meta.get("headers", {}), body)
    if "error" not in meta:
        check_value(meta["call"], await read(meta["call"], reply), meta)
        return
    with pytest.raises(errors.VendorError) as caught:
        await read(meta["call"], reply)
    check_error(caught.value, meta)


@given(
    case=st.sampled_from(CASES),
    call=st.sampled_from(["edit", "users", "list"]),
    status=st.sampled_from([200, 202, 302, 400, 401, 404, 409, 429, 500, 503]),
    at=st.integers(0, 2_000),
    bite=st.integers(0, 60),
    put=st.binary(max_size=4),
)
async def test_a_damaged_answer_is_read_or_refused_and_never_crashes(
    case: str, call: str, status: int, at: int, bite: int, put: bytes
) -> None:
    body = (SAMPLES / case / "reply.xml").read_bytes()
    with suppress(errors.VendorError):
        await read(call, Reply(status, {}, body[:at] + put + body[at + bite :]))


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_write_that_failed_inside_the_vendor_is_not_called_refused(status: int) -> None:
    body = b'<TICKET_EDIT_OUTPUT><ERROR number="7777">Oops</ERROR></TICKET_EDIT_OUTPUT>'
    with pytest.raises(errors.UnknownOutcome):
        protocol.read_edit(Reply(status, {}, body))


async def test_a_comment_is_read_from_the_history() -> None:
    body = (SAMPLES / "list_two_truncated" / "reply.xml").read_bytes()
    newest, oldest = (await read_list(Reply(200, {}, body))).tickets[0].history
    assert (newest.actor, newest.comment) == ("acme_ml", "Host patched")
    assert oldest.comment == ""
    assert oldest.at is not None
    assert newest.at is not None
    assert oldest.at < newest.at


def test_a_list_without_history_is_otherwise_the_same() -> None:
    reply = Reply(200, {}, (SAMPLES / "list_two_truncated" / "reply.xml").read_bytes())
    whole, brief = read_page(reply), read_page(reply, history=False)
    assert [each.history for each in brief.tickets] == [(), ()]
    assert brief.last == whole.last
    assert brief.tickets == [each._replace(entries="") for each in whole.tickets]


async def test_a_truncation_without_a_number_goes_on_from_the_highest_seen() -> None:
    body = (SAMPLES / "list_two_truncated" / "reply.xml").read_bytes()
    page = await read_list(Reply(200, {}, body.replace(b' last="1803"', b"")))
    assert page.last == 1803


def test_an_edit_is_sent_as_the_document_writes_it() -> None:
    request = protocol.edit_request(
        BASE, [23456], {"add_comment": "Host patched, ready for re-scan"}
    )
    assert request.url == BASE + "/msp/ticket_edit.php"
    assert request.method == "POST"
    assert request.headers["X-Requested-With"] == "Amend"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.body == b"ticket_numbers=23456&add_comment=Host+patched,+ready+for+re-scan"


def test_an_edit_lists_every_number_and_sends_nothing_that_was_not_set() -> None:
    request = protocol.edit_request(BASE, [1, 2, 3, 7], {"change_state": "IGNORED"})
    assert request.body == b"ticket_numbers=1,2,3,7&change_state=IGNORED"


def test_reserved_characters_of_a_comment_arrive_unchanged() -> None:
    comment = "50% & <b> = #1; a+b?"
    request = protocol.edit_request(BASE, [1], {"add_comment": comment})
    assert dict(parse_qsl((request.body or b"").decode()))["add_comment"] == comment


@pytest.mark.parametrize(
    ("numbers", "changes"),
    [([], {"change_state": "OPEN"}), ([1], {}), (range(1, 20_002), {"change_state": "OPEN"})],
)
def test_an_edit_of_nothing_or_of_too_much_is_not_built(numbers: Any, changes: Any) -> None:
    with pytest.raises(ValueError, match="20000"):
        protocol.edit_request(BASE, numbers, changes)


def test_the_next_page_has_the_same_filters_from_a_number_on() -> None:
    request = protocol.list_request(BASE, {"asset_groups": "New York,London"}, since=77)
    assert request.body == b"asset_groups=New+York,London&since_ticket_number=77"
    with pytest.raises(ValueError, match="filter"):
        protocol.list_request(BASE, {})


def test_the_password_is_in_no_representation() -> None:
    request = Request("GET", BASE, auth=("amend", "very-secret"))
    assert "very-secret" not in repr(request)


async def test_a_value_cannot_pass_for_two() -> None:
    body = (SAMPLES / "list_two_truncated" / "reply.xml").read_bytes()
    told = b"<TITLE>A\tB\n1803\tOPEN&#9;&#10;C &#x1F; &#x2028; &#xE000; D</TITLE>"
    start, end = body.index(b"<TITLE>"), body.index(b"</TITLE>") + len(b"</TITLE>")
    page = await read_list(Reply(200, {}, body[:start] + told.replace(b"&#x1F;", b"") + body[end:]))
    assert len(page.tickets) == 2
    assert page.tickets[0].title == "A B 1803 OPEN C \u2028 \ue000 D"


def test_each_error_says_what_it_means_in_one_sentence() -> None:
    error = errors.Rejected("Qualys", "parameter ids\nhas invalid value.", code="1905")
    assert str(error) == (
        "Qualys refused the request: parameter ids has invalid value (code 1905)."
    )
    assert "nothing was changed" in str(errors.Temporary("Qualys", "busy", wait=3))
    assert len(errors.Unreadable("Qualys", "x" * 9_999).words) == errors.LONGEST_WORDS


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "USERNAME", "PASSWORD", "EXCEPTION_API"):
        monkeypatch.delenv(f"QUALYS_{name}", raising=False)
    return monkeypatch


def test_settings_come_from_the_environment_before_the_file(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = "QUALYS_URL=https://file.example/\nQUALYS_USERNAME=amend\nQUALYS_PASSWORD=pässword\n"
    (tmp_path / ".env").write_text(lines, "utf-8")
    environment.setenv("QUALYS_USERNAME", "other")
    settings = load_settings()
    assert settings is not None
    assert (settings.url, settings.username) == ("https://file.example", "other")
    assert settings.password.get_secret_value() == "pässword"
    assert settings.exception_api == "2.0"


def test_without_a_url_the_vendor_is_off(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("QUALYS_PASSWORD", "x")
    assert load_settings() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUALYS_URL", "http://qualysapi.example"),
        ("QUALYS_URL", "qualysapi.example"),
        ("QUALYS_URL", "https://user:word@qualysapi.example"),
        ("QUALYS_USERNAME", "a:b"),
        ("QUALYS_PASSWORD", ""),
        ("QUALYS_EXCEPTION_API", "4.0"),
    ],
)
def test_a_malformed_setting_is_refused_by_name(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    good = {"URL": "https://q.example", "USERNAME": "amend", "PASSWORD": "hidden-word"}
    for key, each in good.items():
        environment.setenv(f"QUALYS_{key}", each)
    environment.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        QualysSettings()
    assert caught.value.errors()[0]["loc"] == (name.removeprefix("QUALYS_").lower(),)
    assert name in str(caught.value).upper().replace("QUALYS_* SETTINGS\n", "QUALYS_")
    assert "hidden-word" not in str(caught.value)


def test_plain_http_is_taken_on_loopback() -> None:
    settings = QualysSettings(url="http://127.0.0.1:8/", username="a", password="b")
    assert settings.url == "http://127.0.0.1:8"


# --- skipped tickets, wherever they stand ----------------------------------------------------------

# facts 1.3: "find any SKIPPED subtree"; its place is in no source.
CHANGED = "<TICKET_NUMBER_LIST><TICKET_NUMBER>1</TICKET_NUMBER></TICKET_NUMBER_LIST>"
SKIPS = [
    "<SKIPPED count='2'><TICKET><NUMBER>2</NUMBER><REASON>Closed</REASON></TICKET>"
    "<TICKET><NUMBER>3</NUMBER><REASON>Closed</REASON></TICKET></SKIPPED>",
    "<SKIPPED><REASON>Closed</REASON><TICKET_NUMBER_LIST><TICKET_NUMBER>2-3</TICKET_NUMBER>"
    "</TICKET_NUMBER_LIST></SKIPPED>",
    "<skipped><TICKET_NUMBER reason='Closed'>2,3</TICKET_NUMBER></skipped>",
]


@pytest.mark.parametrize("skipped", SKIPS)
@pytest.mark.parametrize(
    "shape",
    [
        "<CHANGES>{changed}</CHANGES>{skipped}",
        "{skipped}<CHANGES count='1'>{changed}</CHANGES>",
        "<CHANGES count='1'>{changed}{skipped}</CHANGES>",
        "<CHANGES><TICKETS>{skipped}{changed}</TICKETS></CHANGES>",
        "<CHANGES>{changed}<REST><MORE>{skipped}</MORE></REST></CHANGES>",
    ],
)
def test_a_skipped_ticket_is_not_changed_wherever_it_stands(shape: str, skipped: str) -> None:
    inside = shape.format(changed=CHANGED, skipped=skipped)
    body = f"<TICKET_EDIT_OUTPUT>{inside}</TICKET_EDIT_OUTPUT>"
    found = protocol.read_edit(Reply(200, {}, body.encode()))
    assert (found.changed, dict(found.skipped)) == ((1,), {2: "Closed", 3: "Closed"})


def test_a_count_is_of_changed_tickets_and_not_of_the_skipped_ones_among_them() -> None:
    body = (
        f"<TICKET_EDIT_OUTPUT><CHANGES count='3'>{CHANGED}{SKIPS[0]}</CHANGES></TICKET_EDIT_OUTPUT>"
    )
    with pytest.raises(errors.Unreadable, match="counts more"):
        protocol.read_edit(Reply(200, {}, body.encode()))
