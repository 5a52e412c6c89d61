"""C2SP tlog-checkpoints: the head of the tree as a text that can be signed and kept elsewhere.

Format: https://c2sp.org/tlog-checkpoint: origin, size, root in base64, each on a line of its own.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from bot.proof.notes import BadNote, Signer, Verifier, from_base64
from bot.proof.tree import SIZE

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    """How large a trail was, and the root over its lines then. `origin` is the key's name."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed(self, signer: Signer) -> str:
        """The signed note of this head."""
        return signer.sign(self.text)

    @classmethod
    def open(cls, note: str, verifier: Verifier) -> Checkpoint:
        """What a note says that this key signed. Raises `BadNote`."""
        found = cls.parse(verifier.open(note))
        if found.origin != verifier.name:
            message = f"the checkpoint is of {found.origin}, and the key of {verifier.name}"
            raise BadNote(message)
        return found

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The head in a text, or in a note whose signature is not looked at. Raises `BadNote`."""
        origin, size, packed, *_ = [*text.split("\n"), "", "", ""]
        root = from_base64(packed)
        if not origin or not _SIZE.fullmatch(size) or len(root) != SIZE:
            raise BadNote("not a checkpoint: origin, size and root stand on its first three lines")
        return cls(origin, int(size), root)
