"""What CCS says of an error, in each envelope that its kind of server writes.

"document" is "Update Remediation Ticket Details"; facts A.1: its envelope is in no source, so these are
what ASP.NET writes: `HttpError` (Web API 2), RFC 7807 (ASP.NET Core), and both as XML.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from integrations.ccs.protocol import failure
from integrations.ccs.reading import read_page
from integrations.errors import Rejected, VendorError
from integrations.http import Reply

# document, "HTTPS response codes", 400.
SENTENCES = {
    "Ticket number is invalid or empty.": "ticket-number",
    "Provide valid ticket state.": "ticket-state",
    "Provide ticket details to update.": "no-details",
    "Provide valid ticket details.": "ticket-details",
}
INVALID = "The request is invalid."
VALIDATION = "One or more validation errors occurred."
WEB_API = "http://schemas.datacontract.org/2004/07/System.Web.Http"
STRING = "http://schemas.microsoft.com/2003/10/Serialization/"

Envelope = Callable[[str], str]
ENVELOPES: dict[str, Envelope] = {
    "text": str,
    "json string": json.dumps,
    "message": lambda words: json.dumps({"Message": words}),
    "model state": lambda words: json.dumps(
        {"Message": INVALID, "ModelState": {"details.TicketState": [words]}}
    ),
    "model state of text": lambda words: json.dumps(
        {"message": INVALID, "modelState": {"details": words}}
    ),
    "exception": lambda words: json.dumps(
        {"Message": "An error has occurred.", "ExceptionMessage": words, "StackTrace": "   at X"}
    ),
    "detail of a message": lambda words: json.dumps({"Message": INVALID, "MessageDetail": words}),
    "problem": lambda words: json.dumps(
        {"type": "about:blank", "title": VALIDATION, "status": 400, "errors": {"$.state": [words]}}
    ),
    "problem with a detail": lambda words: json.dumps({"title": "Bad Request", "detail": words}),
    "list of errors": lambda words: json.dumps({"errors": [{"message": words}]}),
    "texts of errors": lambda words: json.dumps({"title": VALIDATION, "errors": [words]}),
    "error inside": lambda words: json.dumps({"error": {"code": "400", "message": words}}),
    "xml error": lambda words: f"<Error><Message>{words}</Message></Error>",
    "xml model state": lambda words: (
        f'<?xml version="1.0"?><Error xmlns="{WEB_API}"><Message>{INVALID}</Message><ModelState>'
        f"<details.TicketState>{words}</details.TicketState></ModelState></Error>"
    ),
    "xml with a mark of its order": lambda words: (
        f"\ufeff<Error><Message>{words}</Message></Error>"
    ),
    "xml string": lambda words: f'<string xmlns="{STRING}">{words}</string>',
    "xml problem": lambda words: (
        f'<problem xmlns="urn:ietf:rfc:7807"><title>{VALIDATION}</title><status>400</status>'
        f"<errors><TicketState>{words}</TicketState></errors></problem>"
    ),
}


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize(("sentence", "code"), SENTENCES.items())
def test_each_sentence_of_the_document_is_known_in_each_envelope(
    envelope: str, sentence: str, code: str
) -> None:
    error = failure(Reply(400, {}, ENVELOPES[envelope](sentence).encode()))
    assert isinstance(error, Rejected)
    assert error.code == code
    assert sentence in error.words
    assert "StackTrace" not in error.words
    assert "   at X" not in error.words


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_ticket_that_is_not_there_is_known_in_each_envelope(envelope: str) -> None:
    body = ENVELOPES[envelope]("Ticket not found. Provide valid ticket number.")
    assert list(read_page(Reply(404, {}, body.encode())).tickets) == []


@pytest.mark.parametrize("envelope", ["model state", "problem", "xml model state", "xml problem"])
def test_all_that_was_wrong_is_told_once_and_apart(envelope: str) -> None:
    error = failure(Reply(400, {}, ENVELOPES[envelope](INVALID).encode()))
    assert error.words.count(INVALID) == 1
    error = failure(Reply(400, {}, ENVELOPES[envelope]("No such state.").encode()))
    assert error.words.endswith("; No such state.")


@pytest.mark.parametrize(
    "body",
    [
        "<!doctype html><title>Gateway</title><p>Bad day.</p>",
        '<?xml version="1.0"?><html xmlns="x"><body>Bad day.</body></html>',
        "<Error><Message>cut o",
        '<!DOCTYPE a [<!ENTITY b "Bad day.">]><a>&b;</a>',
        "<p>Bad day.<br></p>",
    ],
)
def test_what_is_no_error_of_ccs_is_told_by_its_status(body: str) -> None:
    error: VendorError = failure(Reply(400, {}, body.encode()))
    assert "HTTP 400" in error.words
    assert "Bad day" not in error.words


def test_what_is_no_word_of_an_error_is_not_shown() -> None:
    body = {"type": "about:blank", "status": 400, "traceId": "00-1", "instance": "/x"}
    assert failure(Reply(400, {}, json.dumps(body).encode())).words == "HTTP 400"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"errors": {}},
        {"ModelState": {"a": {"b": {"c": ["deep"]}}}, "Message": None},
        {"errors": [None, 7, [["x"]], {"message": {}}]},
        {"error": {"error": {"error": "far inside"}}},
        {"Message": ["a", "b"]},
    ],
)
def test_an_envelope_of_any_shape_is_read_to_its_end(body: object) -> None:
    error = failure(Reply(400, {}, json.dumps(body).encode()))
    assert isinstance(error, Rejected)
    assert error.words


@pytest.mark.parametrize("deep", [10, 300, 900, 5_000])
@pytest.mark.parametrize(("opened", "closed"), [('{"error":', "}"), ('{"errors":[', "]}")])
def test_an_envelope_without_end_is_an_error_all_the_same(
    deep: int, opened: str, closed: str
) -> None:
    body = f"{opened * deep}1{closed * deep}".encode()
    assert isinstance(failure(Reply(400, {}, body)), Rejected)
    with pytest.raises(VendorError):
        read_page(Reply(200, {}, body))
