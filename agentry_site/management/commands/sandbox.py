"""`manage.py sandbox worker|doctor|reap`: the process that makes sandboxes, and looking at it."""

import asyncio
import json
import logging
from argparse import ArgumentParser
from pathlib import Path
from socket import gethostname
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.env import Environment
from core.errors import DomainError
from core.pausepoints import install_from_environment
from core.tracing.setup import tracing_start, tracing_stop
from sandbox.contracts import Abilities
from sandbox.services import Sandboxes, sandboxes
from sandbox.worker import Setting, serve


class Command(BaseCommand):
    help = (
        "worker: own the engines of this host and make sandboxes for web and agent workers (run "
        "it as root). doctor: say for each engine what it can hold and how strong it is, with "
        "status 1 when none works. reap: take away what sandboxes of dead processes left; the "
        "worker does that itself every minute."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["worker", "doctor", "reap"])
        parser.add_argument("--json", action="store_true", help="The same for programs.")
        parser.add_argument(
            "--socket", type=Path, default=settings.SANDBOX_SOCKET, help="AGENTRY_SANDBOX_SOCKET"
        )
        parser.add_argument(
            "--here",
            action="store_true",
            help="doctor: ask what this very process could do, instead of the sandbox worker.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "worker":
            self._work(options["socket"])
        elif options["action"] == "reap":
            self._tell(Sandboxes().reap(), "\n".join, as_json=options["json"])
        else:
            self._examine(is_here=options["here"], as_json=options["json"])

    def _work(self, socket: Path | None) -> None:
        if socket is None:
            raise CommandError(
                "Name the socket it listens at: AGENTRY_SANDBOX_SOCKET for it and for every "
                "process that is to find it, or --socket."
            )
        install_from_environment()
        logging.getLogger("sandbox").setLevel(logging.INFO)
        settings.WORKSPACES_DIR.mkdir(mode=0o711, parents=True, exist_ok=True)
        setting = Setting.of(
            Environment.of_process(), socket=socket, workspaces=settings.WORKSPACES_DIR
        )
        tracing_start(settings.TRACES, role="sandbox-worker", instance=gethostname())
        try:
            asyncio.run(serve(setting))
        except DomainError as error:
            raise CommandError(str(error)) from error
        finally:
            tracing_stop()

    def _examine(self, *, is_here: bool, as_json: bool) -> None:
        try:
            told = asyncio.run((Sandboxes() if is_here else sandboxes()).doctor())
        except DomainError as error:
            raise CommandError(str(error)) from error
        self._tell(told, lambda found: "\n\n".join(map(_words, found)), as_json=as_json)
        if not any(abilities.is_available for abilities in told):
            raise SystemExit(1)

    def _tell(self, found: Any, words: Any, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(msgspec.to_builtins(found), indent=2, sort_keys=True))
        else:
            self.stdout.write(words(found))


def _words(abilities: Abilities) -> str:
    if not abilities.is_available:
        return f"{abilities.name}: not available\n  {abilities.problem}\n  {abilities.remedy}"
    lines = [f"{abilities.name}: available, isolates by {abilities.strength}"]
    lines.append(f"  holds: {', '.join(sorted(abilities.holds))}")
    lines += [f"  not {limit}: {why}" for limit, why in sorted(abilities.missing.items())]
    return "\n".join(lines)
