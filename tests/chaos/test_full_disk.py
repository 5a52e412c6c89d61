"""The disk is full in the middle of bulk runs, then there is space again: nothing is lost or repeated.

Once it is a file system of its own that is filled up, which needs root and `mount`; once the kernel lets
no file of the bot grow any more (`RLIMIT_FSIZE`), which needs nothing.

`AMEND_CHAOS_FILLS` says how often (default 1 of each; `make chaos` takes 10), and
`AMEND_CHAOS_SEED` when.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from deploy.sandbox.start import Sandbox
from tests.chaos.storms import end, lives, log_of, shown, storm_in, why
from tests.chaos.test_chaos import SEED, Storm, bulk, happened, judge
from tests.e2e.conftest import until

FILLS = int(os.environ.get("AMEND_CHAOS_FILLS", "1"))
MEGABYTES = 64  # of the file system; the bot needs some 10, and the rest is filled up
FULL = ("database or disk is full", "disk I/O error", "No space left", "File too large")
NAMES = ("amend.db", "amend-jobs.db")


class Disk(Protocol):
    """Where the bot's database lies; `pid` is the bot's."""

    folder: Path

    def fill(self, pid: int) -> None: ...
    def give_back(self, pid: int) -> None: ...


@dataclass
class FileSystem:
    """A small file system that is filled by one big file."""

    folder: Path

    def fill(self, pid: int) -> None:
        with (self.folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            for piece in (1024 * 1024, 4096, 1):  # up to the last byte
                with suppress(OSError):
                    while ballast.write(b"\0" * piece):
                        pass

    def give_back(self, pid: int) -> None:
        (self.folder / "ballast").unlink()


@dataclass
class Limit:
    """A folder in which no file of the bot may grow beyond what the smallest log of SQLite has."""

    folder: Path

    def fill(self, pid: int) -> None:
        logs = [(self.folder / f"{name}-wal").stat().st_size for name in NAMES]
        self._set(pid, min(logs))

    def give_back(self, pid: int) -> None:
        self._set(pid, resource.RLIM_INFINITY)

    @staticmethod
    def _set(pid: int, most: int) -> None:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, hard))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[FileSystem]:
    """A small file system in memory; skips where none can be made."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("Only root can mount a small file system; the limit's test needs none.")
    disk = FileSystem(tmp_path / "disk")
    disk.folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={MEGABYTES}m", "amend-chaos", str(disk.folder)]
    done = subprocess.run([mount, *options], capture_output=True, check=False, timeout=120)
    if done.returncode:
        pytest.skip("This machine mounts nothing, not even for root.")
    try:
        yield disk
    finally:
        # Lazily, where somebody still has a file open: a mount must not outlive its test.
        subprocess.run(["umount", "--lazy", str(disk.folder)], check=True, timeout=120)


@pytest.fixture(params=["file system", "limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    if request.param == "file system":
        found: Disk = request.getfixturevalue("small")
        return found
    folder = tmp_path / "disk"
    folder.mkdir()
    return Limit(folder)


@asynccontextmanager
async def storm_on(disk: Disk, folder: Path, chance: random.Random) -> AsyncIterator[Storm]:
    """Bulk runs that last for some seconds, at vendors whose edits are not safe to repeat."""
    sandbox = Sandbox()
    await sandbox.start()
    for name in NAMES:
        for tail in ("", "-wal", "-shm"):
            (disk.folder / f"{name}{tail}").unlink(missing_ok=True)
    storm = storm_in(sandbox, folder, f"sqlite:///{disk.folder / NAMES[0]}", chance)
    try:
        await storm.begin()
        for vendor in (sandbox.xpanse, sandbox.zstack):
            vendor.set_fault("slow", {"seconds": 0.25})
        for typed in bulk(sandbox)[1:3]:
            await storm.ask(typed)
        yield storm
    finally:
        await end(storm)
        await sandbox.stop()


def done(storm: Storm) -> set[tuple[str, str]]:
    """The records that were changed at the stand-ins whose runs we ask for."""
    asked = ("xpanse.", "zstack.")
    many = happened(storm.sandbox).items()
    return {key for key, often in many if often and key[0].startswith(asked)}


def unannounced(storm: Storm) -> set[tuple[str, str]]:
    """What was changed at a stand-in, and has no intent in the database."""
    changed = done(storm)  # first, because an intent stands before its call
    query = (
        "SELECT r.operation, p.record_id FROM record p"
        " JOIN request r ON r.id = p.request_id WHERE p.sent_at IS NOT NULL"
    )
    return changed - {(str(row[0]), str(row[1])) for row in storm.rows(query)}


async def under_way(storm: Storm) -> None:
    """Wait until some more calls went out."""
    before = len(done(storm))
    await until(lambda: len(done(storm)) > before + 12 or storm.over(), "calls")


async def stays_full(storm: Storm, seconds: float) -> None:
    """Wait until the bot has felt it, and a while longer; every call has its intent meanwhile."""
    before, until_then = len(log_of(storm)), 0.0
    async with asyncio.timeout(120):
        while not until_then or time.monotonic() < until_then:
            if not until_then and any(each in log_of(storm)[before:] for each in FULL):
                until_then = time.monotonic() + seconds
            missing = unannounced(storm)
            assert not missing, f"sent without a written intent: {missing}\n{why(storm)}"
            await asyncio.sleep(0.05)


def says_why(storm: Storm) -> bool:
    """Are its last words about the disk?"""
    return any(each in log_of(storm)[-400:] for each in FULL)


async def goes_on(storm: Storm) -> None:
    """Everything ends, by itself or after the restart of a bot that said why it ended."""
    if not lives(storm):
        assert says_why(storm), f"it ended and did not say why\n{why(storm)}"
        await storm.process.start(storm.port)
    await storm.ends(within=120)
    judge(storm)
    assert not unannounced(storm), why(storm)
    await until(lambda: shown(storm) == storm.requests(), "cards that show the end")


@pytest.mark.slow
async def test_a_disk_that_fills_up_and_is_emptied_loses_and_repeats_nothing(
    disk: Disk, tmp_path: Path
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - which moment, not a secret
    for fill in range(FILLS):
        async with storm_on(disk, tmp_path / str(fill), chance) as storm:
            await under_way(storm)
            pid = pid_of(storm)
            disk.fill(pid)
            await stays_full(storm, chance.uniform(0.5, 3.0))
            assert not storm.over(), "nothing ran long enough"
            disk.give_back(pid)
            await goes_on(storm)
            sys.stdout.write(f"{fill + 1} full disks so far, seed {SEED}: {storm.told()}\n")


@pytest.mark.slow
async def test_a_kill_and_a_start_on_a_full_disk_lose_and_repeat_nothing(
    small: FileSystem, tmp_path: Path
) -> None:
    """Who starts on a full disk comes up, or says why not; with space it goes on where it was."""
    chance = random.Random(SEED)  # noqa: S311 - which moment, not a secret
    for fill in range(FILLS):
        async with storm_on(small, tmp_path / str(fill), chance) as storm:
            await under_way(storm)
            small.fill(pid_of(storm))
            await stays_full(storm, chance.uniform(0.0, 1.0))
            await storm.process.end(signal.SIGKILL)
            await starts_on_a_full_disk(storm)
            small.give_back(0)
            await goes_on(storm)
            sys.stdout.write(f"{fill + 1} starts so far, seed {SEED}: {storm.told()}\n")


async def starts_on_a_full_disk(storm: Storm) -> None:
    """Wait until it has said so, or has ended, or had room enough for all that was left to do.

    What a killed process left beside the file is taken in at the start, and written over then.
    """
    before = len(log_of(storm))
    storm.process.process = await storm.process.run("run")

    def told() -> bool:
        return any(each in log_of(storm)[before:] for each in FULL)

    def decided() -> bool:
        return told() or not lives(storm) or storm.over()

    await until(decided, "a word about the disk")
    assert not unannounced(storm), why(storm)


def pid_of(storm: Storm) -> int:
    assert storm.process.process is not None
    return storm.process.process.pid
