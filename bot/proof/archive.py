"""A ZIP that holds what it lists and nothing beside it, whichever way somebody reads it.

A ZIP tells of its files twice: in the directory at its end, and before each of them. Programs believe
one or the other, so here both must say the same, and leave no room for anything else.
"""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

# Local header: signature, version, flags, method, time, date, CRC, packed and full length, lengths of
# name and extra field (PKWARE's APPNOTE, 4.3.7); the last record of a file has 22 bytes (4.3.16).
_LOCAL = struct.Struct("<4s5H3I2H")
_LAST, _LAST_SIZE = b"PK\x05\x06", 22
_ZIP64, _ELSEWHERE = 1, 0xFFFFFFFF  # the extra field with lengths that four bytes do not hold
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FLAGS = 0x0806  # UTF-8 names, and how hard was packed; no encryption, no length that comes later


class Beside(ValueError):
    """What a ZIP holds beside its files, or says of one of them in two ways."""


def check(stream: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Raises `Beside` unless the files follow each other from the first byte to the directory.

    `stream` is what `archive` was opened on.
    """
    _check_end(stream, archive)
    place = 0
    for each in sorted(archive.infolist(), key=lambda one: one.header_offset):
        if each.header_offset != place:
            raise Beside("something stands before, between or behind its files, beside them")
        place = _end_of(stream, each)
    if place != archive.start_dir:
        raise Beside("something stands before, between or behind its files, beside them")


def _check_end(stream: BinaryIO, archive: zipfile.ZipFile) -> None:
    if archive.comment or any(each.comment for each in archive.infolist()):
        raise Beside("it holds a comment")
    stream.seek(-_LAST_SIZE, 2)
    if stream.read(len(_LAST)) != _LAST:
        raise Beside("something stands behind its directory, beside its files")


def _end_of(stream: BinaryIO, listed: zipfile.ZipInfo) -> int:
    """Where a file's bytes end, which says of itself what the directory says of it."""
    stream.seek(listed.header_offset)  # names are those of a bundle, so a letter is a byte
    head = stream.read(_LOCAL.size)
    if len(head) != _LOCAL.size:
        raise Beside("a file in it is cut off")
    _, _, flags, method, _, _, crc, packed, full, named, more = _LOCAL.unpack(head)
    if stream.read(named) != listed.filename.encode():
        raise Beside("a file in it has two names")
    extra = stream.read(more)
    if flags != listed.flag_bits or flags & ~_FLAGS or method not in _METHODS:
        raise Beside("a file in it is packed in a way that no bundle needs")
    if _ELSEWHERE in (packed, full):
        full, packed = _lengths(extra)
    said = (method, crc, packed, full)
    if said != (listed.compress_type, listed.CRC, listed.compress_size, listed.file_size):
        raise Beside("a file in it says something else of itself than the directory")
    return (
        listed.header_offset
        + _LOCAL.size
        + len(listed.filename)
        + len(extra)
        + listed.compress_size
    )


def _lengths(extra: bytes) -> tuple[int, int]:
    """(full, packed) length in the extra field of a file of any size."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        if kind == _ZIP64 and 16 <= size <= len(extra) - 4:
            full, packed = struct.unpack_from("<2Q", extra, 4)
            return full, packed
        extra = extra[4 + size :]
    raise Beside("a file in it does not say how long it is")
