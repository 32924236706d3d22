"""Signing in below Django's views: sockets and ASGI lanes.

A credential comes from the `Authorization` header, from the WebSocket sub-protocol
`bearer.<token>` (browsers cannot set headers on sockets), or from the console's session cookie, and
then only from a page of this site. A token in the address is refused: addresses end up in logs.
"""

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.http.request import split_domain_port, validate_host

from core.errors import (
    InvalidInputError,
    NotAuthenticatedError,
    PermissionDeniedError,
    UnavailableError,
)
from governance.access import actor_from_token, actor_of_user, peek_actor, permission_cache
from governance.contracts import Actor, Perm
from governance.guard.authentication import SIGN_IN, secret_from_header
from governance.guard.throttle import token_refused
from governance.models import User, Workspace

SUBPROTOCOL: Final = "agentry"
BEARER_SUBPROTOCOL: Final = "bearer."
_SAFE_METHODS = frozenset({"GET", "HEAD"})

Scope = Mapping[str, Any]


async def actor_from_scope(scope: Scope) -> Actor:
    """Return who sent this ASGI request or opened this socket.

    Needs no query when the token was seen in the last two seconds.

    Raises:
        NotAuthenticatedError: no credential, or not a valid one.
        LimitExceededError: not a valid one, after too many others.
        InvalidInputError: a token in the address.
        PermissionDeniedError: a session cookie from a page of another site.
        UnavailableError: the database does not answer.
    """
    _refuse_token_in_address(scope)
    secret = secret_of(scope)
    if secret is not None:
        actor = peek_actor(secret)
        if actor is not None:
            return actor
    try:
        if secret is not None:
            found: Actor = await database_sync_to_async(actor_or_refusal)(secret, address_of(scope))
            return found
        key = _session_key(scope)
        if key is None:
            raise NotAuthenticatedError("This needs a credential.", remedy=SIGN_IN)
        _refuse_foreign_page(scope)
        signed_in: Actor = await database_sync_to_async(_actor_of_session)(key)
    except DatabaseError as error:
        raise _unavailable() from error
    return signed_in


def actor_or_refusal(secret: str, address: str) -> Actor:
    """Return the actor of a token; for a thread that may ask the database.

    Raises:
        NotAuthenticatedError: it is not valid.
        LimitExceededError: nor were many others from this address.
    """
    try:
        return actor_from_token(secret)
    except NotAuthenticatedError as error:
        raise token_refused(error, address) from None


def address_of(scope: Scope) -> str:
    """Return where an ASGI request comes from, as the server knows it."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def secret_of(scope: Scope) -> str | None:
    """Return the token secret of the request, or None when it brings none."""
    header = _header(scope, b"authorization")
    if header is not None:
        return secret_from_header(header)
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(BEARER_SUBPROTOCOL):
            return str(protocol.removeprefix(BEARER_SUBPROTOCOL))
    return None


def accepted_subprotocol(scope: Scope) -> str | None:
    """Return the sub-protocol to accept a socket with.

    Browsers fail a connection whose offered protocols were all ignored; so a client offers
    `agentry` next to `bearer.<token>`, and the token is never echoed.
    """
    return SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None


class AccessGate:
    """What live views ask: who is it, may they, which workspace is meant. Never blocks the loop."""

    async def authenticate(self, scope: Scope) -> Actor:
        return await actor_from_scope(scope)

    async def may(self, actor: Actor, perm: Perm, workspace_id: UUID) -> bool:
        """Decide, with an answer at most two seconds old."""
        known = permission_cache.peek(actor, perm, workspace_id)
        if known is not None:
            return known
        try:
            decided: bool = await database_sync_to_async(permission_cache.can)(
                actor, perm, workspace_id
            )
        except DatabaseError as error:
            raise _unavailable() from error
        return decided

    async def workspace_named(self, name: str) -> UUID | None:
        """Return the id of a workspace; the caller asks `may` before it shows anything."""
        if "\x00" in name:
            return None
        try:
            row = await Workspace.objects.filter(name=name).values_list("pk", flat=True).afirst()
        except DatabaseError as error:
            raise _unavailable() from error
        return row


def _actor_of_session(key: str) -> Actor:
    engine: Any = import_module(settings.SESSION_ENGINE)
    request: Any = SimpleNamespace(session=engine.SessionStore(key))
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active or user.is_service:
        raise NotAuthenticatedError("The session has ended.", remedy=SIGN_IN)
    return actor_of_user(user)


def _session_key(scope: Scope) -> str | None:
    try:
        cookies = SimpleCookie(_header(scope, b"cookie") or "")
    except CookieError:
        return None
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    return None if morsel is None or not morsel.value else morsel.value


def _refuse_foreign_page(scope: Scope) -> None:
    """Cookies travel with requests of any page; only our own pages may use them.

    A socket, and an HTTP request that changes something, must name its origin; a read may leave it
    out, because browsers do for their own page.
    """
    origin = _header(scope, b"origin")
    if origin is None and scope.get("method") in _SAFE_METHODS:
        return
    if origin is not None and _is_own_page(origin, _header(scope, b"host") or ""):
        return
    raise PermissionDeniedError(
        f"A session may not be used from the origin {origin or '(none)'}.",
        remedy="Use an API token, or add the origin to AGENTRY_TRUSTED_ORIGINS.",
    )


def _is_own_page(origin: str, host: str) -> bool:
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    domain, _ = split_domain_port(host)
    try:
        netloc = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(netloc) and netloc == host and validate_host(domain, settings.ALLOWED_HOSTS)


def _refuse_token_in_address(scope: Scope) -> None:
    query = bytes(scope.get("query_string", b"")).decode("latin-1")
    if any(name == "token" for name, _ in parse_qsl(query, keep_blank_values=True)):
        raise InvalidInputError(
            "A token in the address is refused, because addresses are logged.",
            remedy="Send it as `Authorization: Bearer agk_…` or as the WebSocket sub-protocol "
            "`bearer.agk_…`. Revoke the one just sent if it was real.",
            fields={"token": ["Not accepted in the query."]},
        )


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope.get("headers", ()):
        if key == name:
            return bytes(value).decode("latin-1")
    return None


def _unavailable() -> UnavailableError:
    return UnavailableError("The database does not answer.", remedy="Try again in a moment.")
