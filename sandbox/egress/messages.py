"""Heads of HTTP/1.1 messages, read so strictly that nobody behind us can read them otherwise.

Sources: RFC 9112 (syntax, framing, sections 2.2, 3, 5, 6 and 11), RFC 9110 section 7.6.1 (fields
that end at a proxy). What the RFCs leave to a recipient's leniency is refused: bare line feeds,
folded lines, spaces around a name, lengths given twice, a length beside an encoding.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.egress.ending import FailedError, GatewayError, MessageError
from sandbox.egress.rules import Place, host_of, place_of

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"[\x21-\x7e]+")
_VERSIONS = frozenset({"HTTP/1.0", "HTTP/1.1"})
_MOST_FIELDS = 128
_ABSOLUTE = re.compile(r"http://([^/?#]*)([^#]*)", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,15}")
_STATUS = re.compile(r"(HTTP/1\.[01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")

# They describe one connection, or how the body is cut up, which is made anew on each side.
_OF_CONNECTION = frozenset(
    {
        "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "http2-settings",
    }
)  # fmt: skip

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """How long a body is: `length` bytes, or until its last chunk, or until the connection ends."""

    length: int = 0
    is_chunked: bool = False
    is_until_end: bool = False

    def fields(self, *, may_be_empty: bool) -> Fields:
        if self.is_chunked:
            return (("transfer-encoding", "chunked"),)
        if self.is_until_end or (not self.length and may_be_empty):
            return ()
        return (("content-length", str(self.length)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    target: str
    version: str
    fields: Fields

    def body(self) -> Body:
        return _body_of(self.fields, MessageError) or Body()

    def wants_to_be_told_to_go_on(self) -> bool:
        return self.version == "HTTP/1.1" and any(
            value.lower() == "100-continue" for value in _all(self.fields, "expect")
        )

    def connect_place(self) -> Place:
        """Return where a CONNECT leads. Raises MessageError."""
        if _all(self.fields, "content-length") or _all(self.fields, "transfer-encoding"):
            raise MessageError("a CONNECT has no body")
        return _read_place(self.target)

    def absolute(self) -> tuple[Place, str]:
        """Return the place and the rest of an absolute target. Raises MessageError."""
        match = _ABSOLUTE.fullmatch(self.target)
        if match is None:
            raise MessageError("the target is neither http://host/… nor CONNECT host:port")
        authority, rest = match.groups()
        place = _read_place(authority, default_port=80)
        self.check_host(place, default_port=80)
        return place, rest if rest.startswith("/") else f"/{rest}"

    def check_host(self, place: Place, *, default_port: int) -> None:
        """Raises MessageError unless the Host field names the place as well."""
        hosts = _all(self.fields, "host")
        if len(hosts) > 1 or (not hosts and self.version == "HTTP/1.1"):
            raise MessageError("there is not exactly one Host field")
        if hosts and _read_place(hosts[0], default_port=default_port) != place:
            raise MessageError("the Host field names another host than the request goes to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int
    reason: str
    fields: Fields

    def body(self, *, method: str) -> Body:
        """Raises FailedError when its length can be read in more than one way."""
        if method == "HEAD" or self.status in {204, 304} or self.status < 200:
            return Body()
        return _body_of(self.fields, FailedError) or Body(is_until_end=True)

    def encoding(self) -> str:
        return ",".join(_all(self.fields, "content-encoding")).strip().lower()


def read_request(head: bytes) -> Request:
    """Read a head that ends with an empty line. Raises MessageError."""
    first, fields = _lines(head, MessageError)
    words = first.split(" ")
    if len(words) != 3 or words[2] not in _VERSIONS:
        raise MessageError("the first line is no request of HTTP/1.1")
    method, target, version = words
    if not _TOKEN.fullmatch(method) or len(method) > 32 or not _TARGET.fullmatch(target):
        raise MessageError("the first line has characters that do not belong there")
    return Request(method=method, target=target, version=version, fields=fields)


def read_response(head: bytes) -> Response:
    """Read a head that ends with an empty line. Raises FailedError."""
    first, fields = _lines(head, FailedError)
    match = _STATUS.fullmatch(first)
    if match is None:
        raise FailedError("the answer is no HTTP/1.1")
    return Response(status=int(match[2]), reason=match[3] or "", fields=fields)


def forwarded(fields: Fields, *, without: Iterable[str] = ()) -> Fields:
    """Return what goes on to the other side; `without` names further fields, in any spelling.

    An underscore counts as a hyphen, because many servers hand both on under one name.
    """
    named = {word.strip().lower() for value in _all(fields, "connection")
             for word in value.split(",")}  # fmt: skip
    dropped = {_plain(name) for name in (*_OF_CONNECTION, *named, *without)}
    return tuple((name, value) for name, value in fields if _plain(name) not in dropped)


def written(first: str, fields: Fields) -> bytes:
    """Return the bytes of a head whose parts have been checked."""
    lines = [first, *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def host_field(place: Place, *, default_port: int) -> tuple[str, str]:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return "Host", host if place.port == default_port else f"{host}:{place.port}"


def is_field_name(text: str) -> bool:
    """Say whether a credential may be given in this field."""
    return bool(_TOKEN.fullmatch(text)) and _plain(text) not in _OF_CONNECTION


def is_field_value(text: str) -> bool:
    return text.isascii() and bool(_VALUE.fullmatch(text)) and text == text.strip() != ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _lines(head: bytes, kind: type[GatewayError]) -> tuple[str, Fields]:
    text = head.removesuffix(b"\r\n\r\n").decode("latin-1")
    first, *rest = text.split("\r\n")
    if len(rest) > _MOST_FIELDS:
        raise kind("there are too many fields")
    if "\n" in text.replace("\r\n", "") or "\r" in text.replace("\r\n", ""):
        raise kind("a line ends with half of a line end")
    fields = []
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise kind("a field has characters that do not belong there")
        fields.append((name, value.strip(" \t")))
    return first, tuple(fields)


def _all(fields: Fields, name: str) -> list[str]:
    return [value for key, value in fields if key.lower() == name]


def _body_of(fields: Fields, kind: type[GatewayError]) -> Body | None:
    lengths, encodings = _all(fields, "content-length"), _all(fields, "transfer-encoding")
    if encodings:
        if lengths:
            raise kind("a length stands beside an encoding")
        if [value.lower() for value in encodings] != ["chunked"]:
            raise kind("the body is encoded in another way than in chunks")
        return Body(is_chunked=True)
    if not lengths:
        return None
    if len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0]):
        raise kind("the length of the body is given twice or is no number")
    return Body(length=int(lengths[0]))


def _read_place(authority: str, *, default_port: int | None = None) -> Place:
    if "@" in authority:
        raise MessageError("the address holds a user name")
    has_port = ":" in authority.rpartition("]")[2]
    try:
        if has_port or default_port is None:
            return place_of(authority)
        return Place(host=host_of(authority), port=default_port)
    except ValueError as reason:
        raise MessageError(f"the address cannot be read: {reason}") from None
