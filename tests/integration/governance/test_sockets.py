"""Signing in below Django's views."""

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import Client

from core import clock
from core.errors import (
    DomainError,
    InvalidInputError,
    LimitExceededError,
    NotAuthenticatedError,
    PermissionDeniedError,
)
from governance.contracts import Perm
from governance.errors import TokenExpiredError, TokenInvalidError
from governance.guard.consumers import AccessGate, accepted_subprotocol, actor_from_scope
from governance.models import User
from tests.factories.governance import PASSWORD, make_cast

pytestmark = pytest.mark.django_db(transaction=True)


def _scope(kind: str = "websocket", **options: Any) -> dict[str, Any]:
    headers = {"host": "localhost", **options.pop("headers", {})}
    return {
        "type": kind,
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        "query_string": b"",
        **options,
    }


def _sign_in(scope: dict[str, Any]) -> Any:
    return async_to_sync(actor_from_scope)(scope)


def _session(username: str) -> str:
    client = Client()
    assert client.login(username=username, password=PASSWORD)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def test_a_token_comes_by_header_or_subprotocol() -> None:
    cast = make_cast()
    secret = cast.token("viewer")
    by_header = _scope(headers={"authorization": f"Bearer {secret}"})
    by_protocol = _scope(subprotocols=["agentry", f"bearer.{secret}"])
    assert _sign_in(by_header).username == "viewer"
    assert _sign_in(by_protocol).username == "viewer"
    assert _sign_in(by_protocol | {"type": "http"}).token_id is not None
    assert accepted_subprotocol(by_protocol) == "agentry"
    assert accepted_subprotocol(_scope(subprotocols=[f"bearer.{secret}"])) is None
    with clock.shifted(timedelta(days=1)):
        assert _sign_in(by_header).username == "viewer"


def test_an_address_that_sends_wrong_tokens_is_told_to_stop(settings: Any) -> None:
    settings.SIGN_IN_FAILURES = 1
    valid = make_cast().token("viewer")
    here: Any = {"client": ("203.0.113.7", 4321)}
    for number in range(10):
        with pytest.raises(TokenInvalidError):
            _sign_in(_scope(subprotocols=[f"bearer.agk_wrong{number}"], **here))

    with pytest.raises(LimitExceededError, match="too many wrong tokens from your address"):
        _sign_in(_scope(subprotocols=["bearer.agk_wrong"], **here))
    assert _sign_in(_scope(subprotocols=[f"bearer.{valid}"], **here)).username == "viewer"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, NotAuthenticatedError),
        ({"query_string": b"token=agk_x"}, InvalidInputError),
        ({"query_string": b"after=3&token="}, InvalidInputError),
        ({"headers": {"authorization": "Basic dTpw"}}, TokenInvalidError),
        ({"headers": {"authorization": "Bearer a b"}}, TokenInvalidError),
        ({"subprotocols": ["bearer.agk_wrong"]}, TokenInvalidError),
        (
            {"headers": {"cookie": "sessionid=nonsense", "origin": "http://localhost"}},
            NotAuthenticatedError,
        ),
        ({"headers": {"cookie": "sessionid="}}, NotAuthenticatedError),
    ],
)
def test_bad_credentials_are_refused(options: dict[str, Any], error: type[DomainError]) -> None:
    with pytest.raises(error):
        _sign_in(_scope(**options))


def test_an_expired_token_is_refused_even_when_remembered() -> None:
    cast = make_cast()
    secret = cast.token("viewer", expires_at=clock.now() + timedelta(seconds=30))
    scope = _scope(headers={"authorization": f"Bearer {secret}"})
    assert _sign_in(scope).username == "viewer"
    with clock.shifted(timedelta(seconds=31)), pytest.raises(TokenExpiredError):
        _sign_in(scope)


@pytest.mark.parametrize(
    ("origin", "host", "is_let_in"),
    [
        ("http://localhost", "localhost", True),
        ("https://localhost", "localhost", True),
        ("http://localhost:8000", "localhost:8000", True),
        ("http://evil.example", "localhost", False),
        ("http://evil.example", "evil.example", False),
        ("http://localhost:9", "localhost", False),
        ("null", "localhost", False),
        ("http://[", "localhost", False),
        (None, "localhost", False),
    ],
)
def test_a_session_opens_sockets_only_from_our_own_pages(
    origin: str | None, host: str, is_let_in: bool
) -> None:
    make_cast()
    headers = {"cookie": _session("viewer"), "host": host}
    if origin is not None:
        headers["origin"] = origin
    if is_let_in:
        assert _sign_in(_scope(headers=headers)).username == "viewer"
    else:
        with pytest.raises(PermissionDeniedError):
            _sign_in(_scope(headers=headers))


def test_a_session_reads_without_origin_and_changes_only_with_it() -> None:
    make_cast()
    headers = {"cookie": _session("viewer")}
    assert _sign_in(_scope("http", method="GET", headers=headers)).username == "viewer"
    with pytest.raises(PermissionDeniedError):
        _sign_in(_scope("http", method="POST", headers=headers))
    own = {**headers, "origin": "http://localhost"}
    assert _sign_in(_scope("http", method="POST", headers=own)).username == "viewer"


def test_a_session_of_somebody_no_longer_welcome_is_refused() -> None:
    make_cast()
    headers = {"cookie": _session("viewer"), "origin": "http://localhost"}
    for change in ({"is_active": False}, {"is_active": True, "is_service": True}):
        User.objects.filter(username="viewer").update(**change)
        with pytest.raises(NotAuthenticatedError):
            _sign_in(_scope(headers=headers))


def test_the_gate_answers_what_live_views_ask() -> None:
    cast = make_cast()
    gate = AccessGate()
    secret = cast.token("viewer")
    actor = async_to_sync(gate.authenticate)(_scope(headers={"authorization": f"Bearer {secret}"}))
    may = async_to_sync(gate.may)
    assert may(actor, Perm.RUN_VIEW, cast.acme.pk) is True
    assert may(actor, Perm.RUN_VIEW, cast.acme.pk) is True
    assert may(actor, Perm.RUN_PAYLOAD, cast.acme.pk) is False
    assert may(actor, Perm.RUN_VIEW, cast.other.pk) is False
    named = async_to_sync(gate.workspace_named)
    assert named("acme") == cast.acme.pk
    assert named("nothing") is None
    assert named("a\x00b") is None
