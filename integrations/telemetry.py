"""What a call to a vendor leaves in metrics and traces: how long it took, and what came of it.

Never a path, a query or an answer: those hold records, parameters and people's words.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from prometheus_client import Histogram

CALL_SECONDS = Histogram(
    "amend_vendor_call_seconds",
    "Seconds of a call to a vendor, by what came of it (`2xx` to `5xx`, `no_answer`)",
    ["vendor", "call", "outcome"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0),
)

_TRACER = trace.get_tracer("amend")


@dataclass
class Seen:
    """What is known of a call by now; `status` is 0 until an answer came."""

    status: int = 0


@contextmanager
def observed(vendor: str, call: str, method: str, url: str) -> Iterator[Seen]:
    """Around one exchange. `call` names its kind, one of a few words of this vendor."""
    seen, began = Seen(), time.perf_counter()
    with _span(method, url) as span:
        try:
            yield seen
        finally:
            outcome = f"{seen.status // 100}xx" if seen.status else "no_answer"
            CALL_SECONDS.labels(vendor, call, outcome).observe(time.perf_counter() - began)
            _close(span, seen.status, outcome)


@contextmanager
def _span(method: str, url: str) -> Iterator[Span]:
    """A client span within its request's; a poll of a watch belongs to no request, and has none."""
    current = trace.get_current_span()
    if not current.get_span_context().is_valid:
        yield trace.INVALID_SPAN
        return
    where = urlsplit(url)
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "server.address": where.hostname or "",
        "server.port": where.port or (443 if where.scheme == "https" else 80),
        "url.scheme": where.scheme,
    }
    with _TRACER.start_as_current_span(
        "vendor.call",
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def _close(span: Span, status: int, outcome: str) -> None:
    if status:
        span.set_attribute("http.response.status_code", status)
    if status >= 400 or not status:
        span.set_attribute("error.type", str(status) if status else outcome)
        span.set_status(Status(StatusCode.ERROR))
