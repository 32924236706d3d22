"""Beat's schedule kept in memory: the entries are in the settings, nothing is worth a file."""

from datetime import timedelta

from celery.beat import Scheduler

_LONG_AGO = timedelta(days=1)


class MemoryScheduler(Scheduler):
    """Every process starts with all entries due; the tasks are safe to run too often.

    Otherwise a beat that is restarted more often than a task's period would never send it.
    """

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now() - _LONG_AGO
