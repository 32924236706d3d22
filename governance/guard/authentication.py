"""Authentication: from a request to its actor, by API token or by session."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from core.api.problems import AUTH_REALM
from core.errors import NotAuthenticatedError, PermissionDeniedError
from governance.access import actor_from_token, actor_of_user
from governance.contracts import Actor
from governance.errors import TokenInvalidError
from governance.guard.throttle import token_refused
from governance.models import User

SCHEME = "bearer"
SIGN_IN = "Send `Authorization: Bearer agk_…` or sign in."


def secret_from_header(value: str) -> str:
    """Return the secret of an Authorization header.

    Raises:
        TokenInvalidError: another scheme, or not exactly one word after it.
    """
    scheme, _, secret = value.strip().partition(" ")
    secret = secret.strip()
    if scheme.lower() != SCHEME or not secret or " " in secret or not secret.isascii():
        raise TokenInvalidError(
            "The Authorization header is not `Bearer` and one token.", remedy=SIGN_IN
        )
    return secret


def attach(request: Request, actor: Actor) -> None:
    """Put the actor on the REST request and on Django's, where middleware and admin look."""
    request.actor = actor  # type: ignore[attr-defined]  # our own attribute
    request._request.actor = actor  # type: ignore[attr-defined]  # our own attribute


def _user_of(actor: Actor) -> User:
    user = None
    if actor.user_id is not None:
        user = User.objects.filter(pk=actor.user_id, is_active=True).first()
    if user is None:
        raise NotAuthenticatedError("The token's owner is gone.", remedy=SIGN_IN)
    return user


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer agk_…`. The user object is loaded only if somebody asks for it."""

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        try:
            actor = actor_from_token(secret_from_header(header))
        except NotAuthenticatedError as error:
            raise token_refused(error, request.META.get("REMOTE_ADDR", "")) from None
        attach(request, actor)
        return SimpleLazyObject(lambda: _user_of(actor)), actor

    def authenticate_header(self, request: Request) -> str:
        return AUTH_REALM


class SessionAuthentication(authentication.SessionAuthentication):
    """The console's session cookie, with the CSRF token on every request that changes something.

    Service accounts have no sessions.
    """

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        user = getattr(request._request, "user", None)
        if not isinstance(user, User) or not user.is_active or user.is_service:
            return None
        try:
            self.enforce_csrf(request)
        except exceptions.PermissionDenied as error:
            raise PermissionDeniedError(
                str(error.detail), remedy="Send the page's CSRF token as X-CSRFToken."
            ) from None
        attach(request, actor_of_user(user))
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return AUTH_REALM


def actor_of(request: Request | HttpRequest) -> Actor:
    """Return who asks.

    Raises:
        NotAuthenticatedError: nobody has signed in.
    """
    user = getattr(request, "user", None)  # authenticates lazily
    actor = getattr(request, "actor", None)
    if isinstance(actor, Actor):
        return actor
    if (
        not isinstance(request, Request)
        and isinstance(user, User)
        and user.is_active
        and not user.is_service
    ):
        return actor_of_user(user)
    raise NotAuthenticatedError("This needs a signed-in user.", remedy=SIGN_IN)
