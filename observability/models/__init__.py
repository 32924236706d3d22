"""Rows of what happened."""

from observability.models.blob import Blob
from observability.models.process import Process, SlowCallback
from observability.models.profile import Profile
from observability.models.trace_event import TraceEvent
from observability.models.usage import UsageCursor, UsageHour

__all__ = [
    "Blob",
    "Process",
    "Profile",
    "SlowCallback",
    "TraceEvent",
    "UsageCursor",
    "UsageHour",
]
