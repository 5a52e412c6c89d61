"""Policy Compliance at the Qualys stand-in: posture, exceptions, and the lists around them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import chain
from urllib.parse import urlencode

from deploy.sandbox.vendors.qualys_answers import document, echoed, simple, stamp
from deploy.sandbox.vendors.qualys_catalogue import (
    CONTROLS,
    DATABASES,
    POLICIES,
    SYSTEM_OF,
    TECHNOLOGIES,
    Exempt,
    Result,
)
from deploy.sandbox.vendors.qualys_edit import member
from deploy.sandbox.vendors.qualys_exception_list import (
    day,
    detail,
    numbers,
    page_size,
    shown,
    spans,
    tests,
    words,
)
from deploy.sandbox.vendors.qualys_selection import Refused, bad_value, flag, unknown
from deploy.sandbox.vendors.seed import (
    ANCHOR,
    BUSINESS_UNITS,
    MEMBERS,
    NETWORKS,
    SYSTEMS,
    Host,
    Member,
    in_group,
    seed_hosts,
)

ENDS_IN = (1, 2, 5, 7, 12, 20, 26, 30, 34, 45, 60, 75)  # days from today
REQUIRED = ("control_id", "host_id", "policy_id", "technology_id", "assignee_id", "comments")
KNOWN = frozenset(
    {"action", "echo_request", "instance_string", "reopen_on_evidence_change", *REQUIRED}
)
COMMENTS = frozenset({"action", "echo_request", "exception_numbers", "comments"})
UPDATES = COMMENTS | {"status", "end_date", "reassign_to", "reopen_on_evidence_change"}
DELETES = frozenset({"action", "echo_request", "exception_numbers"})
MAY_DECIDE = ("Manager", "Auditor", "Unit Manager")


class Compliance:
    """Some 900 results and 500 exceptions; the same each time."""

    def __init__(self) -> None:
        self.results = list(_results())
        self.exceptions: dict[int, Exempt] = {}
        self.requests: list[dict[str, str]] = []
        self.updates: list[dict[str, str]] = []
        _seed(self)

    def answer(
        self, path: str, params: Mapping[str, str], method: str, caller: Member, now: datetime
    ) -> tuple[int, str] | None:
        """Status and body; None for a path that is not of Policy Compliance."""
        action = params.get("action", "")
        self._expire(now.date())
        if re.fullmatch(r"/api/[23]\.0/fo/compliance/exception/", path):
            return self._exception(action, path, params, method, caller, now)
        make = {
            "/api/2.0/fo/compliance/posture/info/": self._posture,
            "/api/2.0/fo/compliance/policy/": self._policies,
            "/api/2.0/fo/compliance/control/": self._controls,
            "/api/5.0/fo/asset/host/": self._hosts,
        }.get(path)
        if make is None or action != "list":
            return None
        return 200, make(params, caller)

    # --- exceptions -------------------------------------------------------------------------------

    def end_soon(self, today: date) -> None:
        """Give the first approved ones ends that lie close ahead, in turn inside and outside of the
        network that scoped roles see; the others end as they were made to."""
        standing = [each for each in self.exceptions.values() if each.status == "Approved"]
        inside = [each for each in standing if each.result.host.ip in NETWORKS["New York"]]
        outside = [each for each in standing if each.result.host.ip not in NETWORKS["New York"]]
        for days, each in zip(ENDS_IN, chain(*zip(inside, outside, strict=False)), strict=False):
            ends = (today + timedelta(days=days)).isoformat()
            self.exceptions[each.number] = replace(each, expires=ends)

    def _exception(
        self,
        action: str,
        path: str,
        params: Mapping[str, str],
        method: str,
        caller: Member,
        now: datetime,
    ) -> tuple[int, str]:
        do: dict[str, Callable[[Mapping[str, str], Member, datetime], str]] = {
            "list": lambda params, caller, _: self._listed(path, params, caller),
            "request": self._request,
            "create": self._request,
            "update": self._update,
            "delete": self._delete,
        }
        _require(params, ("action",))
        if action not in do:
            raise bad_value("action", action)
        if method != "POST" and (action, method) != ("list", "GET"):
            words = "Request method is incompatible with specified parameter(s): action"
            raise Refused("1908", words)
        echo = flag("echo_request", params.get("echo_request", "0"))
        body = do[action](params, caller, now)
        return 200, echoed(body, path, params, caller.login, now) if echo else body

    def _expire(self, today: date) -> None:
        """What is approved is so until its end has passed."""
        for each in self.exceptions.values():
            if each.status == "Approved" and each.expires < today.isoformat():
                each.status = "Expired"

    def _request(self, params: Mapping[str, str], caller: Member, now: datetime) -> str:
        unknown(params, KNOWN)
        _require(params, REQUIRED)
        reopen = params.get("reopen_on_evidence_change", "0")
        flag("reopen_on_evidence_change", reopen)
        result = self._wanted(params, caller)
        _check_user("assignee_id", params["assignee_id"], [result.host])
        standing = ("Pending", "Approved")
        if any(e.result is result and e.status in standing for e in self.exceptions.values()):
            raise Refused("1920", "an exception for this control and host exists already")
        number = max(self.exceptions, default=0) + 1
        self.requests.append(dict(params))
        self.exceptions[number] = Exempt(
            number,
            result,
            params["assignee_id"],
            now,
            caller.login,
            reopen=reopen,
            expires=now.date().isoformat(),
            modified=now,
            modified_by=caller.login,
            history=[(now, caller.login, params["comments"])],
        )
        items = {"EXCEPTION_NUMBER": str(number)}
        return simple("", "Exception created successfully", items, now)

    def _wanted(self, params: Mapping[str, str], caller: Member) -> Result:
        names = ("policy_id", "control_id", "technology_id")
        place = tuple(params[name] for name in names)
        here = [
            each
            for each in self.results
            if (each.policy, each.control, each.technology) == place
            and str(each.host.id) == params["host_id"]
            and _reaches(caller, each.host)
        ]
        if not here:
            raise Refused("1905", "the policy does not evaluate this control on this host")
        asked = params.get("instance_string", "")
        asked = "" if asked == "os" else asked
        found = next((each for each in here if each.instance == asked), None)
        if found is None and not params.get("instance_string"):
            raise Refused("1903", "Missing required parameter(s): instance_string")
        if found is None:
            raise bad_value("instance_string", params["instance_string"])
        return found

    def _update(self, params: Mapping[str, str], caller: Member, now: datetime) -> str:
        # Who may only comment is not offered the other parameters.
        unknown(params, UPDATES if caller.role in MAY_DECIDE else COMMENTS)
        _require(params, ("exception_numbers", "comments"))
        found, missing = self._named(params, caller)
        _check_update(params, [each.result.host for each in found], now)
        self.updates.append(dict(params))
        for each in found:
            _change(each, params, caller, now)
        return _batches("Successfully Updated", [each.number for each in found], missing, now)

    def _delete(self, params: Mapping[str, str], caller: Member, now: datetime) -> str:
        if caller.role not in MAY_DECIDE:
            raise Refused("2012", "The account may not delete exceptions")
        unknown(params, DELETES)
        _require(params, ("exception_numbers",))
        found, missing = self._named(params, caller)
        for each in found:
            del self.exceptions[each.number]
        done = [each.number for each in found]
        return _batches("Exception(s) deleted successfully", done, missing, now)

    def _named(self, params: Mapping[str, str], caller: Member) -> tuple[list[Exempt], list[int]]:
        """The exceptions of `exception_numbers`, and the numbers that are none of the caller's."""
        named = list(dict.fromkeys(numbers(params["exception_numbers"])))
        known = {number: self.exceptions[number] for number in named if number in self.exceptions}
        found = [each for each in known.values() if _reaches(caller, each.result.host)]
        reached = {each.number for each in found}
        return found, [number for number in named if number not in reached]

    def _listed(self, path: str, params: Mapping[str, str], caller: Member) -> str:
        test, size, details = tests(params), page_size(params), detail(params)
        found = [
            each
            for number, each in sorted(self.exceptions.items())
            if _reaches(caller, each.result.host) and all(one(each) for one in test)
        ]
        page, rest = found[:size], found[size:]
        inside = "".join(shown(each, details) for each in page)
        if rest:
            query = {**params, "exception_number_min": str(rest[0].number)}
            url = f"@BASE@{path}?{urlencode(query)}"
            inside += (
                f"<WARNING><CODE>1980</CODE><TEXT>{size:,} record limit exceeded. "
                "Use URL to get next batch of results.</TEXT>"
                f"<URL><![CDATA[\n{url}\n]]></URL></WARNING>"
            )
        dtd = "api/2.0/fo/compliance/exception/exception_list_output"
        return document("EXCEPTION_LIST_OUTPUT", dtd, f"<RESPONSE>{inside}</RESPONSE>\n")

    def decide(self, number: int, status: str, by: str, now: datetime) -> None:
        """A change made by hand at the vendor's console."""
        found = self.exceptions[number]
        found.status, found.modified, found.modified_by = status, now, by

    # --- lists ------------------------------------------------------------------------------------

    def _posture(self, params: Mapping[str, str], caller: Member) -> str:
        if params.get("policy_id") not in POLICIES:
            raise Refused(
                "1905", f"parameter policy_id has invalid value: {params.get('policy_id')}"
            )
        controls = words(params.get("control_ids", ""))
        hosts = words(params.get("host_ids", ""))
        found = [
            each
            for each in self.results
            if each.policy == params["policy_id"]
            and _reaches(caller, each.host)
            and (not controls or each.control in controls)
            and (not hosts or str(each.host.id) in hosts)
            and params.get("status", each.status) == each.status
        ]
        standing = {id(each.result): each for each in self.exceptions.values()}
        infos = "".join(_info(each, standing.get(id(each))) for each in found)
        body = f"<RESPONSE><INFO_LIST>{infos}</INFO_LIST>{_glossary(found)}</RESPONSE>\n"
        dtd = "api/2.0/fo/compliance/posture/info/posture_info_list_output"
        return document("POSTURE_INFO_LIST_OUTPUT", dtd, body)

    def _policies(self, _params: Mapping[str, str], _caller: Member) -> str:
        listed = "".join(
            f"<POLICY><ID>{each}</ID><TITLE><![CDATA[{title}]]></TITLE></POLICY>"
            for each, title in POLICIES.items()
        )
        body = f"<RESPONSE><POLICY_LIST>{listed}</POLICY_LIST></RESPONSE>\n"
        return document(
            "POLICY_LIST_OUTPUT", "api/2.0/fo/compliance/policy/policy_list_output", body
        )

    def _controls(self, _params: Mapping[str, str], _caller: Member) -> str:
        listed = "".join(_control(each) for each in CONTROLS)
        body = f"<RESPONSE><CONTROL_LIST>{listed}</CONTROL_LIST></RESPONSE>\n"
        dtd = "api/2.0/fo/compliance/control/control_list_output"
        return document("CONTROL_LIST_OUTPUT", dtd, body)

    def _hosts(self, params: Mapping[str, str], caller: Member) -> str:
        ips, groups = words(params.get("ips", "")), words(params.get("ag_titles", ""))
        ids = spans("ids", params.get("ids", ""))
        unknown = [each for each in groups if each not in (*NETWORKS, *SYSTEMS, "All")]
        if unknown:
            raise Refused("1905", f"parameter ag_titles has invalid value: {unknown[0]}")
        hosts = {each.host.id: each.host for each in self.results}.values()
        found = [
            each
            for each in hosts
            if _reaches(caller, each)
            and (not ips or str(each.ip) in ips)
            and (not ids or any(each.id in span for span in ids))
            and (not groups or any(in_group(each, group) for group in groups))
        ]
        listed = "".join(_host(each) for each in found)
        body = f"<RESPONSE><HOST_LIST>{listed}</HOST_LIST></RESPONSE>\n"
        return document("HOST_LIST_OUTPUT", "api/5.0/fo/asset/host/host_list_output", body)


# --- rules ---------------------------------------------------------------------------------------


def _reaches(caller: Member, host: Host) -> bool:
    """Managers and Auditors: all; Unit Managers: their unit; others: their groups."""
    if caller.role in ("Manager", "Auditor"):
        return True
    groups = BUSINESS_UNITS.get(caller.business_unit, caller.groups)
    return any(in_group(host, group) for group in groups)


def _require(params: Mapping[str, str], names: Iterable[str]) -> None:
    missing = [name for name in names if not params.get(name)]
    if missing:
        raise Refused("1903", f"Missing required parameter(s): {', '.join(missing)}")


def _check_user(name: str, value: str, hosts: Iterable[Host]) -> None:
    """An exception is for a user who has access to the hosts it applies to."""
    found = next((each for each in MEMBERS if str(each.id) == value), None)
    if found is None or found.status != "Active" or found.role == "Contact":
        raise bad_value(name, value)
    if not all(_reaches(found, host) for host in hosts):
        raise bad_value(name, value)


def _check_update(params: Mapping[str, str], hosts: Iterable[Host], now: datetime) -> None:
    if params.get("status", "Pending") not in ("Pending", "Approved", "Rejected"):
        raise bad_value("status", params["status"])
    flag("reopen_on_evidence_change", params.get("reopen_on_evidence_change", "0"))
    if "reassign_to" in params:
        _check_user("reassign_to", params["reassign_to"], hosts)
    end = params.get("end_date", "0")
    if end != "0" and day("end_date", end) <= now.date():
        raise Refused("1905", f"parameter end_date has invalid value: {end} (not in the future)")


def _change(found: Exempt, params: Mapping[str, str], caller: Member, now: datetime) -> None:
    found.status = params.get("status", found.status)
    found.assignee = params.get("reassign_to", found.assignee)
    found.reopen = params.get("reopen_on_evidence_change", found.reopen)
    if "end_date" in params:
        end = params["end_date"]
        found.expires = "Never" if end == "0" else day("end_date", end).isoformat()
    found.modified, found.modified_by = now, caller.login
    found.history.append((now, caller.login, params["comments"]))


# --- XML -----------------------------------------------------------------------------------------


def _batches(words: str, done: list[int], missing: list[int], now: datetime) -> str:
    def batch(inside: str, numbers: list[int]) -> str:
        return f"<BATCH>{inside}<NUMBER_SET>{_number_set(numbers)}</NUMBER_SET></BATCH>"

    found = batch(f"<TEXT>{words}</TEXT>", done) if done else ""
    if missing:
        found += batch("<CODE>1905</CODE><TEXT>Exception does not exist</TEXT>", missing)
    body = (
        f"<RESPONSE><DATETIME>{stamp(now)}</DATETIME><BATCH_LIST>{found}</BATCH_LIST></RESPONSE>\n"
    )
    return document("BATCH_RETURN", "api/2.0/fo/compliance/exception/exception_batch_return", body)


def _number_set(numbers: list[int]) -> str:
    """Numbers that follow each other as one range, all others by themselves."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return "".join(
        f"<NUMBER>{span[0]}</NUMBER>"
        if len(span) == 1
        else f"<NUMBER_RANGE>{span[0]}-{span[-1]}</NUMBER_RANGE>"
        for span in spans
    )


def _host(host: Host) -> str:
    return f"<HOST><ID>{host.id}</ID><IP>{host.ip}</IP><DNS><![CDATA[{host.dns}]]></DNS></HOST>"


def _control(each: str) -> str:
    words = CONTROLS[each]
    return f"<CONTROL><ID>{each}</ID><STATEMENT><![CDATA[{words}]]></STATEMENT></CONTROL>"


def _technology(each: str) -> str:
    words = {**TECHNOLOGIES, **DATABASES}[each]
    return f"<TECHNOLOGY><ID>{each}</ID><NAME><![CDATA[{words}]]></NAME></TECHNOLOGY>"


def _info(each: Result, exempt: Exempt | None) -> str:
    instance = f"<INSTANCE><![CDATA[{each.instance}]]></INSTANCE>" if each.instance else ""
    stands = f"<EXCEPTION><STATUS>{exempt.status}</STATUS></EXCEPTION>" if exempt else ""
    return (
        f"<INFO><ID>{each.id}</ID><HOST_ID>{each.host.id}</HOST_ID>"
        f"<CONTROL_ID>{each.control}</CONTROL_ID><TECHNOLOGY_ID>{each.technology}</TECHNOLOGY_ID>"
        f"{instance}<STATUS>{each.status}</STATUS>{stands}</INFO>"
    )


def _glossary(found: list[Result]) -> str:
    hosts = "".join(_host(host) for host in {each.host.id: each.host for each in found}.values())
    controls = "".join(_control(each) for each in dict.fromkeys(e.control for e in found))
    kinds = "".join(_technology(each) for each in dict.fromkeys(e.technology for e in found))
    return (
        f"<GLOSSARY><HOST_LIST>{hosts}</HOST_LIST><CONTROL_LIST>{controls}</CONTROL_LIST>"
        f"<TECHNOLOGY_LIST>{kinds}</TECHNOLOGY_LIST></GLOSSARY>"
    )


# --- contents ------------------------------------------------------------------------------------


def _results() -> Iterable[Result]:
    chance = random.Random(20260210)  # noqa: S311 - equal contents each time
    hosts = seed_hosts()
    number = 9_000
    for host in hosts:
        for control in ("1113", "1045", "1071", "2343", "10404"):
            number += 1
            technology = SYSTEM_OF[host.system]
            status = "Failed" if chance.random() < 0.85 else "Passed"
            yield Result(number, "801459496", control, host, technology, "", status)
        if "db" in host.dns:
            number += 1
            instance = "MSSQL 2022:1:1433:MSSQLSERVER:master"
            yield Result(number, "1366063", "16832", host, "390", instance, "Failed")
    # The hosts of the document's two examples.
    first = Host(
        28595192824, NETWORKS["New York"][200], "nyc-app-200.northwind.example", "", "linux"
    )
    second = Host(3753479, NETWORKS["London"][201], "lon-db-201.northwind.example", "", "windows")
    yield Result(number + 1, "801459496", "1113", first, "45", "", "Failed")
    instance = "MSSQL 2022:1:1433:MSSQLSERVER:master"
    yield Result(number + 2, "1366063", "16832", second, "390", instance, "Failed")


def _seed(compliance: Compliance) -> None:
    chance = random.Random(20260211)  # noqa: S311 - equal contents each time
    failed = [each for each in compliance.results[:-2] if each.status == "Failed"]
    for number, result in enumerate(chance.sample(failed, min(500, len(failed) - 40)), 1):
        made = ANCHOR - timedelta(days=chance.randint(2, 900))
        by = chance.choice(("sito", "qualys_tb", "qualys_ac"))
        status = chance.choices(("Pending", "Approved", "Rejected", "Expired"), (10, 50, 20, 20))[0]
        ends = (made + timedelta(days=chance.choice((90, 180, 365)))).date().isoformat()
        if status in ("Approved", "Expired"):
            status = "Expired" if ends < ANCHOR.date().isoformat() else "Approved"
        owner = member(by)
        compliance.exceptions[number] = Exempt(
            number,
            result,
            str(owner.id) if owner else "500101",
            made,
            by,
            status,
            expires=made.date().isoformat() if status == "Pending" else ends,
            modified=made + timedelta(hours=5),
            modified_by="mlindqvist" if status != "Pending" else by,
            history=[(made, by, "Accepted until the migration")],
        )
