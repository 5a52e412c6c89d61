"""XML from vendors: a DOCTYPE is tolerated, entities are refused, nothing is ever fetched."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Collection
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


async def iter_elements(
    chunks: AsyncIterable[bytes], tag: str | Collection[str], vendor: str = "The vendor"
) -> AsyncIterator[Element]:
    """Yield each complete element named `tag` as the chunks come in.

    An element is emptied when the next one is asked for, so the memory used does not grow with
    the document. Raises `Unreadable` for anything that is not a whole, entity-free document.
    """
    wanted = [tag] if isinstance(tag, str) else list(tag)
    parser: Any = etree.XMLPullParser(events=("end",), tag=wanted, **SAFE)
    start = b""
    try:
        async for chunk in chunks:
            start = start or chunk[:200]
            parser.feed(chunk)
            ready = [element for _, element in parser.read_events()]
            if ready:
                # One look at all that has come so far: `ready` is part of it.
                _refuse_entities(ready[0].getroottree().getroot(), vendor)
            for element in ready:
                yield element
                _forget(element)
        root = parser.close()
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(vendor, _why(start)) from error
    _refuse_entities(root, vendor)


def words_of(element: Element | None) -> str:
    """All text inside, in one line; "" for None."""
    if element is None:
        return ""
    return " ".join("".join(map(str, element.itertext(with_tail=False))).split())


def name_of(element: Element) -> str:
    """The tag in upper case; a Qualys guide sample prints root names in lower case once."""
    return element.tag.upper() if isinstance(element.tag, str) else ""


def _forget(element: Element) -> None:
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


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
