"""Starting a run from the console: who may, with what, and what stands next to a mistake."""

from typing import Any

import pytest
from django.urls import reverse

from agents.models import Agent, Run
from agents.services.sessions import session_create
from core.ids import new_id
from governance.contracts import SYSTEM
from tests.factories.agents import make_agent
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

START = "/admin/agents/run/start/"


def given(agent: Agent, **fields: Any) -> dict[str, str]:
    return {
        "agent": str(agent.pk),
        "input": "Say hello.",
        "key": str(new_id()),
        **{name: str(value) for name, value in fields.items()},
    }


def errors(answer: Any) -> dict[str, list[str]]:
    return {name: list(found) for name, found in answer.context["form"].errors.items()}


def test_a_run_is_started_and_its_page_opened(cast: Cast, browse: Browser) -> None:
    agent = make_agent(cast.acme)
    session = session_create(actor=SYSTEM, workspace=cast.acme, agent=agent.name, title="Monday")

    answer = browse("operator").post(
        START, given(agent, session=session.pk, max_iterations=3, max_cost_usd="0.25")
    )

    run = Run.objects.get()
    assert answer.headers["Location"] == reverse("admin:agents_run_change", args=[run.pk])
    assert (run.agent_id, run.input, run.surface) == (agent.pk, "Say hello.", "console")
    assert run.session_id == session.pk
    assert run.limits["max_iterations"] == 3
    assert run.requested_by is not None
    assert run.requested_by.username == "operator"


def test_a_double_click_starts_one_run(cast: Cast, browse: Browser) -> None:
    form, client = given(make_agent(cast.acme)), browse("operator")

    places = {client.post(START, form).headers["Location"] for _ in range(2)}

    assert len(places) == 1
    assert Run.objects.count() == 1


def test_the_page_of_an_agent_leads_to_the_form_with_it_chosen(cast: Cast, browse: Browser) -> None:
    agent, client = make_agent(cast.acme), browse("operator")
    address = f"{START}?agent={agent.pk}"

    page = client.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
    form = client.get(address).content.decode()

    assert f'href="{address}"' in page
    assert f'<option value="{agent.pk}" selected>' in form
    for name in ("agent", "input", "session", "max_iterations", "max_cost_usd"):
        assert f'<label for="id_{name}">' in form


def test_the_overview_and_the_list_lead_there_when_one_may(cast: Cast, browse: Browser) -> None:
    make_agent(cast.acme)

    for place in ("/admin/", "/admin/agents/run/"):
        assert START in browse("operator").get(place).content.decode()
    assert START not in browse("viewer").get("/admin/agents/run/").content.decode()


def test_who_may_only_look_starts_nothing(cast: Cast, browse: Browser) -> None:
    agent, client = make_agent(cast.acme), browse("viewer")

    assert client.get(START).status_code == 403
    assert client.post(START, given(agent)).status_code == 403
    page = client.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
    assert START not in page
    assert Run.objects.count() == 0


def test_agents_of_others_and_without_a_version_are_not_offered(
    cast: Cast, browse: Browser
) -> None:
    make_agent(cast.acme, "mine")
    foreign = make_agent(cast.other, "foreign")
    make_agent(cast.acme, "unpublished", is_published=False)
    client = browse("operator")

    page = client.get(START).content.decode()
    answer = client.post(START, given(foreign))

    assert "mine (" in page
    assert "foreign" not in page
    assert "unpublished" not in page
    assert errors(answer) == {
        "agent": ["This agent cannot be started by you; choose one of the list."]
    }
    assert Run.objects.count() == 0


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_input_is_told_next_to_its_field(cast: Cast, browse: Browser, text: str) -> None:
    answer = browse("operator").post(START, given(make_agent(cast.acme), input=text))

    assert list(errors(answer)) == ["input"]
    assert Run.objects.count() == 0


def test_what_the_service_refuses_is_told_on_the_form_and_nothing_is_lost(
    cast: Cast, browse: Browser
) -> None:
    agent = make_agent(cast.acme)
    make_agent(cast.acme, "second")
    session = session_create(actor=SYSTEM, workspace=cast.acme, agent="second")

    answer = browse("operator").post(START, given(agent, session=session.pk))

    assert errors(answer) == {"session": ["belongs to another agent"]}
    assert "Say hello." in answer.content.decode()
    assert Run.objects.count() == 0


def test_without_an_agent_the_page_says_what_to_do(cast: Cast, browse: Browser) -> None:
    page = browse("operator").get(START).content.decode()

    assert "No agent can be started yet" in page
