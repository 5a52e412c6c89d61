"""Bundles and lines that somebody damaged or made to do harm: each gets an answer, never a traceback."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from bot.proof import evidence
from bot.proof.canonical import NotCanonical, parse
from bot.proof.evidence import FILES, NoBundle, verify

DEEP = b"[" * 200_000


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return path


@pytest.mark.parametrize("bit", [0x01, 0x55, 0x80])
def test_no_damaged_byte_of_a_zip_is_more_than_a_finding(tmp_path: Path, bit: int) -> None:
    path = zipped(tmp_path / "it.zip", dict.fromkeys(FILES, b'{"a":1}\n' * 50))
    raw = path.read_bytes()
    for at in range(len(raw)):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])
        try:
            assert any(each.why for each in verify(path)), at
        except NoBundle as no:
            assert str(no)


@pytest.mark.parametrize("name", FILES)
def test_what_is_nested_without_end_is_a_finding(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "it.zip", {**dict.fromkeys(FILES, b"{}\n"), name: DEEP + b"\n"})
    assert any(each.why for each in verify(path))
    with pytest.raises(NotCanonical):
        parse(DEEP)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_no_bundle(tmp_path: Path) -> None:
    path = zipped(tmp_path / "it.zip", dict.fromkeys(FILES, b"{}\n"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("receipt.csv", b"another")
    with pytest.raises(NoBundle, match="one name"):
        verify(path)


# --- what a ZIP holds beside what it lists ----------------------------------------------------------


def told(path: Path) -> str:
    """What is wrong with the files as such; "" for nothing."""
    try:
        return verify(path)[0].why
    except NoBundle as no:
        return str(no)


def entry(name: str, raw: bytes) -> bytes:
    """A local file as a reader finds it that goes through a ZIP from its beginning."""
    size, crc = len(raw), zlib.crc32(raw)
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, crc, size, size, len(name), 0)
    return head + name.encode() + raw


def moved(raw: bytes, at: int, more: bytes) -> bytes:
    """A ZIP with something more at a place, and a directory that says where all is now."""
    start = raw.index(b"PK\1\2")
    local, rest = raw[:at] + more + raw[at:start], bytearray(raw[start:])
    place = 0
    while (place := rest.find(b"PK\1\2", place)) >= 0:
        (offset,) = struct.unpack_from("<I", rest, place + 42)
        struct.pack_into("<I", rest, place + 42, offset + (len(more) if offset >= at else 0))
        place += 4
    struct.pack_into("<I", rest, rest.rindex(b"PK\5\6") + 16, len(local))
    return local + bytes(rest)


HIDDEN = entry("votes.json", b'[{"who":"FORGED"}]')


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "it.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in FILES:
            archive.writestr(name, b"{}\n")
    assert told(path) == ""
    return path


def test_another_program_may_pack_it(plain: Path) -> None:
    assert told(zipped(plain, dict.fromkeys(FILES, b"{}\n" * 100))) == ""
    with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(b"{}\n")
    assert told(plain) == ""


@pytest.mark.parametrize("which", range(len(FILES) + 1))
def test_no_file_hides_before_between_or_behind_those_that_are_listed(
    plain: Path, which: int
) -> None:
    raw = plain.read_bytes()
    with zipfile.ZipFile(plain) as archive:
        places = [each.header_offset for each in archive.infolist()] + [raw.index(b"PK\1\2")]
    plain.write_bytes(moved(raw, places[which], HIDDEN))
    with zipfile.ZipFile(plain) as archive:
        assert archive.testzip() is None, "the usual reader finds nothing wrong"
    assert "beside" in told(plain)


def test_nothing_stands_before_or_after_a_bundle(plain: Path) -> None:
    raw = plain.read_bytes()
    for more in (HIDDEN + raw, raw + HIDDEN, raw + b"\n"):
        plain.write_bytes(more)
        assert told(plain)


def test_no_comment_stands_in_a_bundle(plain: Path) -> None:
    raw = plain.read_bytes()
    with zipfile.ZipFile(plain, "a") as archive:
        archive.comment = b"approved by the board"
    assert "comment" in told(plain)
    plain.write_bytes(raw)
    with zipfile.ZipFile(plain, "w") as archive:
        for name in FILES:
            one = zipfile.ZipInfo(name)
            one.comment = b"approved"
            archive.writestr(one, b"{}\n")
    assert "comment" in told(plain)


@pytest.mark.parametrize(
    ("at", "why"), [(14, "crc"), (18, "length"), (22, "length"), (8, "method")]
)
def test_a_file_says_of_itself_what_the_directory_says(plain: Path, at: int, why: str) -> None:
    """Readers that go through from the beginning believe the file; others the directory."""
    raw = bytearray(plain.read_bytes())
    raw[at] ^= 1
    plain.write_bytes(bytes(raw))
    assert told(plain), why


def test_names_and_sizes_are_looked_at_before_anything_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpacked(*_: object) -> bytes:
        raise AssertionError("a file was unpacked")

    many = zipped(tmp_path / "many.zip", {**dict.fromkeys(FILES, b"{}\n"), "more": b"x"})
    large = zipped(tmp_path / "large.zip", dict.fromkeys(FILES, bytes(600)))
    monkeypatch.setattr(zipfile.ZipFile, "read", unpacked)
    monkeypatch.setattr(zipfile.ZipFile, "open", unpacked)
    monkeypatch.setattr(evidence, "LARGEST", 600 * len(FILES) - 1)
    assert "more" in told(many)
    assert "larger" in told(large), "each is small enough, and all of them are not"
