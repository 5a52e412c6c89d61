"""Reading a page of `ticket_list.php`: a stylesheet flattens it to a row of cells for each ticket.

A plan may read 100,000 tickets. The stylesheet runs inside libxslt, without the interpreter's lock;
what is left for Python is to split its text. "Facts" are the Qualys API facts, by section.
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

# The leaves of a TICKET (facts 3.1), in the order of a row; its history is the last cell.
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
_CELLS = len(_LEAVES) + 1
# Facts 3.1: the name of the comment's element is not known; none of the others holds the word.
_ENTRY = ("DATETIME", "ACTOR", "*[contains(local-name(),'COMMENT')]")


_TAB, _LINE_END = "<xsl:text>&#9;</xsl:text>", "<xsl:text>&#10;</xsl:text>"


def _values(paths: Sequence[str], end: str) -> str:
    """Each path's first text, every run of blanks made one blank, and `end` behind it.

    So no value can hold a tab or a line end, and none can pass for two.
    """
    return "".join(f'<xsl:value-of select="normalize-space({path})"/>{end}' for path in paths)


def _flatten(history: str) -> etree.XSLT:
    return etree.XSLT(
        etree.fromstring(f"""
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text"/>
  <xsl:template match="/">
    <xsl:for-each select="/*/TICKET_LIST/TICKET">{_values(_LEAVES, _TAB)}{history}{_TAB}</xsl:for-each>
  </xsl:template>
</xsl:stylesheet>""")
    )


_ENTRIES = _values(_ENTRY, _LINE_END)
_WHOLE = _flatten(f'<xsl:for-each select="HISTORY_LIST/HISTORY">{_ENTRIES}</xsl:for-each>')
_BRIEF = _flatten("")


def read_page(reply: Reply, *, history: bool = True) -> Page:
    """One page of a ticket list, its tickets with or without their history. Raises a `VendorError`.

    Facts 3.1: an empty result is no error, but it must be a ticket list; facts 1.4: an error
    arrives with HTTP 200 too, and must not be taken for "no tickets".
    """
    root = good_root(reply, writes=False)
    if name_of(root) != "REMEDIATION_TICKETS":
        raise Unreadable(VENDOR, "it is not a ticket list")
    cells = str((_WHOLE if history else _BRIEF)(root)).split("\t")
    # One iterator for all the cells of a row, so that each row takes the next ones.
    rows = zip(*[iter(cells)] * _CELLS, strict=False)
    tickets = [_ticket(*row) for row in rows]
    return Page(tickets, _last(root, tickets))


def _last(root: Element, tickets: Sequence[Ticket]) -> int | None:
    """Where a truncated page says to go on; where it tells no number, the highest listed is right."""
    cut = root.find("TRUNCATION")
    if cut is None:
        return None
    return number(cut.get("last")) or max((each.number for each in tickets), default=0)


def _ticket(told: str, state: str, status: str, *rest: str) -> Ticket:
    """One row. Raises `Unreadable` without a number or a known state."""
    found, state = number(told), state.upper()
    if found is None or state not in STATES:
        raise Unreadable(VENDOR, "a ticket in it has no number or an unknown state")
    return Ticket(found, state, status.upper(), *rest)
