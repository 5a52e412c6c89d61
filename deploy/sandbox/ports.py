"""A port for a process that begins a moment later."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

# Below what systems give to outgoing connections, so that none of those takes it meanwhile.
FIRST, MANY = 20_000, 12_000


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now, and that hardly anybody will have in a moment."""
    while True:
        port = FIRST + secrets.randbelow(MANY)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
