"""The digest of an audit entry: a canonical encoding, and SHA-256 over it.

The encoding is JSON in UTF-8 with sorted names, without blanks, and without fractions: numbers
other than whole ones are written differently from one program to the next, so they are text here.
docs/operate/audit.md describes it for other verifiers; `agentry.audit` is ours, and shares no code.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from core.redaction import JSON

FORMAT: Final = 1
GENESIS: Final = "0" * 64  # the hash before the first entry
SITE_CHAIN: Final = "site"  # the chain of what belongs to no workspace
_LARGEST_INTEGER = 2**53


def canonical(document: Mapping[str, object]) -> bytes:
    """Return the one encoding of a document made of text, whole numbers, booleans and nulls."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8")


def digest_of(document: Mapping[str, object]) -> str:
    """Return the SHA-256 (hexadecimal) of a document's canonical encoding."""
    return hashlib.sha256(canonical(document)).hexdigest()


def encodable(value: JSON) -> JSON:
    """Return the value with every number that is written differently elsewhere as text."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return [encodable(item) for item in value]
    return {name: encodable(item) for name, item in value.items()}
