"""Proof's formats, held against vectors that others published, and against every change of a byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.proof.canonical import NotCanonical, canonical, parse
from bot.proof.checkpoints import Checkpoint
from bot.proof.notes import BadKey, BadNote, Signer, Verifier
from bot.proof.trail import seal, verify
from bot.proof.tree import (
    EMPTY,
    BadProof,
    Frontier,
    consistency_path,
    consistent,
    inclusion_paths,
    leaf_hash,
    root_by_path,
    root_of,
)

# Certificate Transparency's reference leaves and roots (the Go and C++ implementations of RFC 6962).
LEAVES = [
    bytes.fromhex(each) for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")
] + [bytes.fromhex("606162636465666768696a6b6c6d6e6f")]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

# The example of Go's golang.org/x/mod/sumdb/note, which C2SP's format was made from.
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNED = (
    f"{TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdn"
    "gotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.mark.parametrize("size", range(9))
def test_the_tree_has_the_published_roots(size: int) -> None:
    leaves = [leaf_hash(each) for each in LEAVES[:size]]
    assert root_of(leaves).hex() == ROOTS[size]


@pytest.mark.parametrize(
    ("value", "line"),
    [  # RFC 8785, 3.2.2 and appendix B, as IEEE-754 doubles
        ({"numbers": [333333333.33333329, 1e30, 4.5, 2e-3, 1e-27]},
         '{"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}'),
        ({"string": "€$\u000f\nA'B\"\\\\\"/"}, '{"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'),
        ({"literals": [None, True, False]}, '{"literals":[null,true,false]}'),
        ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
         '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}'),
        ([-0.0, 5e-324, 9007199254740994.0, 1e23], "[0,5e-324,9007199254740994,1e+23]"),
    ],
)  # fmt: skip
def test_values_are_written_as_rfc_8785_shows(value: Any, line: str) -> None:
    assert canonical(value).decode() == line
    assert json.loads(line) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {1: 2}, 2**53])
def test_what_the_form_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical(value)


@pytest.mark.parametrize(
    "line", [b'{"a":1,"a":1}', b'{ "a":1}', b'{"a":1.0}', b'{"b":1,"a":2}', b"{"]
)
def test_another_spelling_is_not_canonical(line: bytes) -> None:
    with pytest.raises(NotCanonical):
        parse(line)


def test_notes_are_signed_and_opened_as_the_published_example() -> None:
    assert str(Signer.parse(PRIVATE)) == PRIVATE
    assert str(Signer.parse(PRIVATE).verifier) == PUBLIC == str(Verifier.parse(PUBLIC))
    assert Signer.parse(PRIVATE).sign(TEXT) == SIGNED
    assert Verifier.parse(PUBLIC).open(SIGNED) == TEXT


@given(at=st.integers(0, len(SIGNED) - 1), new=st.characters(codec="utf-8"))
def test_a_note_changed_in_any_place_does_not_open(at: int, new: str) -> None:
    changed = SIGNED[:at] + new + SIGNED[at + 1 :]
    if changed != SIGNED:
        with pytest.raises(BadNote):
            Verifier.parse(PUBLIC).open(changed)


@given(st.sampled_from([PRIVATE, PUBLIC]), st.data())
def test_a_mistyped_key_is_no_key(key: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(key) - 1))
    changed = key[:at] + data.draw(st.sampled_from("aZ0/ +")) + key[at + 1 :]
    read = Signer.parse if key is PRIVATE else Verifier.parse
    if changed.strip() != key:
        with pytest.raises(BadKey):
            read(changed)


@given(st.text(max_size=200))
def test_any_text_is_a_key_a_note_and_a_checkpoint_or_says_that_it_is_not(text: str) -> None:
    for read, error in (
        (Signer.parse, BadKey),
        (Verifier.parse, BadKey),
        (Checkpoint.parse, BadNote),
    ):
        try:
            read(text)
        except error as no:
            assert str(no)


def test_a_signer_keeps_its_seed_out_of_logs() -> None:
    assert repr(Signer.parse(PRIVATE)) == "Signer('PeterNeumann')"


leaves = st.lists(st.binary(max_size=4).map(leaf_hash), min_size=1, max_size=40)


@given(leaves)
def test_a_frontier_says_the_same_as_the_whole_tree(found: list[bytes]) -> None:
    frontier = Frontier()
    for many, leaf in enumerate(found, 1):
        frontier = Frontier.load(frontier.size, bytes(frontier)).append(leaf)
        assert frontier.root == root_of(found[:many])
    assert Frontier().root == EMPTY


@given(leaves, st.data())
def test_inclusion_holds_for_its_own_leaf_place_and_tree_only(
    found: list[bytes], data: st.DataObject
) -> None:
    size, root = len(found), root_of(found)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_paths(found, [index])[index]
    assert root_by_path(found[index], index, size, path) == root
    other = data.draw(
        st.integers(0, size - 1).filter(lambda each: found[each] != found[index])
        if len(set(found)) > 1
        else st.just(index)
    )
    if found[other] != found[index]:
        assert root_by_path(found[other], index, size, path) != root
    if path:
        with pytest.raises(BadProof):
            root_by_path(found[index], index, size, path[:-1])
    with pytest.raises(BadProof):
        root_by_path(found[index], index, size, [*path, root])


@given(leaves, st.data())
def test_consistency_holds_for_a_beginning_and_for_nothing_else(
    found: list[bytes], data: st.DataObject
) -> None:
    size = data.draw(st.integers(0, len(found)))
    path = consistency_path(found, size)
    before, after = root_of(found[:size]), root_of(found)
    assert consistent(size, before, len(found), after, path)
    if size:
        assert not consistent(size, leaf_hash(b"another"), len(found), after, path)
        assert not consistent(size, before, len(found), leaf_hash(b"another"), path)
    if path:
        assert not consistent(size, before, len(found), after, path[:-1])
        assert not consistent(size, before, len(found), after, [*path, before])


facts = st.dictionaries(st.text(max_size=5), st.integers(-5, 5) | st.text(max_size=9), max_size=3)


def trail(many: list[dict[str, Any]]) -> list[bytes]:
    lines: list[bytes] = []
    for seq, each in enumerate(many, 1):
        lines.append(seal({
            "seq": seq, "at": "2026-01-05T10:00:00.5Z", "actor": "U1", "via": "slack",
            "action": "request:accepted", "request_id": "R1", "facts": each,
            "previous": json.loads(lines[-1])["hash"] if lines else "",
        })[0])  # fmt: skip
    return lines


@given(st.lists(facts, max_size=8), st.data())
def test_an_honest_trail_is_never_accused(many: list[dict[str, Any]], data: st.DataObject) -> None:
    lines = trail(many)
    seen = [Checkpoint("amend", size, root_of(map(leaf_hash, lines[:size])))
            for size in data.draw(st.lists(st.integers(0, len(lines)), max_size=3))]  # fmt: skip
    assert verify(lines, seen) is None


@given(st.lists(facts, min_size=1, max_size=6), st.data())
def test_any_changed_byte_of_a_trail_is_found(
    many: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines = trail(many)
    row = data.draw(st.integers(0, len(lines) - 1))
    at = data.draw(st.integers(0, len(lines[row]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda each: each != lines[row][at]))
    changed = bytearray(lines[row])
    changed[at] = byte
    found = verify([*lines[:row], bytes(changed), *lines[row + 1 :]])
    assert found is not None
    assert found.line in (row + 1, row + 2)


@given(st.lists(facts, min_size=2, max_size=8, unique_by=str), st.data())
def test_an_insider_who_seals_everything_anew_is_found_by_a_checkpoint_seen_before(
    many: list[dict[str, Any]], data: st.DataObject
) -> None:
    honest = trail(many)
    seen = Checkpoint("amend", len(honest), root_of(map(leaf_hash, honest)))
    row = data.draw(st.integers(0, len(many) - 1))
    rewritten = trail([*many[:row], {"number": 99}, *many[row + 1 :]])
    assert verify(rewritten) is None, "a chain alone does not tell"
    if rewritten != honest:
        assert verify(rewritten, [seen]) is not None
    cut = trail(many[:row])
    assert verify(cut, [seen]) is not None, "a trail that lost its end"
