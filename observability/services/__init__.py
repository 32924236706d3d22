"""What other apps ask of observability: appending events outside the journal, summing usage."""

from observability.services.events import blobs_store, event_append
from observability.services.usage import usage_fold, usage_fold_all, usage_rebuild

__all__ = ["blobs_store", "event_append", "usage_fold", "usage_fold_all", "usage_rebuild"]
