"""The console in another language: one made up, in which each text stands in brackets."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from agentry_site.language import languages_found
from tests.architecture.source import ROOT
from tests.factories.agents import make_finished_run, make_run
from tests.factories.governance import Cast
from tests.integration.console.catalogue import catalogue, texts_marked
from tests.integration.console.conftest import Browser

# What is written on these pages that is nobody's to translate: names, a run's input and output.
DATA = {"Agentry", "Cloud", "admin", "acme", "UTC", "CSV", "JSON", "helper", "do", "it", "done"} | {
    "approver", "auditor", "author", "operator", "viewer", "root", "inactive",
}  # fmt: skip

pytestmark = pytest.mark.django_db

MADE_UP = "qps"
MIDDLEWARE = "agentry_site.language.language_chosen"
PAGES = ("index", "agents_run_changelist", "approval_queue", "cost", "errors", "profile",
         "agents_agent_changelist", "agents_agent_add", "governance_budget_changelist")  # fmt: skip


@pytest.fixture(scope="module")
def locale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("locale")
    place = folder / MADE_UP / "LC_MESSAGES"
    place.mkdir(parents=True)
    (place / "django.mo").write_bytes(catalogue(texts_marked(ROOT), lambda text: f"⟦{text}⟧"))
    (place / "djangojs.mo").write_bytes(catalogue([("Copied",)], lambda text: f"⟦{text}⟧"))
    return folder


@pytest.fixture
def _translated(settings: Settings, locale: Path) -> None:
    settings.LOCALE_PATHS = [locale]
    settings.LANGUAGES = languages_found(locale)
    sessions = settings.MIDDLEWARE.index("django.contrib.sessions.middleware.SessionMiddleware")
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE[: sessions + 1], MIDDLEWARE, *settings.MIDDLEWARE[sessions + 1 :],
    ]  # fmt: skip


class _Shown(HTMLParser):
    """Keeps what is read on a page but in code, and the addresses of its links."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.addresses: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipped += tag in _CODE
        self.addresses += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in _CODE

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.text.append(data)


_CODE = {"code", "kbd", "pre", "script", "style", "textarea"}


def _left(page: str) -> Iterator[str]:
    """Yield the words of a page that stand in no brackets; they may stand in several."""
    depth = 0
    for piece in re.findall(r"⟦|⟧|[^\W\d_]{2,}", page):
        depth += (piece == "⟦") - (piece == "⟧")
        if depth == 0 and piece != "⟧":
            yield piece


@pytest.mark.usefixtures("_translated")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_everything_in_the_readers_language(
    cast: Cast, browse: Browser, name: str
) -> None:
    make_run(cast.acme)
    answer = browse("admin").get(reverse(f"admin:{name}"), headers={"Accept-Language": MADE_UP})

    shown = _Shown()
    shown.feed(answer.content.decode())
    assert set(_left(" ".join(shown.text))) <= DATA
    assert answer.headers["Content-Language"] == MADE_UP
    assert "Accept-Language" in answer.headers["Vary"]
    assert "" not in shown.addresses


@pytest.mark.usefixtures("_translated")
def test_a_run_says_everything_but_its_data_in_the_readers_language(
    cast: Cast, browse: Browser
) -> None:
    run = make_finished_run(cast.acme)
    page = reverse("admin:agents_run_change", args=[run.pk])
    why = {"Stopped"}  # a sentence that programs are told too

    shown = _Shown()
    shown.feed(browse("admin").get(page, headers={"Accept-Language": MADE_UP}).content.decode())

    assert set(_left(" ".join(shown.text))) <= DATA | why


@pytest.mark.usefixtures("_translated")
def test_scripts_find_their_words_in_the_readers_language(cast: Cast, browse: Browser) -> None:
    client, asked = browse("admin"), {"Accept-Language": MADE_UP}
    words = reverse("admin:jsi18n")

    page = client.get(reverse("admin:index"), headers=asked).content.decode()

    assert f'<script src="{words}"></script>' in page
    assert page.index(words) < page.index("console/console.js")
    assert '"Copied": "\\u27e6Copied\\u27e7"' in client.get(words, headers=asked).content.decode()


@pytest.mark.usefixtures("_translated")
def test_what_programs_are_told_stays_english(cast: Cast, browse: Browser) -> None:
    client = browse("admin")
    for address in ("/api/v1/workspaces/acme/runs", "/api/v1/workspaces/nowhere/runs"):
        plain = client.get(address)
        asked = client.get(address, headers={"Accept-Language": MADE_UP})

        assert "⟦" not in asked.content.decode()
        assert {name: asked[name] for name in ("Content-Type", "Vary")} == {
            name: plain[name] for name in ("Content-Type", "Vary")
        }
        assert "Content-Language" not in asked


def test_with_english_alone_nothing_chooses_a_language(
    settings: Settings, cast: Cast, browse: Browser
) -> None:
    assert settings.LANGUAGES == [("en", "English")]
    assert MIDDLEWARE not in settings.MIDDLEWARE

    answer = browse("admin").get(reverse("admin:index"), headers={"Accept-Language": "de"})

    assert '<html lang="en"' in answer.content.decode()
    assert "jsi18n" not in answer.content.decode()


def test_a_language_is_there_when_its_catalogue_is_compiled(tmp_path: Path) -> None:
    for name, file in (("pt_BR", "django.mo"), ("de", "django.mo"), ("fr", "django.po")):
        (tmp_path / name / "LC_MESSAGES").mkdir(parents=True)
        (tmp_path / name / "LC_MESSAGES" / file).touch()

    assert languages_found(tmp_path) == [
        ("en", "English"), ("de", "Deutsch"), ("pt-br", "Português Brasileiro"),
    ]  # fmt: skip


@pytest.mark.usefixtures("_translated")
def test_what_is_written_into_a_translated_text_is_escaped(cast: Cast, browse: Browser) -> None:
    words = "<script>alert(1)</script>"
    client: Client = browse("admin")

    page = client.get(
        reverse("admin:find"), {"q": words}, headers={"Accept-Language": MADE_UP}
    ).content.decode()

    assert "⟦<strong>Nothing is called “&lt;script&gt;alert(1)&lt;/script&gt;”.</strong>" in page
    assert words not in page
