"""What Amend measures about itself, in Prometheus' terms."""

from collections import deque

from prometheus_client import Counter, Gauge, Histogram

ACK_SECONDS = Histogram(
    "amend_ack_seconds",
    "Seconds from a listener's start to its acknowledgement",
    ["listener"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0),
)
OUTBOX_WAITING = Gauge("amend_outbox_waiting", "Messages that Slack does not hold yet")
REQUESTS = Gauge("amend_requests", "Requests by state", ["state"])
REFUSED = Counter("amend_http_refused_total", "Requests refused at the edge", ["why"])

# The newest acknowledgements, in seconds, for the percentiles that App Home shows.
RECENT_ACKS: deque[float] = deque(maxlen=1000)


def percentile(part: float) -> float | None:
    """The recent acknowledgements' percentile (`part` from 0 to 1), in seconds; None without any."""
    known = sorted(RECENT_ACKS)
    return known[min(int(part * len(known)), len(known) - 1)] if known else None
