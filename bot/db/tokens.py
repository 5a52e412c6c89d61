"""Tokens of programs: made in Slack, told once, kept as a hash, counted, ended."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db import audit
from bot.db.tables import Mapping, Token

if TYPE_CHECKING:
    from bot.db.store import Store

PREFIX = "amend_"
MOST_A_MINUTE = 60  # calls of one token
MOST_EACH = 20  # living tokens of one person
DAY = 24 * 3600.0


@dataclass
class Tokens:
    """Each is its owner's: it can ask for what they may ask for, and ends with them."""

    store: Store

    async def make(self, team: str, owner: str, name: str, days: int) -> str:
        """A new token for so many days; its secret, which is kept nowhere. "" beyond `MOST_EACH`."""
        secret = PREFIX + secrets.token_urlsafe(32)
        now = self.store.clock()
        token = Token(
            id=f"T{secrets.token_hex(5)}",
            hash=_hashed(secret),
            team=team,
            owner=owner,
            name=name,
            created_at=now,
            expires_at=now + days * DAY,
        )
        async with self.store.transaction() as session:
            if len(await _living(session, team, owner, now)) >= MOST_EACH:
                return ""
            session.add(token)
            facts = {"token": name, "id": token.id, "expires": audit.iso(token.expires_at)}
            await audit.append(session, now, owner, "token:made", "", facts)
        return secret

    async def listed(self, team: str, owner: str) -> Sequence[Token]:
        """Those of one person that still work, oldest first."""
        async with self.store.reading() as session:
            return await _living(session, team, owner, self.store.clock())

    async def revoke(self, token_id: str, owner: str) -> Token | None:
        """End one's own token; None where it is not theirs or has ended already."""
        return await self._end(token_id, "token:revoked", owner, {}, owner=owner)

    async def end(self, token_id: str, why: str) -> None:
        """End a token whose owner may not ask any more."""
        await self._end(token_id, "token:ended", audit.AMEND, {"why": why})

    async def _end(
        self, token_id: str, action: str, actor: str, facts: dict[str, Any], *, owner: str = ""
    ) -> Token | None:
        async with self.store.transaction() as session:
            found = await session.get(Token, token_id)
            if found is None or found.ended_at is not None or (owner and found.owner != owner):
                return None
            found.ended_at = self.store.clock()
            session.add(found)
            told = {"token": found.name, "id": found.id, "owner": found.owner, **facts}
            await audit.append(session, found.ended_at, actor, action, "", told)
            return found

    async def find(self, secret: str) -> Token | None:
        """The living token behind a secret."""
        if not secret.startswith(PREFIX):
            return None
        async with self.store.reading() as session:
            query = select(Token).where(Token.hash == _hashed(secret), *_lives(self.store.clock()))
            return (await session.exec(query)).first()

    async def count(self, token_id: str) -> float:
        """Note one call; seconds until the next is allowed, 0 where this one is.

        Counted in the database, so that replicas share it.
        """
        now = self.store.clock()
        minute = int(now // 60)
        same = col(Token.minute) == minute
        async with self.store.transaction() as session:
            await session.exec(
                update(Token)
                .where(col(Token.id) == token_id)
                .values(
                    calls=case((same, col(Token.calls) + 1), else_=1), minute=minute, used_at=now
                )
            )
            calls = (await session.exec(select(Token.calls).where(Token.id == token_id))).first()
        return (minute + 1) * 60.0 - now if calls is not None and calls > MOST_A_MINUTE else 0.0


async def end_of_unmapped(session: AsyncSession, team: str, now: float) -> None:
    """Whoever is mapped nowhere any more has no tokens; in the transaction that unmapped them."""
    mapped = select(Mapping.slack_user).where(Mapping.team == team)
    gone = select(Token).where(
        Token.team == team, *_lives(now), col(Token.owner).not_in(mapped.scalar_subquery())
    )
    for token in (await session.exec(gone)).all():
        token.ended_at = now
        session.add(token)
        facts = {"token": token.name, "id": token.id, "owner": token.owner, "why": "unmapped"}
        await audit.append(session, now, audit.AMEND, "token:ended", "", facts)


async def _living(session: AsyncSession, team: str, owner: str, now: float) -> Sequence[Token]:
    query = select(Token).where(Token.team == team, Token.owner == owner, *_lives(now))
    return (await session.exec(query.order_by(col(Token.created_at)))).all()


def _lives(now: float) -> tuple[Any, Any]:
    return col(Token.ended_at).is_(None), col(Token.expires_at) > now


def _hashed(secret: str) -> str:
    """A secret of 256 random bits needs no salt and no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
