"""Naming a secret in a tool or a provider: who may, what can be named, and what is kept."""

from typing import Any

import pytest

from agents.execution.providers import provider_config
from agents.models import Provider
from core.redaction import redact_text
from governance.models import AuditEntry, Role
from governance.services.secret_values import forget_sources
from plugins.models import ToolDefinition
from tests.factories.agents import make_secret
from tests.factories.governance import Cast, join
from tests.integration.agents.api.conftest import CallAs

VALUE = "correct-horse-battery"
HEADERS = {"Authorization": "Bearer ${secret:github}"}


def tool(**changes: Any) -> dict[str, Any]:
    fields = {"name": "issues", "description": "Issues.", "url": "https://x.example/"}
    return {**fields, "headers": HEADERS, **changes}


def test_an_author_names_a_secret_that_is_there(cast: Cast, call_as: CallAs) -> None:
    author = call_as("author")
    missing = author("post", "tools", tool())
    make_secret(cast.acme, "github", VALUE)
    made = author("post", "tools", tool())

    assert (missing.status_code, "headers" in missing.json()["errors"]) == (400, True)
    assert made.status_code == 201, made.content
    assert ToolDefinition.objects.get().headers == HEADERS


def test_who_may_not_see_secrets_does_not_have_them_sent(cast: Cast, call_as: CallAs) -> None:
    make_secret(cast.acme, "github", VALUE)
    role = Role.objects.create(
        workspace=cast.acme,
        name="tooler",
        permissions=["workspace.view", "tool.view", "tool.edit", "provider.edit", "provider.view"],
    )
    join(cast.acme, "tooler", role.name)
    cast.users["tooler"] = type(cast.users["admin"]).objects.get(username="tooler")
    tooler = call_as("tooler")
    plain = tooler("post", "tools", tool(headers={}))

    named = tooler("post", "tools", tool(name="other"))
    changed = tooler("patch", "tools/issues", {"headers": HEADERS})
    key = {"name": "vendor", "kind": "openai", "api_key": "${secret:github}"}
    provider = tooler("post", "providers", key)

    assert plain.status_code == 201, plain.content
    assert [each.status_code for each in (named, changed, provider)] == [403, 403, 403]
    assert ToolDefinition.objects.get().headers == {}

    ToolDefinition.objects.update(headers=HEADERS)
    elsewhere = tooler("patch", "tools/issues", {"url": "https://mine.example/"})
    assert elsewhere.status_code == 403, "a tool with a secret is not turned to another server"


@pytest.mark.parametrize(
    "value",
    [
        "Bearer sk-abcdefghijklmnop1234",
        "Bearer ${secret:github} sk-abcdefghijklmnop1234",
        "Bearer ${secret:github",
        "Bearer ${secret:../x}",
        f"{'x' * 40}${{secret:github}}",
    ],
)
def test_what_is_no_reference_or_more_than_one_is_refused(
    cast: Cast, call_as: CallAs, value: str
) -> None:
    make_secret(cast.acme, "github", VALUE)

    answer = call_as("author")("post", "tools", tool(headers={"X-Key": value}))

    assert answer.status_code == 400
    assert "sk-abc" not in answer.content.decode()
    assert not ToolDefinition.objects.exists()


def test_a_provider_takes_its_key_from_a_secret(cast: Cast, call_as: CallAs) -> None:
    forget_sources()
    admin = call_as("admin")
    make_secret(cast.acme, "openai", VALUE)
    key = {"name": "vendor", "kind": "openai", "api_key": "${secret:openai}"}
    assert admin("post", "providers", key).status_code == 201
    around = admin("post", "providers", {**key, "name": "v", "api_key": "x${secret:a}"})
    absent = admin("post", "providers", {**key, "name": "v", "api_key": "${secret:nope}"})
    row = Provider.objects.get()

    config, _, first = provider_config(row.pk)
    provider_config(row.pk)
    make_secret(cast.acme, "openai", "another-value-of-it")
    changed, _, second = provider_config(row.pk)

    assert (around.status_code, absent.status_code) == (400, 400)
    assert (config.api_key, changed.api_key) == (VALUE, "another-value-of-it")
    assert first != second
    assert redact_text(VALUE) == "[redacted]"
    used = AuditEntry.objects.filter(action="secret_used").order_by("sequence")
    assert [(each.payload["label"], each.payload["version"]) for each in used] == [
        ("vendor", 1),
        ("vendor", 2),
    ]
