"""`manage.py demo`: the whole product in one process, and a run to watch."""

import os
import socket
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from agentry_site.demo import QUESTION, Demo, demo_prepare, demo_unfinished
from agentry_site.serving import server_config
from core.env import environment_of_child

FOLDER = Path(settings.BASE_DIR) / ".run"
FILE = FOLDER / "demo.json"
PREFERRED_PORT = 8000


class Command(BaseCommand):
    help = "Start everything in one process, watch a demo run, and go on serving (Ctrl-C stops)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=0, help="Default: 8000, or a free one.")
        parser.add_argument(
            "--once",
            action="store_true",
            default=settings.DEMO_ONCE,
            help="Stop after the run, with its exit status (also: DEMO_ONCE=1).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.ENGINE_MODE != "embedded":
            self._restart_embedded()
        call_command("migrate", verbosity=0)
        port = options["port"] or _free_port(PREFERRED_PORT)
        unfinished = demo_unfinished()
        demo = demo_prepare(url=f"http://127.0.0.1:{port}", known=FILE)
        demo.write(FILE)
        server = uvicorn.Server(server_config(host="127.0.0.1", port=port))
        show = _Show(demo, server, unfinished=str(unfinished or ""), stops=options["once"])
        show.start()
        with suppress(KeyboardInterrupt):  # Ctrl-C: the server has stopped by then
            server.run()
        show.join()
        if not server.started:
            raise CommandError(f"The server could not start on port {port}; see the lines above.")
        if options["once"] and show.status:
            raise CommandError("The demo run did not succeed.", returncode=show.status)

    def _restart_embedded(self) -> None:
        """Begin again with the settings of one process: no services, a folder of the demo's own."""
        environment = environment_of_child(
            without={"DATABASE_URL", "REDIS_URL"}, changes={"AGENTRY_ENGINE": "embedded"}
        )
        environment.setdefault("AGENTRY_DATA_DIR", str(FOLDER / "demo"))
        environment.setdefault("AGENTRY_LOG_LEVEL", "WARNING")
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606


class _Show(threading.Thread):
    """Waits for the server, then runs the command line as a person would."""

    def __init__(self, demo: Demo, server: uvicorn.Server, *, unfinished: str, stops: bool) -> None:
        super().__init__(name="demo", daemon=True)
        self._demo = demo
        self._server = server
        self._unfinished = unfinished
        self._stops = stops
        self.status = 1

    def run(self) -> None:
        while not self._server.started:
            if self._server.should_exit:
                return
            time.sleep(0.05)
        self._say(f"Agentry Cloud is running at {self._demo.url} (process {os.getpid()})")
        # Said before the run as well: it may wait for a person, who then has to get in.
        kept = FILE.relative_to(FOLDER.parent)
        self._say(f"Sign in as {self._demo.username}; the password is in {kept}")
        if self._unfinished:
            self._say(f"A run was under way when the last demo ended: {self._unfinished}")
            self._say("It goes on from its last commit.\n")
            command = ["runs", "watch", self._unfinished]
        else:
            command = ["run", "--agent", "guide", QUESTION]
        self.status = subprocess.run(  # noqa: S603  # our own command line
            [str(Path(sys.executable).with_name("agentry")), *command],
            env=self._environment(),
            check=False,
        ).returncode
        if self._stops:
            self._server.should_exit = True
            return
        self._say("")
        self._say(f"Console   {self._demo.url}/admin/")
        self._say(f"Sign in   {self._demo.username} / {self._demo.password}")
        self._say(f"API       {self._demo.url}/api/v1/docs   (token in {kept})")
        self._say(
            "Press Ctrl-C to stop. Try kill -9 in the middle of a run, then `make demo` again."
        )

    def _environment(self) -> dict[str, str]:
        return environment_of_child(
            without={"DJANGO_SETTINGS_MODULE", "AGENTRY_ENGINE", "AGENTRY_DATA_DIR"},
            changes={
                "AGENTRY_URL": self._demo.url,
                "AGENTRY_TOKEN": self._demo.token,
                "AGENTRY_WORKSPACE": self._demo.workspace,
            },
        )

    @staticmethod
    def _say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CommandError("No port is free on 127.0.0.1.")
