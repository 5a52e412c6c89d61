"""Where traces go: to the collector that OpenTelemetry's own variables name.

The only module that imports OpenTelemetry's SDK; `bot.tracing` loads it where a collector is named.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision

from bot import tracing

FLUSH_WITHIN = 1000  # milliseconds at the end


class Ids(RandomIdGenerator):
    """A request's first span has the ids that follow from the request's."""

    def generate_trace_id(self) -> int:
        given = tracing.first.get()
        return given[0] if given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        given = tracing.first.get()
        return given[1] if given else super().generate_span_id()


class Labels(SpanProcessor):
    """Every span says whose it is."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        del parent_context  # what a span is of is known here, wherever it hangs
        span.set_attributes(tracing.labels.get() or {})


def start() -> Callable[[], None]:
    """Begin to export; what to call at the end."""
    about = {"service.version": version("amend")}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        about["service.name"] = "amend"
    resource = Resource.create(about)
    provider = TracerProvider(id_generator=Ids(), resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(Labels())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    def sampled(trace_id: int) -> bool:
        found = provider.sampler.should_sample(None, trace_id, "slack.receive")
        return found.decision is Decision.RECORD_AND_SAMPLE

    def end() -> None:
        provider.force_flush(FLUSH_WITHIN)

    tracing.sample_by(sampled)
    return end
