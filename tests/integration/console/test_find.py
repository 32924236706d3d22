"""Finding by name and id: what a person may see, best first, never by reading what runs said."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import Run
from governance.models import User
from tests.factories.agents import Tenancy, make_tenancy
from tests.factories.governance import join, make_workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Tenancy:
    return make_tenancy(make_workspace("acme"), "acme")


def someone(name: str, *roles: str, workspace: Any) -> Client:
    user = join(workspace, name, *roles).user
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client()
    client.force_login(user)
    return client


def found(client: Client, words: str) -> str:
    answer = client.get("/admin/find/", {"q": words, "part": "1"})
    assert answer.status_code == 200
    return answer.content.decode()


def a_run() -> Run:
    return Run.objects.order_by("-pk").first()  # type: ignore[return-value]


def test_an_agent_is_found_by_its_name_with_its_runs(acme: Tenancy) -> None:
    name = a_run().agent_name
    shown = found(someone("olga", "operator", workspace=a_run().workspace), name.upper())

    assert f'<span class="found-title">{name}</span>' in shown
    assert f"Runs of {name}" in shown


@pytest.mark.parametrize("digits", [6, 12, 32])
def test_a_run_is_found_by_the_start_of_its_id(acme: Tenancy, digits: int) -> None:
    run = a_run()
    shown = found(someone("olga", "operator", workspace=run.workspace), run.pk.hex[:digits])

    assert f"/admin/agents/run/{run.pk}/change/" in shown


def test_an_id_is_found_with_its_dashes(acme: Tenancy) -> None:
    run = a_run()
    shown = found(someone("olga", "operator", workspace=run.workspace), str(run.pk))

    assert f"/admin/agents/run/{run.pk}/change/" in shown


def test_what_a_person_may_not_see_is_not_found(acme: Tenancy) -> None:
    run = a_run()
    stranger = someone("zoe", "admin", workspace=make_workspace("zeta"))

    assert "found-title" not in found(stranger, str(run.pk))
    assert "found-title" not in found(stranger, run.agent_name)
    assert "Nothing is called" in found(stranger, run.agent_name)


def test_users_are_for_site_admins(acme: Tenancy) -> None:
    workspace = a_run().workspace
    join(workspace, "needle", "viewer")

    assert "needle" not in found(someone("olga", "admin", workspace=workspace), "needl")
    User.objects.filter(username="olga").update(is_superuser=True)
    again = Client()
    again.force_login(User.objects.get(username="olga"))
    assert '<span class="found-title">needle' in found(again, "needl")


def test_what_a_run_was_told_is_not_looked_through(acme: Tenancy) -> None:
    run = a_run()
    Run.objects.filter(pk=run.pk).update(input="a needle in the hay")
    shown = found(someone("olga", "operator", workspace=run.workspace), "needle")

    assert "found-title" not in shown


@pytest.mark.parametrize("words", ["%", "_", "\x00", "<script>alert(1)</script>", "f" * 500, "''"])
def test_strange_words_find_nothing_and_do_no_harm(acme: Tenancy, words: str) -> None:
    shown = found(someone("olga", "operator", workspace=a_run().workspace), words)

    assert "found-title" not in shown
    assert "<script>" not in shown


def test_the_very_name_comes_first(acme: Tenancy) -> None:
    from tests.factories.agents import make_agent

    workspace = a_run().workspace
    for name in ("a-zebra-b", "zebra-c", "zebra"):
        make_agent(workspace, name)
    shown = found(someone("olga", "operator", workspace=workspace), "zebra")

    places = [shown.index(f'"found-title">{name}<') for name in ("zebra", "zebra-c", "a-zebra-b")]
    assert places == sorted(places)


def test_it_asks_each_kind_once(acme: Tenancy) -> None:
    client = someone("olga", "operator", workspace=a_run().workspace)
    found(client, "warm")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found(client, a_run().pk.hex)

    assert len(asked) < 40


def test_the_page_works_without_a_script(acme: Tenancy) -> None:
    run = a_run()
    client = someone("olga", "operator", workspace=run.workspace)
    shown = client.get("/admin/find/", {"q": run.agent_name}).content.decode()

    assert f"Found for “{run.agent_name}”" in shown
    assert "found-title" in shown
    assert "Find anything by name or id" in client.get("/admin/find/").content.decode()
    assert 'id="palette"' in shown
