"""The trail as canonical lines in a tree. Its first entry seals what the older trail held."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from bot.proof.trail import seal
from bot.proof.tree import Frontier, leaf_hash

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_AUDIT = sa.table(
    "audit",
    sa.column("seq", sa.Integer()),
    sa.column("at", sa.Float()),
    sa.column("request_id", sa.String()),
    sa.column("action", sa.String()),
    sa.column("line", sa.Text()),
)


def upgrade() -> None:
    op.rename_table("audit", "audit_before")
    op.drop_table("audit_head")
    _create()
    _carry_over()
    op.drop_table("audit_before")


def _create() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        # The older table's name for its key is still taken on PostgreSQL.
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_line")),
    )
    op.create_index(op.f("ix_audit_request_id"), "audit", ["request_id"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_checkpoint")),
    )
    op.create_table(
        "audit_forwarded",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_forwarded")),
    )


def _carry_over() -> None:
    connection = op.get_bind()
    older = connection.execute(
        sa.text(
            "SELECT seq, at, actor, action, request_id, facts, hash FROM audit_before ORDER BY seq"
        )
    ).mappings()
    rows = [dict(row) for row in older]
    if not rows:
        return
    trail = _Trail(connection)
    last = rows[-1]
    sealed = {"entries": len(rows), "last_seq": last["seq"], "last_hash": last["hash"]}
    trail.add(float(last["at"]), "amend", "trail:carried_over", "", sealed)
    for row in rows:
        facts = row["facts"] if isinstance(row["facts"], dict) else json.loads(row["facts"])
        trail.add(float(row["at"]), row["actor"], row["action"], row["request_id"], facts)
    trail.end()


class _Trail:
    """Appends as the first version of this form does; a migration imports nothing that may change."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._frontier, self._previous = Frontier(), ""

    def add(
        self, at: float, actor: str, action: str, request_id: str, facts: dict[str, Any]
    ) -> None:
        moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
        line, self._previous = seal(
            {
                "seq": self._frontier.size + 1,
                "at": moment.replace("+00:00", "Z"),
                "actor": actor,
                "via": "amend" if actor == "amend" else "cli" if actor == "cli" else "slack",
                "action": action,
                "request_id": request_id,
                "facts": _tame(facts),
                "previous": self._previous,
            }
        )
        self._frontier = self._frontier.append(leaf_hash(line))
        self._connection.execute(
            _AUDIT.insert().values(
                seq=self._frontier.size,
                at=at,
                request_id=request_id,
                action=action,
                line=line.decode(),
            )
        )

    def end(self) -> None:
        self._connection.execute(
            sa.text(
                "INSERT INTO audit_head (id, seq, hash, frontier) VALUES (1, :seq, :hash, :roots)"
            ),
            {
                "seq": self._frontier.size,
                "hash": self._previous,
                "roots": bytes(self._frontier),
            },
        )


def _tame(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(_tame(name)): _tame(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_tame(each) for each in value]
    large = isinstance(value, int | float) and not abs(value) < 2**53
    return str(value) if large else value


def downgrade() -> None:
    message = "a trail that proves itself is not made into one that does not"
    raise RuntimeError(message)
