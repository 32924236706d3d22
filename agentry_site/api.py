"""The API of the site: every app's resources under /api/v1/, its description, and its health."""

import os
import shutil
from functools import lru_cache
from typing import Any

import redis
from csp.decorators import csp_update
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularSwaggerSplitView

from agents.selectors.workers import workers_alive, workers_serving
from core.errors import DomainError
from core.metrics.exposition import content_type
from core.process import installed_version
from observability.telemetry import metrics_page, scrape_require

_CHECK_SECONDS = 2.0
LEAST_FREE_BYTES = 64 * 1024**2
UNKNOWN = "Not looked at: that takes a database that answers and is up to date."


@lru_cache(maxsize=1)
def openapi_document() -> bytes:
    """Return the OpenAPI document as it is served; it is the same for everybody."""
    generator: Any = SchemaGenerator
    schema = generator().get_schema(request=None, public=True)
    return bytes(OpenApiJsonRenderer().render(schema, renderer_context={}))


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """The description of the API, for clients and generators."""
    return HttpResponse(openapi_document(), content_type="application/vnd.oai.openapi+json")


class Docs(SpectacularSwaggerSplitView):
    """The description as a page to read and try. Its scripts and styles come with the site."""

    url_name = "openapi"
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []


# The page's own style block, and the pictures inside its style sheet.
docs = csp_update({"style-src": ["'unsafe-inline'"], "img-src": ["data:"]})(Docs.as_view())


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process answers; asks nothing else, so that a restart can help."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether this process can do its work, with a reason for each part that cannot."""
    checks = {"database": _database(), "disk": _disk(), "redis": _redis()}
    checks["migrations"] = UNKNOWN if checks["database"] else _migrations()
    checks["workers"] = UNKNOWN if checks["migrations"] else _workers()
    failed = {name: reason for name, reason in checks.items() if reason}
    # Without a worker runs wait and nothing is lost: it is said, and traffic still comes.
    is_ready = not set(failed) - {"workers"}
    told = {name: {"ok": not reason, "reason": reason} for name, reason in sorted(checks.items())}
    if not settings.REDIS_URL:
        told["redis"]["reason"] = "Not configured; a site of one process does without."
    document = {"status": "ready" if is_ready else "unavailable", "checks": told}
    return JsonResponse(
        document, status=200 if is_ready else 503, headers={"Cache-Control": "no-store"}
    )


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures of this machine's processes and of the site, for Prometheus."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        scrape_require(
            token=settings.METRICS_TOKEN,
            peer=request.META.get("REMOTE_ADDR", ""),
            headers=headers,
            # In production a proxy may stand on this machine and speak for everybody.
            allows_local=not settings.IS_PRODUCTION,
        )
    except DomainError as error:
        return HttpResponse(f"{error}\n", status=error.status, content_type="text/plain")
    return HttpResponse(
        metrics_page(), content_type=content_type(), headers={"Cache-Control": "no-store"}
    )


@require_safe
def site_version(request: HttpRequest) -> HttpResponse:
    """What is installed here."""
    return JsonResponse({"name": "agentry-cloud", "version": installed_version(), "api": "v1"})


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return (
            f"The database does not answer ({type(error).__name__}). See whether it runs, and "
            "whether DATABASE_URL names it."
        )
    return ""


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return f"The migrations cannot be read ({type(error).__name__})."
    if missing:
        return f"{len(missing)} migration(s) are missing; run `manage.py migrate`."
    return ""


def _disk() -> str:
    """Files of runs, snapshots and the embedded database lie in the data folder."""
    try:
        free = shutil.disk_usage(settings.DATA_DIR).free
    except OSError as error:
        return f"The data folder cannot be read ({error.strerror}). See AGENTRY_DATA_DIR."
    if not os.access(settings.DATA_DIR, os.W_OK):
        return "The data folder cannot be written. Give it to the user the site runs as."
    if free < LEAST_FREE_BYTES:
        return (
            f"The disk of the data folder has {free // 1024**2} MiB left. Make room, or shorten "
            "AGENTRY_SNAPSHOT_DAYS."
        )
    return ""


def _redis() -> str:
    if not settings.REDIS_URL:
        return ""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=_CHECK_SECONDS,
            socket_connect_timeout=_CHECK_SECONDS,
        ) as client:
            client.ping()
    except redis.RedisError as error:
        return (
            f"Redis does not answer ({type(error).__name__}). See whether it runs, and whether "
            "REDIS_URL names it."
        )
    return ""


def _workers() -> str:
    try:
        alive, serving = workers_alive(), workers_serving()
    except DatabaseError as error:
        return f"The workers cannot be read ({type(error).__name__})."
    if not alive:
        return "No worker is alive; runs are accepted and wait for one."
    if not serving:
        return "All workers are drained or stop; runs are accepted and wait for one that serves."
    return ""


api_patterns: list[Any] = [
    path("", include("governance.api.urls")),
    path("", include("plugins.api.urls")),
    path("", include("agents.api.urls")),
    path("openapi.json", openapi, name="openapi"),
    path("docs", docs, name="api-docs"),
]

urlpatterns = [
    path("api/v1/", include(api_patterns)),
    path("", include("agents.api.legacy_urls")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("version", site_version, name="version"),
]
