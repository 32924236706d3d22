"""Agents, versions, providers, models, routes and tools: edited through their services."""

from typing import Any

import pytest
from django.urls import reverse

from agents.models import Agent, AgentVersion, Model, ModelRoute, Provider
from agents.services.providers import provider_has_key
from agents.services.versions import version_draft_save
from governance.contracts import SYSTEM
from plugins.models import ToolDefinition
from tests.factories.agents import make_agent, make_model, make_provider
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db


def address(row: Any, name: str = "change") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{name}", args=[row.pk])


def add(model: type[Any]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")


def errors(answer: Any) -> dict[str, list[str]]:
    return {name: list(found) for name, found in answer.context["adminform"].form.errors.items()}


def test_an_author_makes_an_agent_with_its_first_draft(cast: Cast, browse: Browser) -> None:
    answer = browse("author").post(
        add(Agent),
        {"workspace": str(cast.acme.pk), "name": "scout", "spec": "prompt: |\n  Look\n  around.\n"},
    )

    assert answer.status_code == 302
    agent = Agent.objects.get(name="scout")
    draft = AgentVersion.objects.get(agent=agent)
    assert (draft.state, draft.spec) == ("draft", {"prompt": "Look\naround.\n"})
    assert agent.published is None


def test_mistakes_in_a_specification_are_named_by_their_place(cast: Cast, browse: Browser) -> None:
    author = browse("author")
    fields = {"workspace": str(cast.acme.pk), "name": "scout"}

    wrong = author.post(add(Agent), {**fields, "spec": "limits: {max_iterations: 0}\ncolour: red"})
    assert errors(wrong)["spec"] == [
        "limits.max_iterations: Input should be greater than or equal to 1",
        (
            "colour: Unknown field. "
            "Known: delegates, limits, model, options, prompt, session, tools, variables."
        ),
    ]
    broken = author.post(add(Agent), {**fields, "spec": "prompt: [unclosed"})
    assert errors(broken)["spec"][0].startswith("line 2, column 1: this is not YAML: ")
    listed = author.post(add(Agent), {**fields, "spec": "- prompt"})
    assert errors(listed)["spec"] == ["A specification is a mapping, such as `prompt: …`."]
    assert not Agent.objects.filter(name="scout").exists()


def test_a_taken_name_is_said_and_nothing_is_made(cast: Cast, browse: Browser) -> None:
    make_agent(cast.acme, "scout")

    answer = browse("author").post(
        add(Agent), {"workspace": str(cast.acme.pk), "name": "scout", "spec": "prompt: x"}
    )

    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors
    assert Agent.objects.filter(name="scout").count() == 1


def test_a_draft_is_edited_shown_against_the_last_version_and_published(
    cast: Cast, browse: Browser
) -> None:
    agent = make_agent(cast.acme, "scout", prompt="Look around.")
    author = browse("author")

    opened = author.post(reverse("admin:agents_agentversion_draft", args=[agent.pk]))
    draft = AgentVersion.objects.get(agent=agent, state="draft")
    assert opened["Location"] == address(draft)
    spec = "prompt: Look twice.\nmodel: small\n"
    author.post(address(draft), {"spec": spec, "note": "Twice is safer."})
    draft.refresh_from_db()
    assert draft.spec == {"prompt": "Look twice.", "model": "small"}
    lines = author.get(address(draft)).context["difference"]
    assert [(line.sign, line.text) for line in lines if line.sign in "+-"] == [
        ("-", "prompt: Look around."),
        ("+", "prompt: Look twice."),
    ]

    author.post(address(draft, "publish"))
    agent.refresh_from_db()
    draft.refresh_from_db()
    assert (draft.state, agent.published_id) == ("published", draft.pk)


def test_a_published_version_never_changes(cast: Cast, browse: Browser) -> None:
    agent = make_agent(cast.acme, "scout", prompt="Look around.")
    version = agent.published
    assert version is not None
    root = browse("root")

    assert "Look around." in root.get(address(version)).content.decode()
    assert root.post(address(version), {"spec": "prompt: x", "note": ""}).status_code == 403
    answer = root.post(address(version, "publish"), follow=True)
    assert "is published already" in str(next(iter(answer.context["messages"])))
    version.refresh_from_db()
    assert version.spec["prompt"] == "Look around."


def test_publishing_what_names_unknown_things_says_which(cast: Cast, browse: Browser) -> None:
    agent = make_agent(cast.acme, "scout")
    spec = {"prompt": "x", "model": "nowhere", "tools": ["nothing"]}
    draft = version_draft_save(actor=SYSTEM, agent=agent, spec=spec)

    answer = browse("author").post(address(draft, "publish"), follow=True)

    sentence = str(next(iter(answer.context["messages"])))
    assert "There is no model 'nowhere' in this workspace" in sentence
    draft.refresh_from_db()
    assert draft.state == "draft"


@pytest.mark.parametrize("name", ["viewer", "operator", "outsider"])
def test_who_may_not_edit_agents_changes_nothing(cast: Cast, browse: Browser, name: str) -> None:
    agent = make_agent(cast.acme, "scout", prompt="Look around.")
    draft = version_draft_save(actor=SYSTEM, agent=agent, spec={"prompt": "y"})
    client = browse(name)
    before = (agent.description, draft.spec)

    for url, body in (
        (address(agent), {"description": "mine now", "is_enabled": "on"}),
        (address(draft), {"spec": "prompt: mine", "note": ""}),
        (address(draft, "publish"), {}),
        (reverse("admin:agents_agentversion_draft", args=[agent.pk]), {}),
        (address(agent, "delete"), {"post": "yes"}),
    ):
        assert client.post(url, body).status_code in {302, 403}
    agent.refresh_from_db()
    draft.refresh_from_db()
    assert (agent.description, draft.spec) == before
    assert draft.state == "draft"


def test_a_key_goes_in_and_never_comes_out(cast: Cast, browse: Browser) -> None:
    admin = browse("admin")
    secret = "sk-quite-secret-1234567890"
    fields = {
        "kind": "openai", "base_url": "https://models.example/v1", "key_env": "", "script": "",
        "max_concurrency": "8", "max_retries": "2", "timeout_seconds": "60", "is_enabled": "on",
    }  # fmt: skip

    made = admin.post(
        add(Provider),
        {**fields, "workspace": str(cast.acme.pk), "name": "vendor", "api_key": secret},
    )
    assert made.status_code == 302
    provider = Provider.objects.get(name="vendor")
    assert provider_has_key(provider, secret)

    for url in (address(provider), "/admin/agents/provider/", address(provider, "history")):
        assert secret not in admin.get(url).content.decode()
    admin.post(address(provider), {**fields, "max_retries": "5", "api_key": ""})
    provider.refresh_from_db()
    assert provider.max_retries == 5
    assert provider_has_key(provider, secret)
    admin.post(address(provider), {**fields, "forget_key": "on"})
    provider.refresh_from_db()
    assert provider.sealed_key is None


def test_a_viewer_reads_a_provider_and_has_no_field_for_its_key(
    cast: Cast, browse: Browser
) -> None:
    provider = make_provider(cast.acme)
    viewer = browse("viewer")

    page = viewer.get(address(provider)).content.decode()

    assert "api_key" not in page
    assert viewer.post(address(provider), {"api_key": "sk-mine"}).status_code == 403
    assert viewer.get(add(Provider)).status_code == 403


def test_models_and_routes_are_made_changed_and_refused(cast: Cast, browse: Browser) -> None:
    make_model(cast.acme)
    provider = Provider.objects.get(workspace=cast.acme)
    foreign = make_provider(cast.other, "theirs")
    admin = browse("admin")
    model = {
        "workspace": str(cast.acme.pk), "name": "large", "provider": str(provider.pk),
        "vendor_name": "large-1", "options": "{}", "input_price_usd": "3",
        "output_price_usd": "15", "is_enabled": "on",
    }  # fmt: skip

    assert admin.post(add(Model), model).status_code == 302
    large = Model.objects.get(name="large")
    assert str(large.input_price_usd) == "3.000000"
    half = admin.post(add(Model), {**model, "name": "half", "output_price_usd": ""})
    assert errors(half) == {
        "output_price_usd": ["Give both the input and the output price, or neither."]
    }
    theirs = admin.post(add(Model), {**model, "name": "x", "provider": str(foreign.pk)})
    assert "provider" in errors(theirs)

    route = {"workspace": str(cast.acme.pk), "priority": "5", "model": str(large.pk)}
    admin.post(add(ModelRoute), {**route, "if_contains": "invoice\n\n tax \n"})
    made = ModelRoute.objects.get()
    assert made.if_contains == ["invoice", "tax"]
    admin.post(address(made), {"priority": "1", "model": str(large.pk), "if_contains": ""})
    made.refresh_from_db()
    assert (made.priority, made.if_contains) == (1, [""])
    refused = admin.post(address(large, "delete"), {"post": "yes"}, follow=True)
    assert Model.objects.filter(pk=large.pk).exists()
    assert refused.status_code == 200


def test_a_tool_is_checked_before_anybody_can_call_it(cast: Cast, browse: Browser) -> None:
    author = browse("author")
    tool = {
        "workspace": str(cast.acme.pk), "name": "orders", "description": "Lists orders.",
        "kind": "http",
        "effect": "read", "method": "GET", "url": "https://shop.example/orders", "headers": "{}",
        "timeout_seconds": "30", "probe_url": "", "input_schema": '{"type": "object"}',
    }  # fmt: skip

    wrong = author.post(add(ToolDefinition), {**tool, "input_schema": '{"type": "array"}'})
    assert errors(wrong) == {
        "input_schema": ['Arguments are an object: the schema\'s `type` must be "object".']
    }
    assert author.post(add(ToolDefinition), tool).status_code == 302
    assert ToolDefinition.objects.get().name == "orders"


def test_history_tells_who_changed_which_field(cast: Cast, browse: Browser) -> None:
    agent = make_agent(cast.acme, "scout")
    admin = browse("admin")
    admin.post(address(agent), {"description": "Looks around.", "is_enabled": "on"})

    changes = admin.get(address(agent, "history")).context["changes"]

    newest = changes[0]
    assert (newest.by, newest.verb) == ("admin", "changed")
    assert [(field.name, field.before, field.after) for field in newest.fields] == [
        ("description", "", "Looks around.")
    ]
    assert browse("viewer").get(address(agent, "history")).context["changes"] == []
