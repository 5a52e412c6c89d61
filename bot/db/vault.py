"""The vault: people's own vendor credentials, encrypted at rest and opened only to be used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import ColumnElement, or_, update
from sqlmodel import col, select

from bot.db import audit
from bot.db.store import Store
from bot.db.tables import Credential
from bot.db.upsert import put
from bot.domain.errors import AmendError

log = structlog.get_logger(__name__)

RENEWED_WITHIN = 60.0  # seconds; longer than a vendor may take to answer, and we to write it down


class VaultClosed(AmendError):
    """There is no key, or none that opens what is stored; the message is safe to show."""


@dataclass
class Vault:
    """Seals with the first of `keys` and opens with any (Fernet; the order rotates them)."""

    store: Store
    keys: Sequence[str] = field(default=(), repr=False)
    _changes: int = 0

    def changes(self) -> int:
        """How often something was stored or removed through this one."""
        return self._changes

    @property
    def open(self) -> bool:
        """True where credentials can be kept at all."""
        return bool(self.keys)

    async def keep(
        self, team: str, user: str, vendor: str, account: str, secret: Mapping[str, str]
    ) -> None:
        """Store a person's credentials. Raises `VaultClosed` where no key is set."""
        self._changes += 1
        sealed = self._sealed(secret)
        async with self.store.transaction() as session:
            await put(
                session,
                Credential(
                    team=team,
                    slack_user=user,
                    vendor=vendor,
                    account=account,
                    sealed=sealed,
                    created_at=self.store.clock(),
                ),
            )
            facts = {"vendor": vendor, "account": account}
            await audit.append(session, self.store.clock(), user, "link:added", "", facts)

    async def forget(self, team: str, user: str, vendor: str, *, actor: str) -> bool:
        """Remove a person's credentials; False where there were none."""
        async with self.store.transaction() as session:
            found = await session.get(Credential, (team, user, vendor))
            if found is None:
                return False
            await session.delete(found)
            facts = {"vendor": vendor, "account": found.account, "person": user}
            await audit.append(session, self.store.clock(), actor, "link:removed", "", facts)
        self._changes += 1
        return True

    async def linked(self, team: str, user: str) -> dict[str, str]:
        """Vendor → account of the credentials that a person has stored."""
        async with self.store.reading() as session:
            query = select(Credential).where(Credential.team == team, Credential.slack_user == user)
            return {row.vendor: row.account for row in (await session.exec(query)).all()}

    async def shut(self, team: str, user: str) -> set[str]:
        """The vendors whose credentials a person has stored, and no present key opens."""
        async with self.store.reading() as session:
            query = select(Credential).where(Credential.team == team, Credential.slack_user == user)
            return {row.vendor for row in (await session.exec(query)).all() if self._lost(row)}

    async def take(
        self, team: str, user: str, vendor: str
    ) -> tuple[float, Mapping[str, str]] | None:
        """A person's credentials and when they were stored. Raises `VaultClosed`."""
        async with self.store.reading() as session:
            row = await session.get(Credential, (team, user, vendor))
        if row is None:
            return None
        return row.created_at, self._opened(row)

    async def claim(self, team: str, user: str, vendor: str) -> bool:
        """True where these credentials are ours to renew, for `RENEWED_WITHIN`; else another does it.

        A claim from further ahead than that was made by a clock that was wrong.
        """
        now, until = self.store.clock(), col(Credential.renewing_until)
        async with self.store.transaction() as session:
            done = await session.exec(
                update(Credential)
                .where(*_of(team, user, vendor))
                .where(or_(until <= now, until > now + RENEWED_WITHIN))
                .values(renewing_until=now + RENEWED_WITHIN)
            )
            return int(done.rowcount) == 1

    async def renew(
        self, team: str, user: str, vendor: str, since: float, secret: Mapping[str, str] | None
    ) -> bool:
        """End the claim, with new credentials in the place of those stored at `since`, if there are.

        False where those are gone or others: nothing is written over what a person did meanwhile.
        """
        new = {} if secret is None else {"sealed": self._sealed(secret)}
        async with self.store.transaction() as session:
            done = await session.exec(
                update(Credential)
                .where(*_of(team, user, vendor), col(Credential.created_at) == since)
                .values(renewing_until=0.0, **new)
            )
            return int(done.rowcount) == 1

    def seal(self, facts: Mapping[str, str]) -> str:
        """Facts that leave us and come back, such that nobody reads or changes them."""
        return self._sealed(facts)

    def unseal(self, text: str, within: int) -> Mapping[str, str] | None:
        """What `seal` was given, at most `within` seconds ago; None for anything else."""
        try:
            found: Mapping[str, str] = json.loads(self._fernet().decrypt(text.encode(), within))
        except InvalidToken:
            return None
        return found

    async def rotate(self) -> int:
        """Seal everything again with the first key that a key opens; how much there was of it.

        What a lost key sealed stays as it is: its owner is told when it is needed.
        """
        many = lost = 0
        async with self.store.transaction() as session:
            # Locked, so that what another replica renews or forgets meanwhile is not written over; in
            # one order, so that two of us never wait for each other.
            key = (col(Credential.team), col(Credential.slack_user), col(Credential.vendor))
            query = select(Credential).order_by(*key).with_for_update()
            for row in (await session.exec(query)).all():
                if self._lost(row):
                    lost += 1
                    continue
                row.sealed = self._fernet().rotate(row.sealed.encode()).decode()
                many += 1
        if lost:
            log.warning("credentials_shut", many=lost, why="no present key opens them")
        return many

    def _sealed(self, secret: Mapping[str, str]) -> str:
        return self._fernet().encrypt(json.dumps(dict(secret)).encode()).decode()

    def _lost(self, row: Credential) -> bool:
        try:
            self._opened(row)
        except VaultClosed:
            return True
        return False

    def _opened(self, row: Credential) -> Mapping[str, str]:
        try:
            found: Mapping[str, str] = json.loads(self._fernet().decrypt(row.sealed.encode()))
        except InvalidToken:
            message = (
                f"The stored {row.vendor} credentials cannot be opened with the present key;"
                f" please use `/amend link {row.vendor}` once more."
            )
            raise VaultClosed(message) from None
        return found

    def _fernet(self) -> MultiFernet:
        if not self.keys:
            message = "Amend has no AMEND_SECRET_KEY, so it keeps no credentials."
            raise VaultClosed(message)
        return MultiFernet([Fernet(key) for key in self.keys])


def _of(team: str, user: str, vendor: str) -> tuple[ColumnElement[bool], ...]:
    return (
        col(Credential.team) == team,
        col(Credential.slack_user) == user,
        col(Credential.vendor) == vendor,
    )
