"""Secrets planted in every input are in no table, log, stream, answer, page or export afterwards.

What a run writes into its own workspace is its own, and is not searched.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from agents.models import Run
from core import redaction
from core.known_values import KnownSecrets
from governance.models import Workspace
from governance.secrets.places import places_parse
from governance.services.policies import policy_publish, policy_put
from plugins.models import ToolCall
from tests.e2e.real_input.vendors import vendor_process
from tests.factories.agents import make_agent, make_model, make_provider, make_secret, make_tool
from tests.factories.governance import make_workspace
from tests.integration.agents.execution.kit import Engine, an_engine, begin, boss
from tests.integration.security import canaries
from tests.integration.security.canaries import BANK, KNOWN, OUTSIDE, SHAPED, STORED, VENDOR
from tests.processes import a_new_process

# Every address and page is opened twice over; a busy machine takes its time.
pytestmark = pytest.mark.timeout(600)

POLICY = """
rules:
  - name: asked-first
    tools: [transfer]
    effect: ask
    approvers: ["user:boss"]
    allow_self: true
"""


@pytest.fixture
def engine(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Engine]:
    settings.WORKSPACES_DIR = tmp_path / "workspaces"
    with an_engine(settings.WORKSPACES_DIR) as engine:
        yield engine


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")


@pytest.fixture(autouse=True)
def _outside(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.SECRET_PLACES = places_parse(["acme/outside=env:CANARY", "acme/filed=file:filed"])
    settings.SECRETS_DIR = str(tmp_path / "secrets")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "filed").write_text(KNOWN["filed"])
    monkeypatch.setenv("AGENTRY_SECRET_CANARY", OUTSIDE)
    monkeypatch.setattr("agents.engine.loop.RETRY_WAITS_SECONDS", (0.01,))
    with a_new_process():
        yield


class Played:
    """Everything that came out while the canaries were planted and used."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.deltas = ""
        self.logs = ""
        self.asked = 0
        self.opened = 0
        self.found: dict[str, Any] = {}


def play(engine: Engine, workspace: Workspace, folder: Path) -> Played:
    """Plant every canary, let runs do their worst with them, and search everything."""
    played = Played()
    client = APIClient(raise_request_exception=False)
    client.force_login(boss_user())
    with canaries.logged() as log, canaries.reflecting() as host:
        _plant(workspace, host)
        _ask_wrongly(client)
        engine.start(allow_hosts=(host,))
        calls = [
            ("transfer", {"note": SHAPED["arguments"]}),
            ("outsider", {}),
            ("fetch", {"url": f"http://{host}/{SHAPED['arguments']}?q={SHAPED['arguments']}"}),
            ("write", {"path": "notes.txt", "content": SHAPED["arguments"]}),
            ("echo", {"text": SHAPED["arguments"]}),
        ]
        told = f"I was given {SHAPED['model']} and {VENDOR} and {STORED}. Also {BANK}, done."
        with (
            vendor_process(
                "openai",
                folder,
                {"tool_calls": [{"name": n, "arguments": a} for n, a in calls]},
                # Slowly: fragments of an answer that is whole at once need not be shown.
                {"text": told, "reasoning": told, "chunk_chars": 3, "chunk_ms": 3},
                key=VENDOR,
            ) as vendor,
            vendor_process(
                "anthropic",
                folder,
                {"text": "no", "faults": [{"kind": "echo_key", "status": 400, "times": 0}]},
                key=STORED,
            ) as refusing,
        ):
            _agents(workspace, vendor.url, refusing.url)
            runs = [begin(workspace, f"Use {SHAPED['input']} now.")]
            with canaries.watching(runs[0]) as seen:
                _approve(engine, client, runs[0])
                engine.until(runs[0])
            played.frames += seen.encoded
            played.deltas += "".join(seen.deltas.values())
            runs.append(begin(workspace, SHAPED["message"], agent="refused"))
            engine.until(runs[1])
        for run in runs:
            logging.getLogger("canary").warning("run %s %s", run.reason, SHAPED["log"])
        logging.getLogger("canary").error("all of them: %r", canaries.CANARIES)
        engine.stop()
        _search(played, client, workspace)
        played.logs = log.getvalue()
    _note(played, "frames", canaries.canaries_in("\n".join(played.frames)))
    _note(played, "deltas", canaries.canaries_in(played.deltas))
    _note(played, "logs", canaries.canaries_in(played.logs))
    return played


def boss_user() -> Any:
    from governance.models import User

    return User.objects.get(username=boss().username)


def _plant(workspace: Workspace, host: str) -> None:
    make_secret(workspace, "bank", BANK)
    make_secret(workspace, "vendor", VENDOR)
    for name, header in (("transfer", "vendor"), ("outsider", "outside")):
        make_tool(
            workspace,
            name,
            url=f"http://{host}/{name}",
            input_schema={"type": "object"},
            is_privileged=False,
            effect="idempotent",
            headers={"Authorization": f"Bearer ${{secret:{header}}}", "X-Other": "${secret:filed}"},
        )
    policy_put(boss(), workspace=workspace, source=POLICY)
    policy_publish(boss(), workspace=workspace)


def _agents(workspace: Workspace, url: str, refusing: str) -> None:
    given: dict[str, Any] = {"max_retries": 0, "timeout_seconds": 10.0}
    make_provider(workspace, "vendor", kind="openai", base_url=url, script="",
                  api_key="${secret:vendor}", **given)  # fmt: skip
    make_provider(workspace, "refusing", kind="anthropic", base_url=refusing, script="",
                  api_key=STORED, **given)  # fmt: skip
    make_model(workspace, "m", provider="vendor", vendor_name="model-1")
    make_model(workspace, "r", provider="refusing", vendor_name="model-1")
    tools = ["transfer", "outsider", "fetch", "write", "echo"]
    make_agent(workspace, "helper", model="m", tools=tools)
    make_agent(workspace, "refused", model="r")


def _ask_wrongly(client: APIClient) -> None:
    """Requests that are refused: what is wrong with them is told and logged without them."""
    base = "/api/v1/workspaces/acme"
    bad = SHAPED["refused"]
    client.post(f"{base}/secrets", {"name": bad, "value": bad}, format="json")
    client.post(f"{base}/secrets", {"name": "x", "value": bad, "valeu": bad}, format="json")
    client.post(f"{base}/tools", {"name": "t", "headers": {"Authorization": bad}}, format="json")
    client.get(f"{base}/runs", {"state": bad})
    client.get(f"{base}/agents/{bad}")


def _approve(engine: Engine, client: APIClient, run: Run) -> None:
    from agents.contracts import RunState
    from governance.models import Approval

    engine.until(run, RunState.WAITING, wait_kind="approval")
    approval = Approval.objects.get(run_id=run.pk)
    answer = client.post(
        f"/api/v1/workspaces/acme/approvals/{approval.pk}/decide",
        {"verdict": "approve", "reason": f"because of {SHAPED['reason']}"},
        format="json",
    )
    assert answer.status_code == 200, answer.content


def _search(played: Played, client: APIClient, workspace: Workspace) -> None:
    browser = Client()
    browser.force_login(boss_user())
    played.found |= canaries.in_tables()
    played.asked, answers = canaries.in_answers(client, workspace)
    played.opened, pages = canaries.in_console(browser)
    played.found |= answers | pages
    _note(played, "exports", canaries.in_exports(workspace))


def _note(played: Played, place: str, hits: set[str]) -> None:
    if hits:
        played.found[place] = hits


def test_no_canary_is_anywhere(engine: Engine, workspace: Workspace, tmp_path: Path) -> None:
    played = play(engine, workspace, tmp_path)

    assert played.found == {}
    runs = {run.agent_name: run for run in Run.objects.all()}
    assert (runs["helper"].state, runs["refused"].state) == ("succeeded", "failed")
    states = dict(ToolCall.objects.values_list("tool", "state"))
    assert states == dict.fromkeys(("transfer", "outsider", "fetch", "write", "echo"), "committed")
    assert "[redacted]" in played.deltas
    assert "[redacted]" in played.logs
    assert (played.asked > 60, played.opened > 60) == (True, True)
    assert (tmp_path / "workspaces").exists()
    connection.close()


def test_without_redaction_they_are_everywhere(
    engine: Engine, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search bites: with the writers' redaction off it finds them in every kind of place."""
    monkeypatch.setattr(KnownSecrets, "replace", lambda self, text: text)
    monkeypatch.setattr(redaction, "_one_pass", lambda text: text)
    monkeypatch.setattr(redaction, "_SECRET_NAMES", frozenset())

    played = play(engine, workspace, tmp_path)

    places = set(played.found)
    assert {"frames", "deltas", "logs"} <= places, played.deltas
    assert {"agents.Run.input", "agents.Message.parts", "plugins.ToolCall.arguments"} <= places
    assert any(place.startswith("observability.TraceEvent") for place in places)
    assert any(place.startswith("/api/v1/") for place in places)
    assert any(place.startswith("/admin/") for place in places)
    seen = set().union(*played.found.values())
    assert set(SHAPED) | {"vendor", "filed"} <= seen
    connection.close()
