"""A tool server that never forgets a request: what happened outside, seen from outside.

    python -m tests.chaos.counting_server RECORD_FILE

Prints its port and serves until its input ends. Each request is one JSON line in the record file,
on the disk before it is answered, so that what a killed caller did not hear is still counted.

    GET  /read            changes nothing
    POST /idempotent      may be repeated
    POST /keyed           drops a repeat of the same Idempotency-Key and gives its first answer
    POST /irreversible    counts every request
    GET  /probe?key=…     says whether an irreversible request with this key came; 404 when off
    GET  /poison          kills the process that asks
    POST /switch          {"probe": true | false}
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

# Long enough for a caller to die between the effect and the answer.
THINKING_SECONDS = 0.01
SEARCH_SECONDS = 10.0


class Record:
    """The durable list of everything that was asked. Safe from any thread."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], dict[str, Any]] = {}
        self._count = 0
        self.is_probe_on = True

    def effect(self, kind: str, key: str, run: str, label: str) -> dict[str, Any]:
        """Note a request and return its answer; a keyed repeat gets the first one again."""
        with self._lock:
            known = self._answers.get((kind, key))
            is_repeat = known is not None and kind == "keyed"
            self._count += 1
            answer = known if is_repeat and known else {"done": label, "number": self._count}
            self._answers.setdefault((kind, key), answer)
            line = {"kind": kind, "key": key, "run": run, "label": label, "repeat": is_repeat}
            os.write(self._file, json.dumps(line).encode() + b"\n")
        os.fsync(self._file)
        return answer

    def answer_of(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            return self._answers.get(("irreversible", key))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    record: Record

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        values = {name: found[0] for name, found in parse_qs(address.query).items()}
        if address.path == "/read":
            self._effect("read", values.get("label", ""))
        elif address.path == "/poison":
            ours = self.connection.getsockname()
            os.kill(owner_of(ours, self.client_address), signal.SIGKILL)
        elif address.path == "/probe" and self.record.is_probe_on:
            answer = self.record.answer_of(values.get("key", ""))
            self._answer(200, {"happened": answer is not None, "result": answer})
        else:
            self._answer(404, {"detail": "There is nothing here."})

    def do_POST(self) -> None:
        size_bytes = int(self.headers.get("content-length", 0))
        content = self.rfile.read(size_bytes)
        if len(content) < size_bytes:  # its sender died in mid-sentence: no request, no effect
            self.close_connection = True
            return
        body = json.loads(content)
        kind = urlsplit(self.path).path.removeprefix("/")
        if kind == "switch":
            self.record.is_probe_on = bool(body["probe"])
            self._answer(200, {"probe": self.record.is_probe_on})
        elif kind in {"idempotent", "keyed", "irreversible"}:
            self._effect(kind, str(body.get("label", "")))
        else:
            self._answer(404, {"detail": "There is nothing here."})

    def _effect(self, kind: str, label: str) -> None:
        key = self.headers.get("idempotency-key", "")
        answer = self.record.effect(kind, key, self.headers.get("x-agentry-run", ""), label)
        time.sleep(THINKING_SECONDS)
        self._answer(200, answer)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the record is the log."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: Any) -> None:
        """Callers that are killed in mid-request are what this server is for."""


def owner_of(ours: tuple[str, int], theirs: tuple[str, int]) -> int:
    """Find the process at the other end of our connection with `theirs`.

    The kernel's lists are read while connections and processes come and go, and may leave out one
    that is there: they are read until it is found.
    """
    end = time.monotonic() + SEARCH_SECONDS
    while time.monotonic() < end:
        if (inode := _inode_of(local=theirs[1], remote=ours[1])) and (pid := _holder_of(inode)):
            return pid
    raise ProcessLookupError(f"Nobody holds the connection from port {theirs[1]}.")


def _inode_of(*, local: int, remote: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        row = line.split()
        ports = tuple(int(address.partition(":")[2], 16) for address in row[1:3])
        if ports == (local, remote) and row[9] != "0":
            return row[9]
    return None


def _holder_of(inode: str) -> int | None:
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == Path(f"socket:[{inode}]"):
                return int(link.parts[2])
        except OSError:
            continue
    return None


def main() -> None:
    handler = type("BoundHandler", (Handler,), {"record": Record(Path(sys.argv[1]))})
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
