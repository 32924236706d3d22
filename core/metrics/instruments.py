"""The instruments of this process, by what they count. Import one and tell it."""

import os
import resource
import time

from core.metrics.recording import Recorder

RECORDER = Recorder()

_counter, _histogram = RECORDER.counter, RECORDER.histogram

HTTP_REQUESTS = _counter("agentry_http_requests_total")
HTTP_SECONDS = _histogram("agentry_http_request_duration_seconds")
RUNS_CLAIMED = _counter("agentry_runs_claimed_total")
RUNS_FINISHED = _counter("agentry_runs_finished_total")
RUN_ERRORS = _counter("agentry_run_errors_total")
RUN_SECONDS = _histogram("agentry_run_duration_seconds")
RUN_QUEUE_SECONDS = _histogram("agentry_run_queue_seconds")
TOKENS = _counter("agentry_tokens_total")
COST_USD = _counter("agentry_cost_usd_total")
MODEL_UNPRICED = _counter("agentry_model_calls_unpriced_total")
MODEL_CALLS = _counter("agentry_model_calls_total")
MODEL_SECONDS = _histogram("agentry_model_latency_seconds")
TOOL_CALLS = _counter("agentry_tool_calls_total")
TOOL_SECONDS = _histogram("agentry_tool_latency_seconds")
SANDBOX_CALLS = _counter("agentry_sandbox_calls_total")
SANDBOX_SECONDS = _histogram("agentry_sandbox_latency_seconds")
JOURNAL_ENTRIES = _counter("agentry_journal_entries_total")
JOURNAL_SPLITS = _counter("agentry_journal_splits_total")
COMMIT_SECONDS = _histogram("agentry_journal_commit_seconds")
COMMIT_ENTRIES = _histogram("agentry_journal_commit_entries")
LOOP_LAG_SECONDS = _histogram("agentry_event_loop_lag_seconds")
LOOP_SLOW = _counter("agentry_event_loop_slow_total")
DELIVERIES = _counter("agentry_deliveries_total")

_PAGE_BYTES = resource.getpagesize()


def process_watched() -> None:
    """Tell memory, processor time and open files of this process with its figures."""
    started_at = time.time()
    RECORDER.gauge("agentry_process_memory_bytes", _memory_bytes)
    RECORDER.gauge("agentry_process_cpu_seconds", time.process_time)
    RECORDER.gauge("agentry_process_start_time_seconds", lambda: started_at)
    if os.path.isdir(_OPEN_FILES):  # noqa: PTH112  # asked of the kernel, on Linux only
        RECORDER.gauge("agentry_process_open_files", lambda: float(len(os.listdir(_OPEN_FILES))))  # noqa: PTH208


_OPEN_FILES = "/proc/self/fd"


def _memory_bytes() -> float:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # not a file of ours
            return float(int(file.read().split()[1]) * _PAGE_BYTES)
    except FileNotFoundError:  # not Linux: the most it ever had, in bytes or kilobytes
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
