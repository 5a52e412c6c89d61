"""What Policy Compliance at the stand-in is about: policies, controls, results, exceptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from deploy.sandbox.vendors.seed import ANCHOR, Host

DAY = "%m/%d/%Y"
TECHNOLOGIES = {
    "45": "Red Hat Enterprise Linux 7",
    "41": "Windows Server 2019",
    "68": "Cisco IOS 15",
}
DATABASES = {"390": "Microsoft SQL Server 2022"}
SYSTEM_OF = {"linux": "45", "windows": "41", "device": "68"}
POLICIES = {
    "801459496": "CIS Benchmark, servers",
    "1366063": "Database hardening",
    "801459500": "Acme password standard",
}
CONTROLS = {
    "1113": "Status of the 'PermitRootLogin' setting for SSH",
    "1045": "Status of the minimum password length",
    "1071": "Status of the 'auditd' service",
    "2343": "Status of the 'Telnet' service",
    "10404": "Status of the SMBv1 protocol",
    "16832": "Status of the 'guest' user in each database",
}


@dataclass
class Result:
    """One control on one host."""

    id: int
    policy: str
    control: str
    host: Host
    technology: str
    instance: str
    status: str


@dataclass
class Exempt:
    """An exception; `history` has the oldest remark first."""

    number: int
    result: Result
    assignee: str
    created: datetime
    created_by: str
    status: str = "Pending"
    reopen: str = "0"
    expires: str = ""
    modified: datetime = ANCHOR
    modified_by: str = ""
    history: list[tuple[datetime, str, str]] = field(default_factory=list)
