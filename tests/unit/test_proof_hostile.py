"""Bundles and lines that somebody damaged or made to do harm: each gets an answer, never a traceback."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

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
