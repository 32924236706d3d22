"""The internet of the stage: a process in a network namespace of its own that keeps what it sees.

It listens on every address and port of the plan, speaks TLS to who begins with TLS and HTTP to the
others, answers questions about names, and tells what it saw when it is asked (`take`).
"""

import contextlib
import json
import selectors
import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from tests.e2e.sandbox.egress import plan

_SECONDS = 2.0
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nreached"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Internet:
    def __init__(self, certificate: Path) -> None:
        self._certificate = certificate
        self._seen: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self._asked: dict[str, int] = {}
        self._listeners = selectors.DefaultSelector()
        self._pool = ThreadPoolExecutor(32)
        self._running: list[Future[None]] = []
        for address in (plan.ALLOWED, plan.EVIL, plan.PRIVATE, plan.METADATA, plan.VERSION_6):
            for port in plan.PORTS:
                self._listen(address, port)
        self._listen(plan.NAMES, 53)
        for address, port in ((plan.NAMES, 53), (plan.EVIL, 9999)):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind((address, port))
            self._listeners.register(udp, selectors.EVENT_READ)

    def _listen(self, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family, backlog=64)
        listener.setblocking(False)
        self._listeners.register(listener, selectors.EVENT_READ)

    def see(self, what: str, **facts: str) -> None:
        with self._lock:
            self._seen.append({"what": what, **facts})

    def serve(self) -> None:
        self._listeners.register(sys.stdin, selectors.EVENT_READ)
        say("ready")
        while True:
            for key, _ in self._listeners.select():
                if key.fd == sys.stdin.fileno():
                    if not sys.stdin.readline():
                        return
                    self._take()
                else:
                    self._meet(key.fileobj)

    def _take(self) -> None:
        """Tell everything whose first packet came before this was asked."""
        while waiting := [k for k, _ in self._listeners.select(0) if k.fileobj is not sys.stdin]:
            for key in waiting:
                self._meet(key.fileobj)
        wait(self._running, timeout=_SECONDS * 2)
        self._running = [future for future in self._running if not future.done()]
        with self._lock:
            seen, self._seen = self._seen, []
        say(json.dumps(seen))

    def _meet(self, end: object) -> None:
        assert isinstance(end, socket.socket)
        if end.type == socket.SOCK_DGRAM:
            data, peer = end.recvfrom(2000)
            if end.getsockname()[1] == 53:
                end.sendto(self._named(data), peer)
            else:
                self.see("datagram", at=_place(end))
            return
        link = end.accept()[0]
        link.settimeout(_SECONDS)
        self.see("connection", at=_place(link))
        self._running.append(self._pool.submit(self._talk, link))

    def _talk(self, link: socket.socket) -> None:
        at = _place(link)
        names: list[str] = []
        with contextlib.suppress(OSError), link:
            if at.endswith(":5432"):
                link.sendall(b"who are you?\n")
            if link.recv(1, socket.MSG_PEEK) != b"\x16":
                self._answer(link, at, "")
                return
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)

            def hear(_link: object, name: str | None, _context: object) -> None:
                names.append(name or "")
                self.see("hello", at=at, server_name=name or "")

            context.sni_callback = hear
            with context.wrap_socket(link, server_side=True) as secured:
                self._answer(secured, at, names[0] if names else "")

    def _answer(self, link: socket.socket, at: str, server_name: str) -> None:
        """Answer every request on the connection, as a server that keeps it open does."""
        data = b""
        while more := link.recv(65536):
            data += more
            if at.endswith(":5432") and not server_name and data.endswith(b"\n"):
                self.see("greeting", at=at)
                link.sendall(b"reached\n")
                return
            while b"\r\n\r\n" in data:
                head, _, data = data.partition(b"\r\n\r\n")
                text = head.decode("latin-1")
                hosts = [line.split(":", 1)[1].strip() for line in text.splitlines()
                         if line.lower().startswith("host:")]  # fmt: skip
                for host in hosts or ["none"]:
                    self.see("request", at=at, server_name=server_name, host=host, head=text)
                link.sendall(_ANSWER)

    def _named(self, question: bytes) -> bytes:
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        name = ".".join(labels).lower()
        kind = int.from_bytes(question[at + 1 : at + 3], "big")
        self.see("name", name=name)
        answers = plan.TABLE.get(name, [[]])
        if kind == 1:
            self._asked[name] = self._asked.get(name, 0) + 1
        current = answers[min(max(self._asked.get(name, 1), 1), len(answers)) - 1]
        found = [address for address in current if (":" in address) == (kind == 28)]
        records = b"".join(_record(address, kind) for address in found)
        head = question[:2] + b"\x81\x80\x00\x01" + len(found).to_bytes(2, "big") + bytes(4)
        return head + question[12 : at + 5] + records


def _record(address: str, kind: int) -> bytes:
    data = socket.inet_pton(socket.AF_INET6 if kind == 28 else socket.AF_INET, address)
    return (
        b"\xc0\x0c"
        + kind.to_bytes(2, "big")
        + b"\x00\x01"
        + bytes(4)
        + (len(data).to_bytes(2, "big") + data)
    )


def _place(link: socket.socket) -> str:
    host, port = link.getsockname()[:2]
    return f"{host.removeprefix('::ffff:')}:{port}"


def main() -> None:
    say("here")
    sys.stdin.readline()
    for words in (
        "link set lo up",
        *(f"addr add {a}/24 dev net1" for a in (plan.ALLOWED, plan.EVIL, plan.NAMES)),
        *(f"addr add {a}/32 dev net1" for a in (plan.METADATA, plan.PRIVATE)),
        f"addr add {plan.VERSION_6}/64 dev net1 nodad",
        "link set net1 up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    Internet(Path(sys.argv[1])).serve()


if __name__ == "__main__":
    main()
