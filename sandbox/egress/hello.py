"""The first message of TLS, read for the one thing that is open in it: the server's name.

Layout: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3. An encrypted hello (ECH, and ESNI
before it) hides the name that counts behind one that does not, so it is refused, and so is what
merely looks like one.
"""

from dataclasses import dataclass

HELLO_BYTES = 64 * 1024
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _HOST_NAME = 0, 0
_ENCRYPTED = frozenset({0xFE0D, 0xFFCE})
_RECORD_BYTES = 16384 + 256


class HelloError(Exception):
    """These bytes are no hello, or one that hides its name."""


class UnfinishedError(Exception):
    """More bytes are needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """`server_name` is empty where the client names none."""

    server_name: str


def could_be_tls(data: bytes) -> bool:
    return data[:2] == b"\x16\x03"[: len(data)]


def read_hello(data: bytes) -> Hello:
    """Read the beginning of a connection.

    Raises:
        UnfinishedError: So far it is a hello, and not all of it.
        HelloError: It is not one, or is one that cannot be judged.
    """
    message = _message(data)
    body = _Bytes(message)
    body.skip(2 + 32)  # version, random
    body.skip(body.number(1))  # session
    body.skip(body.number(2))  # ciphers
    body.skip(body.number(1))  # compressions
    if body.is_at_end():
        return Hello(server_name="")
    extensions = _Bytes(body.take(body.number(2)))
    names: list[str] = []
    while not extensions.is_at_end():
        kind = extensions.number(2)
        content = extensions.take(extensions.number(2))
        if kind in _ENCRYPTED:
            raise HelloError("it hides the server's name (encrypted hello)")
        if kind == _SERVER_NAME:
            names.append(_name_in(content))
    if len(names) > 1:
        raise HelloError("it names the server twice")
    return Hello(server_name=names[0] if names else "")


def _name_in(content: bytes) -> str:
    entries = _Bytes(content)
    names = _Bytes(entries.take(entries.number(2)))
    if names.number(1) != _HOST_NAME:
        raise HelloError("it names something that is no host")
    name = names.take(names.number(2))
    if not names.is_at_end() or not entries.is_at_end():
        raise HelloError("it names the server twice")
    try:
        return name.decode("ascii")
    except UnicodeDecodeError:
        raise HelloError("the server's name is not plain") from None


def _message(data: bytes) -> bytes:
    """Put the handshake message together from its records."""
    collected = b""
    while True:
        if len(data) < 5:
            raise UnfinishedError
        size = int.from_bytes(data[3:5], "big")
        if data[0] != _HANDSHAKE or data[1] != 3 or not 0 < size <= _RECORD_BYTES:
            raise HelloError("it is no TLS")
        if len(data) < 5 + size:
            raise UnfinishedError
        collected, data = collected + data[5 : 5 + size], data[5 + size :]
        if collected[0] != _CLIENT_HELLO:
            raise HelloError("it does not begin with a hello")
        if len(collected) >= 4:
            length = int.from_bytes(collected[1:4], "big")
            if length > HELLO_BYTES:
                raise HelloError("its hello is too long")
            if len(collected) >= 4 + length:
                return collected[4 : 4 + length]


class _Bytes:
    """Takes fields off the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise HelloError("its hello is broken")
        taken, self._at = self._data[self._at : end], end
        return taken

    def skip(self, count: int) -> None:
        self.take(count)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def is_at_end(self) -> bool:
        return self._at == len(self._data)
