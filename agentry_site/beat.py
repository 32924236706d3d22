"""Beat's schedule kept in memory: the entries are in the settings, nothing is worth a file."""

from celery.beat import Scheduler


class MemoryScheduler(Scheduler):
    """Every process starts with all entries due; the tasks are safe to run too often."""
