"""The command line and the Python client as people use them, on a real embedded server."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

import agentry
from agentry.cli.main import app
from tests.e2e.client.server import ROOT, SiteProcess

EXAMPLE = str(ROOT / "examples" / "agents" / "researcher.yaml")
NOBODY = "01a202b9-0000-7000-8000-000000000000"
OLD = """\
models:
  - name: local
    provider: mock
tools:
  - name: echo
    type: builtin
"""
SLOW = """\
apiVersion: agentry/v1
kind: Provider
metadata: {name: slow}
spec:
  kind: scripted
  script: |
    steps:
      - {text: One., delay_ms: 700, tool_calls: [{name: echo, arguments: {text: one}}]}
      - {text: Two., delay_ms: 700, tool_calls: [{name: echo, arguments: {text: two}}]}
      - {text: Three., delay_ms: 700}
---
apiVersion: agentry/v1
kind: Model
metadata: {name: slow}
spec: {provider: slow, vendor_name: slow}
---
apiVersion: agentry/v1
kind: Agent
metadata: {name: slow}
spec:
  prompt: Take your time.
  model: slow
  tools: [echo]
"""
# Ends only when somebody ends it.
ENDLESS = (
    SLOW.replace("slow", "endless").replace(
        "- {text: Three., delay_ms: 700}",
        "- {text: Again., delay_ms: 200, repeat: forever, tool_calls: [{name: echo,"
        " arguments: {text: again}}]}",
    )
    + "  limits: {max_iterations: 10000}\n"
)
BROKEN = """\
apiVersion: agentry/v1
kind: Agent
metadata: {name: broken}
spec: {promt: Hello.}
"""

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteProcess]:
    site = SiteProcess(tmp_path_factory.mktemp("site"))
    site.start()
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of somebody whose login is kept in a folder of the test's."""
    return {"AGENTRY_CONFIG_DIR": str(tmp_path_factory.mktemp("login"))}


@pytest.fixture(scope="module")
def cli(
    site: SiteProcess, login: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Command:
    """`agentry`, signed in, with agents that answer at once, later, and never."""

    def run(*words: str, stdin: str = "", **variables: str) -> Result:
        return CliRunner(env=login | variables).invoke(app, list(words), input=stdin)

    ok(run("login", site.url, "--token-stdin", stdin=site.token))
    documents = tmp_path_factory.mktemp("documents") / "agents.yaml"
    documents.write_text(f"{SLOW}---\n{ENDLESS}")
    for file in (EXAMPLE, str(documents)):
        ok(run("apply", "-f", file))
    return run


@pytest.fixture
def client(site: SiteProcess) -> Iterator[agentry.Client]:
    with agentry.Client(site.url, site.token, workspace="demo") as client:
        yield client


def ok(done: Result) -> str:
    assert done.exit_code == 0, done.output
    return done.stdout


def data(done: Result) -> Any:
    return json.loads(ok(done))


def test_the_command_is_there_and_finds_the_login(cli: Command, login: dict[str, str]) -> None:
    """The one that is installed, as a process; the other tests call the same in this one."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("agentry")), "run", "--agent", "researcher", "Why?"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | login,
    )

    assert done.stdout.startswith("● researcher: Why?\n")
    assert "✓ succeeded (3 steps" in done.stdout


def test_a_person_signs_in_and_sees_what_works(cli: Command) -> None:
    me = data(cli("me", "-o", "json"))

    assert me["user"]["username"] == "operator"
    assert (me["token"]["name"], me["token"]["workspace"]) == ("demo", "demo")
    assert [row["name"] for row in me["workspaces"]] == ["demo"]
    assert "✗" not in ok(cli("doctor"))


def test_applying_again_changes_nothing(cli: Command) -> None:
    again = ok(cli("apply", "-f", EXAMPLE))

    assert again.count("unchanged") == len(again.splitlines()) == 4


def test_a_mistake_in_a_document_is_told_with_its_place_and_changes_nothing(
    cli: Command, tmp_path: Path
) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)

    refused = cli("apply", "-f", str(file))

    assert refused.exit_code == 2
    assert f"{file}:4:8: " in refused.stderr
    assert "Did you mean 'prompt'?" in refused.stderr
    assert "broken" not in ok(cli("agents", "ls"))


def test_an_earlier_configuration_is_imported_once(cli: Command, tmp_path: Path) -> None:
    file = tmp_path / ".agentry.yaml"
    file.write_text(OLD)

    assert "kind: Provider" in ok(cli("import", str(file), "--dry-run"))
    assert "mock" not in ok(cli("providers", "ls"))
    assert "Provider/mock create" in ok(cli("import", str(file)))
    assert "Provider/mock unchanged" in ok(cli("import", str(file)))


def test_a_run_is_watched_shown_and_explained(cli: Command) -> None:
    story = ok(cli("run", "--agent", "researcher", "Why is the sky blue?"))
    run = data(cli("runs", "ls", "--agent", "researcher", "-o", "json"))[0]

    assert "✓ succeeded (3 steps" in story
    assert "The scribe says: In short" in story
    assert (run["state"], run["input"]) == ("succeeded", "Why is the sky blue?")
    assert run["output"] in ok(cli("runs", "show", run["id"]))
    assert "[0] user" in ok(cli("runs", "messages", run["id"]))
    events = data(cli("runs", "events", run["id"], "-o", "json"))
    assert [event["sequence"] for event in events] == list(range(1, run["head_sequence"] + 1))
    followed = ok(cli("runs", "events", run["id"], "-f", "-o", "json")).splitlines()
    assert [json.loads(line)["sequence"] for line in followed] == [
        event["sequence"] for event in events
    ]
    assert len(ok(cli("runs", "trace", run["id"])).splitlines()) == len(events)
    assert "succeeded" in ok(cli("runs", "watch", run["id"])).lower()
    assert "succeeded" in ok(cli("runs", "why", run["id"], "-o", "json"))
    replayed = data(cli("runs", "replay", run["id"], "-o", "json"))
    assert replayed["replay_of"] == run["id"]
    forked = data(
        cli("runs", "fork", run["id"], "--at", "2", "--message", "Why not?", "-o", "json")
    )
    assert forked["forked_from"] == {"run": run["id"], "sequence": 2}


def test_a_run_is_paused_resumed_and_cancelled_once(cli: Command, client: agentry.Client) -> None:
    run = ok(cli("run", "-q", "--detach", "--agent", "endless", "Slowly.")).strip()

    ok(cli("runs", "pause", run))
    assert client.runs.wait(run, timeout_seconds=30).state == "paused"
    ok(cli("runs", "resume", run))
    assert "cancelled" in ok(cli("runs", "cancel", run, "--reason", "enough"))
    assert client.runs.wait(run, timeout_seconds=30).state == "cancelled"
    again = cli("runs", "cancel", run)

    assert again.exit_code == 5
    assert "operator" in again.stderr
    assert ok(cli("runs", "why", run)).startswith("Cancelled by operator: enough\n")


def test_everything_there_is_can_be_listed(cli: Command) -> None:
    for noun in ("agents", "providers", "models", "tools", "sessions", "workers", "calls"):
        assert isinstance(data(cli(noun, "ls", "-o", "json")), list), noun
    assert ok(cli("agents", "show", "guide", "-o", "yaml")).startswith("id: ")
    assert "can be played" in ok(cli("providers", "check", "rehearsed"))


def test_a_token_works_within_its_scope_until_it_is_revoked(
    cli: Command, site: SiteProcess
) -> None:
    issued = data(
        cli("tokens", "create", "ci", "--scope", "run.view", "--expires-in", "1d", "-o", "json")
    )
    narrow = {"AGENTRY_URL": site.url, "AGENTRY_TOKEN": issued["secret"]}

    assert isinstance(data(cli("runs", "ls", "-o", "json", **narrow)), list)
    assert cli("run", "--agent", "guide", "x", **narrow).exit_code == 3
    ok(cli("tokens", "revoke", issued["id"]))
    assert cli("runs", "ls", **narrow).exit_code == 3


@pytest.mark.parametrize(
    ("words", "variables", "status", "sentence"),
    [
        (("me",), {"AGENTRY_TOKEN": "agk_nonsense"}, 3, "The API token is not valid here."),
        (("runs", "ls", "-w", "nowhere"), {}, 4, "There is no such workspace"),
        (("run", "--agent", "nobody", "x"), {}, 4, "There is no agent 'nobody'"),
        (("runs", "show", NOBODY), {}, 4, "There is no run here"),
        (("me",), {"AGENTRY_URL": "http://127.0.0.1:9"}, 6, "cannot be reached"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_a_status(
    cli: Command,
    site: SiteProcess,
    words: tuple[str, ...],
    variables: dict[str, str],
    status: int,
    sentence: str,
) -> None:
    known = {"AGENTRY_URL": site.url, "AGENTRY_TOKEN": site.token} if variables else {}

    failed = cli(*words, **(known | variables))

    assert (failed.exit_code, failed.stdout) == (status, "")
    assert sentence in failed.stderr


def test_a_call_waits_repeats_and_refuses_over_http(site: SiteProcess, cli: Command) -> None:
    """`cli` has made the agent that answers at once."""
    path = "/api/v1/workspaces/demo/agents/researcher/invoke"
    headers = {"Authorization": f"Bearer {site.token}"}
    with httpx2.Client(base_url=site.url, headers=headers, timeout=30) as http:
        waited = http.post(path, json={"input": "x", "wait": 20})
        first, second = (
            http.post(path, json={"input": "y"}, headers={"Idempotency-Key": "once"})
            for _ in range(2)
        )
        other = http.post(path, json={"input": "z"}, headers={"Idempotency-Key": "once"})
        text = http.post(path, content=b"hello", headers={"Content-Type": "text/plain"})
        streamed = http.post(path, json={"input": "x", "stream": True})

    assert (waited.status_code, waited.json()["state"]) == (200, "succeeded")
    assert (first.status_code, second.json()["id"]) == (202, first.json()["id"])
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert (text.status_code, text.json()["code"]) == (415, "unsupported_media_type")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert "event: end" in streamed.text


def test_a_run_tells_what_it_was_sent_with(
    site: SiteProcess, cli: Command, client: agentry.Client
) -> None:
    path = "/api/v1/workspaces/demo/agents/researcher/invoke"
    headers = {"Authorization": f"Bearer {site.token}", "User-Agent": "agentry-cli/1.0"}
    with httpx2.Client(base_url=site.url, headers=headers, timeout=30) as http:
        # The first is remembered for the others, which take the short cut.
        invoked = [http.post(path, json={"input": "x"}).json() for _ in range(3)]
    started = data(cli("run", "--agent", "researcher", "x", "-o", "json"))
    sent = client.runs.start("x", agent="researcher")

    assert [(run["surface"], run["client"]) for run in invoked] == [("api", "cli")] * 3
    assert (started["client"], sent.surface, sent.client) == ("cli", "api", "sdk")


def test_the_earlier_routes_still_answer(site: SiteProcess, cli: Command) -> None:
    headers = {"Authorization": f"Bearer {site.token}"}
    with httpx2.Client(base_url=site.url, headers=headers, timeout=30) as http:
        agent = http.post("/spawn", json={"template": "researcher"}).json()["agent_id"]
        answer = http.post("/invoke", json={"agent_id": agent, "input": "x"}).json()
        known = [row["agent_id"] for row in http.get("/agents").json()]
        traced = http.get("/traces").text.splitlines()
        killed = http.post("/kill", json={"agent_id": agent}).json()

    assert answer["output"].startswith("The scribe says")
    assert answer["summary"]["tokens"] > 0
    assert agent in known
    assert {"ts", "type", "agent_id", "data"} <= set(json.loads(traced[0]))
    assert killed == {"ok": True}


def test_the_address_of_the_site_leads_to_the_console(site: SiteProcess) -> None:
    answer = httpx2.get(site.url + "/", timeout=30)

    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/")


async def test_the_asynchronous_client_does_the_same(site: SiteProcess, cli: Command) -> None:
    async with agentry.AsyncClient(site.url, site.token, workspace="demo") as client:
        run = await client.runs.start("Why?", agent="researcher")
        seen = [event.sequence async for event in client.runs.stream(run.id)]
        ended = await client.runs.wait(run.id, timeout_seconds=30)
        me = await client.me()

    assert ended.state == "succeeded"
    assert seen == list(range(1, ended.head_sequence + 1))
    assert me.user.username == "operator"


def test_a_stream_goes_on_where_a_killed_server_broke_it(
    site: SiteProcess, client: agentry.Client
) -> None:
    """The run itself goes on too: what was recorded is not done again."""
    run = client.runs.start("Slowly.", agent="slow")
    seen: list[int] = []
    restarting = threading.Thread(target=site.start)
    for event in client.runs.stream(run.id):
        seen.append(event.sequence)
        if len(seen) == 4:
            site.kill()
            restarting.start()
    restarting.join()
    ended = client.runs.wait(run.id, timeout_seconds=30)

    assert ended.state == "succeeded"
    assert seen == list(range(1, ended.head_sequence + 1))
    assert [call.state for call in client.runs.tool_calls(run.id)] == ["committed"] * 2
