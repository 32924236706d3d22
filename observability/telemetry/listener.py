"""The metrics of a machine that has no web process, at an address of their own.

All workers of the machine are given the same address. One listens and tells the figures of all;
when it ends, another takes over within seconds.
"""

import errno
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from core.errors import DomainError
from core.metrics.exposition import content_type
from observability.telemetry.reading import scrape_require

logger = logging.getLogger(__name__)

TAKE_OVER_SECONDS = 3.0
_REQUEST_SECONDS = 10.0


class Listener:
    """Serves `/metrics` and `/healthz` from `start` to `stop`, or stands by to."""

    def __init__(self, address: str, *, token: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host.strip("[]") or "127.0.0.1", int(port))
        self._token = token
        self._stopping = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread = threading.Thread(target=self._stand_by, name="metrics-page", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if (server := self._server) is not None:
            server.shutdown()
        self._thread.join()

    def _stand_by(self) -> None:
        while not self._stopping.is_set():
            try:
                server = _Server(self._address, self._token)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    logger.error(  # the sentence says all there is
                        "metrics_not_served",
                        extra={"address": f"{self._address}", "error": str(error)},
                    )
                    return
                self._stopping.wait(TAKE_OVER_SECONDS)
                continue
            self._server = server
            with server:
                if not self._stopping.is_set():
                    server.serve_forever()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self.token = token
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    timeout = _REQUEST_SECONDS
    server_version = "agentry"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, "application/json", b'{"status": "ok"}')
            return
        if self.path != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"Only /metrics and /healthz here.\n")
            return
        assert isinstance(self.server, _Server)
        try:
            headers = {name.lower(): value for name, value in self.headers.items()}
            scrape_require(
                token=self.server.token,
                peer=self.client_address[0],
                headers=headers,
                allows_local=True,
            )
        except DomainError as error:
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", f"{error}\n".encode())
            return
        # Only now: the page and whatever answers for it belong to a process that has begun.
        from django.db import connection

        from observability.telemetry.page import metrics_page

        try:
            self._answer(HTTPStatus.OK, content_type(), metrics_page())
        finally:
            connection.close()  # this thread's own

    def _answer(self, status: HTTPStatus, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        logger.debug("metrics_request", extra={"line": format % args})
