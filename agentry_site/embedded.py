"""The embedded topology: engine and beat as threads of the server process.

Does nothing when AGENTRY_ENGINE is off: then workers and beat are processes of their own.
"""

from typing import Protocol, cast

from celery.beat import EmbeddedService
from django.conf import settings

from agentry_site.celery import app
from agents.engine_process import host_start, host_stop


class _Beat(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


class Embedded:
    """Started and stopped with the server; each may be called once."""

    def __init__(self) -> None:
        self._beat: _Beat | None = None

    def start(self) -> None:
        """Start engine and beat. Raises UnavailableError when the engine cannot start."""
        if settings.ENGINE_MODE != "embedded":
            return
        host_start()
        app.loader.import_default_modules()  # beat runs tasks eagerly only when it knows them
        scheduler = "agentry_site.beat.MemoryScheduler"
        beat = EmbeddedService(app, thread=True, scheduler_cls=scheduler)
        self._beat = cast("_Beat", beat)  # a thread, because that was asked for
        self._beat.start()

    def stop(self) -> None:
        """Stop beat, then drain the engine: runs go back to the queue at their next boundary."""
        if self._beat is not None:
            self._beat.stop()
            self._beat = None
        host_stop()
