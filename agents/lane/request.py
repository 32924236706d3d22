"""What `invoke` accepts, read strictly and quickly."""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from core.errors import InvalidInputError

MAX_WAIT_SECONDS = 60.0


class InvokeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of an invocation. `wait` seconds: answer when the run ended, at the latest then."""

    input: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000_000)]
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


_decoder = msgspec.json.Decoder(InvokeRequest)


def read(body: bytes) -> InvokeRequest:
    """Decode a body.

    Raises:
        InvalidInputError: Names what is wrong and where.
    """
    try:
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        sentence, _, place = str(error).partition(" - at `$")
        field = place.strip("`.") or "body"
        raise InvalidInputError(
            f"The request does not fit: {sentence}.",
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
