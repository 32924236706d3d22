"""Sealing: secrets at rest, bound to the workspace and the name they were stored under.

An envelope: the value is encrypted under a random key of its own, and that key under one derived by
HKDF-SHA256 (RFC 5869) from the site's secret key, the workspace and the purpose; both AES-256-GCM
(NIST SP 800-38D). Workspace, purpose and name are authenticated data of both, so a sealed value
copied into another row does not open there. Changing the site's secret key seals the inner key
anew and leaves the value alone.

Layout 2: version (1 byte), fingerprint of the outer key (4), nonce (12), sealed inner key (48),
nonce (12), ciphertext with tag. Layout 1 had no inner key: version, fingerprint, nonce, ciphertext
with tag; it still opens, and `needs_resealing` counts it as left to do.
The fingerprint tells which of SECRET_KEY and SECRET_KEY_FALLBACKS is the outer key.
"""

import hashlib
import hmac
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from core.errors import DomainError

_PLAIN = 1
_ENVELOPE = 2
_FINGERPRINT_BYTES = 4
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_HEADER_BYTES = 1 + _FINGERPRINT_BYTES + _NONCE_BYTES
_INNER_AT = _HEADER_BYTES + _KEY_BYTES + _TAG_BYTES
_SHORTEST = {
    _PLAIN: _HEADER_BYTES + _TAG_BYTES,
    _ENVELOPE: _INNER_AT + _NONCE_BYTES + _TAG_BYTES,
}


class SealBrokenError(DomainError):
    """A sealed value cannot be opened here.

    Store the value again; sealed values open only under the key and in the workspace they were
    sealed with.
    """

    code = "seal_broken"
    status = 500


def seal(plaintext: str, *, workspace_id: UUID, name: str, purpose: str = "secret") -> bytes:
    """Encrypt `plaintext` so that only the same workspace, name and purpose open it."""
    inner = AESGCM.generate_key(bit_length=8 * _KEY_BYTES)
    nonce = os.urandom(_NONCE_BYTES)
    place = _place(_ENVELOPE, workspace_id, name, purpose)
    content = nonce + AESGCM(inner).encrypt(nonce, plaintext.encode("utf-8"), place)
    return _wrapped(inner, workspace_id=workspace_id, purpose=purpose, place=place) + content


def unseal(
    sealed: bytes | memoryview, *, workspace_id: UUID, name: str, purpose: str = "secret"
) -> str:
    """Return the plaintext.

    Raises:
        SealBrokenError: another workspace, name or purpose, a changed value, or a secret key that
            is no longer configured. The sentence never contains the value.
    """
    blob = _checked(sealed, name)
    place = _place(blob[0], workspace_id, name, purpose)
    try:
        outer = _outer(blob, workspace_id, name, purpose)
        nonce = blob[1 + _FINGERPRINT_BYTES : _HEADER_BYTES]
        if blob[0] == _PLAIN:
            return AESGCM(outer).decrypt(nonce, blob[_HEADER_BYTES:], place).decode("utf-8")
        inner = AESGCM(outer).decrypt(nonce, blob[_HEADER_BYTES:_INNER_AT], place)
        content = blob[_INNER_AT:]
        plain = AESGCM(inner).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], place)
        return plain.decode("utf-8")
    except InvalidTag:
        raise _broken(name) from None


def reseal(
    sealed: bytes | memoryview, *, workspace_id: UUID, name: str, purpose: str = "secret"
) -> bytes:
    """Return the same value under the current secret key; of an envelope only the inner key is
    opened.

    Raises:
        SealBrokenError: As for `unseal`.
    """
    blob = _checked(sealed, name)
    if blob[0] == _PLAIN:
        plain = unseal(blob, workspace_id=workspace_id, name=name, purpose=purpose)
        return seal(plain, workspace_id=workspace_id, name=name, purpose=purpose)
    place = _place(_ENVELOPE, workspace_id, name, purpose)
    nonce = blob[1 + _FINGERPRINT_BYTES : _HEADER_BYTES]
    outer = _outer(blob, workspace_id, name, purpose)
    try:
        inner = AESGCM(outer).decrypt(nonce, blob[_HEADER_BYTES:_INNER_AT], place)
    except InvalidTag:
        raise _broken(name) from None
    wrapped = _wrapped(inner, workspace_id=workspace_id, purpose=purpose, place=place)
    return wrapped + blob[_INNER_AT:]


def needs_resealing(
    sealed: bytes | memoryview, *, workspace_id: UUID, purpose: str = "secret"
) -> bool:
    """Say whether the value is no envelope or was sealed with another key than the current one."""
    blob = bytes(sealed)
    key = _derive(settings.SECRET_KEY, workspace_id, purpose)
    return blob[:1] != bytes([_ENVELOPE]) or blob[1:5] != _fingerprint(key)


def keyed_digest(text: str, *, workspace_id: UUID, purpose: str) -> str:
    """Return a digest (hex) that tells two values apart and says nothing about them to whoever has
    not the site's secret key."""
    key = _derive(settings.SECRET_KEY, workspace_id, f"digest:{purpose}")
    return hmac.new(key, text.encode("utf-8"), "sha256").hexdigest()


def _checked(sealed: bytes | memoryview, name: str) -> bytes:
    blob = bytes(sealed)
    if not blob or len(blob) < _SHORTEST.get(blob[0], len(blob) + 1):
        raise SealBrokenError(
            f"The sealed value {name!r} has an unknown format.", remedy="Store it again."
        )
    return blob


def _wrapped(inner: bytes, *, workspace_id: UUID, purpose: str, place: bytes) -> bytes:
    outer = _derive(settings.SECRET_KEY, workspace_id, purpose)
    nonce = os.urandom(_NONCE_BYTES)
    return (
        bytes([_ENVELOPE])
        + _fingerprint(outer)
        + nonce
        + AESGCM(outer).encrypt(nonce, inner, place)
    )


def _outer(blob: bytes, workspace_id: UUID, name: str, purpose: str) -> bytes:
    """Return the key this was sealed with, among those that are configured."""
    fingerprint = blob[1 : 1 + _FINGERPRINT_BYTES]
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        key = _derive(secret, workspace_id, purpose)
        if _fingerprint(key) == fingerprint:
            return key
    raise _broken(name)


def _broken(name: str) -> SealBrokenError:
    return SealBrokenError(
        f"The sealed value {name!r} does not open in this workspace.",
        remedy="Restore the secret key it was sealed with (SECRET_KEY_FALLBACKS), or store it "
        "again.",
    )


def _derive(secret: str | bytes, workspace_id: UUID, purpose: str) -> bytes:
    info = b"agentry/seal/1\x00" + workspace_id.bytes + purpose.encode("utf-8")
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(
        secret.encode() if isinstance(secret, str) else secret
    )


def _fingerprint(key: bytes) -> bytes:
    return hashlib.sha256(b"agentry/seal/fingerprint\x00" + key).digest()[:_FINGERPRINT_BYTES]


def _place(version: int, workspace_id: UUID, name: str, purpose: str) -> bytes:
    return b"\x00".join((bytes([version]), workspace_id.bytes, purpose.encode(), name.encode()))
