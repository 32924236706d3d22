"""Addresses carried over from the earlier tool, at the site's root."""

from django.urls import path

from agents.api import legacy

urlpatterns = [
    path("spawn", legacy.SpawnViewSet.as_view({"post": "spawn"}), name="legacy-spawn"),
    path("invoke", legacy.LegacyInvokeViewSet.as_view({"post": "invoke"}), name="legacy-invoke"),
    path("kill", legacy.KillViewSet.as_view({"post": "kill"}), name="legacy-kill"),
    path("agents", legacy.LegacyAgentsViewSet.as_view({"get": "retrieve"}), name="legacy-agents"),
    path("traces", legacy.TracesViewSet.as_view({"get": "retrieve"}), name="legacy-traces"),
]
