"""Sessions at the Qualys stand-in: signing in once, then a cookie instead of the password."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from deploy.sandbox.vendors.seed import Member

PATH = "/api/2.0/fo/session/"
COOKIE = "QualysSession"
LASTS = timedelta(minutes=60)


class Sessions:
    """The open sessions, by the value of their cookie."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Member, datetime]] = {}

    def caller(self, path: str, key: str, now: datetime) -> Member | None:
        """Whose session it is; only calls of version 2.0 take one, and those below /msp/ do not."""
        found = self._open.get(key) if path.startswith("/api/2.0/") else None
        if found is None or now - found[1] > LASTS:
            return None
        self._open[key] = (found[0], now)
        return found[0]

    def login(self, member: Member, now: datetime) -> str:
        """Open a session; the `Set-Cookie` that hands it out."""
        key = secrets.token_hex(16)
        self._open[key] = (member, now)
        return f"{COOKIE}={key}; path=/api; secure"

    def logout(self, key: str) -> None:
        """Close a session; one that is not open stays closed."""
        self._open.pop(key, None)
