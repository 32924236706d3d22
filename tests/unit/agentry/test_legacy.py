"""Importing the earlier tool's files: each generation of roles, each kind of model and tool."""

import re
from pathlib import Path
from typing import Any

import pytest

from agentry.cli.documents.places import Unreadable
from agentry.cli.legacy.notes import Fate, Translation
from agentry.cli.legacy.translate import translate


def read(tmp_path: Path, text: str, name: str = ".agentry.yaml") -> Translation:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return translate(file)


def spec(translation: Translation, kind: str, name: str) -> dict[str, Any]:
    (found,) = [
        each["spec"]
        for each in translation.documents
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    content: dict[str, Any] = found
    return content


def told(translation: Translation, fate: Fate) -> list[str]:
    return [
        f"{note.place.line}:{note.place.column} {note.sentence}"
        for note in translation.notes
        if note.fate is fate
    ]


def test_models_that_share_settings_share_a_provider(tmp_path: Path) -> None:
    translation = read(
        tmp_path,
        """\
models:
  - {name: small, provider: openai, options: {model: gpt-4o-mini}}
  - {name: big, provider: openai, options: {model: gpt-4o, max_tokens: "500"}}
  - {name: other, provider: openai, options: {key: $OTHER_KEY, base_url: "http://x/v1"}}
  - {name: claude, provider: anthropic, options: {model: claude-x}}
""",
    )

    assert translation.names("Provider") == ["openai", "openai-other", "anthropic"]
    assert spec(translation, "Provider", "openai") == {
        "kind": "openai",
        "api_key": {"env": "OPENAI_KEY"},
    }
    assert spec(translation, "Provider", "openai-other") == {
        "kind": "openai",
        "base_url": "http://x/v1",
        "api_key": {"env": "OTHER_KEY"},
    }
    assert spec(translation, "Model", "big") == {
        "provider": "openai",
        "vendor_name": "gpt-4o",
        "options": {"max_output_tokens": 500},
    }
    assert spec(translation, "Model", "other")["vendor_name"] == "gpt-4o"


def test_a_key_in_the_file_is_never_copied(tmp_path: Path) -> None:
    translation = read(
        tmp_path, "models:\n  - name: m\n    provider: openai\n    options: {key: sk-abc}\n"
    )

    assert "sk-abc" not in str(translation)
    assert told(translation, Fate.CHANGED)[1].startswith("4:20 model m: the key in the file")


def test_unknown_providers_and_their_routes_are_named_never_mocked(tmp_path: Path) -> None:
    translation = read(
        tmp_path,
        "models:\n  - {name: m, provider: deepthought}\n"
        "routes:\n  - {if_contains: [x], model: m}\n",
    )

    assert translation.names("Provider") + translation.names("Route") == []
    unsupported = told(translation, Fate.UNSUPPORTED)
    assert unsupported[0].startswith("2:15 model m: there is no provider 'deepthought'")
    assert unsupported[1] == "4:24 route 1: the model 'm' was not imported."


def test_routes_keep_their_order_and_words(tmp_path: Path) -> None:
    translation = read(
        tmp_path,
        """\
models: [{name: mock, provider: mock}]
routes:
  - {if_contains: [code, bug], model: mock}
  - {if_contains: [""], model: mock}
  - {if_contains: [never], model: mock}
""",
    )

    assert spec(translation, "Provider", "mock") == {"kind": "scripted"}
    assert spec(translation, "Route", "route-1") == {
        "priority": 10,
        "if_contains": ["code", "bug"],
        "model": "mock",
    }
    assert spec(translation, "Route", "route-2")["if_contains"] == [""]
    assert "4:5 route 2 matches everything; later routes are never asked." in told(
        translation, Fate.CHANGED
    )


FETCH_TOLD = (
    "7:34 tool fetch: privileged, so no agent is given it. Publish a policy that asks for it, "
    "then add it to an agent's tools."
)


def test_tools_are_kept_renamed_declared_or_named(tmp_path: Path) -> None:
    translation = read(
        tmp_path,
        """\
tools:
  - {name: view, type: builtin, description: Look}
  - {name: read, type: builtin, description: Look too}
  - {name: Weather, http: "https://example.test/w", description: Weather}
  - {name: hello, command: echo hello}
  - {name: ping, type: builtin, net: ["x:1"]}
  - {name: fetch, type: builtin, privileged: true}
""",
    )

    assert spec(translation, "Agent", "default")["tools"] == ["view", "weather", "hello"]
    assert spec(translation, "Tool", "weather")["url"] == "https://example.test/w"
    assert spec(translation, "Tool", "hello") == {
        "kind": "command",
        "description": "Runs echo hello.",
        "command": "echo hello",
        "effect": "irreversible",
        "is_privileged": False,
    }
    assert told(translation, Fate.UNSUPPORTED) == [
        "6:5 tool ping: has no counterpart; use fetch on an address that answers.",
        "6:33 tool ping: net is decided by the server's policy here.",
        FETCH_TOLD,
    ]


def test_limits_of_commands_and_programs_are_carried_over(tmp_path: Path) -> None:
    translation = read(
        tmp_path,
        """\
sandbox: {engine: gvisor}
tools:
  - {name: build, command: make, privileged: true, net: ["pypi.org:443", example.com],
     cpu_limit: 500m, mem_limit: 256Mi, engine: docker}
  - {name: bash, type: builtin, cpu_limit: "0.5", mem_limit: 1g}
  - {name: sh, type: builtin}
""",
    )

    assert spec(translation, "Tool", "build") == {
        "kind": "command",
        "description": "Runs make.",
        "command": "make",
        "effect": "irreversible",
        "is_privileged": True,
        "engine": "docker",
        "net": ["pypi.org:443", "example.com:443"],
        "limits": {"cpu": 0.5, "memory_bytes": 256 * 1024**2},
    }
    limited = spec(translation, "Tool", "bash-limited")
    assert limited["command"] == 'exec bash -c "$ARG_COMMAND"'
    assert limited["engine"] == "gvisor"
    assert limited["limits"] == {"cpu": 0.5, "memory_bytes": 1024**3}
    assert spec(translation, "Agent", "default")["tools"] == ["build", "bash-limited", "sh"]
    assert told(translation, Fate.UNSUPPORTED) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sandbox: {engine: cri}\n", "cri is not an engine here"),
        ("tools: [{name: a, command: b, engine: chroot}]\n", "there is no sandbox engine 'chroot'"),
        ("tools: [{name: a, command: b, mem_limit: much}]\n", "mem_limit 'much' cannot be read"),
        ("tools: [{name: a, command: b, cpu_limit: 0}]\n", "cpu_limit 0 cannot be read"),
    ],
)
def test_what_was_asked_of_a_sandbox_and_is_not_there_ends_the_import(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(Unreadable, match=re.escape(sentence)):
        read(tmp_path, text)


@pytest.mark.parametrize("engine", ["disabled", "none"])
def test_no_sandbox_is_declared_as_such_and_privileged(tmp_path: Path, engine: str) -> None:
    translation = read(
        tmp_path, f"sandbox: {{engine: {engine}}}\ntools: [{{name: a, command: b}}]\n"
    )

    tool = spec(translation, "Tool", "a")
    assert (tool["engine"], tool["is_privileged"]) == ("disabled", True)
    assert tool["limits"] == dict.fromkeys(("cpu", "memory_bytes", "pids", "disk_bytes"))
    assert "WITHOUT A SANDBOX" in "".join(told(translation, Fate.CHANGED))


def test_only_permitted_tools_are_given(tmp_path: Path) -> None:
    translation = read(
        tmp_path,
        """\
permissions: {tools: [view, bash, hello]}
tools:
  - {name: view, type: builtin}
  - {name: write, type: builtin}
  - {name: bash, type: builtin}
  - {name: hello, command: echo hello, permissions: {allow: false}}
""",
    )

    assert spec(translation, "Agent", "default")["tools"] == ["view", "bash"]
    without = read(tmp_path, "permissions: {tools: [view, bash]}\n")
    assert spec(without, "Agent", "default")["tools"] == ["view"]


def test_limits_go_to_every_agent(tmp_path: Path) -> None:
    translation = read(tmp_path, "max_iterations: 12\nbudget: {tokens: 1000, dollars: 0.5}\n")

    assert spec(translation, "Agent", "default")["limits"] == {
        "max_iterations": 12,
        "max_tokens": 1000,
        "max_cost_usd": "0.5",
    }


def test_every_other_key_is_named(tmp_path: Path) -> None:
    keys = (
        "memory", "store", "session_ttl", "session_gc_interval", "vector_store", "sandbox",
        "permissions", "metrics", "collector", "port", "theme", "themes", "keybinds",
        "credentials", "mcp_servers", "persistent_agents", "surprise",
    )  # fmt: skip
    translation = read(tmp_path, "".join(f"{key}: x\n" for key in keys))

    unsupported = told(translation, Fate.UNSUPPORTED)
    assert len(unsupported) == len(keys)
    for line, key in enumerate(keys, start=1):
        assert unsupported[line - 1].startswith(f"{line}:1 {key}")
    assert "('x' is not a duration either.)" in unsupported[2]


ROLES = {
    "first": "name: coder\nprompt: Code in {{language}}.\ntools: [ls, bash]\n",
    "second": "name: agent_0\npersonality: You lead.\ncommands: [make]\nbuiltins: [view]\n"
    "model: mine\n",
    "third": "name: Careful Writer\nprompt: Write.\nmodel: {provider: mock, options: {}}\n"
    "tools: [ls, write]\nrestricted_tools: [write]\ncapabilities: [prose]\nmetadata: {v: 1}\n",
}


def test_included_roles_of_all_generations_become_agents(tmp_path: Path) -> None:
    roles = tmp_path / "templates" / "roles"
    roles.mkdir(parents=True)
    (roles / "coder.yaml").write_text(ROLES["first"])
    (roles / "agent_0.yaml").write_text(ROLES["second"])
    (roles / "writer.yaml").write_text(ROLES["third"])
    translation = read(
        tmp_path,
        "models: [{name: mine, provider: mock}]\ntools: [{name: agent, type: builtin}]\n"
        "include: [templates/roles/coder.yaml, roles/agent_0.yaml, roles/none.yaml,\n"
        "  roles/writer.yaml]\n",
        "project/.agentry.yaml",
    )

    assert translation.names("Agent") == ["coder", "agent_0", "careful-writer", "default"]
    assert spec(translation, "Agent", "coder") == {
        "prompt": "Code in {{language}}.",
        "tools": ["ls", "bash"],
        "variables": {"language": ""},
    }
    assert spec(translation, "Agent", "agent_0") == {
        "prompt": "You lead.",
        "model": "mine",
        "tools": ["view"],
    }
    assert spec(translation, "Agent", "careful-writer")["tools"] == ["ls"]
    assert spec(translation, "Agent", "default") == {
        "prompt": "You lead.",
        "model": "mine",
        "tools": ["agent"],
        "delegates": ["coder", "careful-writer"],
    }
    unsupported = [note.sentence for note in translation.notes if note.fate is Fate.UNSUPPORTED]
    assert "include roles/none.yaml: there is no such file." in unsupported
    assert any("agent_0: commands" in sentence for sentence in unsupported)
    assert any("Careful Writer: capabilities" in sentence for sentence in unsupported)


def test_a_role_file_alone_becomes_an_agent(tmp_path: Path) -> None:
    translation = read(tmp_path, ROLES["first"], "coder.yaml")

    assert translation.names("Agent") == ["coder"]


def test_an_include_never_leaves_the_folders_searched(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("prompt: x\n")
    translation = read(tmp_path, "include: [../secret.yaml]\n", "inner/.agentry.yaml")

    assert translation.names("Agent") == ["default"]
    assert told(translation, Fate.UNSUPPORTED) == [
        "1:11 include ../secret.yaml: there is no such file."
    ]


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n", "a: 1\n---\nb: 2\n"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unreadable):
        read(tmp_path, text)
