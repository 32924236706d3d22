"""Addresses of agents and their work, below `/api/v1/`."""

from typing import Any, TypeAlias

from django.urls import path

from agents.api import (
    agents,
    cost,
    debugging,
    providers,
    run_files,
    run_history,
    runs,
    saved_filters,
    sessions,
    simulating,
    workspace,
)
from governance.guard.paths import names_register

_Actions: TypeAlias = dict[str, Any]

names_register()
_MANY: _Actions = {"get": "list", "post": "create"}
_LIST: _Actions = {"get": "list"}
_ONE: _Actions = {"get": "retrieve"}
_ONE_CHANGING: _Actions = {**_ONE, "patch": "partial_update", "delete": "destroy"}
_IN = "workspaces/<name:workspace>"
_AGENT = f"{_IN}/agents/<name:name>"
_RUN = f"{_IN}/runs/<uuid:pk>"

urlpatterns = [
    path(
        f"{_IN}/policy/simulate",
        simulating.PolicySimulationViewSet.as_view({"post": "simulate"}),
        name="policy-simulate",
    ),
    path(f"{_IN}/providers", providers.ProviderViewSet.as_view(_MANY), name="providers"),
    path(
        f"{_IN}/providers/<name:name>",
        providers.ProviderViewSet.as_view(_ONE_CHANGING),
        name="provider",
    ),
    path(
        f"{_IN}/providers/<name:name>/check",
        providers.ProviderViewSet.as_view({"post": "check"}),
        name="provider-check",
    ),
    path(f"{_IN}/models", providers.ModelViewSet.as_view(_MANY), name="models"),
    path(f"{_IN}/models/<name:name>", providers.ModelViewSet.as_view(_ONE_CHANGING), name="model"),
    path(f"{_IN}/routes", providers.RouteViewSet.as_view(_MANY), name="routes"),
    path(f"{_IN}/routes/<uuid:pk>", providers.RouteViewSet.as_view(_ONE_CHANGING), name="route"),
    path(f"{_IN}/agents", agents.AgentViewSet.as_view(_MANY), name="agents"),
    path(_AGENT, agents.AgentViewSet.as_view(_ONE_CHANGING), name="agent"),
    path(f"{_AGENT}/invoke", runs.InvokeViewSet.as_view({"post": "invoke"}), name="invoke"),
    path(f"{_AGENT}/versions", agents.VersionViewSet.as_view(_MANY), name="versions"),
    path(f"{_AGENT}/versions/<int:number>", agents.VersionViewSet.as_view(_ONE), name="version"),
    path(
        f"{_AGENT}/versions/<int:number>/publish",
        agents.VersionViewSet.as_view({"post": "publish"}),
        name="version-publish",
    ),
    path(f"{_IN}/sessions", sessions.SessionViewSet.as_view(_MANY), name="sessions"),
    path(f"{_IN}/sessions/<uuid:pk>", sessions.SessionViewSet.as_view(_ONE), name="session"),
    path(
        f"{_IN}/sessions/<uuid:pk>/messages",
        sessions.SessionMessageViewSet.as_view(_LIST),
        name="session-messages",
    ),
    path(f"{_IN}/runs", runs.RunViewSet.as_view(_MANY), name="runs"),
    path(_RUN, runs.RunViewSet.as_view(_ONE), name="run"),
    path(f"{_RUN}/why", runs.WhyViewSet.as_view(_ONE), name="run-why"),
    *(
        path(
            f"{_RUN}/{verb}",
            runs.RunControlViewSet.as_view({"post": verb}),
            name=f"run-{verb}",
        )
        for verb in ("pause", "resume", "cancel", "fork", "replay")
    ),
    path(
        f"{_RUN}/debug",
        debugging.DebuggerViewSet.as_view({"get": "retrieve", "put": "set"}),
        name="run-debug",
    ),
    path(f"{_RUN}/step", debugging.DebuggerViewSet.as_view({"post": "step"}), name="run-step"),
    path(
        f"{_RUN}/continue",
        debugging.DebuggerViewSet.as_view({"post": "go"}),
        name="run-continue",
    ),
    path(f"{_RUN}/edits", debugging.EditViewSet.as_view(_MANY), name="run-edits"),
    path(f"{_RUN}/messages", run_history.MessageViewSet.as_view(_LIST), name="run-messages"),
    path(
        f"{_RUN}/checkpoints",
        run_history.CheckpointViewSet.as_view(_LIST),
        name="run-checkpoints",
    ),
    path(
        f"{_RUN}/checkpoints/<int:number>/files",
        run_files.FileViewSet.as_view(_LIST),
        name="run-files",
    ),
    path(
        f"{_RUN}/checkpoints/<int:number>/files/difference",
        run_files.FileDifferenceViewSet.as_view(_ONE),
        name="run-files-difference",
    ),
    path(
        f"{_RUN}/tool-calls",
        run_history.RunToolCallViewSet.as_view(_LIST),
        name="run-tool-calls",
    ),
    path(f"{_RUN}/children", run_history.ChildViewSet.as_view(_LIST), name="run-children"),
    path(f"{_RUN}/events", run_history.EventViewSet.as_view(_LIST), name="run-events"),
    path(
        f"{_RUN}/events/stream", run_history.StreamViewSet.as_view(_ONE), name="run-events-stream"
    ),
    path(f"{_RUN}/evidence", run_history.EvidenceViewSet.as_view(_ONE), name="run-evidence"),
    path(f"{_RUN}/trace", run_history.TraceViewSet.as_view(_ONE), name="run-trace"),
    path(
        f"{_IN}/saved-filters",
        saved_filters.SavedFilterViewSet.as_view(_MANY),
        name="saved-filters",
    ),
    path(
        f"{_IN}/saved-filters/<uuid:pk>",
        saved_filters.SavedFilterViewSet.as_view({**_ONE, "delete": "destroy"}),
        name="saved-filter",
    ),
    path(
        "workers/<uuid:pk>/drain",
        workspace.WorkerDrainViewSet.as_view({"post": "drain", "delete": "undrain"}),
        name="worker-drain",
    ),
    path(f"{_IN}/workers", workspace.WorkerViewSet.as_view(_LIST), name="workers"),
    path(f"{_IN}/cost", cost.CostViewSet.as_view(_ONE), name="cost"),
    path(f"{_IN}/apply", workspace.ApplyViewSet.as_view({"post": "apply"}), name="apply"),
]
