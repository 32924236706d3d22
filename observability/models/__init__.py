"""Rows of what happened."""

from observability.models.blob import Blob
from observability.models.trace_event import TraceEvent
from observability.models.usage import UsageCursor, UsageHour

__all__ = ["Blob", "TraceEvent", "UsageCursor", "UsageHour"]
