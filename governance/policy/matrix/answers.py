"""What a rule answers: its effect and, when it asks, whom, how many, for how long and then what."""

import re
from collections.abc import Mapping

from governance.policy.contracts import (
    DEFAULT_EXPIRES_SECONDS,
    Effect,
    OnExpiry,
    PolicyDecision,
)
from governance.policy.document import MAX_EXPIRES_SECONDS, MAX_QUORUM
from governance.policy.matrix.reading import Reader
from governance.policy.placed import Placed

ASK_KEYS = ("approvers", "quorum", "expires", "on_expiry", "escalate_to", "allow_self",
            "allow_owner", "grantable")  # fmt: skip
ANSWER_KEYS = ("reason", *ASK_KEYS)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_PRINCIPAL = re.compile(r"(user|group|role):[^\s:][^:]{0,199}")
MAX_PRINCIPALS = 100


def read_answer(
    reader: Reader, keys: Mapping[str, Placed], effect: Effect, name: str
) -> PolicyDecision:
    """Return what the rule answers, without the policy's version."""
    mistakes = reader.mistakes
    asks = effect is Effect.ASK or "effect" not in keys
    for key in ASK_KEYS:
        if key in keys and not asks:
            what = f"`{key}` has no meaning where nobody is asked"
            mistakes.add_at_key(keys[key], what, "Remove it, or write `effect: ask`.")
    approvers = _principals(reader, keys, "approvers")
    escalate_to = _principals(reader, keys, "escalate_to")
    quorum = 1
    if "quorum" in keys:
        high = MAX_QUORUM
        quorum = int(reader.number(keys["quorum"], "`quorum`", low=1, high=high, is_whole=True))
        if approvers and quorum > len(approvers) and all(a.startswith("user:") for a in approvers):
            what = f"{quorum} people must agree and only {len(approvers)} may"
            mistakes.add(keys["quorum"], what, "Name more approvers, or lower the quorum.")
    on_expiry = OnExpiry.DENY
    if "on_expiry" in keys:
        on_expiry = reader.word(keys["on_expiry"], "`on_expiry`", OnExpiry) or OnExpiry.DENY
    if (on_expiry is OnExpiry.ESCALATE) != bool(escalate_to):
        place = keys["escalate_to"] if escalate_to else keys.get("on_expiry")
        if place is not None:
            what = "`on_expiry: escalate` and `escalate_to` go together"
            mistakes.add_at_key(place, what, "Write both, or neither.")
    return PolicyDecision(
        effect=effect,
        rule=name,
        reason=reader.text(keys["reason"], "`reason`", longest=1000) if "reason" in keys else "",
        approvers=approvers,
        quorum=quorum,
        expires_seconds=_seconds(reader, keys["expires"])
        if "expires" in keys
        else DEFAULT_EXPIRES_SECONDS,
        on_expiry=on_expiry,
        escalate_to=escalate_to,
        allow_self=_flag(reader, keys, "allow_self") or False,
        allow_owner=_flag(reader, keys, "allow_owner") is not False,
        is_grantable=_flag(reader, keys, "grantable"),
    )


def _flag(reader: Reader, keys: Mapping[str, Placed], key: str) -> bool | None:
    return reader.flag(keys[key], f"`{key}`") if key in keys else None


def _principals(reader: Reader, keys: Mapping[str, Placed], key: str) -> tuple[str, ...]:
    if key not in keys:
        return ()
    found = reader.texts(keys[key], f"`{key}`")
    if len(found) > MAX_PRINCIPALS:
        what = f"`{key}` has more than {MAX_PRINCIPALS} entries"
        reader.mistakes.add_at_key(keys[key], what, "Name a group or a role.")
    for each in found:
        if not _PRINCIPAL.fullmatch(each.value):
            what = f"`{each.value[:60]}` names nobody"
            reader.mistakes.add(each, what, "Write `user:ada`, `group:ops` or `role:admin`.")
    return tuple(dict.fromkeys(each.value for each in found))


def _seconds(reader: Reader, place: Placed) -> float:
    found = _DURATION.fullmatch(place.value) if isinstance(place.value, str) else None
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 1 <= seconds <= MAX_EXPIRES_SECONDS:
        what = "`expires` must be a duration up to 366 days"
        reader.mistakes.add(place, what, "Write `30m`, `4h` or `2d`.")
        return DEFAULT_EXPIRES_SECONDS
    return seconds
