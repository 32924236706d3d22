"""Rows of what happened."""

from observability.models.blob import Blob
from observability.models.trace_event import TraceEvent

__all__ = ["Blob", "TraceEvent"]
