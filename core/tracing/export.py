"""Finished spans on their way to a collector, by OpenTelemetry's own exporters.

Only imported where tracing is on. Sending is done by a thread of the library, in batches; a
collector that is away costs spans and never work.
"""

from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from core.process import installed_version
from core.tracing import Place, Span
from core.tracing.conventions import SCHEMA_URL

if TYPE_CHECKING:
    from core.tracing.setup import TraceSettings

_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_SAMPLED, _UNSAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)
_STOP_MILLISECONDS = 5_000


class OpenTelemetrySink:
    """Hands spans to a batch processor of the library."""

    def __init__(self, settings: "TraceSettings", *, role: str, instance: str) -> None:
        self.share = settings.share
        self.shows_payloads = settings.shows_payloads
        # `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over what is given here.
        self._resource = Resource.create().merge(
            Resource({"service.instance.id": instance, "agentry.role": role})
        )
        if str(self._resource.attributes.get("service.name", "")).startswith("unknown_service"):
            self._resource = self._resource.merge(
                Resource({"service.name": "agentry", "service.version": installed_version()})
            )
        self._scope = InstrumentationScope("agentry", installed_version(), SCHEMA_URL)
        self._processor = BatchSpanProcessor(_exporter(settings))

    def tell(self, span: Span) -> None:
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.place, is_remote=False),
                parent=None if span.parent is None else _context(span.parent, is_remote=True),
                resource=self._resource,
                attributes=span.attributes,
                kind=_KINDS[span.kind],
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
                start_time=span.began_ns,
                end_time=max(span.ended_ns, span.began_ns),
                instrumentation_scope=self._scope,
            )
        )

    def flush(self) -> None:
        self._processor.force_flush(_STOP_MILLISECONDS)

    def stop(self) -> None:
        self.flush()
        self._processor.shutdown()  # type: ignore[no-untyped-call]  # the library has no type for it


def _exporter(settings: "TraceSettings") -> SpanExporter:
    if settings.exporter == "console":
        return ConsoleSpanExporter(formatter=lambda span: f"{span.to_json(indent=None)}\n")
    if settings.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
            OTLPSpanExporter as GrpcExporter,
        )

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _context(place: Place, *, is_remote: bool) -> SpanContext:
    flags = _SAMPLED if place.is_sampled else _UNSAMPLED
    return SpanContext(place.trace_id, place.span_id, is_remote, flags)
