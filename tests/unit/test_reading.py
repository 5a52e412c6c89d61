"""What people really type, operation by operation, with what it is read as."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.bootstrap import entries
from bot.domain.errors import InvalidInput
from bot.domain.operations import Operation
from bot.domain.parameters import read
from bot.domain.reading import Reading, read_text, salvage
from bot.domain.text import unescape
from bot.slack.incoming.buttons import texts_of

OPERATIONS: dict[str, Operation] = {
    each.command: each.__new__(each)
    for entry in entries()
    for each in entry.operations
    if each.command
}
UUID = "f4483251fdfd48cdae0dbb966a2652c9"
DASHED = "F4483251-FDFD-48CD-AE0D-BB966A2652C9"
RESOLVED = {"ticket_numbers": "23456", "change_state": "RESOLVED"}


def reading(command: str, text: str) -> Reading:
    found = read_text(OPERATIONS[command], unescape(text).strip())
    read(OPERATIONS[command].parameters, found.values)
    return found


def refusal(command: str, text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        reading(command, text)
    return str(caught.value)


# --- as the grammar has it: no review because of how it was typed ----------------------------------


@pytest.mark.parametrize(
    ("command", "text", "values"),
    [
        ("qualys", "23456 change_state=RESOLVED", RESOLVED),
        ("qualys", "23456 Change_State=resolved", RESOLVED | {"change_state": "resolved"}),
        ("qualys", "23456 change_state=“RESOLVED”", RESOLVED),
        ("qualys", "23456\u00a0change_state=RESOLVED", RESOLVED),
        ("qualys", "23456 change_state = RESOLVED", RESOLVED),
        (
            "qualys",
            "23456\n23457\n23460–23470 change_state=OPEN",
            {"ticket_numbers": "23456,23457,23460–23470", "change_state": "OPEN"},
        ),
        (
            "qualys",
            "23456 add_comment=“done — don’t reopen”",
            {"ticket_numbers": "23456", "add_comment": "done — don’t reopen"},
        ),
        (
            "ccs",
            r"INCA0000009 AssignedTo=domain\user TicketState=2",
            {"TicketNumber": "INCA0000009", "AssignedTo": r"domain\user", "TicketState": "2"},
        ),
        ("zstack", f"{DASHED} statusEvent=reject", {"uuid": DASHED, "statusEvent": "reject"}),
        (
            "xpanse",
            "71 assigned_user_mail=<mailto:a@b.example|a@b.example>",
            {"incident_id": "71", "assigned_user_mail": "a@b.example"},
        ),
        (
            "exception",
            "action=request&control_id=16832&host_id=3753479&policy_id=1366063&technology_id=390"
            "&assignee_id=996765&reopen_on_evidence_change=0&comments=comment"
            "&instance_string=MSSQL 2022:1:1433:MSSQLSERVER:master",
            {
                "control_id": "16832",
                "host_id": "3753479",
                "policy_id": "1366063",
                "technology_id": "390",
                "assignee_id": "996765",
                "reopen_on_evidence_change": "0",
                "comments": "comment",
                "instance_string": "MSSQL 2022:1:1433:MSSQLSERVER:master",
            },
        ),
    ],
)
def test_the_grammar_is_read_as_it_stands(
    command: str, text: str, values: Mapping[str, str]
) -> None:
    assert reading(command, text) == Reading(values)


# --- what only one thing can be meant by: read, and reviewed ---------------------------------------

STATE = {"TicketNumber": "INCA0000009", "TicketState": "2"}
INCIDENT = {"incident_id": "71", "status": "resolved"}
EVENT = {"uuid": UUID, "statusEvent": "reject"}


@pytest.mark.parametrize(
    ("command", "text", "values"),
    [
        *(
            ("qualys", text, RESOLVED)
            for text in (
                "resolve 23456",
                "Resolve 23456",
                "23456 RESOLVED",
                "23456 resolved",
                "change_state=RESOLVED 23456",
                "23456 change_state:RESOLVED",
                "23456 change_state: RESOLVED",
                "23456 --change_state RESOLVED",
                "23456 --change_state=RESOLVED",
                "23456 —change_state RESOLVED",
                "--change_state=RESOLVED 23456",
                "ticket 23456 change_state=RESOLVED",
                "ticket #23456 change_state=RESOLVED",
                "ticket: 23456 change_state=RESOLVED",
                "#23456 change_state=RESOLVED",
                "# 23456 change_state=RESOLVED",
                "TICKET-23456 resolve",
                "23456; change_state=RESOLVED",
                "23456. resolve",
                "(23456) resolve",
                "resolve ticket 23456",
                "ticket_numbers=#23456 change_state=RESOLVED",
                "https://console.example/tickets/23456 resolve",
                "<https://console.example/edit?ticket=23456&amp;x=1> change_state=RESOLVED",
            )
        ),
        *(
            ("qualys", text, {"ticket_numbers": "23460-23470", "change_state": "OPEN"})
            for text in (
                "23460..23470 change_state=OPEN",
                "23460 to 23470 change_state=OPEN",
                "tickets 23460 - 23470 reopen",
                "#23460-#23470 open",
                "reopen 23460–23470",
                "reopen 23460 – 23470",
            )
        ),
        (
            "qualys",
            "resolve 23456 and 23457, 23458",
            {"ticket_numbers": "23456,23457,23458", "change_state": "RESOLVED"},
        ),
        (
            "qualys",
            "ips=10.10.10.7, 10.10.10.8 change_state=OPEN",
            {"ips": "10.10.10.7,10.10.10.8", "change_state": "OPEN"},
        ),
        (
            "qualys",
            'resolve 23456 comment:"Host patched" assign_to:acme_ac',
            RESOLVED | {"add_comment": "Host patched", "change_assignee": "acme_ac"},
        ),
        (
            "qualys",
            'add_comment="Host patched" 23456',
            {"add_comment": "Host patched", "ticket_numbers": "23456"},
        ),
        ("qualys", "23456 Closed/Ignored", RESOLVED | {"change_state": "IGNORED"}),
        *(
            ("ccs", text, STATE)
            for text in (
                "inca0000009 TicketState=2",
                "ticket inca0000009 TicketState=2",
                "INCA0000009 Remediation Performed",
                "remediation performed #INCA0000009",
            )
        ),
        *(
            (
                "ccs",
                text,
                {"TicketNumber": "INCA0000001,INCA0000002,INCA0000003", "TicketState": "2"},
            )
            for text in (
                "INCA0000001-INCA0000003 TicketState=2",
                "inca0000001..inca0000003 TicketState=2",
                "INCA0000001 to INCA0000003 TicketState=2",
                "TicketNumber=INCA0000001-INCA0000003 TicketState=2",
            )
        ),
        (
            "ccs",
            r'{"TicketNumber":"INCA0000009", "TicketState":"2", "ticketDescription":"Description'
            r' text", "Priority":"Medium", "AssignedTo":"example domain\sysadmin"}',
            {
                **STATE,
                "TicketDescription": "Description text",
                "Priority": "Medium",
                "AssignedTo": r"example domain\sysadmin",
            },
        ),
        *(
            ("xpanse", text, INCIDENT)
            for text in (
                "#71 status=resolved",
                "INC-71 status=resolved",
                "inc-71 resolved",
                "incident 71 resolve",
                "case #71 resolved",
                "resolve https://t.example/incident-view?caseId=71",
                "resolve <https://t.example/incident-view?caseId=71|t.example/incident-view?caseId=71>",
            )
        ),
        (
            "xpanse",
            "71-73 Under Investigation",
            {"incident_id": "71,72,73", "status": "under_investigation"},
        ),
        ("xpanse", "71 high", {"incident_id": "71", "manual_severity": "high"}),
        (
            "xpanse",
            '{ "request_data" : { "incident_id" : "71", "update_data" : { "comment" :'
            ' { "comment_action" : "add", "value" : "seen" }, "status" : "resolved" } } }',
            {**INCIDENT, "comment": "seen"},
        ),
        *(
            ("zstack", text, EVENT)
            for text in (f"reject {UUID}", f"{UUID} Reject", f"reject {DASHED}")
        ),
        (
            "exception",
            "action=request&control_id=1113&host_id=28595192824&policy_id=801459496&technology_id=45"
            "&assignee_id=2449482824reopen_on_evidence_change=1&comments=new exception",
            {
                "control_id": "1113",
                "host_id": "28595192824",
                "policy_id": "801459496",
                "technology_id": "45",
                "assignee_id": "2449482824",
                "reopen_on_evidence_change": "1",
                "comments": "new exception",
            },
        ),
    ],
)
def test_what_can_mean_one_thing_only_is_read_and_reviewed(
    command: str, text: str, values: Mapping[str, str]
) -> None:
    assert reading(command, text) == Reading(values, guessed=True)


# --- nothing is read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "text", "said"),
    [
        ("qualys", "do not resolve 23456", ["`not`", "nothing was read"]),
        ("qualys", "don't resolve 23456", ["`don't`", "nothing was read"]),
        ("qualys", "don’t resolve 23456", ["`don’t`", "nothing was read"]),
        ("qualys", "resolve all but 23456", ["`but`", "nothing was read"]),
        ("qualys", "resolve 23456 tomorrow", ["`tomorrow`", "nothing was read"]),
        ("qualys", "resolve 23456?", ["`23456?`", "nothing was read"]),
        ("qualys", "resolv 23456", ["`resolv`", "Did you mean `resolve`"]),
        ("qualys", "resolve 23456 ignored", ["`ignored`", "second value for `change_state`"]),
        ("qualys", "resolve 23456 change_state=OPEN", ["`resolve`", "second value"]),
        ("qualys", "23456 add_comment=Host patched", ["`patched`", 'add_comment="Host patched"']),
        ("qualys", "23456 add_comment=done 23457", ["`23457`", 'add_comment="done 23457"']),
        ("qualys", "23456 --chang_state RESOLVED", ["`--chang_state`", "`change_state`"]),
        ("qualys", "23470..23460 resolve", ["`23470..23460`"]),
        ("qualys", "23456 ad_comment=x", ["`ad_comment`", "`add_comment`"]),
        ("qualys", "23456 change_state=RESOLVD", ["`RESOLVED`", "`IGNORED` (`Closed/Ignored`)"]),
        ("qualys", 'resolve 23456 add_comment="x', ["not closed"]),
        ("qualys", "23456 add_comment=naïve", ["latin small letter i with diaeresis"]),
        ("ccs", "INCA0000009 TicketState=Verifed", ["`3` (`Verified`)", "mean `Verified`"]),
        ("ccs", '{"TicketNumber":"INCA0000009"', ["JSON"]),
        ("ccs", '{"TicketNumber":"INCA0000009", "Delete":"yes"}', ["`Delete`"]),
        ("xpanse", "1-999999999 resolved", ["`1-999999999`"]),
        ("xpanse", "resolve <https://t.example/incident-view?caseId=71&amp;caseId=72>", ["caseId"]),
        ("zstack", f"reject approve {UUID}", ["`approve`", "second value"]),
    ],
)
def test_what_may_mean_something_else_is_not_read_and_the_answer_names_the_word(
    command: str, text: str, said: list[str]
) -> None:
    message = refusal(command, text)
    for part in said:
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("quoted", ["'Host patched'", '"Host patched"', "“Host patched”"])
def test_a_pasted_form_keeps_its_own_quotes_and_is_reviewed_where_they_may_mean_more(
    quoted: str,
) -> None:
    form = f"ticket_numbers=23456&change_state=RESOLVED&add_comment={quoted}"
    assert reading("qualys", form) == Reading(RESOLVED | {"add_comment": quoted}, guessed=True)


@pytest.mark.parametrize(
    ("command", "text", "values"),
    [
        ("qualys", "resolve 23456 tomorrow", RESOLVED),
        ("qualys", "do not resolve 23456", {"ticket_numbers": "23456"}),
        ("qualys", "don’t resolve 23456", {"ticket_numbers": "23456"}),
        ("qualys", "resolve ignore 23456", {"ticket_numbers": "23456"}),
        ("qualys", "#23456 ad_comment=x change_state:OPEN", RESOLVED | {"change_state": "OPEN"}),
        (
            "qualys",
            "23456 add_comment=Host patched today",
            {"ticket_numbers": "23456", "add_comment": "Host patched today"},
        ),
        ("qualys", '23456 add_comment="Host', {"ticket_numbers": "23456", "add_comment": "Host"}),
        (
            "ccs",
            "INCA0000009 TicketState=3 TicketDescription=“Host patched",
            {
                "TicketNumber": "INCA0000009",
                "TicketState": "3",
                "TicketDescription": "Host patched",
            },
        ),
    ],
)
def test_what_is_refused_fills_the_form_with_what_was_understood(
    command: str, text: str, values: Mapping[str, str]
) -> None:
    assert salvage(OPERATIONS[command], text) == values


# --- messages of other apps ------------------------------------------------------------------------


def test_ids_are_found_in_blocks_and_attachments_where_a_message_has_no_text() -> None:
    message = {
        "text": "",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": "New finding"}},
            {
                "type": "rich_text",
                "elements": [
                    {"type": "rich_text_section", "elements": [{"type": "text", "text": "23456"}]}
                ],
            },
            {"type": "actions", "elements": [{"type": "button", "value": "99999"}]},
        ],
        "attachments": [
            {"color": "#123456", "ts": 1700000, "fields": [{"title": "Ticket", "value": "23460"}]}
        ],
    }
    assert OPERATIONS["qualys"].find("\n".join(texts_of(message))) == ("23456", "23460")


# --- properties ------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        "resolve",
        "RESOLVED",
        "23456",
        "#71",
        "not",
        "don't",
        "ticket",
        "to",
        "-",
        "..",
        ",",
        "and",
        "=",
        ":",
        "--",
        "change_state=",
        "add_comment=",
        "ips=",
        '"x',
        'y"',
        "{}",
        '"',
        "&",
        "a=1&b=",
        "INCA0000009",
        "approve",
        "https://x/1",
        "%",
        "\x00",
        "’",
        "—",
        "0023456",
    ]
)
TEXTS = st.lists(PIECES, max_size=12).map(" ".join) | st.text(max_size=60)


@pytest.mark.parametrize("command", sorted(OPERATIONS))
@given(text=TEXTS)
@example(text="{")
@example(text='{"a":' * 500)
@example(text='{"a":' * 3000 + "1" + "}" * 3000)
@example(text='{"": {"value": [{}, null]}}')
@example(text="{}")
def test_any_text_is_read_or_refused_with_our_own_error(command: str, text: str) -> None:
    assert set(salvage(OPERATIONS[command], text)) <= set(OPERATIONS[command].params())
    try:
        found = reading(command, text)
    except InvalidInput as error:
        assert str(error)
    else:
        assert set(found.values) <= set(OPERATIONS[command].params())


@pytest.mark.parametrize("command", sorted(OPERATIONS))
@given(text=TEXTS)
def test_no_value_is_read_that_was_not_typed(command: str, text: str) -> None:
    """Every value stands in the text, or is what one of its words declares to mean."""
    operation = OPERATIONS[command]
    try:
        found = reading(command, text)
    except InvalidInput:
        return
    typed = unescape(text).casefold().translate({ord("’"): "'"})
    for name, value in found.values.items():
        spec = operation.params()[name]
        words = {value, spec.choices.get(value, value)}
        words |= {verb for verb, meant in spec.verbs.items() if meant == value}
        pieces = value.split(",") if name == operation.records_in else None
        assert pieces or any(each.casefold() in typed for each in words)


@pytest.mark.parametrize(
    "hostile",
    ["a" * 8000, "a=" * 4000, "&a=" * 2600, "1-" * 4000, "'" * 8000, '"a' * 4000, "{" * 8000,
     "--" * 4000, ": " * 4000, "1, " * 2600, "a:" * 4000, "<" * 8000, "change_state:" * 600,
     "x=1&" + "a" * 4000 + "&" * 4000, "resolve " * 1000, "not" * 2600, "\\\"" * 4000,
     "/1" * 4000, "ticket=" * 1100, "1 to " * 1600, "%41" * 2600, "#" * 8000],
)  # fmt: skip
def test_hostile_texts_take_no_more_than_their_length(hostile: str) -> None:
    """Counted in this process' own CPU time: hundreds of times what a linear reading needs."""
    for command in OPERATIONS:
        began = time.process_time()
        try:
            reading(command, hostile)
        except InvalidInput as error:
            assert str(error)
        assert time.process_time() - began < 2.0


def test_twenty_thousand_numbers_are_read() -> None:
    numbers = ",".join(str(10_000 + each) for each in range(20_000))
    assert reading("qualys", f"{numbers} change_state=RESOLVED").values["ticket_numbers"] == numbers
    dressed = ", ".join(f"#{10_000 + each}" for each in range(20_000))
    found: Any = reading("qualys", f"resolve {dressed}")
    assert found == Reading({"ticket_numbers": numbers, "change_state": "RESOLVED"}, guessed=True)
