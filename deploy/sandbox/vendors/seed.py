"""The believable, always equal contents of the Qualys stand-in: users, hosts and tickets."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

ANCHOR = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
FIRST_CREATED = datetime(2015, 3, 2, 7, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Host:
    """A scanned host; `system` is linux, windows or device."""

    id: int
    ip: IPv4Address
    dns: str
    netbios: str
    system: str


@dataclass(frozen=True)
class Vulnerability:
    """An entry of the KnowledgeBase; `kind` is VULN or POTENTIAL."""

    qid: int
    title: str
    severity: int
    kind: str = "VULN"
    system: str = "any"
    vendor_ref: str = ""


@dataclass(frozen=True)
class Member:
    """A user of the subscription."""

    login: str
    id: int
    first: str
    last: str
    role: str
    status: str = "Active"
    business_unit: str = "Unassigned"
    groups: tuple[str, ...] = ()

    @property
    def email(self) -> str:
        """The address under which Slack knows the same person."""
        return f"{self.first}.{self.last}@northwind.example".lower().replace(" ", ".")


@dataclass(frozen=True)
class Entry:
    """One entry of a ticket's history."""

    at: datetime
    actor: str
    old: str = ""
    new: str = ""
    comment: str = ""
    assignee: str = ""


@dataclass
class StandInTicket:
    """A ticket; `condition` is one of `CONDITIONS`, `history` has the oldest entry first."""

    number: int
    host: Host
    vulnerability: Vulnerability
    created: datetime
    due: datetime
    condition: str
    assignee: str
    invalid: bool = False
    reopen_on: datetime | None = None
    history: list[Entry] = field(default_factory=list)

    @property
    def modified(self) -> datetime:
        return self.history[-1].at if self.history else self.created


NETWORKS = {
    "New York": IPv4Network("10.10.10.0/24"),
    "London": IPv4Network("10.20.4.0/24"),
    "Berlin": IPv4Network("10.30.8.0/24"),
    "DMZ": IPv4Network("192.0.2.0/24"),
}
SYSTEMS = {"Linux servers": "linux", "Windows servers": "windows", "Network devices": "device"}
ASSET_GROUPS = ("All", *NETWORKS, *SYSTEMS)
# The asset groups that a business unit is made of.
BUSINESS_UNITS = {"EMEA": ("London", "Berlin")}

MEMBERS = (
    Member("amend_api", 500100, "Amend", "Service account", "Manager"),
    Member("mlindqvist", 500101, "Mara", "Lindqvist", "Manager"),
    Member("uhaddad", 500102, "Umar", "Haddad", "Unit Manager", "Active", "EMEA", ("London",)),
    Member("sito", 500103, "Sami", "Ito", "Scanner", groups=("London", "Linux servers")),
    Member("oreyes", 500104, "Onca", "Reyes", "Manager"),
    Member("qualys_tb", 500105, "Tilda", "Brandt", "Scanner", groups=("New York", "London")),
    Member("qualys_ac", 500106, "Amir", "Castellan", "Scanner", groups=("All",)),
    Member("acme_ac", 500107, "Alma", "Cordero", "Reader", groups=("All",)),
    Member("acme_contact", 500108, "Nils", "Okafor", "Contact", groups=("London",)),
    Member("tb_owner", 2449482824, "Tove", "Berg", "Scanner", groups=("All",)),
    Member("ms_owner", 996765, "Mika", "Salo", "Scanner", groups=("All",)),
    Member("kaudit", 500110, "Kai", "Audit", "Auditor"),
    Member("acme_gone", 500109, "Petra", "Vance", "Scanner", "Inactive", groups=("All",)),
)
OWNERS = ("mlindqvist", "uhaddad", "sito", "oreyes", "qualys_tb", "qualys_ac", "acme_ac")

KNOWLEDGE = (
    Vulnerability(38739, "Deprecated SSH Cryptographic Settings", 3, "VULN", "linux"),
    Vulnerability(38909, "SHA1 deprecated setting for SSH", 2, "VULN", "linux"),
    Vulnerability(42366, "SSLv3.0/TLSv1.0 Protocol Weak CBC Mode Vulnerability (BEAST)", 3),
    Vulnerability(38628, "Secure Sockets Layer/Transport Layer Security 1.0 in use", 3),
    Vulnerability(38794, "Transport Layer Security 1.1 in use", 3),
    Vulnerability(38173, "SSL Certificate - Signature Verification Failed", 2),
    Vulnerability(38170, "SSL Certificate - Subject Common Name Does Not Match Server FQDN", 2),
    Vulnerability(38657, "Birthday attacks against TLS ciphers with 64-bit blocks (Sweet32)", 3),
    Vulnerability(376157, "Apache Log4j Remote Code Execution (Log4Shell)", 5, "VULN", "linux"),
    Vulnerability(376187, "Apache Log4j Denial of Service, version 2.16", 4, "POTENTIAL", "linux"),
    Vulnerability(91345, "SMB Server Remote Code Execution (MS17-010)", 5, "VULN", "windows"),
    Vulnerability(91541, "Remote Desktop Services Remote Code Execution", 5, "VULN", "windows"),
    Vulnerability(90043, "SMB Signing Disabled or SMB Signing Not Required", 3, "VULN", "windows"),
    Vulnerability(91785, "Windows Print Spooler Remote Code Execution", 5, "VULN", "windows"),
    Vulnerability(105459, "End-of-support Microsoft Windows Server", 5, "VULN", "windows"),
    Vulnerability(105943, "End-of-support Red Hat Enterprise Linux", 5, "POTENTIAL", "linux"),
    Vulnerability(178396, "OpenSSL Security Update", 4, "VULN", "linux", "DSA-4855"),
    Vulnerability(239124, "Red Hat Update for kernel", 4, "VULN", "linux", "RHSA-2021:0856"),
    Vulnerability(198310, "Ubuntu Security Notification for sudo", 4, "VULN", "linux", "USN-4705"),
    Vulnerability(197905, "Ubuntu Security Notification for curl", 3, "VULN", "linux", "USN-4402"),
    Vulnerability(87413, "Apache HTTP Server Multiple Vulnerabilities", 4),
    Vulnerability(86473, "Web Server HTTP TRACE/TRACK Method Enabled", 2),
    Vulnerability(11827, "HTTP Security Header Not Detected", 2),
    Vulnerability(70004, "NetBIOS Name Conflict", 1, "POTENTIAL", "windows"),
    Vulnerability(82054, "TCP Sequence Number Approximation Based Denial of Service", 3),
    Vulnerability(78031, "Writeable SNMP Information", 5, "VULN", "device"),
    Vulnerability(43577, "Network Device Management Interface Exposed", 4, "VULN", "device"),
    Vulnerability(38304, "SSH Protocol Version 1 Supported", 4, "VULN", "device"),
)

ROLES = (
    ("web", "linux"),
    ("app", "linux"),
    ("file", "windows"),
    ("db", "linux"),
    ("dc", "windows"),
    ("rdp", "windows"),
    ("sw", "device"),
)
SITES = {"New York": "nyc", "London": "lon", "Berlin": "ber", "DMZ": "dmz"}
CONDITIONS = ("OPEN", "REOPENED", "RESOLVED", "FIXED", "IGNORED")
WEIGHTS = (46, 9, 15, 16, 14)
# The second run of numbers begins where the document's example (00215555) finds something.
NUMBERS = (*range(23_000, 24_600), *range(215_400, 215_800))


def seed_tickets() -> dict[int, StandInTicket]:
    """About 2,000 tickets by number, the same each time; the lowest are the oldest."""
    # A seeded generator is wanted here: equal contents each time, and nothing secret.
    chance = random.Random(20260105)  # noqa: S311 - equal contents each time
    hosts = seed_hosts()
    tickets = {
        number: _ticket(chance, number, index, hosts) for index, number in enumerate(NUMBERS)
    }
    _place_the_examples(tickets, hosts)
    return tickets


def in_group(host: Host, group: str) -> bool:
    """Whether a host belongs to an asset group."""
    if group in NETWORKS:
        return host.ip in NETWORKS[group]
    return group == "All" or host.system == SYSTEMS.get(group)


def details(found: Vulnerability) -> str:
    """Threat, impact and solution, as far as a search in them needs it."""
    threat = "A remote attacker may run code." if found.severity >= 4 else "Data may be disclosed."
    return f"{found.title}. {threat} Update or reconfigure the host."


def seed_hosts() -> list[Host]:
    """The company's scanned hosts, the same each time."""
    hosts: list[Host] = []
    for site, network in NETWORKS.items():
        for offset in range(36):
            role, system = ROLES[offset % len(ROLES)]
            name = f"{SITES[site]}-{role}-{offset:02d}"
            netbios = name.upper() if system == "windows" else ""
            ip = network[110 + offset]
            hosts.append(
                Host(700_000 + len(hosts), ip, f"{name}.northwind.example", netbios, system)
            )
    return hosts


def _ticket(chance: random.Random, number: int, index: int, hosts: list[Host]) -> StandInTicket:
    host = chance.choice(hosts)
    found = chance.choice([each for each in KNOWLEDGE if each.system in ("any", host.system)])
    created = FIRST_CREATED + (ANCHOR - FIRST_CREATED) * (index / len(NUMBERS))
    created = created.replace(microsecond=0)
    ticket = StandInTicket(
        number=number,
        host=host,
        vulnerability=found,
        created=created,
        due=created + timedelta(days=chance.choice((7, 30, 90, 365))),
        condition=chance.choices(CONDITIONS, WEIGHTS)[0],
        assignee=chance.choice(OWNERS),
        invalid=chance.random() < 0.06,
        history=[Entry(created, "Policy rule", new="OPEN")],
    )
    _live(chance, ticket)
    return ticket


def _live(chance: random.Random, ticket: StandInTicket) -> None:
    """What happened to a ticket since: a change of state, for some a fresh due date."""
    age = max(ANCHOR - ticket.created, timedelta(days=1))
    at = (ticket.created + age * (chance.random() ** 3)).replace(microsecond=0)
    if ticket.condition != "OPEN":
        actor = "Scanner" if ticket.condition in ("FIXED", "REOPENED") else ticket.assignee
        ticket.history.append(Entry(at, actor, old="OPEN", new=ticket.condition))
    if ticket.condition in ("OPEN", "REOPENED") and chance.random() < 0.5:
        ticket.due = ANCHOR + timedelta(days=chance.randint(10, 400))
    if ticket.condition == "IGNORED" and chance.random() < 0.5:
        ticket.reopen_on = ANCHOR + timedelta(days=chance.randint(1, 365))


def _place_the_examples(tickets: dict[int, StandInTicket], hosts: list[Host]) -> None:
    """Make every example of the document find something."""
    host = next(each for each in hosts if str(each.ip) == "10.10.10.120")
    ssh = next(each for each in KNOWLEDGE if each.qid == 38739)
    ticket = tickets[23456]
    ticket.host, ticket.vulnerability, ticket.condition = host, ssh, "OPEN"
    ticket.assignee, ticket.invalid = "qualys_tb", False
    ticket.due, ticket.history = ANCHOR + timedelta(days=45), ticket.history[:1]
    beside = tickets[23457]
    beside.host, beside.condition = host, "IGNORED"
    beside.vulnerability = next(each for each in KNOWLEDGE if each.qid == 38909)
    moved = Entry(beside.created + timedelta(days=9), beside.assignee, "OPEN", "IGNORED")
    beside.history = [*beside.history[:1], moved]
