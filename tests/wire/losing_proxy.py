"""A proxy that passes requests on to a real server and now and then loses the answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 30.0


class LosingProxy:
    """Loses the next `losses` answers to POST requests: the server has done what was asked, and
    whoever asked sees a closed connection."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.losses = 0
        self.lost: list[str] = []  # first lines of the requests

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed: the test is over
            threading.Thread(target=self._exchange, args=(client,), daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _exchange(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target, _PATIENCE_SECONDS) as server:
            while request := client.recv(65_536):
                first = request.split(b"\r\n", 1)[0].decode()
                server.sendall(request + _rest(client, request))
                answer = server.recv(65_536)
                if first.startswith("POST") and self._is_lost(first):
                    return
                client.sendall(answer + _rest(server, answer))

    def _is_lost(self, first: str) -> bool:
        with self._lock:
            if not self.losses:
                return False
            self.losses -= 1
            self.lost.append(first)
            return True


def _rest(source: socket.socket, begun: bytes) -> bytes:
    """Read what is missing of a message that says how long it is."""
    content = begun
    while b"\r\n\r\n" not in content:
        content += source.recv(65_536)
    head, _, body = content.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    missing = (lengths[0] if lengths else 0) - len(body)
    while missing > 0:
        chunk = source.recv(65_536)
        content, missing = content + chunk, missing - len(chunk)
    return content[len(begun) :]


@contextmanager
def losing_proxy(target: str) -> Iterator[LosingProxy]:
    proxy = LosingProxy(target)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(5)
