"""The bounds that people meet, each from where the code keeps it."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain import lookback
from bot.domain.policy import Approvals
from bot.jobs import calls, trouble
from bot.jobs.upkeep import REVIEWED_WITHIN
from bot.pipeline import bounds
from bot.pipeline.parts import AT_MOST, GIVEN_UP_AFTER, LONG_WAIT
from bot.pipeline.pipeline import MOST_AHEAD
from bot.slack.link.server import LARGEST
from bot.slack.outgoing import messenger, pacing
from bot.slack.views import tables, watchforms
from docs.make.markdown import table
from handlers.ccs import tickets as ccs
from handlers.qualys import exception_parameters
from handlers.xpanse import incidents
from handlers.zstack import tickets as zstack
from integrations.qualys import protocol
from integrations.signing_in import LEFT_IN_PEACE


def _rows() -> Iterator[tuple[str, str]]:
    yield "Qualys tickets of one request", f"{protocol.MOST_TICKETS:,}"
    yield "CCS tickets of one request", f"{ccs.MOST_TICKETS:,}"
    yield "Xpanse incidents of one request", f"{incidents.MOST_INCIDENTS:,}"
    yield "ZStack tickets of one request", f"{zstack.MOST_TICKETS:,}"
    yield "exceptions of one decision", f"{exception_parameters.MOST_DECIDED:,}"
    yield "a comment on an exception", f"{exception_parameters.COMMENT_LIMIT:,} characters"
    yield "records that a thread lists; more go in as a CSV file", str(messenger.SHOWN)
    rows, columns = tables.MOST_ROWS, tables.MOST_COLUMNS
    yield "rows and columns of a table in Slack", f"{rows} and {columns}"
    yield "a look back reaches over", f"{lookback.LEAST_DAYS} to {lookback.MOST_DAYS} days"
    yield "watches of one channel", str(watchforms.MOST)
    yield "an acknowledgement waits for its record at most", _time(bounds.ACCEPT_WITHIN)
    yield (
        f"a card is edited, and a channel gets more than {pacing.BURST} messages, at most once in",
        _time(messenger.PACE),
    )
    yield "a review that nobody submits is forgotten after", _time(REVIEWED_WITHIN)
    yield (
        "an approval is waited for, where no policy says otherwise",
        _time(Approvals().expires_after),
    )
    yield "the first reminder of it comes after", _time(Approvals().remind_after)
    yield "a run may be planned ahead by at most", _time(MOST_AHEAD)
    yield "a vendor that asks for a longer pause gets a scheduled request", _time(LONG_WAIT)
    yield "what waits for a vendor is tried again after at most", _time(AT_MOST)
    yield "a call that certainly changed nothing is sent at most", f"{calls.TRIES} times"
    yield "a look at a record's state counts for", _time(calls.STALE)
    yield "a request on which Amend itself fails is tried", f"{trouble.TRIES} times"
    yield (
        "what cannot be known now is waited for beyond the request's time",
        _time(GIVEN_UP_AFTER),
    )
    yield "an account that a vendor refuses is tried once in", _time(LEFT_IN_PEACE)
    yield "a request from Slack may have at most", f"{LARGEST // 1024:,} KiB"


def bounds_that_people_meet() -> str:
    """What is bounded, and by how much."""
    return table(("what", "bound"), _rows())


def _time(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
