"""Requests as telemetry sees them: counted and timed by route, each a span where tracing is on."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from typing import Any, TypeAlias

import structlog
from django.http import HttpRequest, HttpResponseBase

from core import tracing
from core.metrics.instruments import HTTP_REQUESTS, HTTP_SECONDS
from core.tracing import conventions as name

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
INVOKE_ROUTE = "api/v1/workspaces/<workspace>/agents/<agent>/invoke"
# What a scraper or a supervisor asks every few seconds is no part of anybody's trace.
_UNTRACED = frozenset({"/metrics", "/healthz", "/readyz"})
_ROUTE = "agentry.route"


def route_noted(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Django middleware: note the pattern that matched, for who counts the request outside."""

    def noted(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        scope = getattr(request, "scope", None)
        if scope is not None and request.resolver_match is not None:
            scope[_ROUTE] = request.resolver_match.route
        return response

    return noted


class Observed:
    """Wraps an ASGI application. `route` is what its requests go by when Django does not say."""

    def __init__(self, application: Application, *, route: str = "") -> None:
        self._application = application
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        began, status, answered_at = time.perf_counter(), 500, 0.0

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status, answered_at
            if message["type"] == "http.response.start":
                status = message["status"]
                if _is_stream(message):
                    answered_at = time.perf_counter()
            await send(message)

        with ExitStack() as stack:
            if tracing.is_on() and scope["path"] not in _UNTRACED:
                told = stack.enter_context(
                    tracing.span(method, kind="server", parent=_caller(scope))
                )
                _bind()
            else:
                told = {}
            try:
                await self._application(scope, receive, noted)
            finally:
                route = self._named(scope)
                HTTP_REQUESTS.add(1, method, route, str(status))
                HTTP_SECONDS.observe((answered_at or time.perf_counter()) - began, method, route)
                told[name.HTTP_METHOD] = method
                told[name.HTTP_ROUTE] = route
                told[name.HTTP_STATUS] = status
                told[name.URL_SCHEME] = scope.get("scheme", "http")
                if status >= 500:
                    told[name.ERROR_TYPE] = str(status)

    def _named(self, scope: Scope) -> str:
        if found := scope.get(_ROUTE) or self._route:
            return str(found)
        return "static" if scope["path"].startswith("/static/") else "unmatched"


def invoke_observed(seconds: float) -> None:
    """Count a call that the lean protocol answered by itself."""
    HTTP_REQUESTS.add(1, "POST", INVOKE_ROUTE, "202")
    HTTP_SECONDS.observe(seconds, "POST", INVOKE_ROUTE)


def _caller(scope: Scope) -> tracing.Place | None:
    for header, value in scope["headers"]:
        if header == b"traceparent":
            return tracing.place_of(value.decode("latin-1"))
    return None


def _bind() -> None:
    """Have what is logged for this request name its span."""
    place = tracing.here()
    if place is not None:
        structlog.contextvars.bind_contextvars(trace_id=place.trace_hex, span_id=place.span_hex)


def _is_stream(message: MutableMapping[str, Any]) -> bool:
    return any(
        header.lower() == b"content-type" and bytes(value).startswith(b"text/event-stream")
        for header, value in message.get("headers", ())
    )
