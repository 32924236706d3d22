"""Credentials: from the secret of an API token to the actor behind it.

The one authentication of REST, the lean lane and sockets. Only the SHA-256 of a secret is stored or
kept in memory.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from core import clock
from governance.access.cache import BriefMemory
from governance.access.changes import AccessChanged
from governance.access.decisions import known_perm
from governance.contracts import Actor
from governance.errors import TokenExpiredError, TokenInvalidError, TokenRevokedError
from governance.models import ApiToken

TOKEN_PREFIX = "agk_"  # noqa: S105 - a public prefix, not a password
USED_EVERY_SECONDS = 60
_MAX_SECRET_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    actor: Actor
    expires_at: datetime | None


_known: BriefMemory[str, _Known] = BriefMemory()


def digest_of(secret: str) -> str:
    """Return what is stored of a token's secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def actor_from_token(secret: str) -> Actor:
    """Return the actor of a token; remembered for at most two seconds.

    Raises:
        TokenInvalidError: no such token, or its owner is gone or inactive.
        TokenExpiredError, TokenRevokedError: it was one.
    """
    if not secret.startswith(TOKEN_PREFIX) or len(secret) > _MAX_SECRET_LENGTH:
        raise _invalid()
    digest = digest_of(secret)
    known = _known.get(digest, lambda: _load(digest))
    _refuse_expired(known.expires_at)
    return known.actor


def peek_actor(secret: str) -> Actor | None:
    """Return the actor if it is remembered and valid, without a query; for an event loop."""
    known = _known.peek(digest_of(secret))
    if known is None or (known.expires_at is not None and known.expires_at <= clock.now()):
        return None
    return known.actor


def forget_credentials(change: AccessChanged) -> None:
    """Drop what is remembered of the changed users and tokens."""
    _known.forget(
        lambda _digest, known: (
            known.actor.user_id in change.user_ids or known.actor.token_id in change.token_ids
        )
    )


def clear_credentials() -> None:
    """Drop everything that is remembered."""
    _known.clear()


def _load(digest: str) -> _Known:
    token = ApiToken.objects.select_related("user").filter(digest=digest).first()
    if token is None:
        raise _invalid()
    if token.revoked_at is not None:
        raise TokenRevokedError("The API token was revoked.", remedy="Issue a new one.")
    _refuse_expired(token.expires_at)
    if not token.user.is_active:
        raise _invalid()
    _record_use(token)
    scopes = None
    if token.scopes is not None:
        known = (known_perm(value) for value in token.scopes)
        scopes = frozenset(perm for perm in known if perm is not None)
    actor = Actor(
        user_id=token.user_id,
        username=token.user.username,
        is_superuser=token.user.is_superuser,
        token_id=token.pk,
        scopes=scopes,
        workspace_id=token.workspace_id,
    )
    return _Known(actor=actor, expires_at=token.expires_at)


def _record_use(token: ApiToken) -> None:
    """Note the use, at most once a minute over all processes."""
    now = clock.now()
    before = now - timedelta(seconds=USED_EVERY_SECONDS)
    if token.last_used_at is not None and token.last_used_at > before:
        return
    ApiToken.objects.filter(
        Q(last_used_at__isnull=True) | Q(last_used_at__lte=before), pk=token.pk
    ).update(last_used_at=now)


def _refuse_expired(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= clock.now():
        raise TokenExpiredError(
            f"The API token expired on {expires_at:%Y-%m-%d %H:%M} UTC.",
            remedy="Issue a new one.",
        )


def _invalid() -> TokenInvalidError:
    return TokenInvalidError(
        "The API token is not valid here.",
        remedy="Check that it is complete (agk_…) and belongs to this site.",
    )
