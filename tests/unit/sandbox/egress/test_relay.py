"""The relay inside: driven here by a loop like the session agent's, against a gateway."""

import contextlib
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.inside.relay import Relay


class Gateway:
    """A Unix socket that says yes or no to a CONNECT and then echoes."""

    def __init__(self, place: Path, *, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self.place = str(place)
        self.answer = answer
        self.heads: list[bytes] = []
        self.got: list[bytes] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.place)
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                link = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._echo, args=(link,), daemon=True).start()

    def _echo(self, link: socket.socket) -> None:
        with link, contextlib.suppress(ConnectionError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                data = link.recv(1)
                if not data:
                    return
                head += data
            self.heads.append(head)
            link.sendall(self.answer)
            while data := link.recv(65536):
                self.got.append(data)
                link.sendall(data)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    found = Gateway(tmp_path / "socket")
    yield found
    found.listener.close()


Make = Callable[..., tuple[Relay, int]]


@pytest.fixture
def relay_to() -> Iterator[Make]:
    made: list[Relay] = []

    def make(place: str, name: str = "db.test:5432") -> tuple[Relay, int]:
        port = _free_port()
        made.append(Relay(_told(place, port, name)))
        return made[-1], port

    yield make
    for relay in made:
        for name in relay.names:
            name.close()
        for pair in relay.pairs:
            pair.close()


def _told(place: str, port: int, name: str) -> str:
    return json.dumps({"gateway": place, "listeners": [["127.0.0.1", port, name]]})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def turn(relay: Relay, until: Callable[[], object]) -> None:
    for _ in range(2000):
        if until():
            return
        readable, writable, _ = select.select(relay.reading(), relay.writing(), [], 0.02)
        relay.step([*readable, *writable])
    pytest.fail("it has not come about")


def test_a_door_asks_for_its_host_and_then_keeps_out(gateway: Gateway, relay_to: Make) -> None:
    relay, port = relay_to(gateway.place)
    payload = bytes(range(256)) * 4000
    got = bytearray()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        left = memoryview(payload)

        def everything_came_back() -> bool:
            nonlocal left
            with contextlib.suppress(BlockingIOError):
                left = left[client.send(left) :]
            with contextlib.suppress(BlockingIOError):
                got.extend(client.recv(65536))
            return len(got) == len(payload)

        turn(relay, everything_came_back)
    turn(relay, lambda: not relay.pairs)

    assert bytes(got) == payload
    assert gateway.heads == [b"CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n"]


def test_a_proxy_door_passes_on_what_its_client_says(gateway: Gateway, relay_to: Make) -> None:
    relay, port = relay_to(gateway.place, name="")
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"CONNECT x.test:1 HTTP/1.1\r\n\r\n")
        turn(relay, lambda: gateway.heads)
        turn(relay, lambda: _readable(client))
        answer = client.recv(100)

    assert gateway.heads == [b"CONNECT x.test:1 HTTP/1.1\r\n\r\n"]
    assert answer == b"HTTP/1.1 200 OK\r\n\r\n"


def test_a_no_closes_the_door(tmp_path: Path, relay_to: Make) -> None:
    gateway = Gateway(tmp_path / "socket", answer=b"HTTP/1.1 403 Forbidden\r\n\r\n")
    relay, port = relay_to(gateway.place)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"secret")
        turn(relay, lambda: gateway.heads and not relay.pairs)
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    gateway.listener.close()

    assert gateway.got == []


def test_no_gateway_is_no_connection(tmp_path: Path, relay_to: Make) -> None:
    relay, port = relay_to(str(tmp_path / "absent"), name="")
    with socket.create_connection(("127.0.0.1", port)) as client:
        turn(relay, lambda: _readable(client))

        assert client.recv(10) == b""
    assert relay.pairs == []


def test_what_was_sent_goes_out_although_the_sender_is_dead(
    gateway: Gateway, relay_to: Make
) -> None:
    relay, port = relay_to(gateway.place)
    for number in range(3):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"last words %d" % number)
    relay.finish()

    assert relay.pairs == []
    turn(relay, lambda: len(gateway.got) == 3)
    assert sorted(gateway.got) == [b"last words 0", b"last words 1", b"last words 2"]


def test_no_more_than_a_number_are_open(gateway: Gateway, relay_to: Make) -> None:
    relay, port = relay_to(gateway.place, name="")
    relay.most = 2
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    turn(relay, lambda: len(relay.pairs) == 2)

    assert not set(relay.reading()) & {listener.fileno() for listener in relay.names}
    for client in clients:
        client.close()
    turn(relay, lambda: not relay.pairs)


def _readable(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])
