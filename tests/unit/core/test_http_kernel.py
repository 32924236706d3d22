"""Problems, cursors, entity tags and keys, without a database."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import OperationalError
from django.http import Http404, UnreadablePostError
from django.http.request import HttpHeaders
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import exceptions as drf

from core.api import preconditions, problems
from core.api.idempotency import fingerprint, key_of
from core.api.pagination import decode_cursor, encode_cursor, limit_of
from core.errors import (
    ConflictError,
    InvalidInputError,
    LimitExceededError,
    NotAuthenticatedError,
    UnavailableError,
)

CONTEXT: dict[str, Any] = {"request": SimpleNamespace(path="/api/v1/x")}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInputError("No."), 400, "invalid_input"),
        (ConflictError("No."), 409, "conflict"),
        (UnavailableError("No."), 503, "unavailable"),
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "permission_denied"),
        (RequestDataTooBig(), 413, "payload_too_large"),
        (SuspiciousOperation(), 400, "bad_request"),
        (UnreadablePostError(), 400, "body_unreadable"),
        (ValidationError({"name": ["Bad."]}), 400, "invalid_input"),
        (ValidationError("Bad."), 400, "invalid_input"),
        (drf.ParseError(), 400, "invalid_input"),
        (drf.NotFound(), 404, "not_found"),
        (drf.PermissionDenied(), 403, "permission_denied"),
        (drf.NotAuthenticated(), 401, "not_authenticated"),
        (drf.AuthenticationFailed(), 401, "not_authenticated"),
        (drf.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (drf.NotAcceptable(), 406, "not_acceptable"),
        (drf.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type"),
        (drf.Throttled(wait=3), 429, "limit_exceeded"),
        (drf.APIException("broken"), 500, "internal_error"),
        (OperationalError("secret host"), 503, "unavailable"),
        (RuntimeError("secret"), 500, "internal_error"),
    ],
)
def test_every_error_becomes_a_problem(error: Exception, status: int, code: str) -> None:
    response = problems.exception_handler(error, CONTEXT)
    assert (response.status_code, response.data["code"]) == (status, code)
    assert response.content_type == "application/problem+json"
    assert response.data["instance"] == "/api/v1/x"
    assert "secret" not in json.dumps(response.data)


def test_members_without_content_are_left_out() -> None:
    plain = problems.problem_of(ConflictError("It is so."))
    assert plain == {
        "type": "/docs/reference/problems#conflict",
        "title": "Conflict",
        "status": 409,
        "detail": "It is so.",
        "code": "conflict",
    }
    full = problems.problem_of(
        ConflictError("a\x00b", remedy="Wait.", fields={"x": ["No."]}, detail={"winner": "ada"}),
        instance="/api/x",
    )
    assert full["detail"] == "a\ufffdb"
    assert (full["remedy"], full["errors"], full["context"], full["instance"]) == (
        "Wait.",
        {"x": ["No."]},
        {"winner": "ada"},
        "/api/x",
    )
    assert problems.problem(status=599, code="x", detail="y")["title"] == "Error"


def test_headers_tell_when_and_how_to_come_back() -> None:
    assert problems.problem_headers(LimitExceededError("No.", retry_after_seconds=0.2)) == {
        "Retry-After": "1"
    }
    assert problems.problem_headers(NotAuthenticatedError("No.")) == {
        "WWW-Authenticate": 'Bearer realm="agentry"'
    }
    assert problems.problem_headers(UnavailableError("No.")) == {"Retry-After": "2"}
    throttled = problems.exception_handler(drf.Throttled(wait=3), CONTEXT)
    assert throttled["Retry-After"] == "3"


def test_nested_errors_are_told_by_place() -> None:
    nested = {
        "items": [{}, {"name": ["Bad."]}],
        "non_field_errors": ["All bad."],
        "tags": {"2": ["No."]},
    }
    assert problems.flatten(nested) == {
        "items.1.name": ["Bad."],
        "": ["All bad."],
        "tags.2": ["No."],
    }


@pytest.mark.parametrize(
    ("handler", "status", "code"),
    [
        (problems.handler400, 400, "bad_request"),
        (problems.handler403, 403, "permission_denied"),
        (problems.handler404, 404, "not_found"),
    ],
)
def test_addresses_outside_views_answer_in_their_own_way(
    handler: Any, status: int, code: str
) -> None:
    rf = RequestFactory()
    inside = handler(rf.get("/api/v1/<b>"), Exception("secret"))
    assert (inside.status_code, json.loads(inside.content)["code"]) == (status, code)
    outside = handler(rf.get("/elsewhere"), None)
    assert outside.status_code == status
    assert outside.content.startswith(b"<!doctype html>")
    assert b"secret" not in inside.content + outside.content


def test_a_failure_is_told_by_its_id_only() -> None:
    rf = RequestFactory()
    document = json.loads(problems.handler500(rf.get("/api/v1/x")).content)
    assert document["code"] == "internal_error"
    assert document["error_id"] in document["remedy"]
    assert problems.handler500(rf.get("/x")).status_code == 500
    too_big = problems.handler400(rf.get("/api/x"), RequestDataTooBig())
    assert json.loads(too_big.content)["code"] == "payload_too_large"


def test_a_page_without_its_database_says_to_come_back() -> None:
    rf = RequestFactory()
    try:
        raise OperationalError("secret host")
    except OperationalError:  # as Django calls it: the failure is being handled
        page = problems.handler500(rf.get("/admin/"))
        document = problems.handler500(rf.get("/api/v1/x"))

    assert (page.status_code, page["Retry-After"]) == (503, "2")
    assert page.content.startswith(b"<!doctype html>")
    assert b"secret" not in page.content + document.content
    assert json.loads(document.content)["code"] == "unavailable"


@given(st.sampled_from(["-pk", "position"]), st.text(max_size=60).filter(lambda t: "\x00" not in t))
def test_cursors_come_back_as_they_went(order: str, value: str) -> None:
    assert decode_cursor(encode_cursor(order, value)) == (order, value)


@given(st.text(max_size=80))
def test_any_other_text_is_a_bad_cursor_or_a_cursor(text: str) -> None:
    fields = {"cursor": ["Not a valid cursor."]}
    try:
        decode_cursor(text)
    except InvalidInputError as error:
        fields = error.fields
    assert fields == {"cursor": ["Not a valid cursor."]}


def test_limits_have_bounds() -> None:
    assert (limit_of(None), limit_of("1"), limit_of("200")) == (50, 1, 200)
    for text in ("0", "201", "-1", "", "x", "1.5", "٣", "9" * 50):
        with pytest.raises(InvalidInputError):
            limit_of(text)


def _headers(**headers: str) -> HttpHeaders:
    return HttpHeaders({f"HTTP_{name.upper()}": value for name, value in headers.items()})


def test_entity_tags_match_as_the_standard_says() -> None:
    tag = preconditions.etag_of({"b": 1, "a": [2]})
    assert tag == preconditions.etag_of({"a": [2], "b": 1})
    assert tag != preconditions.etag_of({"a": [2], "b": 2})
    for value in (tag, "*", f'"x", {tag}'):
        preconditions.require_match(_headers(if_match=value), tag)
        assert preconditions.is_unchanged(_headers(if_none_match=value), tag)
    preconditions.require_match(_headers(), tag)
    assert not preconditions.is_unchanged(_headers(), tag)
    assert preconditions.is_unchanged(_headers(if_none_match=f"W/{tag}"), tag)
    for value in ('"x"', f"W/{tag}"):
        with pytest.raises(preconditions.PreconditionFailedError):
            preconditions.require_match(_headers(if_match=value), tag)


def test_keys_are_visible_text_and_requests_have_fingerprints() -> None:
    assert key_of(None) is None
    assert key_of('"abc"') == "abc"
    for bad in ("", '""', "x" * 256, "ä", "a\x07b"):
        with pytest.raises(InvalidInputError):
            key_of(bad)
    one = fingerprint(method="POST", path="/a", body=b"{}")
    assert one == fingerprint(method="POST", path="/a", body=b"{}")
    others = {
        fingerprint(method="PUT", path="/a", body=b"{}"),
        fingerprint(method="POST", path="/a?x=1", body=b"{}"),
        fingerprint(method="POST", path="/a", body=b"{ }"),
    }
    assert len(others | {one}) == 4
