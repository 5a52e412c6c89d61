"""The Merkle tree of RFC 6962 over the lines of a trail: roots, and proofs about them.

Hashes are SHA-256: of 0x00 and a line for a leaf, of 0x01 and both children for a node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

EMPTY = hashlib.sha256(b"").digest()  # the root of a tree without leaves (RFC 6962, 2.1)
SIZE = 32  # bytes of a hash


class BadProof(ValueError):
    """A proof that cannot belong to the sizes it is said to be about."""


def leaf_hash(line: bytes) -> bytes:
    """The hash of a leaf; `line` comes without its line end."""
    return hashlib.sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """All that is needed to append: the roots of the full subtrees, the largest first.

    There are as many as `size` has bits set, so a tree of a million leaves keeps twenty hashes.
    """

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.roots) != self.size.bit_count():
            message = f"a tree of {self.size} leaves does not have {len(self.roots)} full subtrees"
            raise BadProof(message)

    def append(self, leaf: bytes) -> Frontier:
        """The frontier with one more leaf hash."""
        roots, size = list(self.roots), self.size
        while size & 1:
            leaf = node_hash(roots.pop(), leaf)
            size >>= 1
        return Frontier(self.size + 1, (*roots, leaf))

    @property
    def root(self) -> bytes:
        """The tree's head."""
        if not self.roots:
            return EMPTY
        *rest, root = self.roots
        for each in reversed(rest):
            root = node_hash(each, root)
        return root

    def __bytes__(self) -> bytes:
        return b"".join(self.roots)

    @classmethod
    def load(cls, size: int, stored: bytes) -> Frontier:
        """What `bytes` of a frontier of `size` leaves wrote. Raises `BadProof` for other bytes."""
        if len(stored) % SIZE:
            raise BadProof("the stored frontier is cut off")
        roots = (stored[at : at + SIZE] for at in range(0, len(stored), SIZE))
        return cls(size, tuple(roots))


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, in one pass."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    return frontier.root


def inclusion_paths(leaves: Sequence[bytes], indices: Iterable[int]) -> dict[int, list[bytes]]:
    """RFC 6962, 2.1.1: for each of these leaves (from 0) its siblings on the way to the root.

    All nodes are made once, so that ten proofs cost what one does. Raises `BadProof`.
    """
    rows = _rows(leaves)
    return {each: _path(rows, each) for each in indices}


def _rows(leaves: Sequence[bytes]) -> list[Sequence[bytes]]:
    """The tree row by row, the leaves first; a node without a neighbour moves up as it is."""
    rows: list[Sequence[bytes]] = [leaves]
    while len(rows[-1]) > 1:
        row = rows[-1]
        pairs = zip(row[::2], row[1::2], strict=False)
        alone = row[-1:] if len(row) % 2 else ()
        rows.append([*(node_hash(left, right) for left, right in pairs), *alone])
    return rows


def _path(rows: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    if not 0 <= index < len(rows[0]):
        message = f"there is no leaf {index} among {len(rows[0])}"
        raise BadProof(message)
    path: list[bytes] = []
    for row in rows[:-1]:
        sibling = index ^ 1
        if sibling < len(row):
            path.append(row[sibling])
        index >>= 1
    return path


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion path leads to (RFC 9162, 2.1.3.2), to be compared with a known one.

    Raises `BadProof` where the path has another length than a tree of `size` leaves asks for.
    """
    if not 0 <= index < size:
        raise BadProof(f"there is no leaf {index} among {size}")
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise BadProof("the path is too long")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise BadProof("the path is too short")
    return found


def consistency_path(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """RFC 6962, 2.1.2: the proof that the first `size` of these leaves are what they were."""
    if not 0 <= size <= len(leaves):
        raise BadProof(f"{size} leaves are not the beginning of {len(leaves)}")
    return list(_subproof(leaves, size, whole=True)) if 0 < size < len(leaves) else []


def _subproof(leaves: Sequence[bytes], size: int, *, whole: bool) -> Iterator[bytes]:
    if size == len(leaves):
        if not whole:
            yield root_of(leaves)
        return
    half = _half(len(leaves))
    if size <= half:
        yield from _subproof(leaves[:half], size, whole=whole)
        yield root_of(leaves[half:])
    else:
        yield from _subproof(leaves[half:], size - half, whole=False)
        yield root_of(leaves[:half])


def consistent(
    size: int, root: bytes, later_size: int, later_root: bytes, path: Sequence[bytes]
) -> bool:
    """True where the path shows that the later tree continues the earlier one (RFC 9162, 2.1.4.2)."""
    if size == later_size:
        return not path and root == later_root
    if not 0 < size < later_size:
        return size == 0 and not path and root == EMPTY
    return bool(path) and _continues(size, root, later_size, later_root, list(path))


def _continues(
    size: int, root: bytes, later_size: int, later_root: bytes, path: list[bytes]
) -> bool:
    if size & (size - 1) == 0:
        path = [root, *path]
    node, last = size - 1, later_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = node_hash(each, before), node_hash(each, after)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, each)
        node, last = node >> 1, last >> 1
    return last == 0 and before == root and after == later_root


def _half(many: int) -> int:
    """The largest power of two below `many`, which is at least 2."""
    return 1 << (many - 1).bit_length() - 1
