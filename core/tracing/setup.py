"""Turning tracing on: what the environment asks for, made in this process after any fork."""

import msgspec

from core import tracing
from core.env import ConfigurationError, Environment

EXPORTERS = ("none", "otlp", "console")
PROTOCOLS = ("http/protobuf", "grpc")


class TraceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`exporter` is one of EXPORTERS, `protocol` of PROTOCOLS, `share` from 0 to 1."""

    exporter: str = "none"
    protocol: str = "http/protobuf"
    share: float = 1.0
    shows_payloads: bool = False

    @classmethod
    def of(cls, env: Environment) -> "TraceSettings":
        """Read and check them. Raises ConfigurationError."""
        exporter = env.text("OTEL_TRACES_EXPORTER").strip().lower() or "none"
        protocol = env.text("OTEL_EXPORTER_OTLP_PROTOCOL").strip().lower()
        share = env.number("OTEL_TRACES_SAMPLER_ARG")
        if exporter not in EXPORTERS:
            raise ConfigurationError(
                f"OTEL_TRACES_EXPORTER={exporter!r} is not one of: {', '.join(EXPORTERS)}."
            )
        if protocol not in PROTOCOLS:
            raise ConfigurationError(
                f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} is not one of: {', '.join(PROTOCOLS)}."
            )
        if share > 1:
            raise ConfigurationError(
                f"OTEL_TRACES_SAMPLER_ARG={share:g} is not from 0 to 1: it is a share of traces."
            )
        return cls(
            exporter=exporter,
            protocol=protocol,
            share=share,
            shows_payloads=env.boolean("AGENTRY_TRACE_PAYLOADS"),
        )


def tracing_start(settings: TraceSettings, *, role: str, instance: str) -> None:
    """Make spans from now on, if the settings say so; `role` and `instance` name this process."""
    if settings.exporter == "none" or tracing.is_on():
        return
    from core.tracing.export import OpenTelemetrySink  # importing it is what being off spares

    tracing.sink_set(OpenTelemetrySink(settings, role=role, instance=instance))


def tracing_stop() -> None:
    """Send what is waiting, then make no more spans."""
    if (sink := tracing.sink_set(None)) is not None:
        sink.stop()
