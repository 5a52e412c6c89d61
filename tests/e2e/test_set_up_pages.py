"""The pages about setting up, followed with the real command line against the sandbox."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.sandbox.start import Sandbox
from tests.documents import ROOT, Fence, fences
from tests.e2e.conftest import until

PAGES = ["docs/do/install-in-slack.md", "docs/do/people-and-roles.md"]


class Machine:
    """An empty folder with a shell, in which `amend` and its settings are."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox, self.said = folder, sandbox, ""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {"PATH": path, "PYTHONPATH": str(ROOT)}
        lived_in = sandbox.environment(folder / "amend.db", port=0)
        self.settle({name: value for name, value in lived_in.items() if "URL" in name or value})

    def settle(self, settings: Mapping[str, str]) -> None:
        lines = [f"{name}={value}" for name, value in settings.items()]
        (self.folder / ".env").write_text("\n".join(lines))

    async def run(self, command: str) -> int:
        """One line of a shell; `amend run` is stopped again once Slack has it."""
        process = await asyncio.create_subprocess_shell(
            f"exec {command}" if command == "amend run" else command,
            cwd=self.folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        first = b""
        if command == "amend run":
            first = await asyncio.wait_for(process.stderr.readline(), 120)
            await until(lambda: bool(self.sandbox.slack.core.delivery.sockets.connected))
            process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 120)
        self.said = (out + first + err).decode()
        return process.returncode or 0

    async def follow(self, example: Fence) -> None:
        if example.kind == "csv":
            (self.folder / "people.csv").write_text(example.text)
        elif example.kind == "csv wrong":
            (self.folder / "wrong.csv").write_text(example.text)
            assert await self.run("amend people import wrong.csv") != 0
        elif example.kind == "sh":
            for command in filter(None, example.text.splitlines()):
                assert await self.run(command) == 0, f"{example.where}: {command}\n{self.said}"
        elif example.kind == "answer line":
            wanted = re.escape(example.text.strip()).replace("…", ".*")
            assert re.search(wanted, self.said), self.said


@pytest_asyncio.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    sandbox = Sandbox()
    await sandbox.start()
    yield Machine(tmp_path, sandbox)
    await sandbox.stop()


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_followed_in_a_shell(machine: Machine, page: str) -> None:
    for example in fences(ROOT / page):
        await machine.follow(example)
    assert list(fences(ROOT / page))
