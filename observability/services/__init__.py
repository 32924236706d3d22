"""What other apps ask of observability: appending events outside the journal, summing usage,
reporting processes and profiling them."""

from observability.services.events import blobs_store, event_append
from observability.services.profiles import (
    process_watch_start,
    process_watch_stop,
    profile_delete,
    profile_request,
)
from observability.services.usage import usage_fold, usage_fold_all, usage_rebuild

__all__ = [
    "blobs_store",
    "event_append",
    "process_watch_start",
    "process_watch_stop",
    "profile_delete",
    "profile_request",
    "usage_fold",
    "usage_fold_all",
    "usage_rebuild",
]
