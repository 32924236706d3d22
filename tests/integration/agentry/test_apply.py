"""`apply` and `import`: files in, places of mistakes and changes out."""

import json
from pathlib import Path

import pytest

from tests.integration.agentry.contract_server import BASE, ContractServer, problem
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")
APPLY = f"POST {BASE}/apply"

PROVIDER = """\
apiVersion: agentry/v1
kind: Provider
metadata: {name: openai}
spec:
  kind: openai
  api_key: {env: TEST_KEY}
"""
AGENT = """\
apiVersion: agentry/v1
kind: Agent
metadata:
  name: writer
spec:
  prompt: Write.
  modl: gpt
  variables: {env: staging}
"""


def test_documents_are_sent_in_the_order_they_depend_on_each_other(
    server: ContractServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "a.yaml").write_text(f"{AGENT}---\n{PROVIDER}")
    changes = [
        {"kind": "Provider", "name": "openai", "action": "create", "diff": []},
        {
            "kind": "Agent",
            "name": "writer",
            "action": "update",
            "diff": [{"path": "spec.prompt", "before": "Old.", "after": "Write:\n  - well"}],
        },
    ]
    server.always(APPLY, {"changes": changes})

    result = invoke("apply", "-f", str(tmp_path / "all"), "--dry-run")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "+ Provider/openai create",
        "~ Agent/writer update",
        "    spec.prompt",
        "      - Old.",
        "      + Write:",
        "      +   - well",
    ]
    assert result.stderr == "2 of 2 would change.\n"
    (request,) = server.seen
    assert request.body["dry_run"] is True
    provider, agent = request.body["documents"]
    assert provider["spec"] == {"kind": "openai", "api_key": "sk-secret"}
    assert agent["spec"]["variables"] == {"env": "staging"}
    assert "sk-secret" not in result.output


def test_a_budget_is_a_document_too(server: ContractServer, tmp_path: Path) -> None:
    file = tmp_path / "budget.yaml"
    spec = "{kind: workspace, limit_usd: '40', period: week}"
    file.write_text(
        f"apiVersion: agentry/v1\nkind: Budget\nmetadata: {{name: research}}\nspec: {spec}\n"
    )
    server.always(
        APPLY,
        {"changes": [{"kind": "Budget", "name": "research", "action": "create", "diff": []}]},
    )

    result = invoke("apply", "-f", str(file))

    assert (result.exit_code, result.stdout) == (0, "+ Budget/research create\n")
    assert server.seen[0].body["documents"][0]["kind"] == "Budget"


def test_channels_and_the_policy_are_documents_and_go_before_agents(
    server: ContractServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a channel the address may come from outside the file, the secret has to."""
    monkeypatch.setenv("SLACK_URL", "https://hooks.example/T0/B0/x")
    monkeypatch.setenv("SLACK_SECRET", "an app's own")
    file, head = tmp_path / "all.yaml", "apiVersion: agentry/v1\nkind: "
    channel = f"{head}Channel\nmetadata: {{name: ops}}\nspec:\n  kind: slack\n"
    given = "  url: {env: SLACK_URL}\n  secret: {env: SLACK_SECRET}\n"
    policy = f"{head}Policy\nmetadata: {{name: workspace}}\nspec:\n  source: |\n    rules: []\n"
    file.write_text("---\n".join((AGENT, policy, channel + given)))
    source = {"path": "spec.source", "before": "a\nb\nc\nd\n", "after": "a\nb\nc\ne\n"}
    change = {"kind": "Policy", "name": "workspace", "action": "update", "diff": [source]}
    server.always(APPLY, {"changes": [change]})

    result = invoke("apply", "-f", str(file))

    assert result.exit_code == 0, result.output
    documents = server.seen[0].body["documents"]
    assert [each["kind"] for each in documents] == ["Channel", "Policy", "Agent"]
    assert documents[0]["spec"] == {
        "kind": "slack", "url": "https://hooks.example/T0/B0/x", "secret": "an app's own",
    }  # fmt: skip
    assert documents[1]["spec"] == {"source": "rules: []\n"}
    assert result.stdout.splitlines()[1:] == [
        "    spec.source",
        "        b",
        "        c",
        "      - d",
        "      + e",
        "        ",
    ]

    file.write_text(channel + "  secret: literal\n")
    refused = invoke("apply", "-f", str(file))
    assert refused.exit_code == 2
    assert "secret must not stand in a file" in refused.stderr


def test_without_documents_it_is_said_what_one_is(server: ContractServer) -> None:
    result = invoke("apply", "-f", "-", stdin="")

    assert result.exit_code == 2
    assert "A document begins with `apiVersion: agentry/v1`" in result.stderr
    assert server.seen == []


def test_nothing_to_change_is_said(server: ContractServer) -> None:
    change = {"kind": "Agent", "name": "writer", "action": "unchanged", "diff": []}
    server.always(APPLY, {"changes": [change]})

    result = invoke("apply", "-f", "-", "-o", "json", stdin=AGENT)

    assert json.loads(result.stdout) == {"changes": [change]}
    assert result.stderr == "0 of 1 changed.\n"


def test_every_mistake_is_told_with_its_place_and_nothing_is_sent(
    server: ContractServer, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(
        "apiVersion: agentry/v2\nkind: Agnt\nmetadata: {nme: x}\nspec: []\n---\n"
        + PROVIDER.replace("{env: TEST_KEY}", "sk-literal")
    )
    two.write_text(PROVIDER.replace("TEST_KEY", "NOT_SET_ANYWHERE"))

    result = invoke("apply", "-f", str(one), "-f", str(two))

    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"{one}:1:1: apiVersion must be agentry/v1.",
        f"{one}:2:1: kind 'Agnt' is not known here. Did you mean 'Agent'?",
        f"{one}:3:1: metadata.name must be text of letters, digits, '.', '_', '-', at most 100.",
        f"{one}:3:12: unknown key 'nme'. Did you mean 'name'?",
        f"{one}:4:1: spec must be a mapping.",
        (
            f"{one}:11:12: api_key must not stand in a file; write api_key: {{env: NAME}}, or name "
            "a secret of the workspace: ${secret:NAME}."
        ),
        f"{two}:3:12: Provider 'openai' is also at {one}:6:1.",
        f"{two}:6:13: the environment variable NOT_SET_ANYWHERE is not set.",
        "8 mistakes; nothing was changed.",
    ]
    assert server.seen == []


def test_a_mistake_of_shape_hides_none_of_what_the_server_finds_elsewhere(
    server: ContractServer, tmp_path: Path
) -> None:
    file, broken = tmp_path / "all.yaml", tmp_path / "broken.yaml"
    misnamed = AGENT.replace("kind: Agent", "kind: Agnt").replace("writer", "second")
    file.write_text(f"{AGENT}---\n{misnamed}")
    broken.write_text("a: [1\n")
    errors = {
        "documents.0.spec.modl": ["Agent/writer: Unknown field. Did you mean 'model'?"],
        "documents.0.spec.delegates": ["Agent/writer: there is no agent 'second'"],
    }
    server.will(APPLY, problem(400, "invalid_input", "Wrong.", errors=errors))

    result = invoke("apply", "-f", str(file), "-f", str(broken))

    assert result.exit_code == 2
    first, *rest = result.stderr.splitlines()
    assert first.startswith(f"{broken}:2:1: ")
    assert rest == [
        f"{file}:11:1: kind 'Agnt' is not known here. Did you mean 'Agent'?",
        f"{file}:7:3: spec.modl: Agent/writer: Unknown field. Did you mean 'model'?",
        "3 mistakes; nothing was changed.",
    ]
    (request,) = server.seen
    assert request.body["dry_run"] is True
    assert [each["metadata"]["name"] for each in request.body["documents"]] == ["writer"]


def test_without_a_server_the_mistakes_of_shape_are_told_all_the_same(
    server: ContractServer,
) -> None:
    server.will(APPLY, problem(401, "not_authenticated", "The token is not valid."))

    result = invoke("apply", "-f", "-", stdin=f"{AGENT}---\n{AGENT.replace('writer', 'b!')}")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[0].startswith("The server did not look at the other")
    assert result.stderr.splitlines()[-1] == "1 mistake; nothing was changed."


def test_the_servers_objections_become_places_in_the_files(
    server: ContractServer, tmp_path: Path
) -> None:
    file = tmp_path / "writer.yaml"
    file.write_text(AGENT)
    errors = {"documents[0].spec.modl": ["unknown; did you mean model?"], "documents": ["odd"]}
    server.will(APPLY, problem(400, "invalid_input", "Wrong.", errors=errors))

    result = invoke("agents", "apply", "-f", str(file))

    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"{file}:7:3: spec.modl: unknown; did you mean model?",
        "documents: odd",
        "2 mistakes; nothing was changed.",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1: 'a' is given twice, first at line 1."),
        ("a: &x 1\nb: *x\n", "f.yaml:2:4: the alias *x is not supported; write it out."),
        ("a: !!python/name:os.system x\n", "f.yaml:1:4: the tag tag:yaml.org,2002:python/name"),
        ("a: [1\nb: 2\n", "f.yaml:2:2: "),
        ("a: \x01\n", "f.yaml:"),
        ("[" * 50 + "]" * 50, "f.yaml:1:41: nested too deeply"),
        ("a\n", "f.yaml:1:1: a document must be a mapping"),
    ],
)
def test_hostile_yaml_is_refused_with_its_place(
    server: ContractServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_text(text)

    result = invoke("apply", "-f", "f.yaml")

    assert result.exit_code == 2
    assert result.stderr.startswith(sentence), result.stderr
    assert server.seen == []


def test_files_that_cannot_be_read_are_named(server: ContractServer, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4\n")

    result = invoke("apply", "-f", str(tmp_path / "latin.yaml"), "-f", str(tmp_path / "none.yaml"))

    assert result.exit_code == 2
    assert "not UTF-8 text: byte 3 is 0xe4" in result.stderr
    assert "none.yaml:1:1: No such file or directory." in result.stderr
    assert server.seen == []


OLD = """\
theme: dark
models:
  - name: mine
    provider: openai
    options: {key: sk-old, model: gpt-4o, temperature: "0.2"}
routes:
  - if_contains: [""]
    model: mine
tools:
  - {name: ls, type: builtin, description: List}
  - {name: bash, type: builtin, description: Shell}
"""


def test_an_old_configuration_is_translated_and_applied(
    server: ContractServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".agentry.yaml"
    file.write_text(OLD)
    server.always(APPLY, {"changes": []})

    monkeypatch.delenv("OPENAI_KEY", raising=False)
    refused = invoke("import", str(file))
    assert refused.exit_code == 2
    assert "the environment variable OPENAI_KEY is not set" in refused.stderr
    assert server.seen == []

    monkeypatch.setenv("OPENAI_KEY", "sk-now")
    applied = invoke("import", str(file))
    assert applied.exit_code == 0, applied.output
    assert f"! {file}:1:1: theme: " in applied.stderr
    sent = server.seen[0].body["documents"]
    assert [each["kind"] for each in sent] == ["Provider", "Model", "Route", "Agent"]
    assert sent[0]["spec"]["api_key"] == "sk-now"
    assert "sk-old" not in applied.output


def test_documents_need_no_import(server: ContractServer, tmp_path: Path) -> None:
    file = tmp_path / "team.yaml"
    file.write_text(f"{PROVIDER}---\n{AGENT}")

    result = invoke("import", str(file))

    assert result.exit_code == 2
    assert f"holds documents already; apply them: agentry apply -f {file}" in result.stderr
    assert server.seen == []


def test_a_dry_import_is_what_apply_takes(
    server: ContractServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".agentry.yaml"
    file.write_text(OLD)
    monkeypatch.setenv("OPENAI_KEY", "sk-now")
    server.always(APPLY, {"changes": []})

    dry = invoke("import", str(file), "--dry-run")
    assert (dry.exit_code, server.seen) == (0, [])
    assert "sk-old" not in dry.output

    assert invoke("apply", "-f", "-", stdin=dry.stdout).exit_code == 0
    assert invoke("import", str(file)).exit_code == 0
    assert server.seen[0].body == server.seen[1].body


def test_the_value_of_a_secret_comes_from_where_the_document_says(
    server: ContractServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "apiVersion: agentry/v1\nkind: Secret\nmetadata: {name: %s}\nspec: "
    monkeypatch.setenv("GITHUB_TOKEN", "from-the-environment")
    (tmp_path / "key.pem").write_text("from\na file\n")
    file = tmp_path / "secrets.yaml"
    file.write_text(
        "---\n".join(
            [
                head % "one" + "{valueFrom: {env: GITHUB_TOKEN}}\n",
                head % "two" + "{valueFrom: {file: key.pem}}\n",
            ]
        )
    )
    server.always(f"POST {BASE}/apply", {"changes": []})

    assert invoke("apply", "-f", str(file)).exit_code == 0
    sent = server.requests("POST", f"{BASE}/apply")[0].body["documents"]
    assert [each["spec"] for each in sent] == [
        {"value": "from-the-environment"},
        {"value": "from\na file"},
    ]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("{value: written-in-the-file}", "never stands in a file"),
        ("{valueFrom: {env: A, file: b}}", "write valueFrom"),
        ("{valueFrom: written}", "write valueFrom"),
        ("{valueFrom: {env: NOT_SET_ANYWHERE}}", "is not set"),
        ("{valueFrom: {file: not-there}}", "No such file"),
    ],
)
def test_a_secret_in_a_document_is_refused_before_anything_is_sent(
    server: ContractServer, tmp_path: Path, spec: str, why: str
) -> None:
    file = tmp_path / "secret.yaml"
    file.write_text(f"apiVersion: agentry/v1\nkind: Secret\nmetadata: {{name: x}}\nspec: {spec}\n")

    refused = invoke("apply", "-f", str(file))

    assert refused.exit_code == 2
    assert why in refused.stderr
    assert "written-in-the-file" not in refused.stderr + refused.stdout
    assert server.requests("POST", f"{BASE}/apply") == []
