"""Every route of the site."""

from django.contrib import admin
from django.urls import include, path

from agentry_site import api

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include(api.urlpatterns)),
]
handler400 = "core.api.problems.handler400"
handler403 = "core.api.problems.handler403"
handler404 = "core.api.problems.handler404"
handler500 = "core.api.problems.handler500"
