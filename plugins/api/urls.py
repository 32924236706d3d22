"""Addresses of tools and calls, below `/api/v1/`."""

from typing import Any, TypeAlias

from django.urls import path

from governance.guard.paths import names_register
from plugins.api import sandboxes, views

_Actions: TypeAlias = dict[str, Any]

names_register()
_IN = "workspaces/<name:workspace>"

urlpatterns = [
    path(
        f"{_IN}/tools",
        views.ToolViewSet.as_view({"get": "list", "post": "create"}),
        name="tools",
    ),
    path(
        f"{_IN}/tools/<name:name>",
        views.ToolViewSet.as_view(
            {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
        ),
        name="tool",
    ),
    path(f"{_IN}/tool-calls", views.ToolCallViewSet.as_view({"get": "list"}), name="tool-calls"),
    path(
        f"{_IN}/tool-calls/<uuid:pk>",
        views.ToolCallViewSet.as_view({"get": "retrieve"}),
        name="tool-call",
    ),
    path(
        f"{_IN}/tool-calls/<uuid:pk>/resolve",
        views.ToolCallViewSet.as_view({"post": "resolve"}),
        name="tool-call-resolve",
    ),
    path(
        f"{_IN}/sandbox/doctor",
        sandboxes.SandboxDoctorViewSet.as_view({"get": "list"}),
        name="sandbox-doctor",
    ),
]
