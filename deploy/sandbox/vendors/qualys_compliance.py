"""Policy Compliance at the Qualys stand-in: posture, exceptions, and the lists around them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import chain
from urllib.parse import urlencode

from deploy.sandbox.vendors.qualys_answers import document, simple, stamp
from deploy.sandbox.vendors.qualys_catalogue import (
    CONTROLS,
    DATABASES,
    DAY,
    POLICIES,
    SYSTEM_OF,
    TECHNOLOGIES,
    Exempt,
    Result,
)
from deploy.sandbox.vendors.qualys_edit import member
from deploy.sandbox.vendors.qualys_exception_list import numbers, only, shown, tests, words
from deploy.sandbox.vendors.qualys_selection import Refused
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

PAGE = 1_000
ENDS_IN = (1, 2, 5, 7, 12, 20, 26, 30, 34, 45, 60, 75)  # days from today
REQUIRED = ("control_id", "host_id", "policy_id", "technology_id", "assignee_id", "comments")
KNOWN = frozenset(
    {"action", "echo_request", "instance_string", "reopen_on_evidence_change", *REQUIRED}
)
UPDATES = frozenset(
    {
        "action",
        "exception_numbers",
        "comments",
        "status",
        "end_date",
        "reassign_to",
        "reopen_on_evidence_change",
    }
)


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
        if action == "list":
            return 200, self._listed(path, params, caller)
        do: dict[str, Callable[[Mapping[str, str], Member, datetime], str]] = {
            "request": self._request,
            "create": self._request,
            "update": self._update,
        }
        if action not in do:
            raise Refused("1905", f"parameter action has invalid value: {action}")
        if method != "POST":
            raise Refused("1908", "this action takes POST")
        return 200, do[action](params, caller, now)

    def _request(self, params: Mapping[str, str], caller: Member, now: datetime) -> str:
        only(params, KNOWN)
        for name in REQUIRED:
            if not params.get(name):
                raise Refused("1903", f"missing required parameter: {name}")
        result = self._wanted(params, caller)
        _known_user(params["assignee_id"], "assignee_id")
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
            reopen=params.get("reopen_on_evidence_change", "0"),
            expires=now.date().isoformat(),
            modified=now,
            modified_by=caller.login,
            history=[(now, caller.login, params["comments"])],
        )
        return _simple("Exception created successfully", {"EXCEPTION_NUMBER": str(number)}, now)

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
        if found is None:
            raise Refused("1903", "missing required parameter: instance_string")
        return found

    def _update(self, params: Mapping[str, str], caller: Member, now: datetime) -> str:
        only(params, UPDATES)
        for name in ("exception_numbers", "comments"):
            if not params.get(name):
                raise Refused("1903", f"missing required parameter: {name}")
        if caller.role not in ("Manager", "Auditor", "Unit Manager"):
            raise Refused("2012", "the account may only comment on exceptions")
        _check_update(params, now)
        self.updates.append(dict(params))
        done, missing = [], []
        for number in numbers(params["exception_numbers"]):
            found = self.exceptions.get(number)
            if found is None or not _reaches(caller, found.result.host):
                missing.append(number)
                continue
            _change(found, params, caller, now)
            done.append(number)
        return _batches(done, missing, now)

    def _listed(self, path: str, params: Mapping[str, str], caller: Member) -> str:
        test = tests(params)
        found = [
            each
            for number, each in sorted(self.exceptions.items())
            if _reaches(caller, each.result.host) and all(one(each) for one in test)
        ]
        size = int(params.get("truncation_limit", PAGE))
        page, rest = found[:size], found[size:]
        details = params.get("details", "Basic").casefold()
        inside = "".join(shown(each, details) for each in page)
        if rest:
            query = {**params, "exception_number_min": str(rest[0].number)}
            url = f"@BASE@{path}?{urlencode(query)}"
            inside += (
                "<WARNING><CODE>1980</CODE><TEXT>1,000 record limit exceeded</TEXT>"
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
        ids = words(params.get("ids", ""))
        unknown = [each for each in groups if each not in (*NETWORKS, *SYSTEMS, "All")]
        if unknown:
            raise Refused("1905", f"parameter ag_titles has invalid value: {unknown[0]}")
        hosts = {each.host.id: each.host for each in self.results}.values()
        found = [
            each
            for each in hosts
            if _reaches(caller, each)
            and (not ips or str(each.ip) in ips)
            and (not ids or str(each.id) in ids)
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


def _known_user(value: str, name: str) -> None:
    found = next((each for each in MEMBERS if str(each.id) == value), None)
    if found is None or found.status != "Active" or found.role == "Contact":
        raise Refused("1905", f"parameter {name} has invalid value: {value}")


def _check_update(params: Mapping[str, str], now: datetime) -> None:
    if params.get("status", "Pending") not in ("Pending", "Approved", "Rejected"):
        raise Refused("1905", f"parameter status has invalid value: {params['status']}")
    if "reassign_to" in params:
        _known_user(params["reassign_to"], "reassign_to")
    end = params.get("end_date", "0")
    if end == "0":
        return
    try:
        day = datetime.strptime(end, DAY).replace(tzinfo=now.tzinfo)
    except ValueError:
        raise Refused("1905", f"parameter end_date has invalid value: {end}") from None
    if day <= now:
        raise Refused("1905", f"parameter end_date has invalid value: {end} (not in the future)")


def _change(found: Exempt, params: Mapping[str, str], caller: Member, now: datetime) -> None:
    found.status = params.get("status", found.status)
    found.assignee = params.get("reassign_to", found.assignee)
    found.reopen = params.get("reopen_on_evidence_change", found.reopen)
    if "end_date" in params:
        end = params["end_date"]
        day = datetime.strptime(end, DAY).date().isoformat() if end != "0" else "Never"  # noqa: DTZ007 - a day
        found.expires = day
    found.modified, found.modified_by = now, caller.login
    found.history.append((now, caller.login, params["comments"]))


# --- XML -----------------------------------------------------------------------------------------


def _simple(words: str, items: Mapping[str, str], now: datetime) -> str:
    return simple("", words, items, now).replace("    <CODE></CODE>\n", "")


def _batches(done: list[int], missing: list[int], now: datetime) -> str:
    def batch(inside: str, numbers: list[int]) -> str:
        listed = "".join(f"<NUMBER>{each}</NUMBER>" for each in numbers)
        return f"<BATCH>{inside}<NUMBER_SET>{listed}</NUMBER_SET></BATCH>"

    found = batch("<TEXT>Successfully Updated</TEXT>", done) if done else ""
    if missing:
        found += batch("<CODE>1905</CODE><TEXT>Exception does not exist</TEXT>", missing)
    body = (
        f"<RESPONSE><DATETIME>{stamp(now)}</DATETIME><BATCH_LIST>{found}</BATCH_LIST></RESPONSE>\n"
    )
    return document("BATCH_RETURN", "api/2.0/fo/compliance/exception/exception_batch_return", body)


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
