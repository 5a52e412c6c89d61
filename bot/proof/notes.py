"""C2SP signed notes: a text, and below a blank line the signatures of those who vouch for it.

Format: https://c2sp.org/signed-note (Ed25519, algorithm byte 0x01).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+]+")
_MARK = "— "  # an em dash and a blank begin a signature's line


class BadKey(ValueError):
    """A text that is no key of this format."""


class BadNote(ValueError):
    """A text that is no signed note, or one that the key did not sign."""


@dataclass(frozen=True)
class Verifier:
    """A public key with its name: `NAME+HASH+BASE64`."""

    name: str
    key: bytes

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Raises `BadKey`."""
        name, told, key = _fields(text.strip(), 3)
        found = cls(name, _unpacked(key))
        if told != found.id.hex():
            raise BadKey("the verifier key's hash is not that of its name and key")
        return found

    @property
    def id(self) -> bytes:
        """The four bytes that a signature names its key by."""
        told = f"{self.name}\n".encode() + _ED25519 + self.key
        return hashlib.sha256(told).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_packed(self.key)}"

    def open(self, note: str) -> str:
        """The text of a note that this key signed. Raises `BadNote`."""
        text, signatures = _split(note)
        ours = [raw for name, raw in signatures if name == self.name and raw[:4] == self.id]
        if not ours:
            message = f"the note has no signature by {self.name}+{self.id.hex()}"
            raise BadNote(message)
        public = Ed25519PublicKey.from_public_bytes(self.key)
        try:
            for raw in ours:
                public.verify(raw[4:], text.encode())
        except InvalidSignature:
            message = f"the signature by {self.name} does not hold"
            raise BadNote(message) from None
        return text


@dataclass(frozen=True)
class Signer:
    """A private key with its name: `PRIVATE+KEY+NAME+HASH+BASE64`."""

    name: str
    seed: bytes

    @classmethod
    def fresh(cls, name: str) -> Signer:
        """A new key. Raises `BadKey` for a name with blanks or a plus sign, or none."""
        return cls(_checked(name), secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str) -> Signer:
        """Raises `BadKey`."""
        private, kind, name, told, seed = _fields(text.strip(), 5)
        if (private, kind) != ("PRIVATE", "KEY"):
            raise BadKey("a signing key begins with PRIVATE+KEY+")
        found = cls(name, _unpacked(seed))
        if told != found.verifier.id.hex():
            raise BadKey("the signing key's hash is not that of its name and key")
        return found

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self._key.public_key().public_bytes_raw())

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def __str__(self) -> str:
        return f"PRIVATE+KEY+{self.name}+{self.verifier.id.hex()}+{_packed(self.seed)}"

    def __repr__(self) -> str:
        return f"Signer({self.name!r})"  # never the seed: a repr ends up in logs

    def sign(self, text: str) -> str:
        """The note: `text`, which ends with a line end, a blank line, and our signature."""
        if not text.endswith("\n"):
            raise BadNote("the text of a note ends with a line end")
        raw = self.verifier.id + self._key.sign(text.encode())
        return f"{text}\n{_MARK}{self.name} {base64.b64encode(raw).decode()}\n"


def from_base64(text: str) -> bytes:
    """The bytes of a text; none where it is not exactly what base64 writes for them."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    text, found, below = note.rpartition("\n\n")
    lines = below.split("\n")
    if not found or lines[-1] or len(lines) < 2:
        raise BadNote("not a signed note: a blank line and signatures are missing")
    return f"{text}\n", [_signature(line) for line in lines[:-1]]


def _signature(line: str) -> tuple[str, bytes]:
    name, blank, packed = line.removeprefix(_MARK).partition(" ")
    raw = from_base64(packed)
    if not (line.startswith(_MARK) and blank and len(raw) > 4 and _NAME.fullmatch(name)):
        raise BadNote("not a signed note: a line below the blank one is no signature")
    return name, raw


def _fields(text: str, many: int) -> list[str]:
    fields = text.split("+", many - 1)
    if len(fields) != many:
        raise BadKey("not a key of the signed-note format")
    _checked(fields[-3])
    return fields


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadKey("a key's name has neither blanks nor a plus sign, and is not empty")
    return name


def _packed(key: bytes) -> str:
    return base64.b64encode(_ED25519 + key).decode()


def _unpacked(text: str) -> bytes:
    raw = from_base64(text)
    if raw[:1] != _ED25519 or len(raw) != 33:
        raise BadKey("not an Ed25519 key of the signed-note format")
    return raw[1:]
