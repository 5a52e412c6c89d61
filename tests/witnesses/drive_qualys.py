"""`qualys-mcp-full` at the Qualys stand-in: `URL USER PASSWORD`; what it read, as JSON.

Runs in the witnesses' environment, and sees nothing of this repository.
"""

import json
import sys
from typing import Any

from qualys_mcp.client import QualysClient
from qualys_mcp.config import QualysConfig
from qualys_mcp.modules.pc_exceptions import PcExceptionsModule
from qualys_mcp.modules.remediation_tickets import RemediationTicketsModule

url, user, password = sys.argv[1:]
client = QualysClient(QualysConfig(username=user, password=password, api_url=url, max_retries=0))
tickets, exceptions = RemediationTicketsModule(client), PcExceptionsModule(client)


def told(answer: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(answer, default=str))


steps = {
    "listed": tickets.view_ticket_list(ticket_numbers="23456", show_host_id=True),
    "of_state": tickets.view_ticket_list(states="OPEN", since_ticket_number=1),
    "of_host": tickets.view_ticket_list(ips="10.10.10.120"),
    "edited": tickets.edit_tickets(
        ticket_numbers="23456,23460-23462", change_state="IGNORED", reopen_ignored_days=7
    ),
    "commented": tickets.edit_tickets(ticket_numbers="23456", add_comment="by another client"),
    "without_selection": tickets.edit_tickets(add_comment="nothing selected"),
    "forbidden": tickets.edit_tickets(ticket_numbers="23456", change_state="RESOLVED"),
    "requested": exceptions.request_pc_exception(
        control_id=1113,
        host_id=28595192824,
        policy_id=801459496,
        technology_id=45,
        assignee_id=2449482824,
        comments="by another client",
        reopen_on_evidence_change=True,
    ),
    "without_instance": exceptions.request_pc_exception(
        control_id=16832,
        host_id=3753479,
        policy_id=1366063,
        technology_id=390,
        assignee_id=996765,
        comments="this control needs an instance",
    ),
    "pending": exceptions.list_pc_exceptions(status="pending", details="All"),
}
number = steps["requested"]["SIMPLE_RETURN"]["RESPONSE"]["ITEM_LIST"]["ITEM"]["VALUE"]
steps["approved"] = exceptions.update_pc_exception(
    exception_numbers=number, comments="agreed", status="Approved", end_date="12/31/2026"
)
steps["decided"] = exceptions.list_pc_exceptions(exception_number=number)
json.dump({name: told(each) for name, each in steps.items()}, sys.stdout)
