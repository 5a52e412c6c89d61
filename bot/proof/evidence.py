"""Evidence bundles: everything about one request in a ZIP, checked without Amend and its database.

What a bundle holds is told in `VERIFY.md`, which lies in each of them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from bot.proof.archive import Beside
from bot.proof.archive import check as check_archive
from bot.proof.canonical import NotCanonical, canonical, digest, parse
from bot.proof.checkpoints import Checkpoint
from bot.proof.notes import BadNote, Verifier, from_base64
from bot.proof.trail import FIELDS
from bot.proof.tree import BadProof, leaf_hash, root_by_path

# Those whose SHA-256 the entry `MADE` names, in the order in which they are written.
SEALED = ("request.json", "plan.jsonl", "votes.json", "calls.jsonl", "receipt.csv", "VERIFY.md")
FILES = (*SEALED, "audit.jsonl", "proofs.json")
MADE = "evidence:made"
ABANDONED = "request:abandoned"  # nobody submitted its review, so its records were not kept
UNSENT = frozenset({"not sent", "to do", "was so already"})  # results of what was only planned
LARGEST = 1 << 30  # bytes of all files; a bundle of 100,000 records has a tenth of it

# What the ZIP reader raises for damaged bytes; an `OSError` is a place outside of the file.
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError)

# What reading raises where a file is not made as `VERIFY.md` tells.
_OTHER_FORM = (LookupError, ValueError, TypeError, AttributeError, RecursionError, csv.Error)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class NoBundle(ValueError):
    """A file that is no evidence bundle at all."""


class Broken(ValueError):
    """What one check found."""


@dataclass(frozen=True)
class Check:
    """One check: `why` it fails, "" where it holds; `note` is what it did not look at."""

    name: str
    why: str = ""
    note: str = ""

    def __str__(self) -> str:
        told = f"FAILED: {self.why}" if self.why else self.note or "ok"
        return f"{self.name}: {told}"


def verify(bundle: Path, verifier: Verifier | None = None) -> list[Check]:
    """Every check of a bundle. Raises `NoBundle` for a file that is none, and `OSError`."""
    try:
        with bundle.open("rb") as stream:
            files = _unpacked(stream)
    except (Broken, Beside) as error:
        return [Check("files", str(error))]
    return list(_Bundle(files, verifier).checks())


def _unpacked(stream: BinaryIO) -> Mapping[str, bytes]:
    """What a ZIP holds, by name. Nothing is unpacked before names, lengths and places are as they
    must be.

    Raises `NoBundle`, `Broken` and `Beside`.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            _check_listed(archive.infolist())
            check_archive(stream, archive)
            return {each.filename: archive.read(each) for each in archive.infolist()}
    except _DAMAGED as error:
        message = f"not a ZIP that can be read ({error})"
        raise NoBundle(message) from None


def _check_listed(listed: Sequence[zipfile.ZipInfo]) -> None:
    names = sorted(each.filename for each in listed)
    if len(set(names)) != len(names):
        raise NoBundle("it holds two files of one name")
    if names != sorted(FILES):
        message = f"it holds {', '.join(names) or 'nothing'}"
        raise Broken(message)
    if sum(each.file_size for each in listed) > LARGEST:
        raise NoBundle("it is larger than any bundle")


@dataclass
class _Bundle:
    """The files of a bundle while they are checked, one after the other."""

    files: Mapping[str, bytes]
    verifier: Verifier | None
    lines: list[bytes] = field(default_factory=list)
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    request: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str = ""

    def checks(self) -> Iterator[Check]:
        parts: list[tuple[str, Callable[[], str | None]]] = [
            ("files", lambda: None),
            ("audit.jsonl", self._audit),
            ("proofs.json", self._proofs),
            ("checkpoint", self._signature),
            ("seals", self._seals),
            ("request.json", self._request),
            ("plan.jsonl", self._plan),
            ("votes.json", self._votes),
            ("receipt.csv", self._receipt),
            ("calls.jsonl", self._calls),
        ]
        for name, part in parts:
            try:
                yield Check(name, note=part() or "")
            except (Broken, NotCanonical, BadNote, BadProof) as error:
                yield Check(name, str(error))
            except _OTHER_FORM:
                yield Check(name, "not in the form that VERIFY.md tells")

    def _audit(self) -> None:
        """Each line holds in itself, and all are of one request, in order."""
        raw = self.files["audit.jsonl"]
        if not raw.endswith(b"\n"):
            raise Broken("its last line does not end")
        before = 0
        for line in raw[:-1].split(b"\n"):
            entry = parse(line)
            if set(entry) != FIELDS:
                raise Broken("a line is not an entry of a trail")
            told = {name: value for name, value in entry.items() if name != "hash"}
            if digest(told) != entry["hash"]:
                message = f"entry {entry['seq']} was changed after it was sealed"
                raise Broken(message)
            if entry["seq"] <= before:
                raise Broken("its entries are not in order")
            before = entry["seq"]
            self.lines.append(line)
            self.entries.append(entry)
        if len({entry["request_id"] for entry in self.entries}) != 1:
            raise Broken("its entries are of different requests")

    def _proofs(self) -> None:
        """Each entry is a leaf of the tree that the checkpoint is the head of."""
        found = parse(self.files["proofs.json"])
        if set(found) != {"checkpoint", "proofs"}:
            raise Broken("it holds something else than a checkpoint and proofs")
        self.checkpoint = found["checkpoint"]
        head = Checkpoint.parse(self.checkpoint)
        proofs = found["proofs"]
        if any(set(each) != {"seq", "path"} or type(each["path"]) is not list for each in proofs):
            raise Broken("a proof holds something else than a seq and its path")
        # As they are written: `true` is not 1.
        if canonical([each["seq"] for each in proofs]) != canonical(
            [entry["seq"] for entry in self.entries]
        ):
            raise Broken("it does not prove exactly the entries of audit.jsonl")
        for line, proof in zip(self.lines, proofs, strict=True):
            seq, hashes = proof["seq"], [from_base64(each) for each in proof["path"]]
            if root_by_path(leaf_hash(line), seq - 1, head.size, hashes) != head.root:
                message = f"entry {seq} is not in the checkpoint's tree"
                raise Broken(message)

    def _signature(self) -> str:
        _, _, signatures = self.checkpoint.partition("\n\n")
        if self.verifier is None:
            return "signature not checked: no --key" if signatures else "not signed"
        Checkpoint.open(self.checkpoint, self.verifier)
        return ""

    def _seals(self) -> None:
        """The entry that the bundle's making left in the trail names each file's SHA-256."""
        made = self.entries[-1]
        if made["action"] != MADE:
            message = f"its last entry is not {MADE}"
            raise Broken(message)
        if made["facts"]["entries"] != len(self.entries) - 1:
            raise Broken("entries are missing from audit.jsonl, or too many")
        for name in SEALED:
            if made["facts"]["sha256"][name] != _sha(self.files[name]):
                message = f"{name} was changed after the bundle was made"
                raise Broken(message)

    def _request(self) -> None:
        self.request = parse(self.files["request.json"])
        if self.request["id"] != self.entries[-1]["request_id"]:
            raise Broken("it is of another request than the entries")
        asked = self._entry("request:accepted")
        facts = asked["facts"]
        same = (facts["operation"], facts["parameters"], asked["actor"])
        if same != tuple(self.request[name] for name in ("operation", "parameters", "requester")):
            raise Broken("the trail has another operation, other parameters or another requester")
        if self.request["ended"] and self._ending()["action"] not in self._ends():
            raise Broken("the trail has another end")

    def _ends(self) -> set[str]:
        """The actions by which a request comes to the state that it is in."""
        state = self.request["state"]
        return {f"request:{state}", *([ABANDONED] if state == "expired" else [])}

    def _forgotten(self) -> bool:
        """Does it end with a review that nobody submitted, as the trail says, too?"""
        return ABANDONED in self._ends() and self._ending()["action"] == ABANDONED

    def _plan(self) -> str:
        """It hashes to the digest, which is what the trail says was planned and approved."""
        told, raw = self.request["digest"], self.files["plan.jsonl"]
        planned = {entry["facts"].get("digest") for entry in self._all("request:planned")}
        if planned != ({told} if told else set()):
            raise Broken("the trail has another digest")
        if not told or self._forgotten():
            if raw:
                raise Broken("it holds a plan where none was made, or kept")
            return "its records were not kept, nobody submitted it" if told else "no plan was made"
        if _sha(raw) != told:
            raise Broken("its SHA-256 is not the digest")
        return ""

    def _votes(self) -> None:
        votes = parse(self.files["votes.json"])
        noted = [
            {"who": each["actor"], "at": each["at"], **each["facts"]}
            for each in self._all("request:vote")
        ]
        if _by_time(votes) != _by_time(noted):
            raise Broken("the trail has other votes")
        if any(each["digest"] != self.request["digest"] for each in votes):
            raise Broken("a vote names another plan")

    def _receipt(self) -> str:
        """It has one row for each record of the plan, and is the one that ended the request."""
        _, *rows = csv.reader(io.StringIO(self.files["receipt.csv"].decode(), newline=""))
        if self.request["digest"]:
            planned = [_tamed(each["id"]) for each in self._planned()]
            if [row[0] for row in rows] != planned:
                raise Broken("its records are not those of the plan")
        elif any(row[1] not in UNSENT for row in rows):
            raise Broken("a record of it was sent without a plan")
        if not self.request["ended"]:
            return "the request has not ended yet"
        if self._forgotten():
            return ""  # it has no row; older trails sealed the receipt of what was then forgotten
        if self._ending()["facts"]["receipt"] != _sha(self.files["receipt.csv"]):
            raise Broken("its SHA-256 is not the one in the entry that ended the request")
        return ""

    def _calls(self) -> None:
        calls = [parse(line) for line in self.files["calls.jsonl"].splitlines()]
        if sum(each["records"] for each in calls) > len(self._planned()):
            raise Broken("it has more records than the plan")

    def _planned(self) -> list[Mapping[str, Any]]:
        lines = [json.loads(line) for line in self.files["plan.jsonl"].splitlines()]
        return [each for each in lines[1:] if "id" in each]

    def _all(self, action: str) -> list[Mapping[str, Any]]:
        return [each for each in self.entries if each["action"] == action]

    def _entry(self, action: str) -> Mapping[str, Any]:
        found = self._all(action)
        if len(found) != 1:
            message = f"the trail has {len(found)} entries {action}"
            raise Broken(message)
        return found[0]

    def _ending(self) -> Mapping[str, Any]:
        found = [each for each in self.entries if "receipt" in each["facts"]]
        if not found:
            raise Broken("the trail has no entry that ended the request")
        return found[-1]


def _by_time(votes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """In one order, also where a clock was set back between two votes."""
    return sorted(votes, key=lambda each: (each["at"], each["who"]))


def _tamed(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def proofs(
    checkpoint: str, paths: Mapping[int, Sequence[bytes]]
) -> dict[str, str | list[dict[str, Any]]]:
    """What `proofs.json` holds; `paths` by an entry's number."""
    told = [
        {"seq": seq, "path": [base64.b64encode(each).decode() for each in path]}
        for seq, path in paths.items()
    ]
    return {"checkpoint": checkpoint, "proofs": told}


HOW = """\
# How to check this bundle by hand

It tells everything about one request made through Amend. `amend evidence verify FILE.zip --key KEY`
makes all of these checks; none of them needs Amend. JSON stands in RFC 8785 form.

1. **What was approved.** `sha256sum plan.jsonl` is the `digest` in `request.json`, in each vote in
   `votes.json`, and in the entry `request:planned` in `audit.jsonl`. The first line of `plan.jsonl`
   is the operation, its parameters, the comment as sent and the account that it goes out under; then
   comes one line for each record: its state when it was planned, and after.
2. **What ran.** `sha256sum receipt.csv` is `facts.receipt` of the entry that ended the request. It has
   one row for each record of the plan. Where that entry is `request:abandoned`, nobody submitted the
   review: nothing was sent, no record was kept, and `plan.jsonl` is empty. Without a `digest` no plan
   was finished, and no row may tell of a record that was sent. `calls.jsonl` tells when how many records
   went out together, and what the vendor said.
3. **The entries.** In each line of `audit.jsonl`, `hash` is the SHA-256 of that line's object without
   `hash`, in RFC 8785 form. `previous` is the hash of the entry before it in the trail.
4. **The bundle.** The last entry, `evidence:made`, names in `facts.sha256` the SHA-256 of each other
   file, and in `facts.entries` how many entries of this request came before it.
5. **The tree.** The trail's lines, without their line ends, are the leaves of an RFC 6962 Merkle tree.
   `proofs.json` has for each `seq` the inclusion path of leaf `seq - 1` (section 2.1.1) in the tree of
   `checkpoint`, whose second line is its size and whose third is its root in base64. Base64 here has
   one spelling: what it decodes to encodes to it again.
6. **The signature.** `checkpoint` is a C2SP signed note. Check it with any verifier of signed notes
   and the verifier key that you were given apart from this bundle; compare it with the checkpoints
   that were posted to a channel or kept in a file at that time.
"""
