"""Problem documents (RFC 9457): the one place where errors become HTTP answers.

Members: `type` (a path of the site, where the code is explained), `title`, `status`, `detail`,
`code` (stable; clients branch on it), `instance`, and where they apply `remedy`, `errors`
(sentences by field), `context` (facts, such as who won a race) and `error_id` (names an unexpected
failure in the server's log).
"""

import http
import math
import sys
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import InterfaceError, OperationalError, connections
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.templatetags.static import static
from django.utils.html import escape
from rest_framework import exceptions as drf
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from core.errors import (
    DomainError,
    LimitExceededError,
    NotAuthenticatedError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    UnavailableError,
)
from core.ids import new_id
from core.redaction import storable

CONTENT_TYPE = "application/problem+json"
TYPE_BASE = "/docs/reference/problems#"
API_PREFIX = "/api/"
AUTH_REALM = 'Bearer realm="agentry"'

logger = structlog.get_logger(__name__)

# Codes of framework errors that are not ours to raise; ours carry their own.
_DRF_CODES = {
    "parse_error": "invalid_input",
    "invalid": "invalid_input",
    "authentication_failed": "not_authenticated",
    "throttled": "limit_exceeded",
    "error": "internal_error",
}


def problem(
    *,
    status: int,
    code: str,
    detail: str,
    remedy: str = "",
    errors: Mapping[str, Any] | None = None,
    context: Mapping[str, object] | None = None,
    instance: str = "",
    error_id: UUID | None = None,
) -> dict[str, Any]:
    """Build the document; members without content are left out."""
    document: dict[str, Any] = {
        "type": TYPE_BASE + code,
        "title": _title(status),
        "status": status,
        "detail": storable(detail),
        "code": code,
    }
    if remedy:
        document["remedy"] = storable(remedy)
    if errors:
        document["errors"] = {storable(str(place)): said for place, said in errors.items()}
    if context:
        document["context"] = dict(context)
    if instance:
        document["instance"] = storable(instance)
    if error_id:
        document["error_id"] = str(error_id)
    return document


def problem_of(error: DomainError, *, instance: str = "") -> dict[str, Any]:
    """Return the document of an expected failure."""
    return problem(
        status=error.status,
        code=error.code,
        detail=error.message,
        remedy=error.remedy,
        errors=error.fields,
        context=error.detail,
        instance=instance,
    )


def problem_headers(error: DomainError) -> dict[str, str]:
    """Return the headers that belong to a failure: Retry-After, WWW-Authenticate."""
    headers: dict[str, str] = {}
    if isinstance(error, NotAuthenticatedError):
        challenge = AUTH_REALM
        if error.code in {"token_invalid", "token_expired", "token_revoked"}:
            challenge += f', error="invalid_token", error_description="{error.message}"'
        headers["WWW-Authenticate"] = challenge
    seconds = getattr(error, "retry_after_seconds", None)
    if seconds is not None:
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    return headers


def problem_json(document: Mapping[str, Any]) -> bytes:
    """Return the document as it goes over the wire."""
    return bytes(JSONRenderer().render(document))


def problem_response(
    document: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return a plain Django answer, for code outside REST framework views."""
    return HttpResponse(
        problem_json(document),
        status=document["status"],
        content_type=CONTENT_TYPE,
        headers=dict(headers or {}),
    )


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """Turn anything a REST view raises into a problem document; never let one through."""
    request = context.get("request")
    instance = getattr(request, "path", "")
    _roll_back()
    known = as_domain_error(error)
    if isinstance(known, StorageUnavailableError):
        logger.error("database_unavailable", path=instance, exc_info=error)
    if known is not None:
        document, headers = problem_of(known, instance=instance), problem_headers(known)
    elif isinstance(error, drf.APIException):
        document, headers = _of_framework(error, instance)
    else:
        document, headers = internal_problem(error, instance=instance), {}
    return Response(document, status=document["status"], headers=headers, content_type=CONTENT_TYPE)


def _roll_back() -> None:
    """Undo the request's transaction where the database settings put one around every request."""
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["ATOMIC_REQUESTS"] and connection.in_atomic_block:
            connection.set_rollback(True)


def internal_problem(error: BaseException, *, instance: str) -> dict[str, Any]:
    """Log an unexpected failure and return a document that tells only the name of the entry."""
    error_id = new_id()
    logger.error("unexpected_error", error_id=str(error_id), path=instance, exc_info=error)
    return problem(
        status=500,
        code="internal_error",
        detail="Something went wrong on our side; nothing more can be told here.",
        remedy="Try again; if it stays, give the error id to whoever runs this site.",
        instance=instance,
        error_id=error_id,
    )


def as_domain_error(error: BaseException) -> DomainError | None:
    """Return the expected failure that `error` stands for, or None."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, Http404):
        return NotFoundError(
            "There is nothing at this address.", remedy="Check the path and the id."
        )
    if isinstance(error, PermissionDenied):
        return PermissionDeniedError(
            "This is not allowed.", remedy="Ask an admin of the workspace for the permission."
        )
    if isinstance(error, RequestDataTooBig):
        return PayloadTooLargeError(
            "The request body is larger than this site accepts.", remedy="Send less at once."
        )
    if isinstance(error, UnreadablePostError):
        return BodyUnreadableError(
            "The request body broke off before its end.", remedy="Send the request again."
        )
    if isinstance(error, SuspiciousOperation | TooManyFieldsSent):
        return BadRequestError("The request is malformed.")
    if isinstance(error, OperationalError | InterfaceError):
        return StorageUnavailableError()
    if isinstance(error, ModelValidationError):
        return _of_model_validation(error)
    return None


class BadRequestError(DomainError):
    """The request is not one this site understands at all.

    Check the address, the headers and the encoding of the request.
    """

    code = "bad_request"
    status = 400


class StorageUnavailableError(UnavailableError):
    """The database did not answer, or not in time; what it said is in the log only."""

    def __init__(self) -> None:
        super().__init__("The database does not answer right now.", remedy="Try again in a moment.")


class BodyUnreadableError(BadRequestError):
    """The body broke off or could not be decoded.

    Send it again, whole.
    """

    code = "body_unreadable"


def _of_model_validation(error: ModelValidationError) -> DomainError:
    fields = dict(error.message_dict) if hasattr(error, "error_dict") else {"": error.messages}
    places = ", ".join(sorted(place for place in fields if place)) or "the request"
    invalid = DomainError(f"Invalid input in {places}.", fields=fields)
    invalid.code = "invalid_input"
    return invalid


def _of_framework(error: drf.APIException, instance: str) -> tuple[dict[str, Any], dict[str, str]]:
    status = error.status_code
    headers: dict[str, str] = {}
    errors: dict[str, Any] = {}
    remedy = ""
    code = getattr(error, "default_code", "error")
    if isinstance(error, drf.ValidationError):
        errors = flatten(error.detail)
        places = ", ".join(place for place in errors if place) or "the request"
        detail = f"Invalid input in {places}."
    else:
        detail = str(error.detail)
    if isinstance(error, drf.MethodNotAllowed):
        remedy = "See the API reference for the methods of this address."
    if isinstance(error, drf.UnsupportedMediaType):
        remedy = "Send one JSON document with the header `Content-Type: application/json`."
    if isinstance(error, drf.NotAuthenticated | drf.AuthenticationFailed):
        status = 401
        headers["WWW-Authenticate"] = AUTH_REALM
        remedy = "Send `Authorization: Bearer agk_…` or sign in."
    if isinstance(error, drf.Throttled):
        seconds: float = getattr(error, "wait", None) or 1
        limited = LimitExceededError(detail, retry_after_seconds=seconds)
        headers |= problem_headers(limited)
    document = problem(
        status=status,
        code=_DRF_CODES.get(code, code),
        detail=detail,
        remedy=remedy,
        errors=errors,
        instance=instance,
    )
    return document, headers


def flatten(detail: Any, place: str = "") -> dict[str, list[str]]:
    """Return nested serializer errors by dotted place, such as `items.2.name`."""
    if isinstance(detail, Mapping):
        found: dict[str, list[str]] = {}
        for name, inner in detail.items():
            own = "" if name == "non_field_errors" else str(name)
            inner_place = ".".join(part for part in (place, own) if part)
            for key, sentences in flatten(inner, inner_place).items():
                found.setdefault(key, []).extend(sentences)
        return found
    if isinstance(detail, list | tuple):
        if any(isinstance(item, Mapping | list) for item in detail):
            found = {}
            for index, item in enumerate(detail):
                if item:
                    inner_place = ".".join(part for part in (place, str(index)) if part)
                    found |= flatten(item, inner_place)
            return found
        return {place: [str(item) for item in detail]}
    return {place: [str(detail)]}


def _title(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Error"


# --- Django's own handlers: addresses without a view, and failures outside REST views -------------

_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<link rel="icon" type="image/svg+xml" href="{mark}"><script src="{theme}"></script>'
    '<link rel="stylesheet" href="{tokens}"><link rel="stylesheet" href="{style}"></head>'
    '<body><main><img src="{mark}" alt="" width="40" height="40">'
    '<p class="status">{status} {title}</p><h1>{detail}</h1><p>{remedy}</p>'
    '<p class="ways"><a href="/">Start page</a></p></main></body></html>'
)


def _answer(request: HttpRequest, document: dict[str, Any]) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return problem_response(document)
    page = _PAGE.format(
        status=document["status"],
        title=escape(document["title"]),
        detail=escape(document["detail"]),
        remedy=escape(document.get("remedy", "")),
        mark=static("console/mark.svg"),
        theme=static("console/theme.js"),
        tokens=static("console/tokens.css"),
        style=static("console/problem.css"),
    )
    return HttpResponse(page, status=document["status"])


def _expected(
    request: HttpRequest, exception: BaseException | None, fallback: DomainError
) -> HttpResponse:
    known = as_domain_error(exception) if exception is not None else None
    error = known if known is not None and known.status == fallback.status else fallback
    return _answer(request, problem_of(error, instance=request.path))


def handler400(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    known = as_domain_error(exception) if exception is not None else None
    return _answer(
        request,
        problem_of(known or BadRequestError("The request is malformed."), instance=request.path),
    )


def handler403(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _expected(request, exception, PermissionDeniedError("This is not allowed."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form without the token of this site's own pages; Django has logged the reason."""
    refused = PermissionDeniedError(
        "The form was not sent from a page of this site as it is now. Nothing was changed.",
        remedy="Go back, reload the page and send it again; this site needs its cookies for that.",
    )
    return _answer(request, problem_of(refused, instance=request.path))


def handler404(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    fallback = NotFoundError(
        "There is nothing at this address.", remedy="Check the path and the id."
    )
    return _expected(request, exception, fallback)


def handler500(request: HttpRequest) -> HttpResponse:
    """Answer a failure Django has already logged with its traceback; it is still being handled."""
    known = as_domain_error(failure) if (failure := sys.exc_info()[1]) is not None else None
    if isinstance(known, UnavailableError):
        answer = _answer(request, problem_of(known, instance=request.path))
        for name, value in problem_headers(known).items():
            answer[name] = value
        return answer
    error_id = new_id()
    logger.error("unexpected_error", error_id=str(error_id), path=request.path)
    return _answer(
        request,
        problem(
            status=500,
            code="internal_error",
            detail="Something went wrong on our side; nothing more can be told here.",
            remedy=f"Try again; if it stays, tell whoever runs this site: error {error_id}.",
            instance=request.path,
            error_id=error_id,
        ),
    )
