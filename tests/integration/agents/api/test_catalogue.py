"""Agents, versions, providers, models, routes and tools over REST."""

from typing import Any

import pytest

from agents.models import Agent, AgentVersion, Model, Provider
from agents.services.providers import provider_has_key
from plugins.models import ToolDefinition
from tests.factories.agents import make_agent, make_model, make_provider, make_run, make_tool
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs


def test_an_agent_is_created_drafted_and_published(cast: Cast, call_as: CallAs) -> None:
    make_model(cast.acme)
    author = call_as("author")

    created = author(
        "post", "agents", {"name": "scribe", "spec": {"prompt": "p", "model": "small"}}
    )
    published = author("post", "agents/scribe/versions/1/publish", {})
    shown = author("get", "agents/scribe")

    assert created.status_code == 201
    assert created.json()["draft"] == 1
    assert created.json()["published"] is None
    assert published.status_code == 200, published.json()
    assert published.json()["state"] == "published"
    assert shown.json()["published"] == 1
    assert shown.json()["spec"] == {"prompt": "p", "model": "small"}


def test_there_is_one_draft_and_saving_again_replaces_it(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)
    author = call_as("author")

    first = author("post", "agents/helper/versions", {"spec": {"prompt": "one"}})
    second = author("post", "agents/helper/versions", {"spec": {"prompt": "two"}, "note": "n"})

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["number"] == second.json()["number"] == 2
    listed = author("get", "agents/helper/versions").json()["items"]
    assert [(row["number"], row["state"]) for row in listed] == [(2, "draft"), (1, "published")]
    assert listed[0]["spec"] == {"prompt": "two"}


def test_publishing_twice_tells_the_second_it_is_done(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)

    again = call_as("author")("post", "agents/helper/versions/1/publish", {})

    assert again.status_code == 409
    assert again.json()["code"] == "stale_state"


def test_publishing_checks_everything_that_is_named(cast: Cast, call_as: CallAs) -> None:
    agent = make_agent(cast.acme, is_published=False)
    author = call_as("author")
    spec = {"model": "none", "tools": ["view", "nothing"], "delegates": ["helper", "ghost"]}
    author("post", "agents/helper/versions", {"spec": spec})

    refused = author("post", "agents/helper/versions/1/publish", {})

    assert refused.status_code == 400
    errors = refused.json()["errors"]
    assert set(errors) == {"model", "tools", "delegates"}
    assert len(errors["delegates"]) == 2
    agent.refresh_from_db()
    assert agent.published is None


def test_an_agent_with_runs_is_switched_off_instead_of_deleted(cast: Cast, call_as: CallAs) -> None:
    make_run(cast.acme)
    make_agent(cast.acme, "unused")
    author = call_as("author")

    assert author("delete", "agents/helper").status_code == 204
    assert author("delete", "agents/unused").status_code == 204

    assert Agent.objects.get(name="helper").is_enabled is False
    assert not Agent.objects.filter(name="unused").exists()


def test_a_provider_key_goes_in_and_never_comes_out(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    key = "sk-thisisaverysecretkey123456"

    created = admin(
        "post",
        "providers",
        {"name": "vendor", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": key},
    )
    shown = admin("get", "providers/vendor")
    activity = admin("get", "/api/v1/activity")

    assert created.status_code == 201, created.json()
    assert created.json()["has_key"] is True
    for answer in (created, shown, activity):
        assert key not in answer.content.decode()
    assert "sealed_key" not in activity.content.decode()
    row = Provider.objects.get(name="vendor")
    assert provider_has_key(row, key)
    assert key.encode() not in bytes(row.sealed_key or b"")


def test_a_stored_key_is_not_sent_to_another_server(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    make_provider(
        cast.acme, "vendor", kind="openai", base_url="http://127.0.0.1:9/v1", api_key="k" * 20
    )

    refused = admin("patch", "providers/vendor", {"base_url": "http://127.0.0.1:8/v1"})

    assert refused.status_code == 400
    assert "api_key" in refused.json()["errors"]
    assert Provider.objects.get(name="vendor").base_url == "http://127.0.0.1:9/v1"


def test_a_key_of_the_site_goes_to_the_vendor_only(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    fields = {"name": "vendor", "kind": "openai", "key_env": "OPENAI_API_KEY"}
    assert admin("post", "providers", fields).status_code == 201

    refused = admin("patch", "providers/vendor", {"base_url": "https://models.example/v1"})

    assert refused.status_code == 400
    assert "the vendor's own address only" in refused.json()["errors"]["key_env"][0]
    assert Provider.objects.get(name="vendor").base_url == ""
    own = {"base_url": "https://models.example/v1", "api_key": "k" * 20}
    assert admin("patch", "providers/vendor", own).status_code == 200
    row = Provider.objects.get(name="vendor")
    assert (row.key_env, row.base_url) == ("", "https://models.example/v1")
    assert provider_has_key(row, "k" * 20)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"kind": "openai", "base_url": "http://169.254.169.254/"}, "base_url"),
        ({"kind": "openai", "base_url": "ftp://x"}, "base_url"),
        ({"kind": "openai", "key_env": "AGENTRY_SECRET_KEY"}, "key_env"),
        ({"kind": "openai", "api_key": "a", "key_env": "OPENAI_API_KEY"}, "key_env"),
        (
            {"kind": "openai", "base_url": "https://models.example", "key_env": "OPENAI_API_KEY"},
            "key_env",
        ),
        ({"kind": "openai", "script": "steps: []"}, "script"),
        ({"kind": "scripted", "api_key": "abc"}, "kind"),
        ({"kind": "other"}, "kind"),
        ({"kind": "openai", "max_retries": 99}, "max_retries"),
        ({"kind": "openai", "nmae": "x"}, "nmae"),
    ],
)
def test_a_provider_that_cannot_work_is_refused_with_its_place(
    cast: Cast, call_as: CallAs, fields: dict[str, Any], place: str
) -> None:
    refused = call_as("admin")("post", "providers", {"name": "p", **fields})

    assert refused.status_code == 400
    assert place in refused.json()["errors"]
    assert not Provider.objects.exists()


def test_an_unknown_choice_is_answered_with_those_there_are(cast: Cast, call_as: CallAs) -> None:
    refused = call_as("admin")("post", "providers", {"name": "vendor", "kind": "opnai"})

    assert refused.status_code == 400
    assert refused.json()["errors"]["kind"] == [
        (
            "'opnai' is not known here. Did you mean 'openai'? "
            "Known: openai, anthropic, gemini, scripted."
        )
    ]


def test_a_script_is_refused_with_line_and_column(cast: Cast, call_as: CallAs) -> None:
    script = "steps:\n  - txet: hello\n"

    refused = call_as("admin")(
        "post", "providers", {"name": "p", "kind": "scripted", "script": script}
    )

    assert refused.status_code == 400
    assert refused.json()["code"] == "script_invalid"
    assert "line 2" in refused.json()["detail"]


def test_checking_a_scripted_provider_reads_its_script(cast: Cast, call_as: CallAs) -> None:
    make_provider(cast.acme)

    checked = call_as("admin")("post", "providers/script/check", {})

    assert checked.status_code == 200
    assert checked.json()["ok"] is True


def test_checking_a_provider_nobody_answers_is_an_explained_answer(
    cast: Cast, call_as: CallAs
) -> None:
    make_provider(cast.acme, "vendor", kind="openai", base_url="http://127.0.0.1:9/v1")
    admin = call_as("admin")

    without_model = admin("post", "providers/vendor/check", {})
    make_model(cast.acme, "remote", provider="vendor")
    unreachable = admin("post", "providers/vendor/check", {})

    assert without_model.json()["ok"] is False
    assert "no enabled model" in without_model.json()["detail"]
    assert unreachable.status_code == 200
    assert unreachable.json()["ok"] is False
    assert unreachable.json()["detail"]


def test_a_provider_in_use_is_not_deleted(cast: Cast, call_as: CallAs) -> None:
    make_model(cast.acme)

    refused = call_as("admin")("delete", "providers/script")

    assert refused.status_code == 409
    assert "small" in refused.json()["detail"]


def test_a_model_in_use_is_not_deleted(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)

    refused = call_as("admin")("delete", "models/small")

    assert refused.status_code == 409
    assert "agent helper" in refused.json()["detail"]
    assert Model.objects.filter(name="small").exists()


def test_models_and_routes_are_changed_in_place(cast: Cast, call_as: CallAs) -> None:
    make_model(cast.acme)
    admin = call_as("admin")

    priced = admin("patch", "models/small", {"input_price_usd": "1.5", "output_price_usd": "2"})
    half = admin("patch", "models/small", {"output_price_usd": None})
    route = admin("post", "routes", {"if_contains": ["sum"], "model": "small", "priority": 5})
    moved = admin("patch", f"routes/{route.json()['id']}", {"priority": 7})
    unknown = admin("patch", f"routes/{route.json()['id']}", {"model": "ghost"})

    assert priced.status_code == 200
    assert priced.json()["input_price_usd"] == "1.500000"
    assert half.status_code == 400
    assert half.json()["errors"].keys() == {"output_price_usd"}
    assert route.status_code == 201
    assert moved.json()["priority"] == 7
    assert unknown.status_code == 400


def test_tools_are_listed_with_the_built_in_ones(cast: Cast, call_as: CallAs) -> None:
    make_tool(cast.acme)
    viewer = call_as("viewer")

    names: list[str] = []
    cursor = ""
    while True:
        page = viewer("get", f"tools?limit=3{cursor}").json()
        names += [tool["name"] for tool in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert names == sorted(names)
    assert {"orders", "echo", "view", "agent"} <= set(names)
    assert len(names) == len(set(names))
    assert viewer("get", "tools/echo").json()["is_builtin"] is True
    assert viewer("get", "tools/orders").json()["is_builtin"] is False


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "https://user:pass@x.example/"}, "url"),
        ({"effect": "maybe"}, "effect"),
        ({"method": "BREW"}, "method"),
        ({"input_schema": {"type": "array"}}, "input_schema"),
        ({"input_schema": {"type": 5}}, "input_schema"),
        ({"input_schema": {"type": "object", "$ref": "http://x.example/s"}}, "input_schema"),
        ({"headers": {"Authorization": "Bearer abcdefghijklmnop1234"}}, "headers"),
        ({"headers": {"X-Api-Key": "abcdefghijklmnop1234"}}, "headers"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"probe_url": "https://x.example/no-key"}, "tool"),
    ],
)
def test_a_tool_that_cannot_work_is_refused_with_its_place(
    cast: Cast, call_as: CallAs, fields: dict[str, Any], place: str
) -> None:
    body = {"name": "t", "description": "d", "url": "https://x.example/", **fields}

    refused = call_as("author")("post", "tools", body)

    assert refused.status_code == 400, refused.json()
    assert place in refused.json()["errors"], refused.json()
    assert not ToolDefinition.objects.exists()


def test_a_tool_does_not_take_a_built_in_name(cast: Cast, call_as: CallAs) -> None:
    body = {"name": "echo", "description": "d", "url": "https://x.example/"}

    assert call_as("author")("post", "tools", body).status_code == 409


def test_if_match_refuses_a_change_of_something_else(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)
    author = call_as("author")
    seen = author("get", "agents/helper")["ETag"]

    first = author("patch", "agents/helper", {"description": "one"}, **{"If-Match": seen})
    second = author("patch", "agents/helper", {"description": "two"}, **{"If-Match": seen})
    unchanged = author("get", "agents/helper", **{"If-None-Match": first["ETag"]})

    assert first.status_code == 200
    assert second.status_code == 412
    assert unchanged.status_code == 304
    assert Agent.objects.get(name="helper").description == "one"


def test_the_same_key_creates_once(cast: Cast, call_as: CallAs) -> None:
    author = call_as("author")
    key = {"Idempotency-Key": "k-1"}

    first = author("post", "agents", {"name": "scribe"}, **key)
    again = author("post", "agents", {"name": "scribe"}, **key)
    other = author("post", "agents", {"name": "other"}, **key)

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert again.json() == first.json()
    assert Agent.objects.count() == 1
    assert AgentVersion.objects.count() == 0
