"""`manage.py worker`: one engine process under Celery."""

import os
from argparse import ArgumentParser
from typing import Any

from celery import current_app, signals
from django.core.management.base import BaseCommand, CommandError

from agents.engine_process import host_start, host_stop
from observability.services import process_watch_start, process_watch_stop
from observability.telemetry import telemetry_start, telemetry_stop


class Command(BaseCommand):
    help = "Run a worker: drives agent runs until it is told to stop (SIGTERM drains it)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", default=f"worker-{os.getpid()}", help="Shown in lists.")
        parser.add_argument("--loglevel", default="INFO", help="Lowest level that is logged.")

    def handle(self, *args: Any, **options: Any) -> None:
        if current_app.conf.task_always_eager:
            raise CommandError(
                "A worker needs a broker: set REDIS_URL. Without one, run everything in one "
                "process with AGENTRY_ENGINE=embedded (that is what `make demo` does)."
            )
        # The engine lives beside Celery's consumer, in this very process: the solo pool runs
        # tasks inline, and the only task it gets rings a bell.
        signals.worker_ready.connect(_started, weak=False)
        signals.worker_shutdown.connect(_stopped, weak=False)
        current_app.worker_main(
            [
                "worker",
                "--pool=solo",
                f"--hostname={options['name']}@%h",
                f"--loglevel={options['loglevel']}",
                "--without-gossip",
                "--without-mingle",
            ]
        )


def _started(**_: Any) -> None:
    telemetry_start("worker")
    host_start()
    process_watch_start("worker")


def _stopped(**_: Any) -> None:
    process_watch_stop()
    host_stop()
    telemetry_stop()
