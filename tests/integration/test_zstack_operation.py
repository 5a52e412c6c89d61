"""`zstack.change_ticket_status` at a server that keeps the public server's rules."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from pydantic import SecretStr, ValidationError

from bot.domain.operations import Batch, Outcome, Reach, Record, Result
from bot.domain.parameters import read
from bot.domain.people import Account
from deploy.sandbox.vendors.zstack import SERVICE, ZstackStandIn
from deploy.sandbox.vendors.zstack_tickets import LAST, LEAD, OPERATOR, OWNER, ticket_uuid
from handlers.zstack.tickets import ChangeTicketStatus
from integrations.errors import BadCredentials, NoAnswer, Temporary, UnknownOutcome, Unreadable
from integrations.http import Reply
from integrations.zstack import protocol
from integrations.zstack.client import ZstackClient
from integrations.zstack.config import ZstackSettings

TICKET, AT_LAST = ticket_uuid(0), ticket_uuid(1)
KEY = "0123456789abcdef" * 2
HEX = re.compile(r"[0-9a-f]{16,}")


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ZstackStandIn]:
    async with ZstackStandIn(tickets=20, takes=0.0) as made:
        yield made


class Desk:
    """One operation under one account, and the few verbs that tests need."""

    def __init__(self, server: ZstackStandIn, **settings: Any) -> None:
        given = {"account": "amend", "password": SecretStr(server.password), **settings}
        self.client = ZstackClient(
            ZstackSettings(url=server.url, **given), sleep=self._sleep, poll_every=1.0
        )
        self.operation = ChangeTicketStatus(self.client)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    async def planned(self, uuid: str, event: str, **changes: str) -> Batch:
        parameters = read(
            self.operation.parameters, {"uuid": uuid, "statusEvent": event, **changes}
        )
        role = "owner" if event in ("cancel", "reopen") else "admin"
        records: list[Record] = [
            each
            async for each in self.operation.plan(
                parameters, Account("zstack", "amend", role), Reach.ALL
            )
        ]
        wire = {name: str(value) for name, value in self.operation.changes(parameters).items()}
        return Batch(parameters, wire, records, KEY)

    async def fired(self, uuid: str, event: str, **changes: str) -> Outcome:
        (outcome,) = await self.operation.apply(await self.planned(uuid, event, **changes))
        return outcome


@pytest_asyncio.fixture
async def desk(server: ZstackStandIn) -> AsyncIterator[Desk]:
    made = Desk(server)
    yield made
    await made.client.aclose()


# --- access keys -----------------------------------------------------------------------------------

ZONES = ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]


def by_key(server: ZstackStandIn, zone: str = "auto") -> Desk:
    key, secret = server.access_key
    return Desk(
        server,
        account="",
        password=SecretStr(""),
        access_key_id=key,
        access_key_secret=SecretStr(secret),
        time_zone=zone,
    )


@pytest.mark.parametrize("zone", ZONES)
async def test_an_access_key_is_taken_in_every_zone_and_the_zone_is_learned_once(
    server: ZstackStandIn, zone: str
) -> None:
    server.time_zone = zone
    desk = by_key(server)
    found = await asyncio.gather(*(desk.client.tickets([TICKET]) for _ in range(4)))
    assert all(TICKET in each for each in found)
    learned = len(server.requests)
    assert (await desk.fired(TICKET, "reject")).result is Result.CHANGED
    # ticket, flows, names at two places, the event under both keys, its job
    assert len(server.requests) <= learned + 7
    assert server.tickets[TICKET].events == ["reject"]
    await desk.client.aclose()


@pytest.mark.parametrize("checks_zone", [False, True])
@pytest.mark.parametrize("zone", ZONES)
async def test_a_zone_that_is_set_is_right_whether_the_server_minds_it_or_not(
    server: ZstackStandIn, zone: str, checks_zone: bool
) -> None:
    server.time_zone, server.checks_zone = zone, checks_zone
    desk = by_key(server, zone)
    await desk.client.check()
    assert len(server.requests) == 1, "nothing is tried out"
    await desk.client.aclose()


async def test_a_write_may_be_the_call_that_finds_the_zone(server: ZstackStandIn) -> None:
    server.time_zone = "America/New_York"
    desk = by_key(server)
    await desk.client.change(TICKET, {"statusEvent": "reject"}, [KEY, "f" * 32])
    assert server.tickets[TICKET].events == ["reject"]
    await desk.client.aclose()


async def test_a_zone_that_is_wrong_is_said_once_and_not_tried_on(server: ZstackStandIn) -> None:
    desk = by_key(server, "Europe/Berlin")
    for _ in range(2):
        with pytest.raises(BadCredentials, match="ZSTACK_TIME_ZONE"):
            await desk.client.check()
    assert len(server.requests) == 1
    await desk.client.aclose()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "America", "GMT+25"])
def test_a_zone_that_nobody_knows_stops_the_start(zone: str) -> None:
    with pytest.raises(ValidationError, match="IANA name"):
        ZstackSettings(
            url="https://z.example", account="a", password=SecretStr("b"), time_zone=zone
        )


# --- what an error means ----------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["approve", "reject"])
async def test_a_time_out_is_no_refusal_and_never_goes_out_again(
    server: ZstackStandIn, desk: Desk, event: str
) -> None:
    server.action_key = "changeticketstatus"
    batch = await desk.planned(TICKET, event)
    server.set_fault("timed_out", {"times": 1, "only": "actions"})
    with pytest.raises(NoAnswer, match="no answer from the agent"):
        await desk.operation.apply(batch)
    server.set_fault("timed_out", {"only": "api-jobs"})  # and its job tells no more than that
    (outcome,) = await desk.operation.reconcile(batch, "")
    assert outcome.result is Result.CHANGED
    assert server.tickets[TICKET].events == [event]


async def test_a_time_out_without_a_trace_is_unknown(server: ZstackStandIn, desk: Desk) -> None:
    batch = await desk.planned(TICKET, "approve")
    server.set_fault("timed_out", {"only": "api-jobs"})
    (outcome,) = await desk.operation.reconcile(batch, "")
    assert outcome.result is Result.UNKNOWN
    assert "no answer from the agent" in outcome.words


async def test_a_server_that_is_not_ready_is_tried_again_under_a_new_job(
    server: ZstackStandIn, desk: Desk
) -> None:
    batch = await desk.planned(TICKET, "reject")
    server.not_ready = 1
    with pytest.raises(Temporary, match="not ready"):
        await desk.operation.apply(batch)
    assert server.tickets[TICKET].events == []
    (outcome,) = await desk.operation.apply(batch)
    assert outcome.result is Result.CHANGED
    (known,) = await desk.operation.reconcile(batch, "")
    assert known.result is Result.CHANGED, "whichever job did it"
    assert server.tickets[TICKET].events == ["reject"]


async def test_a_job_that_ended_before_it_began_goes_out_again_once(
    server: ZstackStandIn, desk: Desk
) -> None:
    batch = await desk.planned(TICKET, "reject")
    server.end_sessions()
    (outcome,) = await desk.operation.apply(batch)
    assert outcome.result is Result.CHANGED
    assert server.tickets[TICKET].events == ["reject"]


async def test_a_node_that_went_away_in_a_job_leaves_it_open(
    server: ZstackStandIn, desk: Desk
) -> None:
    batch = await desk.planned(TICKET, "reject")
    server.set_fault("busy", {"only": "api-jobs"})
    with pytest.raises(NoAnswer, match="management node"):
        await desk.operation.apply(batch)


async def test_causes_and_elaborations_are_told(server: ZstackStandIn, desk: Desk) -> None:
    server.set_fault("timed_out", {"only": "actions"})
    with pytest.raises(NoAnswer) as told:
        await desk.fired(TICKET, "reject")
    assert "the operation timed out; no answer from the agent" in str(told.value)


# --- sessions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("unique", [False, True])
async def test_whoever_learns_late_that_a_session_ended_ends_no_newer_one(
    server: ZstackStandIn, desk: Desk, unique: bool
) -> None:
    server.unique_session = unique
    await desk.client.check()
    server.end_sessions()
    server.set_fault("slow", {"times": 1, "seconds": 0.5, "only": "/v1/tickets"})
    found = await asyncio.gather(*(desk.client.tickets([TICKET]) for _ in range(4)))
    assert all(TICKET in each for each in found)
    assert len(server.logins) == 2


async def test_a_job_that_failed_for_its_session_ends_no_newer_one(
    server: ZstackStandIn, desk: Desk
) -> None:
    batch = await desk.planned(TICKET, "reject")
    server.end_sessions()
    server.set_fault("slow", {"times": 1, "seconds": 0.5, "only": "/api-jobs/"})
    outcomes, found = await asyncio.gather(
        desk.operation.apply(batch), desk.client.tickets([TICKET])
    )
    assert outcomes[0].result is Result.CHANGED
    assert TICKET in found
    assert len(server.logins) == 2
    assert server.tickets[TICKET].events == ["reject"]


@pytest.mark.parametrize("only", ["/v1/tickets", "/actions", "/api-jobs/"])
async def test_sessions_that_go_on_ending_are_no_refusal_of_the_account(
    server: ZstackStandIn, desk: Desk, only: str
) -> None:
    batch = await desk.planned(TICKET, "reject")
    server.set_fault("session_gone", {"only": only})
    with pytest.raises(Temporary, match="Session expired"):
        await (desk.operation.apply(batch) if only != "/v1/tickets" else desk.client.check())
    server.set_fault(None)
    await desk.client.check()  # and nobody is kept waiting as after a refusal


@pytest.mark.parametrize("known", [True, False])
async def test_too_many_sessions_are_waited_for_and_no_refusal(
    server: ZstackStandIn, desk: Desk, known: bool
) -> None:
    """ID.1006: an account may have 500 sessions (facts C.3); the oldest end by themselves."""
    if known:
        await desk.client.check()
        server.end_sessions()
    server.set_fault("too_many_sessions", {"only": "/login"})
    with pytest.raises(Temporary, match="too many sessions") as told:
        await desk.client.check()
    assert told.value.wait == 60.0
    server.set_fault(None)
    await desk.client.check()


async def test_a_session_that_an_answer_quotes_is_hidden(server: ZstackStandIn, desk: Desk) -> None:
    await desk.client.check()
    (session,) = server._sessions
    server.set_fault("session_gone", {"only": "/histories"})  # which quotes it
    with pytest.raises(Temporary) as told:
        await desk.client.history(TICKET)
    assert session not in str(told.value)
    assert "(hidden)" in str(told.value)


# --- jobs under another uuid ----------------------------------------------------------------------


async def reconciled(desk: Desk, batch: Batch) -> Outcome:
    (outcome,) = await desk.operation.reconcile(batch, "")
    return outcome


@pytest.mark.parametrize("event", ["approve", "reject"])
async def test_the_job_that_the_answer_names_is_followed(
    server: ZstackStandIn, desk: Desk, event: str
) -> None:
    """facts C.4: 202 with a location; what stands behind `/api-jobs/` there is followed."""
    server.own_jobs, server.late = True, True
    assert (await desk.fired(TICKET, event)).result is Result.CHANGED
    assert server.tickets[TICKET].events == [event]
    assert not [each for each in server.requests if each.path.endswith(KEY)]


@pytest.mark.parametrize("own_jobs", [True, False])
@pytest.mark.parametrize("event", ["approve", "reject"])
async def test_an_event_whose_job_is_still_at_work_never_goes_out_again(
    server: ZstackStandIn, desk: Desk, event: str, own_jobs: bool
) -> None:
    server.own_jobs, server.late, server.takes = own_jobs, True, 3600.0
    batch = await desk.planned(TICKET, event)
    with pytest.raises(UnknownOutcome, match="still running"):
        await desk.operation.apply(batch)
    assert (await reconciled(desk, batch)).result is Result.UNKNOWN
    for job in server._jobs.values():
        job.ready = 0.0
    assert (await reconciled(desk, batch)).result is Result.CHANGED
    assert server.tickets[TICKET].events == [event]


@pytest.mark.parametrize("event", ["approve", "reject"])
async def test_a_taken_event_whose_job_is_forgotten_never_goes_out_again(
    server: ZstackStandIn, desk: Desk, event: str
) -> None:
    """Finished jobs are kept for three hours only."""
    server.late, server.takes = True, 3600.0
    batch = await desk.planned(TICKET, event)
    with pytest.raises(UnknownOutcome):
        await desk.operation.apply(batch)
    server._jobs.clear()
    assert (await reconciled(desk, batch)).result is Result.UNKNOWN


# What was seen of a server before: nothing, a job under our uuid, a job under one of its own.
SEEN = ["nothing", "ours", "its own"]


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("event", ["approve", "reject"])
async def test_no_such_job_counts_as_never_sent_only_where_the_server_keeps_our_uuids(
    server: ZstackStandIn, desk: Desk, event: str, seen: str
) -> None:
    """A second approval may move the next level; a second rejection is refused by the state."""
    if seen != "nothing":
        server.own_jobs = seen == "its own"
        await desk.operation.apply(replace(await desk.planned(AT_LAST, "reject"), key="7" * 32))
    batch = await desk.planned(TICKET, event)
    server.set_fault("reset", {"times": 1, "only": "actions"})
    with pytest.raises(NoAnswer):
        await desk.operation.apply(batch)
    certain = seen == "ours" or (seen == "nothing" and event == "reject")
    expected = Result.TO_SEND if certain else Result.UNKNOWN
    assert (await reconciled(desk, batch)).result is expected


LOCATIONS = [
    ("http://10.0.0.9:8080/zstack/v1/api-jobs/" + "c" * 32, "c" * 32),
    ("https://elsewhere.example/a/b/zstack/v1/api-jobs/" + "c" * 32 + "/", "c" * 32),
    ("http://10.0.0.9:8080/zstack/v1/api-jobs/" + "c" * 32 + "?x=/api-jobs/d", "c" * 32),
    ("/zstack/v1/api-jobs/" + "c" * 32, "c" * 32),
    ("http://10.0.0.9/zstack/v1/api-jobs/../accounts", ""),
    ("http://10.0.0.9/zstack/v1/api-jobs/", ""),
    ("http://[broken/zstack/v1/api-jobs/" + "c" * 32, "c" * 32),
    ("", ""),
    (None, ""),
    (7, ""),
]


@pytest.mark.parametrize(("location", "job"), LOCATIONS)
def test_only_the_uuid_at_the_end_of_a_location_is_read(location: object, job: str) -> None:
    reply = Reply(202, {}, json.dumps({"location": location}).encode())
    assert protocol.read_job(reply) == job


# --- who -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "name", "event"),
    [("virtual-id", "umar", "cancel"), ("virtual-id", "onca", "approve")],
)
async def test_each_fires_as_who_they_are(
    server: ZstackStandIn, login: str, name: str, event: str
) -> None:
    server.desk.by_person = True
    desk = Desk(server, account=name, password=SecretStr(f"sandbox-{name}"), login=login)
    assert (await desk.fired(TICKET, event)).result is Result.CHANGED
    assert server.desk.history[-1]["operatorUuid"] == server._sessions.popitem()[1]
    await desk.client.aclose()


async def test_an_owner_is_no_account(server: ZstackStandIn) -> None:
    desk = Desk(server, account="umar", password=SecretStr("sandbox-umar"), login="account")
    with pytest.raises(BadCredentials):
        await desk.client.check()
    await desk.client.aclose()


# --- levels ----------------------------------------------------------------------------------------


async def says(desk: Desk, uuid: str) -> str:
    batch = await desk.planned(uuid, "approve")
    (note,) = await desk.operation.notes(batch.parameters, batch.records)
    assert not HEX.search(note), "names, not uuids"
    assert not HEX.search(str(batch.records[0].state))
    return f"{note} {batch.records[0].after['status']}"


async def test_levels_are_told_by_name(desk: Desk) -> None:
    assert "it goes to SystemAdmin (mara). IntermediateApproved" in await says(desk, TICKET)
    told = await says(desk, AT_LAST)
    assert "this is the last approval; it executes resize vm" in told
    assert told.endswith("FinalApproved")


@pytest.mark.parametrize("seen", ["none", "not the ticket's own", "not the first"])
async def test_the_last_approval_is_claimed_only_where_the_flow_is_known_to_end(
    server: ZstackStandIn, desk: Desk, seen: str
) -> None:
    flows = server.desk.flows
    server.desk.flows = {
        "none": [],
        "not the ticket's own": flows[:1],
        "not the first": flows[1:],
    }[seen]
    told = await says(desk, AT_LAST)
    assert "this is the last approval" not in told
    assert "does not tell whether another approval follows" in told
    assert told.endswith("IntermediateApproved or FinalApproved")


async def test_a_move_between_two_levels_is_a_change(server: ZstackStandIn, desk: Desk) -> None:
    third = {**server.desk.flows[1], "uuid": "3" * 32, "parentFlowUuid": LAST}
    server.desk.flows.append(third)
    before = (await desk.operation.read([AT_LAST]))[AT_LAST]
    server.by_hand(AT_LAST, "approve")
    after = (await desk.operation.read([AT_LAST]))[AT_LAST]
    assert before["status"] == after["status"] == "IntermediateApproved"
    assert before != after


async def test_it_is_a_change_also_where_no_level_is_told(
    server: ZstackStandIn, desk: Desk
) -> None:
    third = {**server.desk.flows[1], "uuid": "3" * 32, "parentFlowUuid": LAST}
    server.desk.flows.append(third)
    shown = server.tickets[AT_LAST].shown
    server.tickets[AT_LAST].shown = lambda: {**shown(), "currentFlowUuid": None}
    before = (await desk.operation.read([AT_LAST]))[AT_LAST]
    server.by_hand(AT_LAST, "approve")
    assert before != (await desk.operation.read([AT_LAST]))[AT_LAST]


@pytest.mark.parametrize("event", ["approve", "reject", "cancel", "reopen"])
async def test_events_are_possible_also_where_flows_may_not_be_listed(
    server: ZstackStandIn, desk: Desk, event: str
) -> None:
    """facts C.4: without the permission a query is 503 with ID.1002."""
    server.set_fault("denied", {"only": "/v1/tickets/flow"})
    if event == "reopen":
        server.by_hand(AT_LAST, "cancel")
    batch = await desk.planned(AT_LAST, event)
    assert batch.records[0].left_out == ""
    (outcome,) = await desk.operation.apply(batch)
    assert outcome.result is Result.CHANGED
    assert await desk.operation.read([AT_LAST])
    assert await desk.operation.follow_up(batch.parameters, [AT_LAST])


async def test_without_flows_it_is_not_told_what_follows(server: ZstackStandIn, desk: Desk) -> None:
    server.set_fault("denied", {"only": "/v1/tickets/flow"})
    told = await says(desk, AT_LAST)
    assert "does not tell whether another approval follows" in told
    assert told.endswith("IntermediateApproved or FinalApproved")


async def test_a_list_of_flows_that_failed_is_not_taken_for_an_empty_one(
    server: ZstackStandIn, desk: Desk
) -> None:
    server.set_fault("http_503", {"only": "/v1/tickets/flow"})
    with pytest.raises(Temporary):
        await desk.planned(AT_LAST, "approve")


@pytest.mark.parametrize("others", [98, 99, 1_000, 1_100])
async def test_the_level_after_is_found_however_many_flows_there_are(
    server: ZstackStandIn, desk: Desk, others: int
) -> None:
    """A list is cut at 1,000 rows by default (facts C.6): what is beyond may be the next level."""
    collection = {"collectionUuid": "d" * 32, "approverUuid": LEAD, "name": "Other"}
    first, last = server.desk.flows
    among = [{**collection, "uuid": f"{number:032x}"} for number in range(others)]
    server.desk.flows = [first, *among, {**last, "uuid": "f" * 32}]
    assert "it goes to SystemAdmin (mara). IntermediateApproved" in await says(desk, TICKET)


async def test_names_are_asked_for_in_addresses_that_every_server_takes(
    server: ZstackStandIn, desk: Desk
) -> None:
    """8,190 bytes of a request line is the least of what is common; a uuid takes 35 of them."""
    asked = [f"{number:032x}" for number in range(450)]
    found = await desk.client.names([*asked, OPERATOR, LEAD])
    assert found == {OPERATOR: "mara", LEAD: "onca"}
    lines = [urlencode(each.query) for each in server.requests]
    assert max(map(len, lines)) < 5_000


@pytest.mark.parametrize("path", ["/v1/iam2/virtual-ids", "/v1/accounts"])
async def test_names_that_one_place_does_not_tell_are_told_by_the_other(
    server: ZstackStandIn, desk: Desk, path: str
) -> None:
    await desk.client.check()  # signs in
    server.set_fault("denied", {"only": path})
    found = await desk.client.names([OPERATOR, SERVICE])
    assert list(found.values()) == (["amend"] if path.endswith("ids") else ["mara"])


@pytest.mark.parametrize("synchronous", [True, False])
@pytest.mark.parametrize("as_object", [True, False])
async def test_both_forms_of_the_document_are_read(
    server: ZstackStandIn, desk: Desk, as_object: bool, synchronous: bool
) -> None:
    server.status_as_object, server.synchronous = as_object, synchronous
    outcome = await desk.fired(TICKET, "reject")
    assert outcome.words == "ZStack says: Rejected"


# --- numbers ---------------------------------------------------------------------------------------

# document: integers arrive as floats ("executeTimes": 1.0).
WHOLE = [
    ("9007199254740993", 9_007_199_254_740_993),
    ("3", 3),
    ("3.0", 3),
    ('"3"', 3),
    ("3e0", 3),
    ("1.56402555717E12", 1_564_025_557_170),
]
ODD = ["1e400", "-1e400", "NaN", "Infinity", '"x"', '"' + "9" * 400 + '"', "true", '"1e400"']
STEP = '{"inventories":[{"uuid":"a","request":[{"executeTimes":%s}]}]}'
ENTRY = '{"inventories":[{"sequence":%s,"ticketUuid":"a"}]}'
DONE = '{"inventories":[{"sequence":1,"operationContext":{"requestResults":[{"%s":NUMBER}]}}]}'
PLACES = [
    (protocol.read_tickets, STEP),
    (protocol.read_history, ENTRY),
    (protocol.read_history, (DONE % "successTimes").replace("NUMBER", "%s")),
    (protocol.read_history, (DONE % "failureTimes").replace("NUMBER", "%s")),
]


def answered(body: str) -> Reply:
    return Reply(200, {"content-type": "application/json"}, body.encode())


@pytest.mark.parametrize(("read_rows", "body"), PLACES)
@pytest.mark.parametrize("number", ODD)
def test_a_number_that_is_none_makes_an_answer_unreadable(
    read_rows: Any, body: str, number: str
) -> None:
    with pytest.raises(Unreadable):
        read_rows(answered(body % number))


@pytest.mark.parametrize(("written", "number"), WHOLE)
def test_a_whole_number_is_read_however_it_is_written(written: str, number: int) -> None:
    (ticket,) = protocol.read_tickets(answered(STEP % written))
    assert ticket.steps[0].times == number
    (entry,) = protocol.read_history(answered(ENTRY % written))
    assert entry.sequence == number


# --- tags -------------------------------------------------------------------------------------------

TAGS = [
    ("a,b", ["a", "b"]),
    ('"cost,eu", blue', ["cost,eu", "blue"]),
    ('["cost,eu", "blue"]', ["cost,eu", "blue"]),
    ('sys::"x"', ['sys::"x"']),
]


@pytest.mark.parametrize(("typed", "sent"), TAGS)
async def test_tags_may_hold_commas(
    server: ZstackStandIn, desk: Desk, typed: str, sent: list[str]
) -> None:
    await desk.fired(TICKET, "reject", systemTags=typed)
    body = next(each.json for each in server.requests if each.path.endswith("/actions"))
    assert body["systemTags"] == sent


async def test_the_owner_is_the_tickets_virtual_id(server: ZstackStandIn, desk: Desk) -> None:
    found = await desk.client.tickets([TICKET])
    assert found[TICKET].owner == OWNER
