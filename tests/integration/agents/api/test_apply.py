"""Applying documents: idempotent, with a diff, all or nothing, every mistake at once."""

import dataclasses
from typing import Any

import pytest
from auditlog.models import LogEntry

from agents.models import Agent, AgentVersion, Model, ModelRoute, Provider
from agents.services.apply import apply
from agents.services.providers import provider_has_key
from core.errors import PermissionDeniedError
from governance.contracts import Perm
from governance.models import Secret
from plugins.models import ToolDefinition
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs
from tests.integration.agents.api.documents import document


def team(**changes: Any) -> list[dict[str, Any]]:
    """Documents in an order in which none could be made one after the other."""
    return [
        document(
            "Agent", "lead", {"prompt": "Lead.", "delegates": ["worker"]}, description="Leads."
        ),
        document(
            "Agent",
            "worker",
            {"prompt": changes.get("prompt", "Work."), "model": "big", "tools": ["orders", "view"]},
        ),
        document("Route", "all", {"if_contains": [""], "model": "big", "priority": 10}),
        document("Model", "big", {"provider": "vendor", "vendor_name": "b-1", "fallback": "small"}),
        document("Model", "small", {"provider": "vendor", "vendor_name": "s-1"}),
        document("Tool", "orders", {"description": "Orders.", "url": "https://x.example/o"}),
        document(
            "Provider",
            "vendor",
            {
                "kind": "openai",
                "base_url": changes.get("base_url", "http://127.0.0.1:9/v1"),
                "api_key": changes.get("key", "k" * 20),
            },
        ),
    ]


def counts() -> tuple[int, ...]:
    models = (Agent, AgentVersion, Model, ModelRoute, Provider, ToolDefinition, LogEntry)
    return tuple(model._default_manager.count() for model in models)


def test_documents_are_applied_in_the_order_they_need(cast: Cast, call_as: CallAs) -> None:
    answer = call_as("admin")("post", "apply", {"documents": team()})

    assert answer.status_code == 200, answer.json()
    changes = answer.json()["changes"]
    assert [(change["kind"], change["action"]) for change in changes] == [
        ("Agent", "create"),
        ("Agent", "create"),
        ("Route", "create"),
        ("Model", "create"),
        ("Model", "create"),
        ("Tool", "create"),
        ("Provider", "create"),
    ]
    lead = Agent.objects.get(name="lead")
    assert lead.description == "Leads."
    assert lead.published is not None
    assert lead.published.spec == {"prompt": "Lead.", "delegates": ["worker"]}
    assert Model.objects.get(name="big").fallback == Model.objects.get(name="small")
    assert "kkkk" not in answer.content.decode()


def test_applying_twice_changes_nothing(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    admin("post", "apply", {"documents": team()})
    before = counts()
    stamps = list(Provider.objects.values("updated_at")), list(Model.objects.values("updated_at"))

    answer = admin("post", "apply", {"documents": team()})

    assert {change["action"] for change in answer.json()["changes"]} == {"unchanged"}
    assert {len(change["diff"]) for change in answer.json()["changes"]} == {0}
    assert counts() == before
    assert stamps == (
        list(Provider.objects.values("updated_at")),
        list(Model.objects.values("updated_at")),
    )


def test_a_dry_run_shows_the_difference_and_changes_nothing(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    admin("post", "apply", {"documents": team()})
    before = counts()
    changed = team(prompt="Work hard.", base_url="http://127.0.0.1:8/v1", key="j" * 20)

    answer = admin("post", "apply", {"documents": changed, "dry_run": True})

    changes = {change["name"]: change for change in answer.json()["changes"]}
    assert answer.json()["dry_run"] is True
    assert changes["worker"]["action"] == "update"
    assert changes["worker"]["diff"] == [
        {"path": "spec.prompt", "before": "Work.", "after": "Work hard."}
    ]
    assert changes["vendor"]["diff"] == [
        {"path": "spec.api_key", "before": "(sealed)", "after": "(sealed, another one)"},
        {
            "path": "spec.base_url",
            "before": "http://127.0.0.1:9/v1",
            "after": "http://127.0.0.1:8/v1",
        },
    ]
    assert changes["lead"]["action"] == "unchanged"
    assert counts() == before
    assert provider_has_key(Provider.objects.get(name="vendor"), "k" * 20)
    right, wrong = (
        admin("post", "apply", {"documents": team(key=key), "dry_run": True}).json()
        for key in ("k" * 20, "j" * 20)
    )
    assert right == wrong, "a dry run confirms no guess of a key"
    assert "update" not in {
        change["action"]
        for change in admin("post", "apply", {"documents": team()}).json()["changes"]
    }


def test_a_changed_specification_is_published_as_a_new_version(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    admin("post", "apply", {"documents": team()})

    admin("post", "apply", {"documents": team(prompt="Work hard.")})

    worker = Agent.objects.select_related("published").get(name="worker")
    assert worker.published is not None
    assert worker.published.number == 2
    assert worker.published.spec["prompt"] == "Work hard."
    assert AgentVersion.objects.get(agent=worker, number=1).spec["prompt"] == "Work."


def test_every_mistake_is_told_with_its_place_and_nothing_is_applied(
    cast: Cast, call_as: CallAs
) -> None:
    admin = call_as("admin")
    before = counts()
    documents = [
        document("Provider", "good", {"kind": "scripted"}),
        document("Provider", "bad", {"kind": "openai", "base_url": "nowhere", "colour": 1}),
        document("Model", "m", {"provider": "bad", "vendor_name": "x"}),
        document("Model", "n", {"provider": "ghost", "vendor_name": "x"}),
        document("Agent", "a", {"prompt": "p", "model": "n", "tools": ["missing"]}),
        document("Agent", "B", {"prompt": "p"}),
        document("Tool", "echo", {"description": "d", "url": "https://x.example"}),
        document("Tool", "echo", {"description": "d", "url": "https://x.example"}),
        document("Cloud", "c", {}),
        {"kind": "Agent"},
        "text",
    ]

    answer = admin("post", "apply", {"documents": documents[:-1]})
    not_objects = admin("post", "apply", {"documents": documents})

    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert set(errors) == {
        "documents.1.spec.colour",
        "documents.3.spec.provider",
        "documents.4.spec.model",
        "documents.4.spec.tools",
        "documents.5.metadata.name",
        "documents.6",
        "documents.7",
        "documents.8.kind",
        "documents.9.apiVersion",
        "documents.9.metadata",
        "documents.9.spec",
    }, errors
    assert errors["documents.1.spec.colour"][0].startswith("Provider/bad: ")
    assert not_objects.status_code == 400
    assert counts() == before


@pytest.mark.parametrize(
    ("edit", "sent"), [(Perm.AGENT_EDIT, slice(0, 2)), (Perm.PROVIDER_EDIT, slice(2, 5))]
)
def test_who_may_edit_and_not_see_learns_nothing_of_what_there_is(
    cast: Cast, call_as: CallAs, edit: Perm, sent: slice
) -> None:
    call_as("admin")("post", "apply", {"documents": team()})
    blind = dataclasses.replace(cast.actor("admin"), scopes=frozenset({Perm.WORKSPACE_VIEW, edit}))

    for each in team(prompt="Guessed.")[sent]:
        with pytest.raises(PermissionDeniedError, match=r"\.view"):
            apply(actor=blind, workspace=cast.acme, documents=[each], dry_run=True)


def test_what_one_may_not_edit_is_not_applied(cast: Cast, call_as: CallAs) -> None:
    before = counts()
    author = call_as("author")  # may edit agents and tools, not providers

    refused = author("post", "apply", {"documents": team()})
    allowed = author("post", "apply", {"documents": team()[5:6]})

    assert refused.status_code == 403
    assert allowed.status_code == 200
    assert counts()[:5] == before[:5]


def test_a_secret_is_applied_and_a_dry_run_confirms_no_guess(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")

    def sent(value: str, *, dry_run: bool = False) -> Any:
        document = {
            "apiVersion": "agentry/v1", "kind": "Secret", "metadata": {"name": "github"},
            "spec": {"value": value},
        }  # fmt: skip
        body = {"documents": [document], "dry_run": dry_run}
        answer = admin("post", "apply", body)
        assert answer.status_code == 200, answer.content
        assert value not in answer.content.decode()
        found = answer.json()["changes"][0]
        return found if dry_run and found["action"] == "update" else found["action"]

    assert sent("the-first-value", dry_run=True) == "create"
    assert sent("the-first-value") == "create"
    assert sent("the-first-value") == "unchanged"
    right, wrong = (sent(value, dry_run=True) for value in ("the-first-value", "another-value"))
    assert right == wrong
    assert {each["path"] for each in right["diff"]} == {"value", "version"}
    assert Secret.objects.get().version == 1
    assert sent("another-value-of-it") == "update"
    assert Secret.objects.get().version == 2
