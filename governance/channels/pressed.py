"""What Slack sends when somebody presses a button: form data with a JSON document in `payload`."""

from dataclasses import dataclass
from urllib.parse import parse_qs
from uuid import UUID

import msgspec

from core.errors import InvalidInputError

_MAX_FIELDS = 8


class _Member(msgspec.Struct, frozen=True):
    id: str = ""


class _Action(msgspec.Struct, frozen=True):
    action_id: str = ""
    value: str = ""


class _Document(msgspec.Struct, frozen=True):
    type: str = ""
    user: _Member = _Member()
    actions: tuple[_Action, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A verdict about an approval as it was when its message was written."""

    approval_id: UUID
    verdict: str
    seen_digest: str


def member_of(content: bytes) -> str:
    """Return who pressed; empty when the message does not say."""
    return _document(content).user.id


def pressed(content: bytes) -> Pressed:
    """Return what was pressed.

    Raises:
        InvalidInputError: It is none of our buttons.
    """
    document = _document(content)
    try:
        [action] = document.actions
        approval_id, _, digest = action.value.partition(" ")
        return Pressed(approval_id=UUID(approval_id), verdict=action.action_id, seen_digest=digest)
    except ValueError:
        raise _strange() from None


def _document(content: bytes) -> _Document:
    try:
        fields = parse_qs(content.decode(), strict_parsing=True, max_num_fields=_MAX_FIELDS)
        [payload] = fields["payload"]
        return msgspec.json.decode(payload, type=_Document)
    except (ValueError, KeyError, UnicodeError):
        raise _strange() from None


def _strange() -> InvalidInputError:
    return InvalidInputError(
        "This is no message of one of our buttons.",
        remedy="Send what Slack sends for interactive messages (block_actions).",
    )
