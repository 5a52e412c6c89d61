"""Characters that nobody sees, and by which a text reads otherwise than it is."""

from __future__ import annotations

import re
import unicodedata

# Control characters and halves of characters, which no vendor takes either; what turns the
# direction of a text around; what takes no room. Not U+200C and U+200D, which scripts and emoji
# are written with.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\u200b\u2060\ufeff]"
)
_BREAKS = re.compile("[\t\n\r\u2028\u2029]")


def why_unseen(text: str, *, lines: bool = True) -> str:
    """Why a text cannot be sent, by the character's name; "" where it can.

    Without `lines` it has to stand on one.
    """
    if found := _UNSEEN.search(text):
        name = unicodedata.name(found[0], "").lower()
        called = f"U+{ord(found[0]):04X}{f' ({name})' if name else ''}"
        return f"The character {called} cannot be sent; take it out."
    if not lines and _BREAKS.search(text):
        return "This stands on one line; take its line breaks and tabs out."
    return ""


def visible(text: str) -> str:
    """A text of others with what nobody sees in it made visible, for views."""
    return _UNSEEN.sub(lambda found: f"‹U+{ord(found[0]):04X}›", text)
