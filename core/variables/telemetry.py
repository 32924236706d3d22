"""What is told of this site to Prometheus and to collectors of traces."""

from core.variables.variable import section

TELEMETRY = section(
    "Telemetry",
    (
        "AGENTRY_METRICS_TOKEN",
        "secret",
        "",
        (
            "Bearer token that may read `/metrics`. Empty: in production nobody may, elsewhere "
            "programs on the same machine that come through no proxy."
        ),
    ),
    (
        "AGENTRY_METRICS_ADDRESS",
        "str",
        "",
        (
            "`host:port` at which a machine without a web process tells its metrics, such as "
            "`127.0.0.1:9464`. Its workers share it: one listens, for all of them."
        ),
    ),
    (
        "AGENTRY_METRICS_NAMES",
        "int",
        "50",
        "Agents, tools, models and providers that have metrics of their own; others are `other`.",
    ),
    (
        "AGENTRY_METRICS_AGENTS",
        "list",
        "",
        "Agents that have metrics of their own in any case.",
    ),
    (
        "AGENTRY_LOOP_LAG_SECONDS",
        "float",
        "0.1",
        "A callback that holds an event loop up for longer is noted with its place in the code.",
    ),
    (
        "OTEL_TRACES_EXPORTER",
        "str",
        "none",
        (
            "`otlp` sends traces to a collector, `console` writes them to standard output, "
            "`none` makes none."
        ),
    ),
    (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "str",
        "http/protobuf",
        (
            "`http/protobuf` or `grpc`. Where to is `OTEL_EXPORTER_OTLP_ENDPOINT`; that and every "
            "other `OTEL_EXPORTER_OTLP_…`, `OTEL_BSP_…`, `OTEL_SERVICE_NAME` and "
            "`OTEL_RESOURCE_ATTRIBUTES` is read as OpenTelemetry says."
        ),
    ),
    (
        "OTEL_TRACES_SAMPLER_ARG",
        "float",
        "1",
        "Share of traces that are made, from 0 to 1. A caller's own decision is kept.",
    ),
    (
        "AGENTRY_TRACE_PAYLOADS",
        "bool",
        "",
        (
            "Put messages, arguments and results into spans, redacted. Whoever reads the "
            "collector reads them, whatever their rights are here."
        ),
    ),
)
