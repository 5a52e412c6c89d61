"""A backup that was taken in the middle of a run is brought back: nothing goes out a second time."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deploy.sandbox.ports import free_port
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.people import PEOPLE_CSV
from tests.e2e.conftest import MARA, OPS, until
from tests.e2e.test_crash import Process
from tests.postgres.server import Server

MANY = 120
NAMES = ("amend.db", "amend-jobs.db")


class Place:
    """A bot with a database that is copied while it runs, and brought back."""

    def __init__(self, sandbox: Sandbox, folder: Path, server: Server | None) -> None:
        self.sandbox, self.folder, self.server = sandbox, folder, server
        self.port = free_port()
        own = sandbox.environment(folder / "amend.db", port=self.port, socket_mode=False)
        own |= {"AMEND_LOST_ANSWER_SECONDS": "2", "XPANSE_EDITS_PER_SECOND": "0"}
        if server is not None:
            own["DATABASE_URL"] = server.new_database()
        self.url = own["DATABASE_URL"]
        self.process = Process(own, folder)

    async def amend(self, *words: str) -> int:
        return await (await self.process.run(*words)).wait()

    async def start(self) -> None:
        self.sandbox.slack.request_url = f"http://127.0.0.1:{self.port}/slack/events"
        await self.process.start(self.port)

    async def back_up(self) -> None:
        if self.server is not None:
            dump = self.folder / "backup.dump"
            await asyncio.to_thread(self.server.dump, self.url, dump)
            return
        assert await self.amend("backup", str(self.folder / "backup")) == 0

    def bring_back(self) -> None:
        if self.server is not None:
            self.server.restore(self.url, self.folder / "backup.dump")
            return
        for name in NAMES:
            for tail in ("", "-wal", "-shm"):
                (self.folder / f"{name}{tail}").unlink(missing_ok=True)
            shutil.copy(self.folder / "backup" / name, self.folder / name)


def cards(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [
        each["metadata"]["event_payload"]
        for each in sandbox.slack.messages(OPS)
        if (each.get("metadata") or {}).get("event_type") == "amend_request"
    ]


def sent(sandbox: Sandbox) -> int:
    return sum("update_incident" in each.path for each in sandbox.xpanse.requests)


async def ask(sandbox: Sandbox, text: str) -> None:
    def view() -> dict[str, Any]:
        found = sandbox.slack.state(MARA)["views"]
        return dict(found[-1]) if found else {}

    await sandbox.slack.act(user=MARA, do="type", channel=OPS, text=text)
    await until(lambda: view().get("callback_id") == "review", "the review")
    await sandbox.slack.act(user=MARA, do="submit", view_id=view()["id"], values={})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_backup_of_the_middle_of_a_run_is_brought_back(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("own_server") if kind == "postgresql" else None
    sandbox = Sandbox()
    await sandbox.start()
    place = Place(sandbox, tmp_path, server)
    (tmp_path / "people.csv").write_text(PEOPLE_CSV)
    try:
        assert await place.amend("people", "import", "people.csv") == 0
        await place.start()
        sandbox.xpanse.set_fault("slow", {"seconds": 0.15, "only": "update_incident"})
        ids = ",".join(str(each) for each in range(1, MANY + 1))
        await ask(sandbox, "/qualys 23470 change_state=IGNORED")
        await ask(sandbox, f"/xpanse {ids} comment=checked")
        await until(lambda: sent(sandbox) > 12, "the run is under way")
        # However long a backup takes here, the run is not over by then.
        sandbox.xpanse.set_fault("slow", {"seconds": 10.0, "only": "update_incident"})
        await place.back_up()
        then = sent(sandbox)
        sandbox.xpanse.set_fault("slow", {"seconds": 0.05, "only": "update_incident"})
        await until(lambda: cards(sandbox)[-1]["state"] == "succeeded", "the run is over")
        assert sent(sandbox) == MANY > then, "the backup is older than what was done"
        assert await place.process.end(signal.SIGTERM) == 0

        await asyncio.to_thread(place.bring_back)
        assert await place.amend("restored") == 0
        await place.start()
        run = cards(sandbox)[-1]["request_id"]

        def over() -> bool:
            told = next(each for each in cards(sandbox) if each["request_id"] == run)
            return told["state"] == "succeeded" and told["changed"] == MANY

        await until(over, "it found what had been done since", within=120)
        await asyncio.sleep(2)
        done = Counter(len(each.comments) for each in sandbox.xpanse.incidents.values())
        assert done[1] == MANY
        assert max(done) == 1, "no comment twice"
        assert sandbox.qualys.tickets[23470].condition != "IGNORED", "what waited has expired"
        assert await place.amend("restored") != 0, "not while a bot works on it"
        assert await place.amend("audit", "verify") == 0
    finally:
        await place.process.end(signal.SIGKILL)
        await sandbox.stop()
