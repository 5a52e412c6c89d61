"""Reading a page of `ticket_list.php`: one stylesheet flattens it, so that a ticket costs a line.

A plan may read 100,000 tickets. The stylesheet runs inside libxslt, without the interpreter's lock;
what is left for Python is to split lines. "Facts" are the Qualys API facts, by section.
"""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from integrations.errors import Unreadable
from integrations.http import Reply
from integrations.qualys.faults import VENDOR
from integrations.qualys.models import Page, Ticket
from integrations.qualys.protocol import good_root
from integrations.qualys.reading import number
from integrations.xml import Element, name_of

STATES = frozenset({"OPEN", "RESOLVED", "CLOSED"})

# The leaves of a TICKET (facts 3.1), in the order of a line.
_LEAVES = (
    "NUMBER",
    "CURRENT_STATE",
    "CURRENT_STATUS",
    "ASSIGNEE/LOGIN",
    "DETECTION/IP",
    "VULNINFO/TITLE",
    "DUE_DATETIME",
    "CREATION_DATETIME",
)
# Facts 3.1: the name of the comment's element is not known; none of the others holds the word.
_ENTRY = ("DATETIME", "ACTOR", "*[contains(local-name(),'COMMENT')]")


def _values(paths: Sequence[str]) -> str:
    """Each path's first text, every run of blanks made one blank, and a tab behind it.

    So no value can hold a tab or a line end, and none can pass for two.
    """
    return "".join(
        f'<xsl:value-of select="normalize-space({path})"/><xsl:text>&#9;</xsl:text>'
        for path in paths
    )


_FLATTEN = etree.XSLT(
    etree.fromstring(f"""
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text"/>
  <xsl:template match="/">
    <xsl:for-each select="/*/TICKET_LIST/TICKET">
      {_values(_LEAVES)}
      <xsl:for-each select="HISTORY_LIST/HISTORY">{_values(_ENTRY)}</xsl:for-each>
      <xsl:text>&#10;</xsl:text>
    </xsl:for-each>
  </xsl:template>
</xsl:stylesheet>""")
)


def read_page(reply: Reply) -> Page:
    """One page of a ticket list. Raises a `VendorError`.

    Facts 3.1: an empty result is no error, but it must be a ticket list; facts 1.4: an error
    arrives with HTTP 200 too, and must not be taken for "no tickets".
    """
    root = good_root(reply, writes=False)
    if name_of(root) != "REMEDIATION_TICKETS":
        raise Unreadable(VENDOR, "it is not a ticket list")
    # Not `splitlines`, to which a separator of Unicode inside a value would be a line end too.
    lines = str(_FLATTEN(root)).split("\n")[:-1]
    tickets = [_ticket(line.split("\t")) for line in lines]
    return Page(tickets, _last(root, tickets))


def _last(root: Element, tickets: Sequence[Ticket]) -> int | None:
    """Where a truncated page says to go on; where it tells no number, the highest listed is right."""
    cut = root.find("TRUNCATION")
    if cut is None:
        return None
    return number(cut.get("last")) or max((each.number for each in tickets), default=0)


def _ticket(told: Sequence[str]) -> Ticket:
    """One line. Raises `Unreadable` without a number or a known state."""
    found, state = number(told[0]), told[1].upper()
    if found is None or state not in STATES:
        raise Unreadable(VENDOR, "a ticket in it has no number or an unknown state")
    _, _, status, login, ip, title, due, created, *entries = told
    return Ticket(found, state, status.upper(), login, ip, title, due, created, tuple(entries[:-1]))
