"""What a yes is bound to: facts by name under one digest, compared when it is used.

A fact is text. Two bindings are the same when their digests are; where they differ, the names of
the facts say what changed.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

EXPIRY = "expiry"


def digest_of_facts(facts: Mapping[str, str]) -> str:
    """Return the SHA-256 (hex) of the facts' canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(dict(facts), order="sorted")).hexdigest()


def expiry_fact(expires_at: datetime | None) -> str:
    """Write an end of time the way every database gives it back."""
    if expires_at is None:
        return ""
    return expires_at.astimezone(UTC).isoformat(timespec="microseconds")


def changed_facts(approved: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """Name the facts that are not what they were, in order of name."""
    names = sorted({*approved, *present})
    return [name for name in names if approved.get(name) != present.get(name)]
