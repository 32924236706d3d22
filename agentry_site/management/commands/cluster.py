"""`manage.py cluster`: the cluster topology on one machine, as real processes."""

import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from core.env import environment_of_child

STOP_SECONDS = 40.0
RESTART_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Run web, workers, a sandbox worker and beat as processes of their own on DATABASE_URL "
        "and REDIS_URL; restarts what dies, drains everything on Ctrl-C."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--web", type=int, default=1, help="Server processes.")
        parser.add_argument("--workers", type=int, default=2, help="Engine processes.")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.IS_POSTGRES or not settings.REDIS_URL:
            raise CommandError(
                "The cluster needs PostgreSQL and Redis: set DATABASE_URL and REDIS_URL, or use "
                "`make cluster`, which starts private ones."
            )
        call_command("migrate", verbosity=0)
        socket = settings.SANDBOX_SOCKET or settings.DATA_DIR / "sandbox.sock"
        keeper = Keeper(_commands(options["web"], options["workers"], options["port"]), socket)
        self.stdout.write(f"Agentry Cloud is starting at http://127.0.0.1:{options['port']}")
        keeper.run()


def _commands(web: int, workers: int, port: int) -> dict[str, list[str]]:
    manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
    commands = {
        "beat": [
            sys.executable, "-m", "celery", "-A", "agentry_site", "beat", "--loglevel=WARNING",
            "--scheduler=agentry_site.beat.MemoryScheduler", "--pidfile=",
        ],
    }  # fmt: skip
    for number in range(1, web + 1):
        commands[f"web-{number}"] = [*manage, "serve", f"--port={port}", "--shared"]
    for number in range(1, workers + 1):
        name = f"worker-{number}"
        commands[name] = [*manage, "worker", f"--name={name}", "--loglevel=WARNING"]
    commands["sandbox-worker"] = [*manage, "sandbox", "worker"]
    return commands


class Keeper:
    """Keeps child processes alive until it is told to stop; ends only what it started."""

    def __init__(self, commands: dict[str, list[str]], sandbox_socket: Path) -> None:
        self._commands = commands
        self._sandbox_socket = sandbox_socket
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._is_stopping = False

    def run(self) -> None:
        """Start everything and return after a signal, when every child has ended."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        environment = environment_of_child(
            changes={
                "AGENTRY_ENGINE": "off",
                "AGENTRY_SANDBOX_SOCKET": str(self._sandbox_socket),
            }
        )
        try:
            while not self._is_stopping:
                for name, command in self._commands.items():
                    child = self._children.get(name)
                    if child is None or child.poll() is not None:
                        if child is not None:
                            sys.stderr.write(f"{name} ended with {child.returncode}; restarting\n")
                        self._children[name] = subprocess.Popen(  # noqa: S603  # our own commands
                            command, env=environment, start_new_session=True
                        )
                time.sleep(RESTART_SECONDS)
        finally:
            self._end_all()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True

    def _end_all(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        give_up_at = time.monotonic() + STOP_SECONDS
        for name, child in self._children.items():
            try:
                child.wait(max(give_up_at - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                sys.stderr.write(f"{name} did not stop in time; killing it\n")
                child.kill()
                child.wait()
