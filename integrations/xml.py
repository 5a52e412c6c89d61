"""XML from vendors: a DOCTYPE is tolerated, entities are refused, nothing is ever fetched."""

from __future__ import annotations

from typing import Any

from lxml import etree

from integrations.errors import Unreadable

Element = etree._Element

# Every Qualys answer names an external DTD; it is not needed, so it is neither fetched nor read.
# Without expansion and `huge_tree` an entity can neither leak a file nor grow ("billion laughs").
SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


def parse(body: bytes, vendor: str) -> Element:
    """The root of a whole document. Raises `Unreadable`."""
    try:
        root = etree.fromstring(body, etree.XMLParser(**SAFE))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(vendor, _why(body)) from error
    _refuse_entities(root, vendor)
    return root


def words_of(element: Element | None) -> str:
    """All text inside, in one line; "" for None."""
    if element is None:
        return ""
    return " ".join("".join(map(str, element.itertext(with_tail=False))).split())


def name_of(element: Element) -> str:
    """The tag in upper case; a Qualys guide sample prints root names in lower case once."""
    return element.tag.upper() if isinstance(element.tag, str) else ""


def _refuse_entities(element: Element, vendor: str) -> None:
    dtd: Any = element.getroottree().docinfo.internalDTD
    declared = dtd is not None and next(iter(dtd.iterentities()), None) is not None
    if declared or next(element.iter(etree.Entity), None) is not None:
        raise Unreadable(vendor, "it is XML with entities of its own, which is refused")


def _why(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "it is empty"
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, not XML"
    return "it is not well-formed XML, or it is cut off"
