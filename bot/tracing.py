"""One trace a request, whoever carries it on and when: its id follows from the request's own.

Nothing is stored for it, so a restart, another replica and a click a week later find the same trace.
Spans hold ids and names of operations, never a parameter, anybody's words or a secret. Where no exporter
is set up (`bot.exporting`) spans cost next to nothing.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from types import ModuleType

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags
from structlog.contextvars import bound_contextvars

from bot.settings import BadSettings
from integrations.addresses import web_address

_TRACER = trace.get_tracer("amend")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_REMEMBERED = 4096  # requests whose labels are known to later clicks in this process

# What the exporter's side reads when a span begins: its labels, and the ids of a trace's first span.
labels: ContextVar[Mapping[str, str] | None] = ContextVar("labels", default=None)
first: ContextVar[tuple[int, int] | None] = ContextVar("first", default=None)

_came_in: ContextVar[int | None] = ContextVar("came_in", default=None)
_known: OrderedDict[str, Mapping[str, str]] = OrderedDict()


def _always(_: int) -> bool:
    return True


_sampled: Callable[[int], bool] = _always


def export() -> Callable[[], None] | None:
    """Begin to export; what to call at the end. None where no collector is named.

    Raises `BadSettings` where what is named is none, or the packages for it are not installed.
    """
    exporting = exporter()
    return _started(exporting.start) if exporting else None


def exporter() -> ModuleType | None:
    """What exports, not begun yet; raises as `export` does, so that a doctor may ask before a start."""
    named = [each for each in ENDPOINTS if os.environ.get(each)]
    if not named or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    for each in named:
        if web_address(os.environ[each]) is None:
            message = f"{each}: must be a URL like http://collector.example:4318."
            raise BadSettings(message)
    try:
        return import_module("bot.exporting")
    except ImportError:
        message = f"{named[0]} is set, and what traces need is not there: install amend[otel]."
        raise BadSettings(message) from None


def _started(start: Callable[[], Callable[[], None]]) -> Callable[[], None]:
    """Raises `BadSettings`; the SDK passes over most of what is malformed, and says so in the log."""
    try:
        return start()
    except ValueError:
        sizes = sorted(each for each in os.environ if each.startswith("OTEL_BSP_"))
        message = f"{' or '.join(sizes) or 'OTEL_*'}: OpenTelemetry does not take it."
        raise BadSettings(message) from None


def sample_by(sampled: Callable[[int], bool]) -> None:
    """Which traces are kept, by their ids; all spans of one ask the same question."""
    global _sampled  # noqa: PLW0603 - as the API's own provider, there is one a process
    _sampled = sampled


def ids_of(request_id: str) -> tuple[int, int]:
    """The trace of a request, and the span that it begins with."""
    made = hashlib.sha256(f"amend:{request_id}".encode()).digest()
    return int.from_bytes(made[:16]), int.from_bytes(made[16:24])


def marks(request_id: str) -> dict[str, str]:
    """What each line about a request is logged with."""
    return {"request_id": request_id, "trace_id": f"{ids_of(request_id)[0]:032x}"}


def comes_in() -> None:
    """Something of Slack's is being received in this task."""
    _came_in.set(time.time_ns())


def accepted(request_id: str, operation: str) -> None:
    """What came in became this request: the span that its trace begins with."""
    _remember(request_id, operation)
    token = first.set(ids_of(request_id))
    try:
        _received(request_id, Context())
    finally:
        first.reset(token)


def clicked(request_id: str) -> None:
    """What came in was a press on this request."""
    _received(request_id, _within(request_id))


@contextmanager
def following(step: str, request_id: str, operation: str) -> Iterator[None]:
    """A step of a request: a span of its trace, and both ids in every line that is logged in it."""
    _remember(request_id, operation)
    token = labels.set(_known[request_id])
    try:
        with (
            bound_contextvars(**marks(request_id)),
            _TRACER.start_as_current_span(
                step,
                _within(request_id),
                record_exception=False,  # its words may be anybody's
                set_status_on_exception=False,
            ) as span,
        ):
            try:
                yield
            except Exception:
                span.set_status(Status(StatusCode.ERROR))
                raise
    finally:
        labels.reset(token)


def _received(request_id: str, context: Context) -> None:
    began = _came_in.get()
    if began is None:
        return
    token = labels.set(_known.get(request_id, {"amend.request_id": request_id}))
    try:
        _TRACER.start_span("slack.receive", context, start_time=began).end()
    finally:
        labels.reset(token)


def _remember(request_id: str, operation: str) -> None:
    _known[request_id] = {
        "amend.request_id": request_id,
        "amend.operation": operation,
        "amend.vendor": operation.partition(".")[0],
    }
    _known.move_to_end(request_id)
    if len(_known) > _REMEMBERED:
        _known.popitem(last=False)


def _within(request_id: str) -> Context:
    """Below the span that is open, where it is of the same request; else below the trace's first."""
    trace_id, span_id = ids_of(request_id)
    open_span = trace.get_current_span()
    if open_span.get_span_context().trace_id == trace_id:
        return trace.set_span_in_context(open_span)
    flags = TraceFlags(TraceFlags.SAMPLED if _sampled(trace_id) else TraceFlags.DEFAULT)
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(parent))
