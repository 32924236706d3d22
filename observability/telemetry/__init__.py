"""What this process tells of itself: metrics, the lag of its event loops, and traces."""

from observability.telemetry.page import metrics_page, readings_register
from observability.telemetry.process import (
    loop_unwatch,
    loop_watch,
    slow_callbacks_tell,
    telemetry_start,
    telemetry_stop,
)
from observability.telemetry.reading import scrape_require

__all__ = [
    "loop_unwatch",
    "loop_watch",
    "metrics_page",
    "readings_register",
    "scrape_require",
    "slow_callbacks_tell",
    "telemetry_start",
    "telemetry_stop",
]
