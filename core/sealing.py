"""Sealing: secrets at rest, bound to the workspace and the name they were stored under.

AES-256-GCM (NIST SP 800-38D) under a key derived by HKDF-SHA256 (RFC 5869) from the site's secret
key, the workspace and the purpose. Workspace and name are authenticated data, so a sealed value
copied into another row does not open there.

Layout: version (1 byte), key fingerprint (4 bytes), nonce (12 bytes), ciphertext with tag.
The fingerprint tells which of SECRET_KEY and SECRET_KEY_FALLBACKS sealed it; `needs_resealing`
finds what is left to do after a rotation.
"""

import hashlib
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from core.errors import DomainError

_VERSION = 1
_FINGERPRINT_BYTES = 4
_NONCE_BYTES = 12
_HEADER_BYTES = 1 + _FINGERPRINT_BYTES + _NONCE_BYTES
_TAG_BYTES = 16


class SealBrokenError(DomainError):
    """A sealed value cannot be opened here.

    Store the value again; sealed values open only under the key and in the workspace they were
    sealed with.
    """

    code = "seal_broken"
    status = 500


def seal(plaintext: str, *, workspace_id: UUID, name: str, purpose: str = "secret") -> bytes:
    """Encrypt `plaintext` so that only the same workspace, name and purpose open it."""
    key = _derive(settings.SECRET_KEY, workspace_id, purpose)
    nonce = os.urandom(_NONCE_BYTES)
    place = _place(workspace_id, name, purpose)
    sealed = AESGCM(key).encrypt(nonce, plaintext.encode("utf-8"), place)
    return bytes([_VERSION]) + _fingerprint(key) + nonce + sealed


def unseal(
    sealed: bytes | memoryview, *, workspace_id: UUID, name: str, purpose: str = "secret"
) -> str:
    """Return the plaintext.

    Raises:
        SealBrokenError: another workspace, name or purpose, a changed value, or a secret key that
            is no longer configured. The sentence never contains the value.
    """
    blob = bytes(sealed)
    if len(blob) < _HEADER_BYTES + _TAG_BYTES or blob[0] != _VERSION:
        raise SealBrokenError(
            f"The sealed value {name!r} has an unknown format.", remedy="Store it again."
        )
    fingerprint = blob[1 : 1 + _FINGERPRINT_BYTES]
    nonce = blob[1 + _FINGERPRINT_BYTES : _HEADER_BYTES]
    place = _place(workspace_id, name, purpose)
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        key = _derive(secret, workspace_id, purpose)
        if _fingerprint(key) != fingerprint:
            continue
        try:
            return AESGCM(key).decrypt(nonce, blob[_HEADER_BYTES:], place).decode("utf-8")
        except InvalidTag:
            break
    raise SealBrokenError(
        f"The sealed value {name!r} does not open in this workspace.",
        remedy="Restore the secret key it was sealed with (SECRET_KEY_FALLBACKS), or store it "
        "again.",
    )


def needs_resealing(
    sealed: bytes | memoryview, *, workspace_id: UUID, purpose: str = "secret"
) -> bool:
    """Say whether the value was sealed with another key than the current one."""
    key = _derive(settings.SECRET_KEY, workspace_id, purpose)
    return bytes(sealed)[1 : 1 + _FINGERPRINT_BYTES] != _fingerprint(key)


def _derive(secret: str | bytes, workspace_id: UUID, purpose: str) -> bytes:
    info = b"agentry/seal/1\x00" + workspace_id.bytes + purpose.encode("utf-8")
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(
        secret.encode() if isinstance(secret, str) else secret
    )


def _fingerprint(key: bytes) -> bytes:
    return hashlib.sha256(b"agentry/seal/fingerprint\x00" + key).digest()[:_FINGERPRINT_BYTES]


def _place(workspace_id: UUID, name: str, purpose: str) -> bytes:
    return b"\x00".join((bytes([_VERSION]), workspace_id.bytes, purpose.encode(), name.encode()))
