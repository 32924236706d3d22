"""What goes through the door and what comes out of it."""

import hashlib
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

import msgspec

from plugins.contracts import CallState, EffectClass, Park


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model (or a person) asked for. `arguments` None: it was not a JSON object."""

    index: int
    provider_call_id: str
    tool: str
    arguments: dict[str, Any] | None
    raw_arguments: str = ""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How a call stands after the door is done with it.

    `text` is what the model sees, bounded and redacted; `full` the whole result when that is more.
    For `waiting` and `in_doubt` there is no text yet.
    """

    state: CallState
    text: str = ""
    is_error: bool = False
    reason: str = ""
    full: bytes | None = None
    full_digest: str = ""
    park: Park | None = None
    decision: dict[str, Any] | None = None

    @property
    def is_final(self) -> bool:
        return self.state not in {CallState.WAITING, CallState.IN_DOUBT}


class PlannedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A judged call, as it enters the ledger. `settlement` is set when it was refused."""

    id: UUID
    request: CallRequest
    state: CallState
    effect: EffectClass
    spec_digest: str
    arguments: dict[str, Any] | None
    arguments_digest: str
    decision: dict[str, Any] | None
    attempt: int
    settlement: Settlement | None = None


class EffectLog(Protocol):
    """Makes moves of a call durable under the run's fence; returns when they are.

    Raises:
        LeaseLostError: The run has another owner; the effect must not begin.
    """

    async def record(
        self, call: PlannedCall, *, source: CallState, state: CallState, attempt: int
    ) -> None: ...


def arguments_digest(arguments: dict[str, Any] | None) -> str:
    """Name arguments by their content; the same before and after a database kept them.

    PostgreSQL's jsonb stores numbers by value, so `1e22` comes back as a whole number.
    """
    return hashlib.sha256(arguments_text(arguments)).hexdigest()


def arguments_text(arguments: dict[str, Any] | None) -> bytes:
    """Return the canonical JSON that `arguments_digest` is the SHA-256 of."""
    return msgspec.json.encode(_by_value(arguments), order="sorted")


def _by_value(value: Any) -> Any:
    match value:
        case float():
            exact = Decimal(repr(value))
            return int(exact) if exact == exact.to_integral_value() else value
        case dict():
            return {name: _by_value(inner) for name, inner in value.items()}
        case list():
            return [_by_value(inner) for inner in value]
        case _:
            return value


def is_intact(call: PlannedCall) -> bool:
    """Say whether the call still has the very arguments the model sent.

    A call read back from the ledger has them redacted; when that changed anything, they are gone.
    """
    return arguments_digest(call.request.arguments) == call.arguments_digest
