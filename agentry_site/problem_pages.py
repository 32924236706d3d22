"""The address that the `type` of problem documents names: every code, for people and programs."""

from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from agentry_site.problems import Problem, problems
from core.api.problems import TYPE_BASE

_FORMS = ["text/html", "application/json"]


@require_safe
def problem_codes(request: HttpRequest) -> HttpResponse:
    """Tell what each code means and what to do: a page, or JSON for who prefers that."""
    if request.get_preferred_type(_FORMS) == "application/json":
        listed = [
            {"type": TYPE_BASE + told.code, **msgspec.to_builtins(told)} for told in problems()
        ]
        answer: HttpResponse = JsonResponse({"problems": listed})
    else:
        context = {
            "title": gettext("Problems"),
            "site_title": "Agentry Cloud",
            "problems": [_shown(told) for told in problems()],
        }
        answer = render(request, "console/problems.html", context)
    patch_vary_headers(answer, ["Accept"])
    return answer


def _shown(told: Problem) -> dict[str, Any]:
    """Return a code for the page; every second part of a sentence is a name from the code."""
    return {
        "code": told.code,
        "where": told.where.split("`"),
        "meaning": told.meaning.split("`"),
        "remedy": told.remedy.split("`"),
    }
