"""Workers and queues: who drives runs, what waits for whom, and taking a worker out of work."""

from agentry_site.console.workers.page import WorkersPage

__all__ = ["WorkersPage"]
