"""The trace viewer's page: whose runs it fetches, and the file it gives to keep."""

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from agentry.viewer.standalone import standalone_page
from agents.models import Run
from tests.factories.agents import make_run
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db


def test_everybody_in_the_console_may_open_files_of_their_own(cast: Cast, browse: Browser) -> None:
    page = browse("viewer").get(reverse("admin:trace_viewer"))

    assert page.status_code == 200
    assert 'id="trace-viewer"' in page.content.decode()
    assert "data-sources" not in page.content.decode()


def test_a_run_is_fetched_from_where_its_reader_is_asked_again(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    client = browse("operator")

    page = client.get(reverse("admin:trace_viewer"), {"run": str(run.pk)}).content.decode()
    source = reverse("run-trace", kwargs={"workspace": "acme", "pk": run.pk})

    assert f'data-sources="{source}"' in page
    assert client.get(source).status_code == 200


def test_runs_below_are_fetched_with_their_parent(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    child = make_run(cast.acme)
    Run.objects.filter(pk=child.pk).update(parent=run)

    page = browse("operator").get(reverse("admin:trace_viewer"), {"run": str(run.pk)})
    sources = " ".join(
        reverse("run-trace", kwargs={"workspace": "acme", "pk": row.pk}) for row in (run, child)
    )

    assert f'data-sources="{sources}"' in page.content.decode()


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        ("viewer", "takes the permission run.payload"),
        ("outsider", "no such run, or you may not see it"),
    ],
)
def test_a_run_nobody_may_export_is_not_offered(
    cast: Cast, browse: Browser, who: str, sentence: str
) -> None:
    run = make_run(cast.acme)

    page = browse(who).get(reverse("admin:trace_viewer"), {"run": str(run.pk)})

    assert sentence in page.content.decode()
    assert "data-sources" not in page.content.decode()
    assert str(run.pk) not in page.content.decode().replace(f"run={run.pk}", "")


@pytest.mark.parametrize("given", ["x", "00000000-0000-7000-8000-000000000001", "<script>"])
def test_a_run_that_is_not_there_is_said_to_be(cast: Cast, browse: Browser, given: str) -> None:
    page = browse("root").get(reverse("admin:trace_viewer"), {"run": given}).content.decode()

    assert "There is no such run" in page
    assert "<script>" not in page.split("</head>")[1]


def test_the_viewer_can_be_taken_along_as_a_file(cast: Cast, browse: Browser) -> None:
    taken = browse("viewer").get(reverse("admin:trace_viewer_standalone"))

    assert taken.content.decode() == standalone_page()
    assert taken["Content-Disposition"] == 'attachment; filename="agentry-trace-viewer.html"'


def test_nobody_unknown_gets_the_page_or_the_file(cast: Cast) -> None:
    for name in ("trace_viewer", "trace_viewer_standalone"):
        answer = Client().get(reverse(f"admin:{name}"))
        assert answer.status_code == 302
        assert "/login/" in answer["Location"]


def test_the_modules_are_served_as_they_are_in_the_package() -> None:
    found = finders.find("console/trace/viewer.js")

    assert isinstance(found, str)
    assert found.endswith("agentry/viewer/assets/viewer.js")


def test_the_page_of_a_run_leads_to_its_trace(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    address = reverse("admin:agents_run_change", args=[run.pk])
    link = f"{reverse('admin:trace_viewer')}?run={run.pk}"

    assert link in browse("operator").get(address).content.decode()
    assert link not in browse("viewer").get(address).content.decode()
