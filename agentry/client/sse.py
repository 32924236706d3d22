"""Server-sent events from bytes (WHATWG HTML, 9.2.6), without any connection."""

from dataclasses import dataclass

from agentry.client.errors import UnexpectedReply

_LARGEST_EVENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSentEvent:
    event: str
    data: str
    id: str | None


class SseParser:
    """Feed it chunks in any cut; it gives whole events. An event cut off at the end is dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._size = 0
        self._clear()

    def _clear(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        # A CR at the very end may be half of CRLF: keep it for the next chunk.
        content = self._rest + chunk
        keep = len(content) - 1 if content.endswith(b"\r") else len(content)
        lines = content[:keep].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + content[keep:]
        found = []
        for line in lines:
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                found.append(event)
        if self._size + len(self._rest) > _LARGEST_EVENT_BYTES:
            raise UnexpectedReply(f"One event is larger than {_LARGEST_EVENT_BYTES} bytes.")
        return found

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        self._size += len(line)
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event = None
        if self._data:
            event = ServerSentEvent(
                event=self._event or "message", data="\n".join(self._data), id=self._id
            )
        self._clear()
        self._size = 0
        return event
