"""Blotting out of an answer what must not go inside, should the other end send it back."""

import base64
import binascii
from collections.abc import Iterable

_SHORTEST = 6  # characters; what is shorter is no secret and would blot out ordinary words


def spellings_of(value: str) -> frozenset[bytes]:
    """Return what to look for when a header has this value: it, its words, what `Basic` encodes."""
    words = {value, *value.split()}
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
            words |= {f"{user}:{password}", password}
        except (binascii.Error, UnicodeDecodeError):
            pass
    return frozenset(word.encode() for word in words if len(word) >= _SHORTEST)


class Mask:
    """Replaces values in a stream by as many stars, wherever the stream is cut."""

    def __init__(self, values: Iterable[bytes]) -> None:
        self._values = sorted(values, key=len, reverse=True)
        self._held = b""

    @property
    def is_looking(self) -> bool:
        return bool(self._values)

    def hide(self, data: bytes) -> bytes:
        """Return what can be passed on; the beginning of a value is held back."""
        if not self._values:
            return data
        data = self.hidden(self._held + data)
        keep = max(_begun(data, value) for value in self._values)
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def rest(self) -> bytes:
        """Return what is held back, at the end of the stream."""
        rest, self._held = self._held, b""
        return rest

    def hidden(self, data: bytes) -> bytes:
        """Return `data`, which is whole, with stars."""
        for value in self._values:
            data = data.replace(value, b"*" * len(value))
        return data


def _begun(data: bytes, value: bytes) -> int:
    """Return how many bytes at the end of `data` could be the beginning of `value`."""
    for count in range(min(len(value) - 1, len(data)), 0, -1):
        if data.endswith(value[:count]):
            return count
    return 0
