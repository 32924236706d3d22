"""What `invoke` accepts, read strictly and quickly."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from django.conf import settings

from core.api.parsers import decode_json
from core.api.serializers import NOT_AN_OBJECT
from core.errors import InvalidInputError, NotAuthenticatedError, PayloadTooLargeError

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_WAIT_SECONDS = 60.0
MAX_KEY_CHARS = 200


class InvokeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of an invocation. `wait` seconds: answer when the run ended, at the latest then."""

    input: Annotated[str, msgspec.Meta(max_length=1_000_000)]
    variables: dict[str, str] = {}
    session: UUID | None = None
    limits: dict[str, Any] = {}
    model: str = ""
    wait: Annotated[float, msgspec.Meta(ge=0, le=MAX_WAIT_SECONDS)] = 0.0
    stream: bool = False

    @property
    def is_plain(self) -> bool:
        """Nothing in it changes what the run is pinned to."""
        return not (self.variables or self.session or self.limits or self.model)


# What repeats no name, nests nothing and escapes no character decodes the same way everywhere.
_NAME_ENDS, _ESCAPE = b":", b"\\u"
_decoder = msgspec.json.Decoder(InvokeRequest)


def read(body: bytes) -> InvokeRequest:
    """Decode a body, as strictly as every other address does.

    Its decoder would take the last of two members with one name, and text that no database stores;
    whatever could hold either is looked at by the strict decoder first.

    Raises:
        InvalidInputError: Names what is wrong and where.
    """
    if body.count(_NAME_ENDS) > 1 or _ESCAPE in body:
        decode_json(body)
    try:
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        sentence, _, place = str(error).partition(" - at `$")
        field = place.strip("`.") or "body"
        if not place and sentence.startswith("Expected `object`"):
            sentence = NOT_AN_OBJECT
        raise InvalidInputError(
            f"The request does not fit: {sentence.rstrip('.')}.",
            remedy="Send input (text) and, if you like, variables, session, limits, model, wait, "
            "stream.",
            fields={field: [sentence]},
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"The body is not valid JSON: {error}.", remedy="Send a JSON object in UTF-8."
        ) from error
    if not request.input.strip():
        raise InvalidInputError(
            "The input is empty.",
            remedy="Say what the agent shall do.",
            fields={"input": ["may not be empty"]},
        )
    return request


def is_json(content_type: bytes) -> bool:
    """Say whether the value of a content-type header names JSON, whatever its parameters."""
    if content_type == b"application/json":
        return True
    return content_type.split(b";", 1)[0].strip().lower() == b"application/json"


def repeat_key(headers: dict[bytes, bytes]) -> str:
    """Return the Idempotency-Key, empty without one."""
    key = headers.get(b"idempotency-key", b"").decode("latin-1").strip()
    if len(key) > MAX_KEY_CHARS or not key.isprintable():
        raise InvalidInputError(
            f"The Idempotency-Key must be at most {MAX_KEY_CHARS} printable characters.",
            remedy="Use a UUID.",
        )
    return key


async def read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """Receive a body up to the limit of the site.

    Raises:
        PayloadTooLargeError: it is larger; what is left of it is not read.
    """
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise NotAuthenticatedError("The client went away.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        f"The body is larger than {limit} bytes.",
        remedy="Put large material into a file of the run's workspace.",
    )
