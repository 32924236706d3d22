"""The one table of metrics: name, kind, labels, meaning. The reference page is generated from it.

Labels come from closed sets, except those in `NAMES`, which people choose: of each of these only so
many have series of their own, and the rest share the series `other`. Nothing here is ever a run, a
person or a workspace.
"""

from dataclasses import dataclass
from enum import StrEnum

OTHER = "other"
# Labels whose values people choose; each is bounded, see `core.metrics.names`.
NAMES = frozenset({"agent", "tool", "model", "provider"})


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Who knows: each process for itself, or the database, asked by whoever is scraped."""

    PROCESS = "process"
    DATABASE = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    source: Source = Source.PROCESS


_REQUEST = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_MODEL = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_TOOL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_WAIT = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)
_RUN = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
_COMMIT = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_SIZE = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 500.0)
_LAG = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, help=help_, labels=labels)


def _histogram(name: str, buckets: tuple[float, ...], help_: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.HISTOGRAM, help=help_, labels=labels, buckets=buckets)


def _gauge(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, help=help_, labels=labels)


def _known(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, help=help_, labels=labels, source=Source.DATABASE)


METRICS: tuple[Metric, ...] = (
    # Requests. `route` is the pattern of the address, never the address.
    _counter(
        "agentry_http_requests_total", "Requests answered.", "method", "route", "status"
    ),
    _histogram(
        "agentry_http_request_duration_seconds", _REQUEST,
        "From the first byte of a request to the last of its answer; streams to their beginning.",
        "method", "route",
    ),
    # Runs.
    _counter("agentry_runs_claimed_total", "Runs taken up by a worker, again after each wait."),
    _counter(
        "agentry_runs_finished_total", "Runs that ended, by how they ended.", "agent", "state"
    ),
    _counter("agentry_run_errors_total", "Runs that failed or were parked, by cause.", "code"),
    _histogram(
        "agentry_run_duration_seconds", _RUN, "From a run's creation to its end.", "state"
    ),
    _histogram(
        "agentry_run_queue_seconds", _WAIT, "From a run's creation to the first claim of it."
    ),
    # Models.
    _counter(
        "agentry_tokens_total",
        "Tokens used. `cache_read` tokens are counted in `input` too.",
        "agent", "model", "kind",
    ),
    _counter(
        "agentry_cost_usd_total",
        "Dollars spent on model calls whose price is known.",
        "agent", "model",
    ),
    _counter(
        "agentry_model_calls_unpriced_total",
        "Model calls whose price is unknown; their cost is in no figure.",
        "model",
    ),
    _counter("agentry_model_calls_total", "Model calls ended.", "model", "outcome"),
    _histogram(
        "agentry_model_latency_seconds", _MODEL,
        "From asking a model to the end of its answer, with retries.", "model",
    ),
    # Tools and sandboxes.
    _counter("agentry_tool_calls_total", "Tool calls that ran.", "tool", "outcome"),
    _histogram(
        "agentry_tool_latency_seconds", _TOOL, "How long tool calls ran.", "tool"
    ),
    _counter("agentry_sandbox_calls_total", "Calls in sandboxes.", "engine", "ended"),
    _histogram(
        "agentry_sandbox_latency_seconds", _TOOL, "How long calls in sandboxes took.", "engine"
    ),
    # The engine.
    _counter("agentry_journal_entries_total", "Entries written by the journal."),
    _counter(
        "agentry_journal_splits_total", "Batches split because an entry in them was refused."
    ),
    _histogram(
        "agentry_journal_commit_seconds", _COMMIT, "How long a commit of the journal took."
    ),
    _histogram(
        "agentry_journal_commit_entries", _SIZE, "Entries in one commit of the journal."
    ),
    _gauge("agentry_engine_runs", "Runs a process is driving.", "process"),
    _gauge("agentry_engine_capacity", "Runs a process would drive at once.", "process"),
    _histogram(
        "agentry_event_loop_lag_seconds", _LAG,
        "How late an event loop ran a callback that was due.", "process",
    ),
    _counter(
        "agentry_event_loop_slow_total",
        "Callbacks that held an event loop up for longer than the threshold.", "process",
    ),
    # Processes.
    _gauge("agentry_process_memory_bytes", "Resident memory.", "process"),
    _gauge("agentry_process_cpu_seconds", "Processor time since it began.", "process"),
    _gauge("agentry_process_open_files", "Open file descriptors.", "process"),
    _gauge("agentry_process_start_time_seconds", "When it began, in epoch seconds.", "process"),
    _counter("agentry_deliveries_total", "Attempts to deliver a notice.", "kind", "outcome"),
    # What only the database knows: asked by whoever is scraped, the same from everybody.
    _known("agentry_database_up", "1 when the figures of the database are fresh."),
    _known("agentry_agent_up", "1 for an agent that can start runs, 0 for one switched off.",
           "agent"),
    _known("agentry_runs", "Runs that have not ended, by state and what they wait for.",
           "state", "wait"),
    _known("agentry_queue_lag_seconds", "How long the oldest due run has been queued."),
    _known("agentry_approvals_pending", "Questions that wait for a person.", "kind"),
    _known("agentry_approval_oldest_seconds", "How long the oldest question has waited."),
    _known("agentry_workers", "Workers heard of in the last minute.", "state"),
    _known("agentry_worker_capacity", "Runs those workers would drive at once."),
    _known("agentry_deliveries_pending", "Notices that are still to be delivered."),
)  # fmt: skip

BY_NAME = {metric.name: metric for metric in METRICS}
