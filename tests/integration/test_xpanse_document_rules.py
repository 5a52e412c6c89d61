"""The stand-in of Cortex Xpanse, rule by rule of the vendor's documents, asked in plain HTTP.

Places: "update" is the document "Update an Incident"; "list" and "users" are the REST guide's pages
"Get Incidents" and "Get Users", "keys" its page "Get Started with APIs"; "SDK" is what the vendor's
own Python client sends, and the answers that were recorded with it.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from deploy.sandbox.vendors.xpanse import XpanseStandIn, seed

UPDATE = "/public_api/v1/incidents/update_incident/"
LIST = "/public_api/v1/incidents/get_incidents/"
USERS = "/public_api/v1/rbac/get_users/"
VALIDATE = "/api_keys/validate/"
MAIL = "onca.reyes@northwind.example"
# update, "Responses": what a refused request may be answered with.
REFUSED = (400, 422, 500)


class Caller:
    """A stand-in, a standard key, and bare HTTP."""

    def __init__(self, kind: str = "standard") -> None:
        self.server = XpanseStandIn(kind=kind)
        self.http = httpx.AsyncClient(trust_env=False)

    @property
    def standard(self) -> dict[str, str]:
        # update, "Request headers".
        return {"authorization": self.server.api_key, "x-xdr-auth-id": self.server.api_key_id}

    def advanced(self, **changed: str) -> dict[str, str]:
        """keys, "Advanced Key Python 3 Example": hashed are the key, the nonce and the time, in ms."""
        letters = string.ascii_letters + string.digits
        nonce = changed.get("nonce", "".join(secrets.choice(letters) for _ in range(64)))
        stamp = changed.get("stamp", str(int(time.time()) * 1000))
        whole = changed.get("whole", "{key}{nonce}{stamp}")
        text = whole.format(key=self.server.api_key, nonce=nonce, stamp=stamp)
        return {
            "x-xdr-timestamp": changed.get("sent_stamp", stamp),
            "x-xdr-nonce": changed.get("sent_nonce", nonce),
            "x-xdr-auth-id": changed.get("key_id", self.server.api_key_id),
            "authorization": hashlib.sha256(text.encode()).hexdigest(),
        }

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        url = self.server.url + path
        return await self.http.post(url, json=body, headers=headers or self.standard)

    async def update(self, incident: str = "71", **update: Any) -> httpx.Response:
        asked = {"incident_id": incident, "update_data": update}
        return await self.post(UPDATE, {"request_data": asked})

    async def page(self, **asked: Any) -> dict[str, Any]:
        answer = await self.post(LIST, {"request_data": asked})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["reply"]
        return found

    async def incident(self, number: str = "71") -> dict[str, Any]:
        asked = {"field": "incident_id_list", "operator": "in", "value": [number]}
        (found,) = (await self.page(filters=[asked]))["incidents"]
        return dict(found)

    async def every(self, **asked: Any) -> list[dict[str, Any]]:
        """All incidents that fit, from every page."""
        found: list[dict[str, Any]] = []
        while True:
            paged = {"search_from": len(found), "search_to": len(found) + 100, **asked}
            more = (await self.page(**paged))["incidents"]
            found += more
            if not more:
                return found


def tidy(incident: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """An incident but for the time of its last change, which every edit moves."""
    return {**incident, **changed, "modification_time": 0}


@pytest_asyncio.fixture
async def caller() -> AsyncIterator[Caller]:
    made = Caller()
    async with made.server, made.http:
        yield made


@pytest_asyncio.fixture
async def careful() -> AsyncIterator[Caller]:
    """Whose key is an advanced one."""
    made = Caller("advanced")
    async with made.server, made.http:
        yield made


# --- keys ---------------------------------------------------------------------------------------


async def test_a_key_is_checked_without_a_body(caller: Caller) -> None:
    # SDK, recorded: POST /api_keys/validate/ is answered with a bare true.
    answer = await caller.post(VALIDATE)
    assert (answer.status_code, answer.json()) == (200, True)


# update, "Request headers": both required; 401: "an incorrect key, id, or other invalid … parameters".
BAD_KEYS: list[dict[str, str]] = [
    {"x-xdr-auth-id": "7"},
    {"authorization": "sandbox-key-not-a-secret"},
    {"authorization": "", "x-xdr-auth-id": ""},
    {"authorization": "sandbox-key-not-a-secret", "x-xdr-auth-id": "8"},
    {"authorization": "another-key", "x-xdr-auth-id": "7"},
    {"authorization": "Bearer sandbox-key-not-a-secret", "x-xdr-auth-id": "7"},
]


@pytest.mark.parametrize("path", [UPDATE, LIST, USERS, VALIDATE])
@pytest.mark.parametrize("headers", BAD_KEYS)
async def test_without_the_key_and_its_id_it_is_401(
    caller: Caller, headers: dict[str, str], path: str
) -> None:
    assert (await caller.post(path, **headers)).status_code == 401


@pytest.mark.parametrize("path", [LIST, USERS, VALIDATE])
async def test_an_advanced_key_is_a_hash_of_key_nonce_and_time(careful: Caller, path: str) -> None:
    assert (await careful.post(path, **careful.advanced())).status_code == 200


# keys, "Advanced Key Python 3 Example": the order of the three, 64 characters, milliseconds of now.
BAD_HASHES: list[dict[str, str]] = [
    {"whole": "{key}{stamp}{nonce}"},
    {"whole": "{nonce}{stamp}{key}"},
    {"whole": "{key}"},
    {"whole": "another-key{nonce}{stamp}"},
    {"key_id": "8"},
    {"nonce": "short"},
    {"sent_nonce": "n" * 64},
    {"sent_stamp": str(int(time.time()) * 1000 + 1)},
    {"stamp": str(int(time.time()))},
    {"stamp": str((int(time.time()) - 86_400) * 1000)},
    {"stamp": "yesterday"},
    {"stamp": ""},
]


@pytest.mark.parametrize("changed", BAD_HASHES)
async def test_an_advanced_key_of_another_making_is_401(
    careful: Caller, changed: dict[str, str]
) -> None:
    answer = await careful.post(LIST, {}, **careful.advanced(**changed))
    assert answer.status_code == 401
    # update, 401: a reply with err_code, err_msg, err_extra; recorded with the SDK for this kind of key.
    assert set(answer.json()["reply"]) == {"err_code", "err_msg", "err_extra"}


async def test_a_key_of_one_kind_is_not_taken_as_the_other(caller: Caller, careful: Caller) -> None:
    # keys: the kind is chosen when the key is made.
    assert (await careful.post(VALIDATE, **careful.standard)).status_code == 401
    assert (await caller.post(VALIDATE, **caller.advanced())).status_code == 401


# --- updating -----------------------------------------------------------------------------------


async def test_the_documents_own_request_is_answered_with_a_bare_true(caller: Caller) -> None:
    # update, "Request" and "Responses": {"reply": boolean}.
    answer = await caller.update(
        assigned_user_mail=MAIL,
        comment={"comment_action": "add", "value": "value"},
        assigned_user_pretty_name="Onca Reyes",
        manual_severity="low",
        status="resolved",
        resolve_comment="resolve_comment",
    )
    assert (answer.status_code, answer.json()["reply"]) == (200, True)
    found = await caller.incident()
    assert (found["assigned_user_mail"], found["assigned_user_pretty_name"]) == (MAIL, "Onca Reyes")
    assert (found["manual_severity"], found["status"]) == ("low", "resolved")
    assert found["resolve_comment"] == "resolve_comment"
    assert caller.server.incidents["71"].comments == ["value"]


# update, "Missing fields are ignored", and the allowed values of each field.
FIELDS = [
    ("status", "new"),
    ("status", "under_investigation"),
    ("status", "resolved"),
    ("manual_severity", "low"),
    ("manual_severity", "medium"),
    ("manual_severity", "high"),
    ("manual_severity", "critical"),
    ("assigned_user_mail", MAIL),
    ("resolve_comment", "Port closed"),
]


@pytest.mark.parametrize(("name", "value"), FIELDS)
async def test_one_field_alone_changes_no_other(caller: Caller, name: str, value: str) -> None:
    before = await caller.incident()
    assert (await caller.update(**{name: value})).json()["reply"] is True
    assert tidy(await caller.incident()) == tidy(before, **{name: value})


# update, "Body parameters": types, allowed values, and what goes only with something else.
WRONG: list[dict[str, Any]] = [
    {"status": "closed"},
    {"status": "resolved_other"},
    {"status": None},
    {"manual_severity": "urgent"},
    {"manual_severity": "informational"},
    {"manual_severity": 3},
    {"assigned_user_mail": "nobody@northwind.example"},  # "exists in the same … tenant"
    {"assigned_user_mail": "Onca Reyes"},
    {"assigned_user_pretty_name": "Onca Reyes"},  # "you must also supply … assigned_user_mail"
    {"assigned_user_pretty_name": "Onca Reyes", "status": "resolved"},
    {"assigned_user_pretty_name": 5, "assigned_user_mail": MAIL},
    {"resolve_comment": ["Port closed"]},
    {"comment": "look"},  # an object here
    {"comment": {"comment_action": "delete", "value": "look"}},
    {"comment": {"comment_action": "add"}},
    {"comment": {"comment_action": "add", "value": 5}},
    {"status": "resolved", "manual_severity": "urgent"},
    {},
]


@pytest.mark.parametrize("update", WRONG)
async def test_what_the_document_does_not_allow_is_refused_whole(
    caller: Caller, update: dict[str, Any]
) -> None:
    before = await caller.incident()
    assert (await caller.update(**update)).status_code in REFUSED
    assert await caller.incident() == before
    assert caller.server.incidents["71"].comments == []


async def test_an_incident_that_is_not_there_is_refused(caller: Caller) -> None:
    # No document says whether as 404 or as 500.
    assert (await caller.update("999999", status="new")).status_code in (404, *REFUSED)


# update, notes: 'To unassign an incident pass none or "assigned_user_mail": ""'.
@pytest.mark.parametrize("empty", ["", "none"])
async def test_an_incident_is_unassigned_and_then_has_no_assignees_name(
    caller: Caller, empty: str
) -> None:
    await caller.update(assigned_user_mail=MAIL, assigned_user_pretty_name="Onca Reyes")
    assert (await caller.update(assigned_user_mail=empty)).json()["reply"] is True
    found = await caller.incident()
    assert (found["assigned_user_mail"], found["assigned_user_pretty_name"]) == (None, None)


# update, notes: 'To remove a manually set severity pass none or "manual_severity": ""'.
@pytest.mark.parametrize("empty", ["", "none"])
async def test_a_severity_set_by_hand_is_removed(caller: Caller, empty: str) -> None:
    before = await caller.incident()
    await caller.update(manual_severity="critical")
    await caller.update(manual_severity=empty)
    found = await caller.incident()
    assert (found["manual_severity"], found["severity"]) == (None, before["severity"])


async def test_comments_are_added_one_behind_the_other(caller: Caller) -> None:
    # update, "comment_action": "add", which is also the default.
    for comment in ({"comment_action": "add", "value": "one"}, {"value": "two"}, {"value": "two"}):
        assert (await caller.update(comment=comment)).json()["reply"] is True
    assert caller.server.incidents["71"].comments == ["one", "two", "two"]


@pytest.mark.parametrize("status", ["new", "under_investigation", "resolved"])
async def test_a_resolve_comment_goes_with_every_status(caller: Caller, status: str) -> None:
    # update, "resolve_comment": "explaining the incident change", and no other rule.
    await caller.update(status=status, resolve_comment="why")
    found = await caller.incident()
    assert (found["status"], found["resolve_comment"]) == (status, "why")


async def test_members_of_ones_own_are_allowed_everywhere(caller: Caller) -> None:
    # update, "Body parameters": four times "Free-Form object".
    comment = {"comment_action": "add", "value": "look", "mine": 1}
    update = {"status": "resolved", "comment": comment, "mine": {"any": "thing"}}
    asked = {"incident_id": "71", "update_data": update, "mine": 1}
    answer = await caller.post(UPDATE, {"request_data": asked, "mine": 1})
    assert (answer.status_code, answer.json()["reply"]) == (200, True)
    assert (await caller.incident())["status"] == "resolved"
    assert "mine" not in await caller.incident()


async def test_an_edit_moves_the_time_of_the_last_change(caller: Caller) -> None:
    # list, "modification_time": milliseconds.
    before = (await caller.incident())["modification_time"]
    await caller.update(status="resolved")
    after = (await caller.incident())["modification_time"]
    assert after > before
    assert abs(after / 1000 - time.time()) < 600


# --- answers that are no success ----------------------------------------------------------------


async def test_a_reply_may_be_false_with_warnings(caller: Caller) -> None:
    # update, "Successful response": {"reply": false, "warnings": ["example"]}.
    caller.server.set_fault("reply_false")
    answer = await caller.update(status="new")
    assert (answer.status_code, answer.json()["reply"]) == (200, False)
    assert all(isinstance(each, str) for each in answer.json()["warnings"])


# update, "Responses": reply with err_code, err_msg and err_extra.
SHAPES = [
    ("invalid_400", 400),
    ("licence_402", 402),
    ("forbidden_403", 403),
    ("error_500", 500),
]


@pytest.mark.parametrize(("fault", "status"), SHAPES)
async def test_each_error_is_a_reply_of_three_members(
    caller: Caller, fault: str, status: int
) -> None:
    caller.server.set_fault(fault)
    answer = await caller.update(status="new")
    reply = answer.json()["reply"]
    assert answer.status_code == status
    assert set(reply) == {"err_code", "err_msg", "err_extra"}
    # The document has "HTTP response code" as a string, what was recorded has a number.
    assert str(reply["err_code"]) == str(status)
    assert isinstance(reply["err_msg"], str)


async def test_an_unprocessable_entity_has_a_shape_of_its_own(caller: Caller) -> None:
    # update, "Unprocessable Entity": code, status, message, errors.
    caller.server.set_fault("unprocessable_422")
    answer = await caller.update(status="new")
    kinds = {name: type(value) for name, value in answer.json().items()}
    assert answer.status_code == 422
    assert kinds == {"code": int, "status": str, "message": str, "errors": dict}


# update, 400: "Got an invalid JSON"; "request_data" is an object.
@pytest.mark.parametrize("path", [UPDATE, LIST])
@pytest.mark.parametrize("body", ["{", "incident_id=71", "[]", '"x"', '{"request_data": []}'])
async def test_a_body_of_another_form_is_an_error_in_the_documents_shape(
    caller: Caller, path: str, body: str
) -> None:
    url, headers = caller.server.url + path, {**caller.standard, "Content-Type": "application/json"}
    answer = await caller.http.post(url, content=body, headers=headers)
    assert answer.status_code == 400
    assert set(answer.json()["reply"]) == {"err_code", "err_msg", "err_extra"}


# --- listing ------------------------------------------------------------------------------------


# list, "request_data": "An empty dictionary returns all results"; 0 and 100 are the defaults.
@pytest.mark.parametrize("asked", [{}, {"search_from": 0}, {"search_to": 100}, {"filters": []}])
async def test_nothing_asked_gives_the_first_hundred_of_all(
    caller: Caller, asked: dict[str, Any]
) -> None:
    found = await caller.page(**asked)
    assert (found["total_count"], found["result_count"], len(found["incidents"])) == (500, 100, 100)


async def test_pages_are_counted_from_zero_and_end_before_search_to(caller: Caller) -> None:
    # list, "search_from": "zero-based"; "search_to".
    whole = (await caller.page(search_from=0, search_to=6))["incidents"]
    halves = [await caller.page(search_from=at, search_to=at + 3) for at in (0, 3)]
    assert [each["result_count"] for each in halves] == [3, 3]
    assert [*halves[0]["incidents"], *halves[1]["incidents"]] == whole
    assert (await caller.page(search_from=500, search_to=600))["incidents"] == []


# list, notes: the largest result set is 100.
@pytest.mark.parametrize(("start", "end", "status"), [(0, 100, 200), (7, 107, 200), (0, 101, 400)])
async def test_more_than_a_hundred_at_once_are_refused(
    caller: Caller, start: int, end: int, status: int
) -> None:
    asked = {"search_from": start, "search_to": end}
    assert (await caller.post(LIST, {"request_data": asked})).status_code == status


async def test_the_count_stops_at_9999(caller: Caller) -> None:
    # SDK: the total is 9,999 at most, and pages go on behind it.
    caller.server.incidents = seed(10_003)
    found = await caller.page(search_from=10_000, search_to=10_100)
    assert (found["total_count"], found["result_count"]) == (9_999, 3)


TIME = 1_760_000_000_000 + 250 * 60_000  # when the middle one of the stand-in's was changed
Fits = Callable[[dict[str, Any]], bool]

# list, "filters": each field with each of its operators.
FILTERS: list[tuple[str, str, Any, Fits]] = [
    ("incident_id_list", "in", ["3", "71"], lambda each: each["incident_id"] in ("3", "71")),
    ("incident_id_list", "in", ["no such"], lambda _: False),
    ("status", "eq", "new", lambda each: each["status"] == "new"),
    ("status", "neq", "new", lambda each: each["status"] != "new"),
    ("modification_time", "gte", TIME, lambda each: each["modification_time"] >= TIME),
    ("modification_time", "lte", TIME, lambda each: each["modification_time"] <= TIME),
    ("creation_time", "gte", 0, lambda _: True),
    ("creation_time", "lte", 0, lambda _: False),
    ("description", "contains", "RDP", lambda each: "RDP" in each["description"]),
    ("description", "contains", "no such", lambda _: False),
    ("alert_sources", "in", ["ASM"], lambda each: "ASM" in each["incident_sources"]),
    ("alert_sources", "in", "ASM", lambda each: "ASM" in each["incident_sources"]),
    ("alert_sources", "in", ["XDR"], lambda _: False),
    ("cloud_management_status", "in", ["Not Applicable"], lambda _: True),
    ("cloud_management_status", "in", ["Managed Cloud"], lambda _: False),
    ("integration_source", "in", ["AWS", "AZURE", "GOOGLE", "PRISMA_CLOUD"], lambda _: False),
]


@pytest.mark.parametrize(("field", "operator", "value", "fits"), FILTERS)
async def test_a_filter_leaves_what_fits_and_nothing_else(
    caller: Caller, field: str, operator: str, value: Any, fits: Fits
) -> None:
    asked = {"field": field, "operator": operator, "value": value}
    everything = await caller.every()
    assert await caller.every(filters=[asked]) == [each for each in everything if fits(each)]


async def test_a_whole_description_is_found(caller: Caller) -> None:
    # list, "operator": in: … description.
    words = (await caller.incident())["description"]
    asked = {"field": "description", "operator": "in", "value": [words]}
    assert [each["incident_id"] for each in await caller.every(filters=[asked])] == ["71"]


async def test_filters_are_joined_by_and(caller: Caller) -> None:
    # list: "concatenated using AND condition (OR is not supported)".
    both = [
        {"field": "status", "operator": "eq", "value": "new"},
        {"field": "incident_id_list", "operator": "in", "value": ["71", "8"]},
    ]
    kept = {each["incident_id"] for each in await caller.every(filters=both[1:])}
    found = await caller.every(filters=both)
    assert kept == {"71", "8"}
    assert [each["incident_id"] for each in found] == ["71"]


# list, "field" and "operator": the allowed values, and which goes with which.
@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("colour", "eq", "red"),
        ("status", "like", "new"),
        ("status", "gte", "new"),
        ("incident_id_list", "eq", "71"),
        ("modification_time", "eq", TIME),
        ("modification_time", "gte", "last week"),
        ("creation_time", "contains", 0),
        ("description", "gte", "RDP"),
    ],
)
async def test_a_field_is_not_compared_in_another_way(
    caller: Caller, field: str, operator: str, value: Any
) -> None:
    asked = {"filters": [{"field": field, "operator": operator, "value": value}]}
    assert (await caller.post(LIST, {"request_data": asked})).status_code in REFUSED


# list, "sort", and its examples: "desc" here, "ASC" there.
@pytest.mark.parametrize("keyword", ["asc", "desc", "ASC", "DESC"])
@pytest.mark.parametrize("field", ["modification_time", "creation_time", "severity"])
async def test_a_list_is_sorted_as_asked(caller: Caller, field: str, keyword: str) -> None:
    for number in ("400", "3", "71"):
        await caller.update(number, status="resolved")
    found = [each[field] for each in await caller.every(sort={"field": field, "keyword": keyword})]
    assert found == sorted(found, reverse=keyword.lower() == "desc")


@pytest.mark.parametrize(
    "sort", [{"field": "colour", "keyword": "asc"}, {"field": "severity", "keyword": "up"}]
)
async def test_a_list_is_not_sorted_otherwise(caller: Caller, sort: dict[str, str]) -> None:
    assert (await caller.post(LIST, {"request_data": {"sort": sort}})).status_code in REFUSED


async def test_an_incident_is_told_in_the_guides_types(caller: Caller) -> None:
    # list, "Responses": ids are strings, times are numbers, what is not set is null.
    found = await caller.incident()
    assert isinstance(found["incident_id"], str)
    assert isinstance(found["creation_time"], int)
    assert isinstance(found["modification_time"], int)
    assert found["status"] in ("new", "under_investigation", "resolved")
    empty = ("assigned_user_mail", "assigned_user_pretty_name", "manual_severity")
    assert [found[name] for name in empty] == [None, None, None]
    assert "caseId=71" in found["xdr_url"]


# --- users --------------------------------------------------------------------------------------


# users: without a body, or with an older page's {"request_data": {}} and "{}".
@pytest.mark.parametrize("body", [None, {"request_data": {}}, {"request_data": "{}"}])
async def test_users_are_told_with_every_member(caller: Caller, body: Any) -> None:
    found = (await caller.post(USERS, body)).json()["reply"]
    kinds = {
        "user_email": str,
        "user_first_name": str,
        "user_last_name": str,
        "role_name": str,
        "last_logged_in": int,
        "user_type": str,
        "groups": list,
        "scope": list,
    }
    assert found
    assert all({name: type(value) for name, value in each.items()} == kinds for each in found)


async def test_every_user_may_be_assigned(caller: Caller) -> None:
    # update, notes: the address "belongs to a user that exists in the same … tenant".
    for user in (await caller.post(USERS)).json()["reply"]:
        answer = await caller.update(assigned_user_mail=user["user_email"])
        assert answer.json()["reply"] is True
