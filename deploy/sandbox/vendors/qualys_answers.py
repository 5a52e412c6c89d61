"""The answers of the Qualys stand-in as XML, in the shapes that the vendor's guides show."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

from deploy.sandbox.vendors.seed import (
    ASSET_GROUPS,
    MEMBERS,
    Entry,
    Member,
    StandInTicket,
    Vulnerability,
    details,
)

PAGE = 1_000

BILLION_LAUGHS = (
    '<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE REMEDIATION_TICKETS [\n'
    '<!ENTITY passwd SYSTEM "file:///etc/passwd">\n<!ENTITY lol0 "lol">\n'
    + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10}">\n' for n in range(1, 10))
    + "]>\n<REMEDIATION_TICKETS><HEADER><COMPANY>&lol9;&passwd;</COMPANY></HEADER>"
    "</REMEDIATION_TICKETS>"
)
HTML = "<!DOCTYPE html><html><head><title>Scheduled maintenance</title></head><body>Back soon.<br>"

# CURRENT_STATE and CURRENT_STATUS of each condition; a plain Open ticket has no status.
STATES = {
    "OPEN": ("OPEN", ""),
    "REOPENED": ("OPEN", "REOPENED"),
    "RESOLVED": ("RESOLVED", ""),
    "FIXED": ("CLOSED", "FIXED"),
    "IGNORED": ("CLOSED", "IGNORED"),
}


def stamp(at: datetime) -> str:
    """A time as Qualys writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def document(root: str, dtd: str, inside: str) -> str:
    """A whole answer with its DOCTYPE, as all of them have."""
    system = f"https://qualysapi.example/{dtd}.dtd"
    return (
        f'<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE {root} SYSTEM "{system}">\n'
        f"<{root}>\n{inside}</{root}>\n<!-- CONFIDENTIAL AND PROPRIETARY INFORMATION. -->\n"
    )


def error(root: str, dtd: str, code: str, words: str) -> str:
    """An error in the normal root of a call."""
    return document(root, dtd, f'  <ERROR number="{code}">{escape(words)}</ERROR>\n')


def generic(path: str, code: str, words: str, now: datetime) -> str:
    """A failure at the level of the login."""
    api = f'  <API name="{path.rpartition("/")[2]}" username="" at="{stamp(now)}" />\n'
    failed = f'  <RETURN status="FAILED" number="{code}">{escape(words)}</RETURN>\n'
    return document("GENERIC_RETURN", "generic_return", api + failed)


def simple(code: str, words: str, items: Mapping[str, str], now: datetime) -> str:
    """What the second generation of calls answers: an error with its code, without one a success."""
    pairs = "".join(
        f"<ITEM><KEY>{key}</KEY><VALUE>{value}</VALUE></ITEM>" for key, value in items.items()
    )
    listed = f"    <ITEM_LIST>{pairs}</ITEM_LIST>\n" if pairs else ""
    coded = f"    <CODE>{code}</CODE>\n" if code else ""
    inside = (
        f"  <RESPONSE>\n    <DATETIME>{stamp(now)}</DATETIME>\n{coded}"
        f"    <TEXT>{escape(words)}</TEXT>\n{listed}  </RESPONSE>\n"
    )
    return document("SIMPLE_RETURN", "api/2.0/simple_return", inside)


def echoed(body: str, path: str, params: Mapping[str, str], caller: str, now: datetime) -> str:
    """An answer with the request in front, as `echo_request=1` asks for it."""
    given = "".join(
        f"<PARAM><KEY>{escape(name)}</KEY><VALUE>{escape(value)}</VALUE></PARAM>"
        for name, value in params.items()
    )
    request = (
        f"  <REQUEST><DATETIME>{stamp(now)}</DATETIME><USER_LOGIN>{escape(caller)}</USER_LOGIN>"
        f"<RESOURCE>@BASE@{path}</RESOURCE><PARAM_LIST>{given}</PARAM_LIST></REQUEST>\n"
    )
    before, response, after = body.partition("<RESPONSE>")
    return before + request + response + after


def ticket_list(
    tickets: Sequence[StandInTicket],
    where: Mapping[str, str],
    caller: str,
    now: datetime,
    shown: Container[str] = (),
) -> str:
    """A page of tickets, by number; cut after 1,000. `shown` are the options that were asked for."""
    page = tickets[:PAGE]
    listed = "".join(_ticket(each, shown) for each in page)
    inside = _header(where, caller, now)
    inside += f"  <TICKET_LIST>\n{listed}  </TICKET_LIST>\n" if page else ""
    if len(tickets) > PAGE:
        words = f"Truncated after {PAGE} records"
        inside += f'  <TRUNCATION last="{page[-1].number}">{words}</TRUNCATION>\n'
    return document("REMEDIATION_TICKETS", "ticket_list_output", inside)


def edit_output(
    changed: Sequence[int],
    skipped: Mapping[int, str],
    where: Mapping[str, str],
    caller: str,
    now: datetime,
) -> str:
    """What an edit did: the numbers changed, and those skipped with the reason."""
    inside = _header(where, caller, now)
    if changed:
        numbers = "".join(f"<TICKET_NUMBER>{each}</TICKET_NUMBER>" for each in changed)
        listed = f"<TICKET_NUMBER_LIST>{numbers}</TICKET_NUMBER_LIST>"
        inside += f'  <CHANGES count="{len(changed)}">{listed}</CHANGES>\n'
    else:
        inside += '  <CHANGES count="0" />\n'
    if skipped:
        listed = "".join(
            f"<TICKET><NUMBER>{number}</NUMBER><REASON>{escape(reason)}</REASON></TICKET>"
            for number, reason in skipped.items()
        )
        inside += f'  <SKIPPED count="{len(skipped)}">{listed}</SKIPPED>\n'
    return document("TICKET_EDIT_OUTPUT", "ticket_edit_output", inside)


def user_list() -> str:
    """All users."""
    inside = "".join(_user(each) for each in MEMBERS)
    return document(
        "USER_LIST_OUTPUT", "user_list_output", f"  <USER_LIST>\n{inside}  </USER_LIST>\n"
    )


def asset_group_list(titles: Iterable[str] = ASSET_GROUPS) -> str:
    """All asset groups, with id and title."""
    groups = "".join(
        f"<ASSET_GROUP><ID>{4400 + n}</ID><TITLE><![CDATA[{title}]]></TITLE></ASSET_GROUP>\n"
        for n, title in enumerate(titles)
    )
    inside = f"  <RESPONSE><ASSET_GROUP_LIST>\n{groups}</ASSET_GROUP_LIST></RESPONSE>\n"
    return document("ASSET_GROUP_LIST_OUTPUT", "api/2.0/fo/asset/group/list", inside)


def _header(where: Mapping[str, str], caller: str, now: datetime) -> str:
    filters = "".join(
        f"<{name.upper()}>{escape(value)}</{name.upper()}>" for name, value in where.items()
    )
    return (
        f"  <HEADER><USER_LOGIN>{escape(caller)}</USER_LOGIN><COMPANY>Acme</COMPANY>"
        f"<DATETIME>{stamp(now)}</DATETIME><WHERE>{filters}</WHERE></HEADER>\n"
    )


def _ticket(ticket: StandInTicket, shown: Container[str]) -> str:
    state, status = STATES[ticket.condition]
    host, found = ticket.host, ticket.vulnerability
    reached = f"<CURRENT_STATUS>{status}</CURRENT_STATUS>" if status else ""
    netbios = f"<NBHNAME><![CDATA[{host.netbios}]]></NBHNAME>" if host.netbios else ""
    history = "".join(_history(each) for each in reversed(ticket.history))
    host_id = f"<HOST_ID>{host.id}</HOST_ID>" if "show_host_id" in shown else ""
    told = _details(found) if "show_vuln_details" in shown else ""
    return (
        f"    <TICKET><NUMBER>{ticket.number}</NUMBER>"
        f"<CREATION_DATETIME>{stamp(ticket.created)}</CREATION_DATETIME>"
        f"<DUE_DATETIME>{stamp(ticket.due)}</DUE_DATETIME>"
        f"<CURRENT_STATE>{state}</CURRENT_STATE>{reached}"
        f"<INVALID>{int(ticket.invalid)}</INVALID>\n"
        f"      <ASSIGNEE>{_person(ticket.assignee)}</ASSIGNEE>\n"
        f"      <DETECTION><IP>{host.ip}</IP>{host_id}<DNSNAME><![CDATA[{host.dns}]]></DNSNAME>{netbios}"
        f"</DETECTION>\n      <STATS>{_stats(ticket)}</STATS>\n"
        f"      <HISTORY_LIST>{history}</HISTORY_LIST>\n"
        f"      <VULNINFO><TITLE><![CDATA[{found.title}]]></TITLE><TYPE>{found.kind}</TYPE>"
        f"<QID>{found.qid}</QID><SEVERITY>{found.severity}</SEVERITY></VULNINFO>{told}</TICKET>\n"
    )


def _details(found: Vulnerability) -> str:
    """Threat, impact and solution; this subscription keeps no results of scans."""
    told = f"<![CDATA[{details(found)}]]>"
    return (
        f"\n      <DETAILS><DIAGNOSIS>{told}</DIAGNOSIS><CONSEQUENCE>{told}</CONSEQUENCE>"
        f"<SOLUTION>{told}</SOLUTION></DETAILS>"
    )


def _stats(ticket: StandInTicket) -> str:
    found, seen = stamp(ticket.created), stamp(ticket.modified)
    return (
        f"<FIRST_FOUND_DATETIME>{found}</FIRST_FOUND_DATETIME>"
        f"<LAST_FOUND_DATETIME>{seen}</LAST_FOUND_DATETIME>"
        f"<LAST_SCAN_DATETIME>{seen}</LAST_SCAN_DATETIME><TIMES_FOUND>1</TIMES_FOUND>"
        f"<TIMES_NOT_FOUND></TIMES_NOT_FOUND><LAST_OPEN_DATETIME>{found}</LAST_OPEN_DATETIME>"
    )


def _history(entry: Entry) -> str:
    old = f"<OLD>{entry.old}</OLD>" if entry.old else ""
    state = f"<STATE>{old}<NEW>{entry.new}</NEW></STATE>" if entry.new else ""
    comment = f"<COMMENT>{escape(entry.comment)}</COMMENT>" if entry.comment else ""
    added = f"<ADDED_ASSIGNEE>{_person(entry.assignee)}</ADDED_ASSIGNEE>" if entry.assignee else ""
    return (
        f"<HISTORY><DATETIME>{stamp(entry.at)}</DATETIME><ACTOR>{escape(entry.actor)}</ACTOR>"
        f"{state}{added}{comment}</HISTORY>"
    )


def _person(login: str) -> str:
    member = next((each for each in MEMBERS if each.login == login), None)
    name = f"{member.first} {member.last}" if member else login
    email = member.email if member else f"{login}@northwind.example"
    return f"<NAME><![CDATA[{name}]]></NAME><EMAIL>{email}</EMAIL><LOGIN>{login}</LOGIN>"


def _user(member: Member) -> str:
    titles = "".join(
        f"<ASSET_GROUP_TITLE><![CDATA[{each}]]></ASSET_GROUP_TITLE>" for each in member.groups
    )
    groups = f"<ASSIGNED_ASSET_GROUPS>{titles}</ASSIGNED_ASSET_GROUPS>" if titles else ""
    return (
        f"    <USER><USER_LOGIN>{member.login}</USER_LOGIN><USER_ID>{member.id}</USER_ID>"
        f"<CONTACT_INFO><FIRSTNAME><![CDATA[{member.first}]]></FIRSTNAME>"
        f"<LASTNAME><![CDATA[{member.last}]]></LASTNAME>"
        f"<EMAIL><![CDATA[{member.email}]]></EMAIL></CONTACT_INFO>{groups}"
        f"<USER_STATUS>{member.status}</USER_STATUS><USER_ROLE>{member.role}</USER_ROLE>"
        f"<BUSINESS_UNIT><![CDATA[{member.business_unit}]]></BUSINESS_UNIT></USER>\n"
    )
