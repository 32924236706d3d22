"""The sandbox's end of its way out: loopback listeners whose bytes go to the gateway's socket.

It has no process and no thread of its own: the session agent, which nothing inside can end, moves
the bytes while it waits for a call. Between calls nothing else lives in the sandbox, so there is
nothing to move. It is as trustworthy as the sandbox; what may pass is decided outside.

Standard library only, Python 3.8 or newer. It is told (JSON):

    {"gateway": "/run/…/gateway.sock", "listeners": [["127.0.0.1", 3128, ""],
                                                     ["127.0.1.1", 5432, "db.example.com:5432"]]}

A listener with a name asks the gateway for that name itself (CONNECT); one without passes on what
its client says.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

CHUNK = 65536
MOST_PAIRS = 64
KEPT_DESCRIPTORS = 24  # for the agent's own pipes
FD_SETSIZE = 1024  # select(2) knows no descriptor beyond
HEAD_BYTES = 4096
END_OF_HEAD = b"\r\n\r\n"
DRAIN_SECONDS = 2.0  # for a gateway that answers; a busy host takes its time
CONNECT_SECONDS = 2.0


class Pipe:
    """One direction: what has been read and is not yet written."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.held = b""
        self.is_over = False  # nothing more comes
        self.is_closed = False  # and the other end was told

    def read(self) -> None:
        try:
            self.held += self.source.recv(CHUNK) or self.at_end()
        except BlockingIOError:
            return

    def at_end(self) -> bytes:
        self.is_over = True
        return b""

    def write(self) -> None:
        if self.held:
            with contextlib.suppress(BlockingIOError):
                self.held = self.held[self.target.send(self.held) :]
        if self.is_over and not self.held and not self.is_closed:
            self.is_closed = True
            self.target.shutdown(socket.SHUT_WR)

    def wants_to_read(self) -> bool:
        return not self.is_over and len(self.held) < CHUNK

    def wants_to_write(self) -> bool:
        return bool(self.held) or (self.is_over and not self.is_closed)


class Pair:
    """A client inside and its connection to the gateway."""

    def __init__(self, client: socket.socket, gateway: socket.socket, name: str) -> None:
        self.client = client
        self.gateway = gateway
        self.out = Pipe(client, gateway)
        self.back = Pipe(gateway, client)
        self.answer = b""
        self.is_waiting = bool(name)  # for the gateway's yes
        if name:
            request = f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n"
            gateway.sendall(request.encode())
        for end in (client, gateway):
            end.setblocking(False)

    def is_done(self) -> bool:
        return self.out.is_closed and self.back.is_closed

    def pipe_from(self, descriptor: int) -> Pipe:
        return self.out if descriptor == self.client.fileno() else self.back

    def reading(self) -> list[int]:
        if self.is_waiting:
            return [self.gateway.fileno()]
        return [pipe.source.fileno() for pipe in (self.out, self.back) if pipe.wants_to_read()]

    def writing(self) -> list[int]:
        if self.is_waiting:
            return []
        return [pipe.target.fileno() for pipe in (self.out, self.back) if pipe.wants_to_write()]

    def hear(self) -> None:
        """Read the gateway's answer to our CONNECT. Raises OSError when it is not a yes."""
        self.answer += self.gateway.recv(HEAD_BYTES) or b" no" + END_OF_HEAD
        head, end, rest = self.answer.partition(END_OF_HEAD)
        if not end and len(self.answer) < HEAD_BYTES:
            return
        if head.split(b" ")[1:2] != [b"200"]:
            raise ConnectionRefusedError
        self.is_waiting = False
        self.back.held = rest

    def step(self, descriptors: set[int]) -> None:
        """Move what can be moved. Raises OSError when an end is broken."""
        if self.is_waiting:
            if self.gateway.fileno() in descriptors:
                self.hear()
            return
        for pipe in (self.out, self.back):
            if pipe.source.fileno() in descriptors and pipe.wants_to_read():
                pipe.read()
            pipe.write()

    def close(self) -> None:
        self.client.close()
        self.gateway.close()


class Relay:
    def __init__(self, told: str) -> None:
        words = json.loads(told)
        self.gateway: str = words["gateway"]
        self.names: dict[socket.socket, str] = {}
        self.pairs: list[Pair] = []
        most_open, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most_open == resource.RLIM_INFINITY:
            most_open = FD_SETSIZE
        free = min(most_open, FD_SETSIZE) - KEPT_DESCRIPTORS - len(words["listeners"])
        self.most = max(1, min(MOST_PAIRS, free // 2))
        for host, port, name in words["listeners"]:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(128)
            listener.setblocking(False)
            self.names[listener] = name

    def reading(self) -> list[int]:
        found = [end for pair in self.pairs for end in pair.reading()]
        if len(self.pairs) < self.most:
            found += [listener.fileno() for listener in self.names]
        return found

    def writing(self) -> list[int]:
        return [end for pair in self.pairs for end in pair.writing()]

    def step(self, ready: Iterable[int]) -> None:
        """Serve the descriptors that are ready to be read or written."""
        descriptors = set(ready)
        for pair in list(self.pairs):
            try:
                pair.step(descriptors)
            except OSError:
                self.drop(pair)  # one end is gone, so the other goes
                continue
            if pair.is_done():
                self.drop(pair)
        for listener, name in self.names.items():
            if listener.fileno() in descriptors:
                self.accept(listener, name)

    def accept(self, listener: socket.socket, name: str) -> bool:
        """Take the next client, if there is one; False when there is none."""
        try:
            client = listener.accept()[0]
        except OSError:
            return False
        gateway = socket.socket(socket.AF_UNIX)
        gateway.settimeout(CONNECT_SECONDS)
        try:
            gateway.connect(self.gateway)
            self.pairs.append(Pair(client, gateway, name))
        except OSError:
            client.close()
            gateway.close()
        return True

    def drop(self, pair: Pair) -> None:
        self.pairs.remove(pair)
        pair.close()

    def finish(self) -> None:
        """Everybody inside is dead: what they have sent still goes out, then all is closed."""
        end = time.monotonic() + DRAIN_SECONDS
        self.drain_all(end)
        for listener, name in self.names.items():
            while self.accept(listener, name):
                self.drain_all(end)

    def drain_all(self, end: float) -> None:
        for pair in list(self.pairs):
            with contextlib.suppress(OSError):  # nobody is left to be told
                self.drain(pair, end)
            self.drop(pair)

    def drain(self, pair: Pair, end: float) -> None:
        """Send the rest of one client. Raises OSError when the gateway does not take it."""
        pair.gateway.settimeout(max(0.01, end - time.monotonic()))
        while pair.is_waiting:
            pair.hear()
        while not pair.out.is_over:
            before = len(pair.out.held)
            pair.out.read()
            if len(pair.out.held) == before:
                break
        pair.gateway.sendall(pair.out.held)
        pair.gateway.shutdown(socket.SHUT_WR)
        # To close with something unread would look like a fault at the other end.
        while time.monotonic() < end and pair.gateway.recv(CHUNK):
            pass
