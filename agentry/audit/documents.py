"""The lines of an audit file: their one encoding, their hashes and their signatures.

The encoding is JSON in UTF-8 with sorted names and without blanks. A line written in any other way
is refused, and so is a name that stands twice: two programs could read it differently.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentry.client.errors import InvalidRequest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FILE_FORMAT = "agentry-audit/1"
GENESIS = "0" * 64  # the hash before the first entry
_KEY_ID_CHARACTERS = 16


class UnreadableError(Exception):
    """A line is not what the format says; the text says in what way."""


def parse(line: bytes) -> dict[str, Any]:
    """Return the document on a line, which must be its only possible form."""
    try:
        found = json.loads(line.decode("utf-8"), object_pairs_hook=_once, parse_float=_whole,
                           parse_constant=_whole)  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"it cannot be read ({error})") from None
    if not isinstance(found, dict) or canonical(found) + b"\n" != line:
        raise UnreadableError("it is not written in the canonical way")
    return found


def canonical(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")  # no line of a file holds what this lets pass


def hash_of(entry: dict[str, Any]) -> str:
    """Return the hash that the rest of an entry's line must have."""
    hashed = {name: value for name, value in entry.items() if name not in ("type", "hash")}
    return hashlib.sha256(canonical(hashed)).hexdigest()


class PublicKeys:
    """The keys one trusts, each under its id."""

    def __init__(self, pem_files: Iterable[bytes]) -> None:
        self._keys = dict(_key(pem) for pem in pem_files)

    def complaint(self, document: dict[str, Any]) -> str:
        """Say what is wrong with the signature under a document, or nothing."""
        from cryptography.exceptions import InvalidSignature

        key_id = document.get("key_id")
        key = self._keys.get(key_id) if isinstance(key_id, str) else None
        if key is None:
            known = ", ".join(self._keys)
            return f"it is signed with another key ({key_id}) than yours ({known})"
        signature = document.get("signature")
        signed = {name: document[name] for name in document if name != "signature"}
        if document.get("type") == "checkpoint":
            del signed["type"]
        try:
            raw = bytes.fromhex(signature) if isinstance(signature, str) else b""
            if raw.hex() != signature:
                raise ValueError
            key.verify(raw, canonical(signed))
        except (InvalidSignature, ValueError):
            return "its signature does not belong to what it says"
        return ""


def read_keys(files: Iterable[Path]) -> PublicKeys:
    """Read public keys in PEM.

    Raises:
        InvalidRequest: a file cannot be read or is no such key.
    """
    try:
        return PublicKeys(path.read_bytes() for path in files)
    except OSError as error:
        raise InvalidRequest(f"{error.filename} cannot be read: {error.strerror}.") from error


def _key(pem: bytes) -> "tuple[str, Ed25519PublicKey]":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidRequest(
            "The key is not an Ed25519 public key in PEM.",
            remedy="Fetch it with `agentry audit key`, from a server you trust.",
        )
    digest = hashlib.sha256(key.public_bytes_raw()).hexdigest()
    return digest[:_KEY_ID_CHARACTERS], key


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _whole(text: str) -> Any:
    raise ValueError(f"{text[:40]} is not a whole number")
