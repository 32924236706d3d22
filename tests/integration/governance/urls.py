"""The governance API alone, mounted as the site mounts it."""

from django.urls import include, path

urlpatterns = [path("api/v1/", include("governance.api.urls"))]
handler404 = "core.api.problems.handler404"
handler500 = "core.api.problems.handler500"
handler400 = "core.api.problems.handler400"
handler403 = "core.api.problems.handler403"
