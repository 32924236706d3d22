"""The digest of a tool's specification: what a run is pinned to and an approval is bound to."""

import hashlib

import msgspec

from plugins.contracts import ToolSpec


def spec_digest(spec: ToolSpec) -> str:
    """Return the SHA-256 (hex) of a specification's canonical JSON: all keys sorted, no blanks.

    Equal over processes, machines and the order in which a schema was written.
    """
    return hashlib.sha256(msgspec.json.encode(spec, order="sorted")).hexdigest()
