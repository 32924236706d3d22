"""The console in the language of who reads it, where one was added; programs are told English.

A language is there as soon as `locale/<its name>/LC_MESSAGES/django.mo` is. With English alone
nothing of this is asked on any request.
"""

from collections.abc import Callable
from pathlib import Path

from django.conf.locale import LANG_INFO
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_request, override, to_language

ENGLISH = ("en", "English")


def languages_found(folder: Path) -> list[tuple[str, str]]:
    """Return English and the languages that have a compiled catalogue, by their own names."""
    found = {to_language(path.parents[1].name) for path in folder.glob("*/LC_MESSAGES/django.mo")}
    return [
        ENGLISH,
        *(
            (code, LANG_INFO.get(code, {}).get("name_local", code))
            for code in sorted(found - {"en"})
        ),
    ]


def language_chosen(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Django middleware: answer pages of the console in the language the browser asks for."""

    def answered(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(reverse("admin:index")):
            return get_response(request)
        language = get_language_from_request(request)
        with override(language):
            response = get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language"])
        return response

    return answered
