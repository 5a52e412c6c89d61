"""The tables. Times are epoch seconds in UTC; JSON columns hold plain values only."""

from typing import Any

from sqlalchemy import JSON, Boolean, Column, Index, Integer, MetaData, Text, false, text
from sqlmodel import Field, SQLModel

CARDS = ("card", "ask")  # the kinds of message that tell the state of a request

SQLModel.metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# Pydantic looks at a factory's signature for each row that is made, and at a builtin's for long.
def _list() -> list[Any]:
    return []


def _dict() -> dict[str, Any]:
    return {}


class Mapping(SQLModel, table=True):
    """One person's account, role and scope at one vendor.

    `by_link`: nobody else mapped them, so the entry ends with the credentials that they stored.
    """

    __tablename__ = "mapping"

    team: str = Field(primary_key=True)
    slack_user: str = Field(primary_key=True)
    vendor: str = Field(primary_key=True)
    account: str
    role: str
    scope: list[str] = Field(default_factory=_list, sa_column=Column(JSON, nullable=False))
    updated_at: float
    by_link: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )


class Credential(SQLModel, table=True):
    """A person's own vendor credentials; `sealed` is Fernet over JSON, by `AMEND_SECRET_KEY`.

    Until `renewing_until` one replica gets new ones in their place: a refresh token works once.
    """

    __tablename__ = "credential"

    team: str = Field(primary_key=True)
    slack_user: str = Field(primary_key=True)
    vendor: str = Field(primary_key=True)
    account: str
    sealed: str = Field(sa_column=Column(Text, nullable=False))
    created_at: float
    renewing_until: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})


class Request(SQLModel, table=True):
    """One request, from the moment it was accepted. `origin` makes redelivered ones one.

    `source` is the request that this one retries, undoes or decides on, and `relation` says which.
    `account` is whose credentials its plan goes out under, and `own_account` whether they are the
    requester's own. `wished_at` is when the caller wants it to run, and `in_quiet` says that it is
    to be in the vendor's quiet window, whichever is next once it may run; `follow_until` until when
    the vendor is asked what it did by itself afterwards. `failures` counts faults of Amend's own,
    and `retry_at` is when it is tried again after the last. `program` is the name of the token by
    which it was asked for, "" where a person did.
    `holder` is the replica that works on it, and `epoch` counts who took it.
    """

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
    source: str = Field(default="", index=True)
    relation: str = ""
    reason: str = Field(default="", sa_column=Column(Text, nullable=False))
    notes: list[str] = Field(default_factory=_list, sa_column=Column(JSON, nullable=False))
    account: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    own_account: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    state: str = Field(index=True)
    digest: str = ""
    records: int = 0
    left_out: int = 0
    words: str = Field(default="", sa_column=Column(Text, nullable=False))
    reply: str = Field(default="", sa_column=Column(Text, nullable=False))
    cancelling: bool = False
    demands: list[dict[str, Any]] = Field(
        default_factory=_list, sa_column=Column(JSON, nullable=False)
    )
    decided_by: str = ""
    decided_why: str = Field(default="", sa_column=Column(Text, nullable=False))
    created_at: float
    planned_at: float | None = None
    released_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    run_at: float | None = None
    wished_at: float | None = None
    in_quiet: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    expires_at: float | None = None
    remind_at: float | None = None
    reminders: int = 0
    follow_until: float | None = None
    failures: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    retry_at: float | None = None
    program: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    holder: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    epoch: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))


class Replica(SQLModel, table=True):
    """A replica of the bot, alive until `until` by the database's clock, and its workflows' version."""

    __tablename__ = "replica"

    name: str = Field(primary_key=True)
    version: str
    until: float


class Budget(SQLModel, table=True):
    """When the next edit of a vendor account may go out (epoch seconds of the database's clock)."""

    __tablename__ = "budget"

    account: str = Field(primary_key=True)
    next_at: float


class PlannedRecord(SQLModel, table=True):
    """A record of a plan, and the ledger entry of what became of it.

    `changes` are wire values of its own where they are not the request's (an undo); `key` names its
    call for vendors that take an idempotency key; `made` is what the call made there, and `later`
    what the vendor did by itself afterwards.
    """

    __tablename__ = "record"
    __table_args__ = (
        Index("ix_record_request_id_result", "request_id", "result"),
        Index("ix_record_record_id", "record_id"),
        Index(
            "ix_record_made",
            "made",
            sqlite_where=text("made <> ''"),
            postgresql_where=text("made <> ''"),
        ),
    )

    request_id: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    record_id: str
    label: str
    state: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    after: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    places: list[str] = Field(default_factory=_list, sa_column=Column(JSON, nullable=False))
    left_out: str = ""
    result: str
    words: str = Field(default="", sa_column=Column(Text, nullable=False))
    later: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    made: str = ""
    changes: dict[str, str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    key: str = ""
    sent_at: float | None = None


class Vote(SQLModel, table=True):
    """One approver's word on one request; `digest` is the plan that it names.

    `role` and `account` are those at the vendor by which they might; `lapsed` is why it did not
    count when the votes were last counted, "" where it did.
    """

    __tablename__ = "vote"

    request_id: str = Field(primary_key=True)
    approver: str = Field(primary_key=True)
    digest: str
    at: float
    role: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    account: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    lapsed: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))


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
    holder: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    epoch: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))


class Draft(SQLModel, table=True):
    """What a person typed so far, so that a form can be filled with it."""

    __tablename__ = "draft"

    id: str = Field(primary_key=True)
    slack_user: str
    operation: str
    values: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    channel: str
    thread_ts: str = ""
    source: str = ""
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


class Token(SQLModel, table=True):
    """A program's token, as a hash; `calls` were made in `minute` (of the epoch)."""

    __tablename__ = "token"

    id: str = Field(primary_key=True)
    hash: str = Field(unique=True)
    team: str
    owner: str = Field(index=True)
    name: str = Field(sa_column=Column(Text, nullable=False))
    created_at: float
    expires_at: float
    ended_at: float | None = None
    used_at: float | None = None
    minute: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    calls: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))


class Watch(SQLModel, table=True):
    """A channel that is told of changes. `cursor` is the vendor's; "" before the first poll.

    `mode` is `now`, `hourly` or `daily`; `quiet` holds `from`, `to` (HH:MM) and `timezone` or
    nothing. `parked` says why it is not polled any more.
    """

    __tablename__ = "watch"

    id: str = Field(primary_key=True)
    team: str
    channel: str = Field(index=True)
    owner: str
    watcher: str
    selection: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    mode: str = "now"
    quiet: dict[str, str] = Field(default_factory=_dict, sa_column=Column(JSON, nullable=False))
    cursor: str = Field(default="", sa_column=Column(Text, nullable=False))
    based: bool = False
    next_at: float = 0.0
    polled_at: float | None = None
    failures: int = 0
    trouble: str = Field(default="", sa_column=Column(Text, nullable=False))
    parked: str = ""
    created_at: float
    holder: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    epoch: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))


class Watched(SQLModel, table=True):
    """A record as a watch last saw it."""

    __tablename__ = "watched"

    watch_id: str = Field(primary_key=True)
    record_id: str = Field(primary_key=True)
    state: str


class News(SQLModel, table=True):
    """One change of state that a watch noticed; `told` is 0 until a message is wanted for it."""

    __tablename__ = "news"
    __table_args__ = (Index("ix_news_watch_id_told", "watch_id", "told"),)

    watch_id: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    vendor: str
    record_id: str = Field(index=True)
    label: str
    from_state: str
    to_state: str
    at: str
    by: str = ""
    url: str = ""
    digest: str = ""
    told: int = 0
    noticed_at: float


class AuditEntry(SQLModel, table=True):
    """One entry of the append-only trail. `line` is what is exported, byte for byte, for ever.

    The other columns find it, and say nothing that the line does not.
    """

    __tablename__ = "audit"

    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: float
    request_id: str = Field(default="", index=True)
    action: str
    line: str = Field(sa_column=Column(Text, nullable=False))


class AuditHead(SQLModel, table=True):
    """Where the audit trail ends; written with each entry, so that a missing end is found.

    `frontier` holds the roots of the tree's full subtrees, so that appending needs nothing else.
    """

    __tablename__ = "audit_head"

    id: int = Field(default=1, primary_key=True)
    seq: int = 0
    hash: str = ""
    frontier: bytes = b""


class AuditCheckpoint(SQLModel, table=True):
    """A signed head of the trail's tree, when it had `size` entries."""

    __tablename__ = "audit_checkpoint"

    size: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: float
    note: str = Field(sa_column=Column(Text, nullable=False))


class AuditForwarded(SQLModel, table=True):
    """Up to which entry the SIEM has taken the trail; who forwards holds it until `until`."""

    __tablename__ = "audit_forwarded"

    id: int = Field(default=1, primary_key=True)
    seq: int = 0
    until: float = 0.0


OURS = frozenset(SQLModel.metadata.tables)
