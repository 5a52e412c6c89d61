"""Bounds in time that people rely on. Read where they are used, so that a test can be patient."""

from __future__ import annotations

ACCEPT_WITHIN = 1.0  # seconds that an acknowledgement may wait for the record
