"""Any legal edit, made up: it ends in the state that the vendor's document says, and changes no more.

What is expected comes from the documents (tables of states, "Missing fields are ignored", "add" …)
and is computed here, from what a person typed; not from what was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.domain.operations import Batch, Operation, Reach, Record, Result
from bot.domain.parameters import read, wire
from bot.domain.people import Account
from deploy.sandbox.vendors.ccs import CcsStandIn
from deploy.sandbox.vendors.qualys import QualysStandIn
from deploy.sandbox.vendors.xpanse import XpanseStandIn
from deploy.sandbox.vendors.zstack import ZstackStandIn
from deploy.sandbox.vendors.zstack_tickets import ticket_uuid
from handlers.ccs.tickets import UpdateTicket
from handlers.qualys.tickets import EditTickets
from handlers.xpanse.incidents import UpdateIncident
from handlers.zstack.tickets import ChangeTicketStatus
from integrations.ccs.client import CcsClient
from integrations.ccs.config import CcsSettings
from integrations.ccs.reading import state_name
from integrations.qualys.client import QualysClient
from integrations.qualys.config import QualysSettings
from integrations.xpanse.client import XpanseClient
from integrations.xpanse.config import XpanseSettings
from integrations.zstack.client import ZstackClient
from integrations.zstack.config import ZstackSettings
from integrations.zstack.protocol import read_tags, tags_text

many = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)

LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Cn"))
WORDS = st.text(LETTERS, min_size=1, max_size=80).map(str.strip).filter(bool)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200)
COMMENTS = ASCII.map(str.strip).filter(bool)


def some(**values: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    """At least one of these fields."""
    return st.fixed_dictionaries({}, optional=values).filter(bool)


async def edited(
    operation: Operation, typed: Mapping[str, str], role: str
) -> tuple[Record, Result | None]:
    """Plan one record and send it, as a run does; None where it was left out."""
    parameters = read(operation.parameters, typed)
    account = Account(operation.vendor, "amend", role)
    records = [each async for each in operation.plan(parameters, account, Reach.ALL)]
    (record,) = records
    if record.left_out:
        return record, None
    changes = {name: wire(value) for name, value in operation.changes(parameters).items()}
    (outcome,) = await operation.apply(Batch(parameters, changes, records, "0" * 32))
    return record, outcome.result


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


# --- CCS --------------------------------------------------------------------------------------------

# document, "Control Compliance Suite ticket statuses".
CCS_STATES = {
    "1": "Open",
    "2": "Remediation Performed",
    "3": "Verified",
    "4": "Failed",
    "5": "Not Applicable",
}
CCS_NUMBERS = {name.lower(): int(number) for number, name in CCS_STATES.items()}


@many
@given(
    some(
        TicketState=st.sampled_from([*CCS_STATES, *CCS_STATES.values(), "failed", "OPEN"]),
        TicketDescription=WORDS,
        Priority=st.sampled_from(["Low", "Medium", "High"]),
        AssignedTo=WORDS,
    ),
    st.integers(1, 40),
)
def test_ccs(typed: dict[str, str], number: int) -> None:
    async def work() -> None:
        async with CcsStandIn(tickets=40, verifies_in=900.0) as server:
            ticket = server.tickets[f"INCA{number:07}"]
            before = ticket.shown()
            made = CcsSettings(
                url=server.url, username=server.username, password=SecretStr(server.password)
            )
            client = CcsClient(made)
            asked = {"TicketNumber": ticket.number, **typed}
            _, result = await edited(UpdateTicket(client), asked, "Remediation Administrator")
            await client.aclose()
            wanted: dict[str, Any] = dict(typed)
            if "TicketState" in typed:
                state = typed["TicketState"]
                wanted["TicketState"] = CCS_NUMBERS.get(state.lower()) or int(state)
            assert ticket.shown() == {**before, **wanted}
            assert (result is None) is (ticket.shown() == before), "what is so already stays home"

    run(work)


@given(st.sampled_from(list(CCS_STATES.items())), st.sampled_from(["{}", "{}.0"]))
def test_a_ccs_state_reads_the_same_by_number_and_by_name(
    state: tuple[str, str], form: str
) -> None:
    number, name = state
    assert state_name(form.format(number)) == state_name(name.upper()) == name


# --- Xpanse -----------------------------------------------------------------------------------------

MAILS = ["mara.lindqvist@northwind.example", "umar.haddad@northwind.example", ""]


@st.composite
def incident_edits(draw: st.DrawFn) -> dict[str, str]:
    typed = draw(
        some(
            status=st.sampled_from(["new", "under_investigation", "resolved", "RESOLVED"]),
            assigned_user_mail=st.sampled_from(MAILS),
            manual_severity=st.sampled_from(["low", "medium", "high", "critical", ""]),
            resolve_comment=WORDS,
            comment=WORDS,
        )
    )
    if typed.get("assigned_user_mail") and draw(st.booleans()):
        typed["assigned_user_pretty_name"] = draw(WORDS)
    return typed


@many
@given(incident_edits(), st.integers(1, 500))
def test_xpanse(typed: dict[str, str], number: int) -> None:
    async def work() -> None:
        async with XpanseStandIn() as server:
            incident = server.incidents[str(number)]
            before, said = incident.shown(), list(incident.comments)
            made = XpanseSettings(
                url=server.url, api_key=SecretStr(server.api_key), api_key_id=server.api_key_id
            )
            client = XpanseClient(made)
            asked = {"incident_id": str(number), **typed}
            await edited(UpdateIncident(client), asked, "Responder")
            await client.aclose()
            wanted = {name: value or None for name, value in typed.items() if name != "comment"}
            if "status" in typed:
                wanted["status"] = typed["status"].lower()
            shown = incident.shown()
            assert {**shown, "modification_time": 0} == {
                **before,
                **wanted,
                "modification_time": 0,
            }
            more = [typed["comment"]] if "comment" in typed else []
            assert incident.comments == said + more, "added once, as it was typed"

    run(work)


# --- ZStack -----------------------------------------------------------------------------------------

# Which event leads where, from the messages of the server; the second level is the last here.
ZSTACK = {
    ("Pending", "approve"): "IntermediateApproved",
    ("Pending", "reject"): "Rejected",
    ("Pending", "cancel"): "Cancelled",
    ("IntermediateApproved", "approve"): "FinalApproved",
    ("IntermediateApproved", "reject"): "Rejected",
    ("IntermediateApproved", "cancel"): "Cancelled",
    ("Rejected", "reopen"): "Pending",
    ("Cancelled", "reopen"): "Pending",
}


@many
@given(
    st.sampled_from(["approve", "reject", "cancel", "reopen"]),
    st.one_of(st.just(""), WORDS),
    st.integers(0, 59),
)
def test_zstack(event: str, comment: str, number: int) -> None:
    async def work() -> None:
        async with ZstackStandIn(tickets=60, takes=0.0) as server:
            ticket = server.tickets[ticket_uuid(number)]
            leads = ZSTACK.get((ticket.status, event))
            before = ticket.status
            made = ZstackSettings(
                url=server.url, account=server.account, password=SecretStr(server.password)
            )
            client = ZstackClient(made, poll_every=0.01)
            typed = {"uuid": ticket.uuid, "statusEvent": event}
            typed |= {"comment": comment} if comment else {}
            role = "admin" if event in ("approve", "reject") else "owner"
            record, result = await edited(ChangeTicketStatus(client), typed, role)
            await client.aclose()
            assert ticket.status == (leads or before)
            assert ticket.events == ([event] if leads else [])
            assert ticket.comments == ([comment] if leads else [])
            assert (result is Result.CHANGED) is bool(leads)
            if leads:
                assert record.after["status"] == leads, "what the review said"

    run(work)


TAGS = st.lists(st.text(LETTERS, min_size=1).map(str.strip).filter(bool), min_size=1)


@given(TAGS)
def test_tags_are_read_as_they_were_written(tags: list[str]) -> None:
    assert read_tags(tags_text(tags)) == tags


# --- Qualys -----------------------------------------------------------------------------------------

# document: a Closed ticket cannot be changed to Resolved; OPEN means Open and Open/Reopened.


@st.composite
def ticket_edits(draw: st.DrawFn) -> dict[str, str]:
    typed = draw(
        some(
            change_state=st.sampled_from(["OPEN", "RESOLVED", "IGNORED", "resolved"]),
            add_comment=COMMENTS,
            change_assignee=st.sampled_from(["oreyes", "mlindqvist"]),
        )
    )
    if typed.get("change_state") == "IGNORED" and draw(st.booleans()):
        typed["reopen_ignored_days"] = str(draw(st.integers(1, 730)))
    return typed


@many
@given(ticket_edits(), st.integers(0, 400))
def test_qualys(typed: dict[str, str], at: int) -> None:
    async def work() -> None:
        async with QualysStandIn() as server:
            number = sorted(server.tickets)[at]
            ticket = server.tickets[number]
            before = (ticket.condition, ticket.assignee, len(ticket.history))
            made = QualysSettings(
                url=server.url, username=server.username, password=SecretStr(server.password)
            )
            client = QualysClient(made)
            asked = {"ticket_numbers": str(number), **typed}
            _, result = await edited(EditTickets(client), asked, "Manager")
            await client.aclose()
            if result is not Result.CHANGED:
                assert (ticket.condition, ticket.assignee, len(ticket.history)) == before
                return
            target = typed.get("change_state", "").upper()
            assert not (target == "RESOLVED" and before[0] in ("FIXED", "IGNORED"))
            if target == "OPEN":
                assert ticket.condition in ("OPEN", "REOPENED")
            else:
                assert ticket.condition == (target or before[0])
            assert ticket.assignee == typed.get("change_assignee", before[1])
            assert ticket.history[-1].comment == typed.get("add_comment", "")
            assert len(ticket.history) == before[2] + 1

    run(work)
