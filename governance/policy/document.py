"""What an engine is handed, and what it may hand back: the two JSON documents of a decision.

Engines differ in how they hold characters that JSON escapes; the in-process one would compare a
control character by the letters of its escape. So every engine, and the reference, sees control
characters as their pictures (U+2400 and on), and the few private characters that compiled rules
use as stand-ins as U+FFFD. Nothing else is changed.
"""

import re
from typing import Annotated, Any

import msgspec

from governance.policy.contracts import (
    DEFAULT_EXPIRES_SECONDS,
    Effect,
    OnExpiry,
    PolicyDecision,
    PolicyInput,
)

MAX_INPUT_BYTES = 1024 * 1024
MAX_QUORUM = 100
MAX_EXPIRES_SECONDS = 366 * 86_400.0

# Private characters that stand for those that JSON escapes; see `matrix.text`.
STAND_INS = {"\\": "\ue05c", '"': "\ue022", "\n": "\ue00a", "\t": "\ue009", "\r": "\ue00d"}
FOREIGN_RUN = "\ue0ff"
_KEPT = "\t\n\r"
_SEEN_AS = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in _KEPT},
    0x7F: "\u2421",
    **{ord(letter): "\ufffd" for letter in (*STAND_INS.values(), FOREIGN_RUN)},
}
# What canonical JSON shows when such a character may be in it; a cheap look before a walk.
_SUSPECT = re.compile(rb"\\[ubf]|\x7f|\xee\x80|\xee\x83")

_Text = Annotated[str, msgspec.Meta(max_length=2000)]
_Principal = Annotated[str, msgspec.Meta(pattern=r"^(user|group|role):[^\s:][^:]{0,199}$")]
_Principals = Annotated[tuple[_Principal, ...], msgspec.Meta(max_length=100)]


class InputTooLargeError(ValueError):
    pass


def document(question: PolicyInput) -> bytes:
    """Return what engines see of a call.

    Raises:
        InputTooLargeError: it is larger than `MAX_INPUT_BYTES`.
        TypeError, ValueError, RecursionError: the arguments are no JSON.
    """
    raw = question.canonical()
    if _SUSPECT.search(raw):
        raw = msgspec.json.encode(_seen(msgspec.json.decode(raw)), order="sorted")
    if len(raw) > MAX_INPUT_BYTES:
        raise InputTooLargeError
    return raw


def _seen(value: Any) -> Any:
    if isinstance(value, str):
        return value.translate(_SEEN_AS)
    if isinstance(value, list):
        return [_seen(item) for item in value]
    if isinstance(value, dict):
        return {name.translate(_SEEN_AS): _seen(inner) for name, inner in value.items()}
    return value


class _Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shape of `data.agentry.tool.decision`; a policy that says more is misunderstood."""

    effect: Effect
    rule: Annotated[str, msgspec.Meta(max_length=200)] = "rego"
    reason: _Text = ""
    approvers: _Principals = ()
    quorum: Annotated[int, msgspec.Meta(ge=1, le=MAX_QUORUM)] = 1
    expires_seconds: Annotated[float, msgspec.Meta(ge=1, le=MAX_EXPIRES_SECONDS)] = (
        DEFAULT_EXPIRES_SECONDS
    )
    on_expiry: OnExpiry = OnExpiry.DENY
    escalate_to: _Principals = ()
    allow_self: bool = False
    allow_owner: bool = True
    grantable: bool | None = None


def answer(found: Any, *, version: str) -> PolicyDecision:
    """Return the decision an engine's document holds.

    Raises:
        ValueError: it is not of the agreed shape; the text says where.
    """
    held = msgspec.convert(found, _Answer)
    if held.on_expiry is OnExpiry.ESCALATE and not held.escalate_to:
        raise ValueError("on_expiry is escalate and escalate_to is empty")
    return PolicyDecision(
        effect=held.effect,
        rule=held.rule,
        reason=held.reason,
        approvers=held.approvers,
        quorum=held.quorum,
        expires_seconds=held.expires_seconds,
        on_expiry=held.on_expiry,
        escalate_to=held.escalate_to,
        allow_self=held.allow_self,
        allow_owner=held.allow_owner,
        is_grantable=held.grantable,
        version=version,
    )
