"""Clients that others wrote drive the stand-ins: what they cannot do there is the stand-in's fault.

They live in an environment of their own (`make witnesses`), because what they need does not go
together with what Amend needs.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from deploy.sandbox.vendors.qualys import QualysStandIn
from deploy.sandbox.vendors.xpanse import XpanseStandIn

HERE = Path(__file__).parent
HOME = HERE.parents[1] / ".venv" / "witnesses"
WITHIN = 300.0  # seconds; a busy machine takes its time to start a Python

pytestmark = pytest.mark.skipif(
    not (HOME / ".installed").exists(), reason="the witnesses are not installed: make witnesses"
)


async def told(program: str, *words: str, **environment: str) -> Any:
    """What a witness read, by its own account."""
    made = await asyncio.create_subprocess_exec(
        HOME / "bin" / program,
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    async with asyncio.timeout(WITHIN):
        said, errors = await made.communicate()
    assert made.returncode == 0, errors.decode()[-2000:]
    return json.loads(said)


@pytest.mark.parametrize("kind", ["standard", "advanced"])
async def test_palo_altos_own_sdk_reads_and_edits_incidents(kind: str) -> None:
    async with XpanseStandIn(kind=kind) as server:
        seen = await told(
            "python",
            str(HERE / "drive_xpanse.py"),
            server.url,
            server.api_key_id,
            server.api_key,
            kind,
        )
        assert len(seen["every"]) == len(set(seen["every"])) == seen["counted"] == 500
        assert seen["some"] == ["71", "72"]
        assert seen["newest"] == sorted(seen["newest"], reverse=True)
        assert seen["resolved"] == ["resolved"]
        assert seen["updated"] == [200, {"reply": True}]
        status, body = seen["refused"]
        assert status == 400
        assert body["reply"]["err_code"] == 400
        incident = server.incidents["71"]
        assert (incident.status, incident.severity) == ("under_investigation", "high")
        assert incident.comments == ["by the SDK"]


async def test_another_qualys_client_lists_edits_and_excepts() -> None:
    async with QualysStandIn() as server:
        seen = await told(
            "python", str(HERE / "drive_qualys.py"), server.url, server.username, server.password
        )
        ticket = seen["listed"]["REMEDIATION_TICKETS"]["TICKET_LIST"]["TICKET"]
        assert (ticket["NUMBER"], ticket["CURRENT_STATE"]) == ("23456", "OPEN")
        assert ticket["DETECTION"]["HOST_ID"].isdecimal()
        opened = seen["of_state"]["REMEDIATION_TICKETS"]["TICKET_LIST"]["TICKET"]
        assert {each["CURRENT_STATE"] for each in opened} == {"OPEN"}
        of_host = seen["of_host"]["REMEDIATION_TICKETS"]["TICKET_LIST"]["TICKET"]
        assert {each["DETECTION"]["IP"] for each in of_host} == {"10.10.10.120"}
        changes = seen["edited"]["TICKET_EDIT_OUTPUT"]["CHANGES"]
        assert changes["@count"] == "4"
        assert changes["TICKET_NUMBER_LIST"]["TICKET_NUMBER"] == [
            "23456",
            "23460",
            "23461",
            "23462",
        ]
        assert server.tickets[23456].history[-1].comment == "by another client"
        assert seen["without_selection"]["TICKET_EDIT_OUTPUT"]["ERROR"]["@number"].isdecimal()
        skipped = seen["forbidden"]["TICKET_EDIT_OUTPUT"]["SKIPPED"]["TICKET"]
        assert skipped["NUMBER"] == "23456"
        made = seen["requested"]["SIMPLE_RETURN"]["RESPONSE"]
        assert made["TEXT"] == "Exception created successfully"
        assert seen["without_instance"]["status_code"] == 400
        pending = seen["pending"]["EXCEPTION_LIST_OUTPUT"]["RESPONSE"]["EXCEPTION"]
        assert {each["STATUS"] for each in pending} == {"Pending"}
        assert "HISTORY_LIST" in pending[0]
        decided = seen["decided"]["EXCEPTION_LIST_OUTPUT"]["RESPONSE"]["EXCEPTION"]
        assert (decided["STATUS"], decided["EXPIRATION_DATE"]) == ("Approved", "2026-12-31")
        assert "HISTORY_LIST" not in decided, "details=All asks for it"


async def test_a_command_line_that_others_wrote_lists_exceptions(tmp_path: Path) -> None:
    async with QualysStandIn() as server:
        account = {
            "QUALYS_URL": server.url,
            "QUALYS_USERNAME": server.username,
            "QUALYS_PASSWORD": server.password,
            "HOME": str(tmp_path),
        }
        words = ("pc", "exception", "list", "--status", "approved", "--format", "json")
        seen = await told("qualys-cli", *words, **account)
        found = seen["EXCEPTION_LIST_OUTPUT"]["RESPONSE"]["EXCEPTION"]
        assert {each["STATUS"] for each in found} == {"Approved"}
