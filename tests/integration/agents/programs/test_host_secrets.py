"""Secrets that the gateway adds for one host: sent there, and nowhere inside or in writing."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agents.contracts import RunState
from core.errors import InvalidInputError, PermissionDeniedError
from core.known_values import KnownSecrets
from governance.contracts import SYSTEM
from governance.models import AuditEntry, Role, Workspace
from governance.services.secrets import secret_set
from plugins.models import ToolCall, ToolDefinition
from plugins.services.tools import tool_update
from sandbox.contracts import RunnerSource
from sandbox.remote import ChildWorker, RemoteSandboxes
from sandbox.services import Sandboxes, default_folder
from tests.factories.agents import make_secret, make_tool
from tests.integration.agents.approvals.kit import (
    ASK,
    decide,
    parked,
    person,
    publish,
    told_engine,
)
from tests.integration.agents.execution.kit import Engine, begin, script_agent
from tests.integration.agents.programs.test_commands import ANYTHING, called, declare
from tests.integration.agents.programs.test_programs import a_script, folder_of
from tests.integration.security import canaries
from tests.integration.security.canaries import VENDOR

OTHER = "kanariesomethingelse"
FETCH = (
    "python3 -c 'import sys, urllib.request as u; "
    'print(u.urlopen(sys.argv[1], timeout=9).read().decode())\' "$ARG_TEXT"'
)
EVERYTHING = (
    f"{FETCH}; env; ls -la /run/secrets; "
    "cat /proc/*/environ /proc/*/cmdline /etc/hosts 2>/dev/null; "
    "find / -xdev -type f -newer /proc/1 -exec cat {} + 2>/dev/null; "
    "find /workspace /tmp /run -type f -exec cat {} + 2>/dev/null; env >/workspace/kept"
)


class Api:
    """A real server that keeps what it was sent and sends it back."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.moved_to = ""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.sent.append(self.headers.get("authorization", "nothing"))
                self.send_response(302 if api.moved_to else 200)
                if api.moved_to:
                    self.send_header("location", api.moved_to)
                self.end_headers()
                self.wfile.write(b"got " + api.sent[-1].encode())

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"


@contextlib.contextmanager
def an_api() -> Iterator[Api]:
    api = Api()
    thread = threading.Thread(target=api.server.serve_forever)
    thread.start()
    yield api
    api.server.shutdown()
    thread.join()
    api.server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    with an_api() as found:
        yield found


@pytest.fixture
def other() -> Iterator[Api]:
    with an_api() as found:
        yield found


def bound(api: Api, **changes: str) -> dict[str, str]:
    given = {"name": "github", "host": api.place, "header": "Authorization"}
    return {**given, "format": "Bearer {value}", **changes}


def _here(_: Engine) -> Callable[[], RunnerSource]:
    return Sandboxes


def _through_the_worker(engine: Engine) -> Callable[[], RunnerSource]:
    child = ChildWorker(workspaces=engine.workspaces, folder=default_folder())
    return lambda: RemoteSandboxes(child.locate, child.peek)


@pytest.mark.parametrize("where", [_here, _through_the_worker])
def test_the_value_goes_to_its_host_and_is_nowhere_else(
    engine: Engine,
    workspace: Workspace,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    where: Callable[[Engine], Callable[[], RunnerSource]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Nothing strikes it out afterwards: what is not found was never there.
    monkeypatch.setattr(KnownSecrets, "replace", lambda self, text: text)
    make_secret(workspace, "github", VENDOR)
    declare(workspace, EVERYTHING, net=[api.place], secrets=[bound(api)])
    engine.make_sandboxes = where(engine)

    with canaries.logged() as log:
        call = called(engine, workspace, text=f"http://{api.place}/")

    assert api.sent == [f"Bearer {VENDOR}"]
    assert call.state == "committed"
    assert call.result.splitlines()[2:3] == [f"got {'*' * len(f'Bearer {VENDOR}')}"]
    assert "ARG_TEXT=" in call.result
    assert canaries.canaries_in(call.result) == set()
    assert canaries.in_tables() == {}
    assert canaries.canaries_in(log.getvalue()) == set()
    folder = folder_of(engine, workspace, call.run_id)
    kept = [each.read_text() for each in folder.rglob("*") if each.is_file()]
    assert canaries.canaries_in("\n".join(kept)) == set()
    assert _own_words() == set()
    assert canaries.canaries_in("".join(capfd.readouterr())) == set()  # the worker's log as well
    (used,) = AuditEntry.objects.filter(action="secret_used")
    assert (used.subject_label, used.payload["label"]) == ("github", "local")


def _own_words() -> set[str]:
    """Look at the arguments and environments of every process here."""
    words = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                words += [(process / name).read_text() for name in ("cmdline", "environ")]
    return canaries.canaries_in("\n".join(words))


def test_a_redirect_to_another_host_does_not_carry_it(
    engine: Engine, workspace: Workspace, api: Api, other: Api
) -> None:
    api.moved_to = f"http://{other.place}/"
    make_secret(workspace, "github", VENDOR)
    declare(workspace, FETCH, net=[api.place, other.place], secrets=[bound(api)])

    call = called(engine, workspace, text=f"http://{api.place}/")

    assert (api.sent, other.sent) == ([f"Bearer {VENDOR}"], ["nothing"])
    assert "got nothing" in call.result


def test_another_tool_of_the_run_has_no_part_in_it(
    engine: Engine, workspace: Workspace, api: Api
) -> None:
    make_secret(workspace, "github", VENDOR)
    declare(workspace, FETCH, net=[api.place], secrets=[bound(api)])
    make_tool(
        workspace,
        "plain",
        kind="command",
        command=FETCH,
        url="",
        net=[api.place],
        is_privileged=False,
        input_schema=ANYTHING,
    )
    address = {"text": f"http://{api.place}/"}
    turns = [[("local", address)], [("plain", address)], [("local", address)]]
    script_agent(workspace, a_script(*turns), tools=["local", "plain"])

    engine.play(begin(workspace))

    assert api.sent == [f"Bearer {VENDOR}", "nothing", f"Bearer {VENDOR}"]


def test_the_next_run_sends_the_value_of_the_day(
    engine: Engine, workspace: Workspace, api: Api
) -> None:
    make_secret(workspace, "github", VENDOR)
    declare(workspace, FETCH, net=[api.place], secrets=[bound(api, format="{value}")])
    called(engine, workspace, text=f"http://{api.place}/")

    secret_set(SYSTEM, workspace=workspace, name="github", value=OTHER)
    engine.play(begin(workspace))

    assert api.sent == [VENDOR, OTHER]


def test_a_yes_is_bound_to_which_value_it_had(
    engine: Engine, workspace: Workspace, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("governance.services.policies.policy_engine", told_engine)
    make_secret(workspace, "github", VENDOR)
    declare(workspace, FETCH, net=[api.place], secrets=[bound(api)])
    publish(workspace, local=ASK)
    ann = person(workspace, "ann")
    script = a_script([("local", {"text": f"http://{api.place}/"})])
    script_agent(workspace, script, tools=["local"])
    run = begin(workspace)
    (approval,) = parked(engine, run)
    assert approval.binding["credential"].startswith("github@")

    secret_set(SYSTEM, workspace=workspace, name="github", value=OTHER)
    decide(ann, approval)
    engine.until(run, RunState.SUCCEEDED)

    call = ToolCall.objects.get(run_id=run.pk)
    assert (call.state, api.sent) == ("denied", [])
    assert "Changed since: credential." in call.result


def test_a_value_that_no_header_holds_is_refused_by_name(
    engine: Engine, workspace: Workspace, api: Api
) -> None:
    make_secret(workspace, "github", "two lines\nof a secret")
    declare(workspace, f"touch ran; {FETCH}", net=[api.place], secrets=[bound(api)])

    call = called(engine, workspace, text=f"http://{api.place}/")

    assert (call.state, api.sent) == ("failed", [])
    assert f"The secret 'github' cannot be sent in a header to {api.place}." in call.result
    assert not (folder_of(engine, workspace, call.run_id) / "ran").exists()


NET = ["api.example.com:443", "*.wide.example:8443"]
GOOD = {"name": "github", "host": "api.example.com", "header": "X-Key", "format": "Bearer {value}"}


@pytest.mark.parametrize(
    "secret",
    [
        GOOD,
        {**GOOD, "host": "api.example.com:443"},
        {**GOOD, "host": "API.example.com"},
        {**GOOD, "host": "one.wide.example:8443"},
        {"name": "github", "host": "api.example.com", "header": "X-Key"},
    ],
)
def test_a_host_of_the_list_may_be_given_a_secret(
    db: None, workspace: Workspace, secret: dict[str, str]
) -> None:
    make_secret(workspace, "github", VENDOR)

    row = declare(workspace, "true", net=NET, secrets=[secret])

    row.refresh_from_db()
    assert row.secrets == [secret]
    assert tool_update(actor=SYSTEM, tool=row, description="Again.").secrets == [secret]


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ({**GOOD, "host": "api.example.com:8443"}, "does not list that host and port"),
        ({**GOOD, "host": "other.example"}, "does not list that host and port"),
        ({**GOOD, "host": "a b"}, "'a b:443' cannot be used"),
        ({**GOOD, "header": "Host"}, "the header's name or its value cannot be sent"),
        ({**GOOD, "header": "X Key"}, "the header's name or its value cannot be sent"),
        ({**GOOD, "format": "Bearer"}, "has to hold {value} once"),
        ({**GOOD, "format": "{value}{value}"}, "has to hold {value} once"),
        ({**GOOD, "format": "{value}\r\nX: y"}, "the header's name or its value cannot be sent"),
        ({**GOOD, "format": "sk-abcdefghijklmnop1234{value}"}, "looks like a secret itself"),
        ({**GOOD, "format": f"{'x' * 33}{{value}}"}, "looks like a secret itself"),
        ({**GOOD, "name": "../x"}, "cannot be the name of a secret"),
        ({**GOOD, "name": "missing"}, "There is no secret 'missing'"),
        ({"name": "github", "host": "api.example.com"}, "missing required field `header`"),
        ({**GOOD, "value": "x"}, "unknown field `value`"),
    ],
)
def test_a_binding_that_cannot_work_is_refused_when_it_is_declared(
    db: None, workspace: Workspace, secret: dict[str, str], sentence: str
) -> None:
    make_secret(workspace, "github", VENDOR)

    with pytest.raises(InvalidInputError) as raised:
        declare(workspace, "true", net=NET, secrets=[secret])

    assert sentence in json.dumps(raised.value.fields["secrets"]).replace('\\"', '"')
    assert not ToolDefinition.objects.exists()


@pytest.mark.parametrize("extra", ["github", {**GOOD, "header": "x-key"}])
def test_two_that_are_at_odds_are_refused(
    db: None, workspace: Workspace, extra: str | dict[str, str]
) -> None:
    make_secret(workspace, "github", VENDOR)

    with pytest.raises(InvalidInputError) as raised:
        declare(workspace, "true", net=NET, secrets=[GOOD, extra])

    assert raised.value.fields.keys() == {"secrets"}
    assert not ToolDefinition.objects.exists()


@pytest.mark.parametrize("named", ["github", GOOD])
@pytest.mark.parametrize(
    "change",
    [
        {"command": "cat /run/secrets/* >kept"},
        {"probe_command": "cat /run/secrets/* >kept"},
        {"net": [*NET, "mine.example:443"]},
        {"secrets": [{**GOOD, "host": "one.wide.example:8443"}]},
    ],
)
def test_who_may_not_see_secrets_has_none_sent_elsewhere(
    db: None, workspace: Workspace, named: str | dict[str, str], change: dict[str, Any]
) -> None:
    make_secret(workspace, "github", VENDOR)
    row = declare(workspace, "true", net=NET, secrets=[named])
    permissions = ["workspace.view", "tool.view", "tool.edit"]
    Role.objects.create(workspace=workspace, name="tooler", permissions=permissions)
    editor = person(workspace, "ed", "tooler")

    with pytest.raises(PermissionDeniedError):
        tool_update(actor=editor, tool=row, **change)
    tool_update(actor=editor, tool=row, description="Says what it does.")

    row.refresh_from_db()
    assert (row.command, row.probe_command, row.net, row.secrets) == ("true", "", NET, [named])
    assert row.description == "Says what it does."
