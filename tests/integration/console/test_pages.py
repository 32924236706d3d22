"""What pages of every kind have in common: names, first choices, empty lists, wrong addresses."""

import pytest
from django.test import Client
from django.urls import reverse

from agents.models import Agent
from core import clock
from core.ids import new_id
from governance.models import Role
from observability.models import TraceEvent
from tests.factories.agents import make_agent, make_run
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("governance_apitoken", "Tokens"),
        ("auditlog_logentry", "Activity"),
        ("agents_modelroute", "Routes"),
        ("plugins_tooldefinition", "Tools"),
    ],
)
def test_a_page_is_called_what_the_sidebar_calls_it(
    cast: Cast, browse: Browser, page: str, title: str
) -> None:
    shown = browse("admin").get(reverse(f"admin:{page}_changelist")).content.decode()

    assert f"<h1>{title}</h1>" in shown
    assert f"<title>{title} · Agentry Cloud</title>" in shown


def test_the_only_workspace_there_is_to_choose_is_chosen(cast: Cast, browse: Browser) -> None:
    chosen = f'<option value="{cast.acme.pk}" selected>'

    for page in ("agents_agent", "agents_provider", "agents_modelroute"):
        assert chosen in browse("admin").get(reverse(f"admin:{page}_add")).content.decode()
    token = browse("admin").get(reverse("admin:governance_apitoken_add")).content.decode()
    assert chosen not in token, "without a workspace a token holds in all of its owner's"
    of_many = browse("root").get(reverse("admin:agents_agent_add")).content.decode()
    assert chosen not in of_many


def test_a_new_provider_has_no_key_to_forget(cast: Cast, browse: Browser) -> None:
    page = browse("admin").get(reverse("admin:agents_provider_add")).content.decode()

    assert "Forget the stored key" not in page
    assert "Key from the environment" in page


def test_an_address_with_a_filter_of_its_own_does_not_say_that_there_are_no_runs(
    cast: Cast, browse: Browser
) -> None:
    make_run(cast.acme)

    page = browse("viewer").get(reverse("admin:agents_run_changelist"), {"state": "failed"})

    assert "Nothing fits" in page.content.decode()
    assert "No runs yet" not in page.content.decode()


def test_a_payload_keeps_its_shape_and_leads_to_its_run(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    event = TraceEvent.objects.create(
        workspace_id=cast.acme.pk, run_id=run.pk, sequence=900, kind="run.note", at=clock.now(),
        payload={"more": [1, 2], "text": "a" * 80},
    )  # fmt: skip

    page = browse("operator").get(reverse("admin:observability_traceevent_change", args=[event.pk]))

    shown = page.content.decode()
    assert '<pre class="block">{\n  &quot;more&quot;' in shown
    assert reverse("admin:agents_run_change", args=[run.pk]) in shown


def test_a_built_in_role_says_where_it_holds(cast: Cast, browse: Browser) -> None:
    page = browse("admin").get(reverse("admin:governance_role_changelist")).content.decode()

    assert "every workspace (built in)" in page


def test_a_form_without_its_token_is_refused_on_a_page_of_the_house() -> None:
    page = Client(enforce_csrf_checks=True).post(reverse("admin:login"), {"username": "root"})

    assert page.status_code == 403
    assert "console/problem.css" in page.content.decode()
    assert "Nothing was changed." in page.content.decode()


def test_a_deletion_names_what_goes_and_leads_back(cast: Cast, browse: Browser) -> None:
    role = Role.objects.create(workspace=cast.acme, name="reader", permissions=["run.view"])
    page = browse("admin").get(reverse("admin:governance_role_delete", args=[role.pk]))

    shown = page.content.decode()
    assert "Delete the role" in shown
    assert "What goes" in shown
    assert reverse("admin:governance_role_change", args=[role.pk]) in shown
    assert "Home" not in shown


def test_a_wrong_address_is_a_page_of_the_house() -> None:
    page = Client().get(f"/nowhere/{new_id()}")

    assert page.status_code == 404
    assert "console/problem.css" in page.content.decode()
    assert 'name="viewport"' in page.content.decode()


@pytest.mark.parametrize(
    "page",
    [
        "agents_agent", "agents_model", "agents_modelroute", "agents_provider",
        "agents_savedfilter",
        "governance_apitoken", "governance_budget", "governance_delegation",
        "governance_membership", "governance_role", "governance_secret", "plugins_tooldefinition",
    ],
)  # fmt: skip
def test_a_form_says_in_words_that_nothing_is_chosen(
    cast: Cast, browse: Browser, page: str
) -> None:
    """No dashes, no calendar of pictures, no list that takes a second key."""
    shown = browse("admin").get(reverse(f"admin:{page}_add")).content.decode()

    assert "New " in shown
    for clutter in ("---------", "vDateField", "Hold down", "`"):
        assert clutter not in shown


@pytest.mark.parametrize(
    ("page", "lesson"),
    [
        ("agents_savedfilter", "No filter is saved yet"),
        ("governance_grant", "Everything is asked about"),
        ("governance_grantuse", "No grant was used yet"),
        ("governance_approvalvote", "Nobody has voted yet"),
        ("governance_delegation", "Nobody stands in for anybody"),
        ("governance_secret", "No secret is kept yet"),
        ("agents_runedit", "Nobody has changed a run"),
    ],
)
def test_an_empty_list_teaches_and_offers_nothing_to_find(
    cast: Cast, browse: Browser, page: str, lesson: str
) -> None:
    address = reverse(f"admin:{page}_changelist")

    empty = browse("admin").get(address).content.decode()
    sought = browse("admin").get(address, {"q": "nothing-like-it"}).content.decode()

    assert f"<h2>{lesson}</h2>" in empty
    assert "is-bare" in empty
    assert "Nothing fits" in sought
    assert "is-bare" not in sought


def test_an_agent_without_runs_is_deleted_from_its_page(cast: Cast, browse: Browser) -> None:
    agent = make_agent(cast.acme, name="gone")
    address = reverse("admin:agents_agent_delete", args=[agent.pk])

    asked = browse("admin").get(address).content.decode()
    browse("admin").post(address, {"post": "yes"})

    assert "you may not delete them" not in asked
    assert not Agent.objects.filter(pk=agent.pk).exists()
