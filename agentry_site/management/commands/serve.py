"""`manage.py serve`: one server process."""

import socket
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandError

from agentry_site.serving import server_config


class Command(BaseCommand):
    help = "Serve the site: console, API, live views. Start several with --shared on one port."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--shared",
            action="store_true",
            help="Let other server processes of this machine listen on the same port.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        server = uvicorn.Server(server_config(host=options["host"], port=options["port"]))
        try:
            listening = _listening(options["host"], options["port"], shared=options["shared"])
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {options['host']}:{options['port']}: {error.strerror}. "
                "Choose another --port, or stop what listens there."
            ) from error
        with suppress(KeyboardInterrupt):  # Ctrl-C: the server has stopped by then
            server.run(sockets=[listening])
        if not server.started:
            raise CommandError("The server did not start; the lines above say why.")


def _listening(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((host, port))
    listening.listen(4096)
    return listening
