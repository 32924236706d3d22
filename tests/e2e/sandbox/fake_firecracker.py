"""Firecracker's API as a real process: HTTP on a Unix socket, shapes checked, no machine behind it.

    fake_firecracker.py <log> <behaviour> --id <id> --api-sock <path>

Logs what it was asked. The agent "inside" answers each command with its words. Runs on any Python
with the standard library alone, under a user who may read nothing else.
"""

import base64
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

# Path, members that must be there with their kinds, and members that may be.
SHAPES: dict[str, tuple[dict[str, type], dict[str, type]]] = {
    "/machine-config": ({"vcpu_count": int, "mem_size_mib": int}, {"smt": bool}),
    "/boot-source": ({"kernel_image_path": str}, {"boot_args": str, "initrd_path": str}),
    "/drives/root": (
        {"drive_id": str, "path_on_host": str, "is_root_device": bool, "is_read_only": bool}, {},
    ),
    "/drives/workspace": (
        {"drive_id": str, "path_on_host": str, "is_root_device": bool, "is_read_only": bool}, {},
    ),
    "/vsock": ({"guest_cid": int, "uds_path": str}, {"vsock_id": str}),
    "/actions": ({"action_type": str}, {}),
}  # fmt: skip
LOG, BEHAVIOUR = sys.argv[1], sys.argv[2]
asked: dict[str, Any] = {}


def note(**words: Any) -> None:
    with open(LOG, "a") as file:  # noqa: PTH123
        file.write(json.dumps(words) + "\n")


def fault(path: str, body: Any) -> str:
    """Say what Firecracker would refuse; empty when nothing."""
    if path not in SHAPES:
        return f"Invalid request method and/or path: {path}"
    needed, allowed = SHAPES[path]
    if not isinstance(body, dict) or needed.keys() - body.keys():
        return "missing field"
    for name, value in body.items():
        kind = {**needed, **allowed}.get(name)
        if kind is None or type(value) is not kind:
            return f"unknown field or wrong kind: {name}"
    if path.startswith("/drives/") and body["drive_id"] != path.rpartition("/")[2]:
        return "the id in the path is another"
    if path == "/machine-config" and not 1 <= body["vcpu_count"] <= 32:
        return "The vCPU number is invalid!"
    if path == "/vsock" and body["guest_cid"] < 3:
        return "a guest has 3 or more"
    return start_fault(body) if path == "/actions" else ""


def start_fault(body: Any) -> str:
    if body["action_type"] != "InstanceStart":
        return "unknown action"
    if missing := SHAPES.keys() - asked.keys() - {"/actions"}:
        return f"not configured: {sorted(missing)}"
    try:
        with open(asked["/boot-source"]["kernel_image_path"], "rb"):  # noqa: PTH123
            pass
        for name in ("root", "workspace"):
            drive = asked[f"/drives/{name}"]
            flags = os.O_RDONLY if drive["is_read_only"] else os.O_RDWR
            descriptor = os.open(drive["path_on_host"], flags)
            note(drive=name, bytes=os.fstat(descriptor).st_size, uid=os.getuid())
            os.close(descriptor)
    except OSError as error:
        return str(error)
    return ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        note(path=self.path, body=body)
        wrong = fault(self.path, body)
        if BEHAVIOUR == "refuses" and self.path == "/machine-config":
            wrong = "Memory is scarce."
        if BEHAVIOUR == "dies" and self.path == "/actions":
            os._exit(1)
        asked[self.path] = body
        if self.path == "/actions" and not wrong and BEHAVIOUR != "stays mute":
            threading.Thread(target=guest, args=(asked["/vsock"]["uds_path"],)).start()
        answer = json.dumps({"fault_message": wrong}).encode() if wrong else b""
        self.send_response(400 if wrong else 204)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self) -> str:
        return "host"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its base's name
        """Say nothing."""


def guest(path: str) -> None:
    """Listen as Firecracker does for its guest, and speak as the session agent would."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        is_up = False
        while True:
            connection, _ = listening.accept()
            stream = connection.makefile("rwb", buffering=0)
            words = stream.readline()
            if not is_up:  # still booting: whoever knocks is hung up on
                is_up = True
                stream.close()
                connection.close()
                continue
            note(knock=words.decode())
            stream.write(b"OK 1073741824\n")
            converse(stream)
            os._exit(0)  # process 1 has ended, and the machine with it


def converse(stream: Any) -> None:
    def tell(**message: Any) -> None:
        stream.write(json.dumps(message).encode() + b"\n")

    tell(ready=True)
    for line in stream:
        request = json.loads(line)
        if "run" not in request:
            continue
        ended = "exit"
        if request["argv"][0] == "wait":
            ended = "cancelled" if "cancel" in json.loads(stream.readline() or b"{}") else "exit"
        tell(out=base64.b64encode(" ".join(request["argv"]).encode()).decode())
        tell(done=request["run"], ended_by=ended, exit_code=0, signal=None, is_truncated=False,
             wall_seconds=0.1, cpu_seconds=0.1, max_rss_bytes=1)  # fmt: skip


class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True

    def server_activate(self) -> None:
        if BEHAVIOUR == "is slow to listen":
            time.sleep(0.5)  # its socket has a name already
        super().server_activate()


if __name__ == "__main__":
    given = dict(zip(sys.argv[3::2], sys.argv[4::2], strict=True))
    note(id=given["--id"], groups=os.getgroups())
    if BEHAVIOUR == "never listens":
        time.sleep(600)
    Server(given["--api-sock"], Handler).serve_forever()
