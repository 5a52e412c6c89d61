"""What Amend measures about itself, in Prometheus' terms."""

from collections import deque
from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram

ACK_SECONDS = Histogram(
    "amend_ack_seconds",
    "Seconds from a listener's start to its acknowledgement",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0),
)
RECORDS = Counter(
    "amend_records_total",
    "Records of requests that ended, by what became of them",
    ["operation", "result"],
)
REQUESTS = Gauge("amend_requests", "Requests by state", ["state"])
OUTBOX_WAITING = Gauge("amend_outbox_waiting", "Messages that Slack does not hold yet")
OUTBOX_OLDEST = Gauge("amend_outbox_oldest_seconds", "Seconds that the oldest of them is due")
LANE_WAITING = Gauge(
    "amend_lane_waiting", "Bulk runs that wait for their turn at a vendor", ["vendor"]
)
WATCH_LAG = Gauge(
    "amend_watch_lag_seconds",
    "Seconds since the last good poll of the watch that waits longest; 0 without one",
    ["vendor"],
)
POLL = Gauge("amend_poll_seconds", "Seconds between two reads of a watched vendor, as they are set")
SIEM_OLDEST = Gauge(
    "amend_siem_oldest_seconds",
    "Seconds that the oldest audit entry waits which the SIEM has not taken; 0 without one",
)
REFUSED = Counter("amend_http_refused_total", "Requests refused at the edge", ["why"])
READY = Gauge(
    "amend_ready", "1 where this part of the process works, looked at now, else 0", ["part"]
)
LINK_UP = Gauge("amend_slack_link_up", "1 where Slack reaches us and takes our token, else 0")
BUILD = Gauge("amend_build_info", "Always 1; the version that runs", ["version"])

REFUSED.labels("signature")  # the one reason there is: it reads 0 before the first
BUILD.labels(version("amend")).set(1)

# The newest acknowledgements, in seconds, for the percentiles that App Home shows.
RECENT_ACKS: deque[float] = deque(maxlen=1000)


def percentile(part: float) -> float | None:
    """The recent acknowledgements' percentile (`part` from 0 to 1), in seconds; None without any."""
    known = sorted(RECENT_ACKS)
    return known[min(int(part * len(known)), len(known) - 1)] if known else None
