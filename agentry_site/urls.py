"""Every route of the site."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from agentry_site.problem_pages import problem_codes
from core.api.problems import TYPE_BASE

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="start"),
    path("admin/", admin.site.urls),
    path("", include("agentry_site.api")),
    path(TYPE_BASE.strip("/#"), problem_codes, name="problems"),
]
handler400 = "core.api.problems.handler400"
handler403 = "core.api.problems.handler403"
handler404 = "core.api.problems.handler404"
handler500 = "core.api.problems.handler500"
