"""Every address the site answers to GET, filled in with the rows there are.

They come from the URL configuration. A parameter nobody has told about here fails by naming the
address, so that a new one is walked or noticed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from agents.models import AgentVersion, Checkpoint, Run
from plugins.models import ToolCall
from tests.architecture.routes import Route, http_routes

_PARAMETER: Final = re.compile(r"<(?:(\w+):)?(\w+)>")
_MODEL: Final = re.compile(r"^/admin/(\w+)/(\w+)/")
# Where each row there is is asked for; elsewhere the first and the last are.
WHOLE: Final = frozenset(
    {
        "/admin/agents/run/<path:object_id>/change/",
        "/admin/agents/run/<uuid:run_id>/turns/",
        "/admin/plugins/toolcall/<path:object_id>/change/",
        "/admin/governance/approval/<path:object_id>/change/",
        "/admin/governance/delivery/<path:object_id>/change/",
        "/admin/governance/auditentry/<path:object_id>/change/",
        "/admin/approvals/<uuid:approval_id>/question/",
        "/api/v1/workspaces/<str:workspace>/approvals/<uuid:pk>",
        "/api/v1/workspaces/<name:workspace>/tool-calls/<uuid:pk>",
        "/api/v1/workspaces/<name:workspace>/runs/<uuid:pk>",
        "/api/v1/workspaces/<name:workspace>/runs/<uuid:pk>/debug",
        "/api/v1/workspaces/<name:workspace>/runs/<uuid:pk>/edits",
        "/api/v1/workspaces/<name:workspace>/runs/<uuid:pk>/trace",
    }
)

KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "governance.Delivery": lambda row: (row.event, row.payload.get("state")),
    "governance.AuditEntry": lambda row: (row.action, row.subject_kind, row.payload.get("verdict")),
}
# Answers that do not end before their run does; they are read through a real server.
STREAMS: Final = frozenset({"/api/v1/workspaces/<name:workspace>/runs/<uuid:pk>/events/stream"})
# Addresses that are patterns, with what they are asked by; the word ends a session.
PATTERNS: Final[Mapping[str, tuple[str, ...]]] = {
    "/admin/^(?P<app_label>governance|auditlog|observability|plugins|agents)/$": (
        "/admin/agents/", "/admin/governance/", "/admin/plugins/", "/admin/observability/",
    ),
    "/admin/(?P<url>.*)$": ("/admin/nothing/",),
    "/admin/logout/": (),
}  # fmt: skip
# What more is asked of an address; `{run}` stands for each run.
QUERIES: Final[Mapping[str, tuple[str, ...]]] = {
    "/admin/agents/run/export/": ("format=csv", "format=json", "state=failed&format=csv"),
    "/admin/agents/run/": ("state=failed&sort=oldest", "q=lead"),
    "/admin/agents/run/start/": ("", "agent={run}"),
    "/admin/approvals/": ("show=all", "show=decided"),
    "/admin/approvals/list/": ("show=all", "show=decided"),
    "/admin/errors/": ("within=30d", "source=run", "source=call", "source=delivery"),
    "/admin/find/": ("q=lead", "q=ledger", "q=write"),
    "/admin/trace-viewer/": ("", "run={run}"),
    "/admin/cost/": ("", "period=24h&measure=tokens"),
    "/api/v1/workspaces/<name:workspace>/runs": ("", "state=failed", "limit=100"),
    "/api/v1/workspaces/<name:workspace>/runs/<uuid:pk>/trace": ("form=native", "form=legacy"),
    "/api/v1/workspaces/<name:workspace>/tool-calls": ("", "state=failed"),
    "/api/v1/workspaces/<str:workspace>/approvals": ("", "state=pending", "state=denied"),
}
_API: Final[Mapping[str, str]] = {
    "agents": "agents.Agent", "providers": "agents.Provider", "models": "agents.Model",
    "routes": "agents.ModelRoute", "sessions": "agents.Session", "runs": "agents.Run",
    "saved-filters": "agents.SavedFilter", "tools": "plugins.ToolDefinition",
    "tool-calls": "plugins.ToolCall", "approvals": "governance.Approval",
    "grants": "governance.Grant", "delegations": "governance.Delegation",
    "channels": "governance.Channel", "deliveries": "governance.Delivery",
    "budgets": "governance.Budget", "secrets": "governance.Secret",
    "members": "governance.Membership", "roles": "governance.Role",
    "tokens": "governance.ApiToken", "users": "governance.User",
    "profiles": "observability.Profile", "workers": "agents.Worker",
}  # fmt: skip
_NAMED: Final[Mapping[str, str]] = {
    "approval_id": "governance.Approval", "channel_id": "governance.Channel",
    "delivery_id": "governance.Delivery", "policy_id": "governance.Policy",
    "version_id": "agents.AgentVersion", "agent_id": "agents.Agent",
    "budget_id": "governance.Budget", "token_id": "governance.ApiToken",
    "run_id": "agents.Run", "other_id": "agents.Run",
}  # fmt: skip


def routes() -> list[Route]:
    """Return what is asked with GET."""
    return [route for route in http_routes() if not route.actions or "get" in route.actions]


def addresses(workspace: str) -> Iterator[tuple[str, str]]:
    """Yield each route's path with each address it stands for."""
    known = {route.path for route in http_routes()}
    assert known >= STREAMS | WHOLE | set(PATTERNS) | set(QUERIES), (
        "an address that is told of is gone"
    )
    for route in routes():
        if route.path in STREAMS:
            continue
        if route.path in PATTERNS:
            yield from ((route.path, each) for each in PATTERNS[route.path])
            continue
        for filled in _filled(route.path, workspace, route.path in WHOLE):
            for query in _queries(route.path):
                yield route.path, f"{filled}?{query}" if query else filled


def _queries(path: str) -> Iterator[str]:
    for query in QUERIES.get(path, ("",)):
        if "{run}" not in query:
            yield query
            continue
        for run in _few(_rows(Run)):
            yield query.format(run=run)


def _few(found: list[Any]) -> list[Any]:
    return [found[0], found[-1]] if len(found) > 1 else found


def _filled(path: str, workspace: str, is_whole: bool) -> Iterator[str]:
    """Put values in, one parameter after the other: what comes later may hang on what came."""
    match = _PARAMETER.search(path)
    if match is None:
        yield path
        return
    found = values(path[: match.start()], match[2], path, workspace)
    for value in found if is_whole else _few(found):
        yield from _filled(
            path[: match.start()] + str(value) + path[match.end() :], workspace, is_whole
        )


def values(before: str, parameter: str, path: str, workspace: str) -> list[Any]:
    """Return what a parameter stands for behind `before`, which is filled in already."""
    kind = before.strip("/").rsplit("/", 1)[-1]
    run_id = next((part for part in before.split("/") if part in _run_ids()), "")
    if parameter == "workspace":
        return [workspace]
    if before == "/admin/r/":
        return [ContentType.objects.get_for_model(Run).pk]
    if before.startswith("/admin/r/"):
        return _rows(Run)[:1]
    if parameter in {"object_id", "id"} and (match := _MODEL.match(before)):
        return _kinds(apps.get_model(match[1], match[2]))
    if parameter == "call_id":
        found = ToolCall.objects.filter(run_id=run_id) if run_id else ToolCall.objects.all()
        return list(found.values_list("pk", flat=True))
    if parameter in _NAMED:
        return _rows(apps.get_model(_NAMED[parameter]))
    if parameter in {"pk", "name"} and kind in _API:
        return _rows(apps.get_model(_API[kind]), "name" if parameter == "name" else "pk")
    if (numbers := _numbers(kind, parameter, run_id)) is not None:
        return numbers
    pytest.fail(
        f"{path}: nobody has said what <{parameter}> stands for behind {before}; add it to "
        f"{__name__}.values, so that this address is walked."
    )


def _numbers(kind: str, parameter: str, run_id: str) -> list[Any] | None:
    if kind == "events" and run_id:
        return list(range(1, Run.objects.get(pk=run_id).head_sequence + 1))
    if kind in {"state", "file", "checkpoints"} and run_id:
        found = Checkpoint.objects.filter(run_id=run_id).order_by("sequence")
        return list(found.values_list("sequence", flat=True))
    if kind == "part" and run_id:
        return list(range(Run.objects.get(pk=run_id).message_count))
    if parameter == "number" and run_id:
        return [0, 1]
    if kind == "versions":
        return sorted(set(AgentVersion.objects.values_list("number", flat=True)))
    return None


def _run_ids() -> set[str]:
    return {str(pk) for pk in Run.objects.values_list("pk", flat=True)}


def _kinds(model: type[Model]) -> list[Any]:
    """Return the rows, but of what comes in kinds one of each kind."""
    found: dict[Any, Any] = {}
    for row in model._base_manager.order_by("-pk"):
        found.setdefault(KINDS.get(model._meta.label, lambda row: row.pk)(row), row.pk)
    return list(found.values())


def _rows(model: type[Model], column: str = "pk") -> list[Any]:
    return list(model._base_manager.order_by("-pk").values_list(column, flat=True))
