"""Signing: what the site says under its own name, checked by anybody with the public key alone.

Ed25519 (RFC 8032). The private key is derived by HKDF-SHA256 (RFC 5869) from `settings.AUDIT_KEY`,
so it is nowhere stored in another form. A key is told by the first 16 hexadecimal digits of the
SHA-256 of its 32 public bytes.
"""

import hashlib
from functools import lru_cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_INFO = b"agentry/sign/1"
_ID_CHARACTERS = 16


def sign(message: bytes) -> str:
    """Return the signature of the site's key in hexadecimal."""
    return _key(settings.AUDIT_KEY).sign(message).hex()


def signing_key_id() -> str:
    """Return which key signs now."""
    raw = _key(settings.AUDIT_KEY).public_key().public_bytes_raw()
    return hashlib.sha256(raw).hexdigest()[:_ID_CHARACTERS]


def signing_public_key() -> str:
    """Return the public half in PEM (SubjectPublicKeyInfo), as every tool reads it."""
    public = _key(settings.AUDIT_KEY).public_key()
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode("ascii")


@lru_cache(maxsize=4)
def _key(secret: str) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_INFO).derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)
