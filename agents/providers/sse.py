"""Server-sent events, the reading side: bytes as they come from the network to event data.

Follows the WHATWG HTML standard, section "Server-sent events", for the fields models use (`data`,
and `event` when it announces an error). Memory is bounded whatever the server sends, and the cost
is linear in the bytes received, also when they come one at a time.
"""

MAX_EVENT_BYTES = 8 * 1024 * 1024


class EventTooLargeError(ValueError):
    """One event, or one line, grew past the limit."""


class SseDecoder:
    """Turn chunks into the data of whole events; an event cut off at the end is never returned.

    The data of an event named `error` that is not already an error object comes back as
    `{"error": data}`, so that callers see one shape.
    """

    __slots__ = ("_after_cr", "_data", "_data_bytes", "_event", "_max", "_tail")

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._tail = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event = b""
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that `chunk` completes.

        Raises EventTooLargeError when an unfinished event is larger than the limit.
        """
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_plain_line_ends(chunk)
        if b"\n" not in chunk:
            self._keep(chunk)
            return []
        if self._tail:
            chunk = bytes(self._tail) + chunk
            self._tail.clear()
        lines = chunk.split(b"\n")
        last = lines.pop()
        events: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._dispatch())
                self._event = b""
            elif line.startswith(b"data:"):
                self._add(line[6:] if line[5:6] == b" " else line[5:])
            elif line.startswith(b"event:"):
                self._event = line[6:].strip()
        if last:
            self._keep(last)
        return events

    def close(self) -> list[bytes]:
        """Return the event that lacks only its closing blank line, as some servers leave it."""
        if self._tail:
            return self.feed(b"\n\n")
        return self.feed(b"\n")

    def _dispatch(self) -> bytes:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._data_bytes = 0
        if self._event == b"error" and b'"error"' not in data:
            return b'{"error":' + data + b"}"
        return data

    def _add(self, data: bytes) -> None:
        self._data.append(data)
        self._data_bytes += len(data) + 1
        if self._data_bytes > self._max:
            raise EventTooLargeError(f"an event is larger than {self._max} bytes")

    def _keep(self, piece: bytes) -> None:
        self._tail += piece
        if len(self._tail) > self._max:
            raise EventTooLargeError(f"a line is longer than {self._max} bytes")

    def _with_plain_line_ends(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
