"""The tables. Times are epoch seconds in UTC; JSON columns hold plain values only."""

from typing import Any

from sqlalchemy import JSON, Column, Index, MetaData, Text
from sqlmodel import Field, SQLModel

SQLModel.metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Mapping(SQLModel, table=True):
    """One person's account, role and scope at one vendor."""

    __tablename__ = "mapping"

    team: str = Field(primary_key=True)
    slack_user: str = Field(primary_key=True)
    vendor: str = Field(primary_key=True)
    account: str
    role: str
    scope: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    updated_at: float


class Request(SQLModel, table=True):
    """One request, from the moment it was accepted. `origin` makes redelivered ones one."""

    __tablename__ = "request"

    id: str = Field(primary_key=True)
    origin: str = Field(unique=True)
    operation: str
    parameters: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    comment: str = Field(default="", sa_column=Column(Text, nullable=False))
    team: str
    requester: str
    channel: str
    thread_ts: str = ""
    view_id: str = ""
    response_url: str = ""
    direct: bool = False
    state: str = Field(index=True)
    digest: str = ""
    records: int = 0
    left_out: int = 0
    words: str = Field(default="", sa_column=Column(Text, nullable=False))
    reply: str = Field(default="", sa_column=Column(Text, nullable=False))
    cancelling: bool = False
    demands: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False)
    )
    decided_by: str = ""
    decided_why: str = Field(default="", sa_column=Column(Text, nullable=False))
    created_at: float
    planned_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    run_at: float | None = None
    expires_at: float | None = None


class PlannedRecord(SQLModel, table=True):
    """A record of a plan, and the ledger entry of what became of it."""

    __tablename__ = "record"
    __table_args__ = (Index("ix_record_request_id_result", "request_id", "result"),)

    request_id: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    record_id: str
    label: str
    state: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    after: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    left_out: str = ""
    result: str
    words: str = Field(default="", sa_column=Column(Text, nullable=False))
    sent_at: float | None = None


class Vote(SQLModel, table=True):
    """One approver's word on one request; `digest` is the plan that it names."""

    __tablename__ = "vote"

    request_id: str = Field(primary_key=True)
    approver: str = Field(primary_key=True)
    digest: str
    at: float


class Delivery(SQLModel, table=True):
    """A message that Slack is to hold: wanted (`version`) and sent (`sent_version`)."""

    __tablename__ = "delivery"

    key: str = Field(primary_key=True)
    request_id: str = Field(index=True)
    kind: str
    channel: str
    thread_ts: str = ""
    ts: str = ""
    version: int = 1
    sent_version: int = 0
    attempting: float | None = None
    due_at: float = 0.0
    failures: int = 0


class Draft(SQLModel, table=True):
    """What a person typed so far, so that a form can be filled with it."""

    __tablename__ = "draft"

    id: str = Field(primary_key=True)
    slack_user: str
    operation: str
    values: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    channel: str
    thread_ts: str = ""
    created_at: float


class Delivered(SQLModel, table=True):
    """A Slack delivery that was taken on, by its trigger or event id: redelivery has no effect.

    It is written before the acknowledgement and `done_at` after the work, so that what was
    acknowledged is taken up again after a crash.
    """

    __tablename__ = "delivered"

    key: str = Field(primary_key=True)
    kind: str
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    at: float
    done_at: float | None = None


class AuditEntry(SQLModel, table=True):
    """One entry of the append-only, hash-chained trail."""

    __tablename__ = "audit"

    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: float
    actor: str
    action: str
    request_id: str = ""
    facts: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    previous: str
    hash: str


OURS = frozenset(SQLModel.metadata.tables)
