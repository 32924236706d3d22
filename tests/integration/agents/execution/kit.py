"""A real engine on the test database, and words to tell what it shall do and what it did."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from django.test import override_settings

from agents.contracts import Message, RunState
from agents.engine_process import make_journal
from agents.execution.claiming import history_of
from agents.execution.furnishing import HostSettings
from agents.execution.host import EngineHost
from agents.models import Checkpoint, Model, Provider, Run
from agents.services.runs import run_start
from agents.transitions import LIVE, TERMINAL
from core import pausepoints
from core.clock import monotonic
from core.env import Environment
from governance.access import actor_of_user
from governance.contracts import Actor
from governance.models import User, Workspace
from observability.models import TraceEvent
from plugins.models import ToolCall
from sandbox.contracts import RunnerSource
from sandbox.services import Sandboxes
from tests.factories.agents import make_agent, make_model, make_provider
from tests.factories.governance import make_user
from tests.waiting import wait_for

PATIENCE_SECONDS = 60.0
PARKED = frozenset({RunState.WAITING, RunState.PAUSED, RunState.YIELDED})
WORDS = 'steps: [{text: "Hello."}]'
LOOP = """
steps:
  - tool_calls: [{name: echo, arguments: {text: again}}]
    usage: {input_tokens: 10, output_tokens: 5}
    repeat: forever
"""


def _sandboxes() -> Sandboxes:
    """The engines of this process, whatever a test has put into its environment."""
    return Sandboxes(environment=Environment({}))


class Engine:
    """Starts hosts and waits for what they do; every commit of a journal is a moment to look."""

    def __init__(self, workspaces: Path) -> None:
        self.workspaces = workspaces
        self.make_sandboxes: Callable[[], RunnerSource] = _sandboxes
        self._hosts: list[EngineHost] = []
        self._moved = threading.Condition()

    def start(self, **changes: Any) -> EngineHost:
        options: dict[str, Any] = {
            "capacity": 50,
            "lease_seconds": 30.0,
            "poll_seconds": 0.05,
            "drain_seconds": 5.0,
            "workspaces": self.workspaces,
            "allow_hosts": (),
        }
        # In this process: the site's sandbox worker takes only the site's own workspaces.
        host = EngineHost(HostSettings(**{**options, **changes}), make_journal, self.make_sandboxes)
        host.start()
        self._hosts.append(host)
        return host

    @property
    def is_started(self) -> bool:
        return bool(self._hosts)

    def stop(self) -> None:
        while self._hosts:
            self._hosts.pop().drain()

    def moved(self) -> None:
        with self._moved:
            self._moved.notify_all()

    def until(self, run: Run, *states: RunState, **fields: Any) -> Run:
        """Wait until the run is in one of the states, with these fields; fails with where it is."""
        wanted = {state.value for state in states} or TERMINAL
        ends_at = monotonic() + PATIENCE_SECONDS
        while True:
            run.refresh_from_db()
            if run.state in wanted and all(getattr(run, k) == v for k, v in fields.items()):
                return run
            if (run.state in TERMINAL and run.state not in wanted) or monotonic() > ends_at:
                raise AssertionError(f"{run.state} {run.wait_kind} {run.error_code}: {run.reason}")
            with self._moved:
                self._moved.wait(0.05)

    def until_idle(self, host: EngineHost) -> None:
        """Wait until the host drives nothing: a driver ends a moment after its last commit."""
        wait_for(
            lambda: not host.running,
            lambda: f"it drives {host.running} runs",
            seconds=PATIENCE_SECONDS,
        )

    def play(self, run: Run) -> Run:
        """Drive a run to its end with an engine of its own."""
        if not self._hosts:
            self.start()
        return self.until(run)


@contextmanager
def an_engine(workspaces: Path) -> Iterator[Engine]:
    engine = Engine(workspaces)
    with (
        override_settings(WORKSPACES_DIR=workspaces),
        pausepoints.at("journal.after_commit", engine.moved),
    ):
        try:
            yield engine
        finally:
            engine.stop()
    connection.close()


class Gate:
    """Holds the engine the first time it comes to a point."""

    def __init__(self) -> None:
        self._is_held = threading.Event()
        self._may_go = threading.Event()

    def __call__(self) -> None:
        self._is_held.set()
        assert self._may_go.wait(PATIENCE_SECONDS)

    def wait(self) -> None:
        assert self._is_held.wait(PATIENCE_SECONDS)

    def open(self) -> None:
        self._may_go.set()


@contextmanager
def held_at(point: str) -> Iterator[Gate]:
    gate = Gate()
    with pausepoints.at(point, gate):
        try:
            yield gate
        finally:
            gate.open()


def boss() -> Actor:
    """Somebody who may do everything."""
    user = User.objects.filter(username="boss").first()
    return actor_of_user(user or make_user("boss", is_superuser=True))


def script_agent(workspace: Workspace, script: str, name: str = "helper", **spec: Any) -> None:
    """An agent, with a provider and a model of its own that play `script`."""
    make_provider(workspace, f"p-{name}", script=script)
    make_model(workspace, f"m-{name}", provider=f"p-{name}", vendor_name=f"v-{name}")
    make_agent(workspace, name, **{"model": f"m-{name}", **spec})


def begin(workspace: Workspace, text: str = "do it", agent: str = "helper", **options: Any) -> Run:
    return run_start(actor=boss(), workspace=workspace, agent=agent, input=text, **options)


def history(run: Run) -> list[Message]:
    return history_of(run.pk, run.message_count)


def told(run: Run) -> list[str]:
    """The history as lines: who, and what; calls by name, results with their outcome."""
    lines = []
    for message in history(run):
        for part in message.parts:
            match msgspec.to_builtins(part):
                case {"type": "tool_call", "name": name}:
                    lines.append(f"call {name}")
                case {"type": "tool_call_response", "result": text, "is_error": is_error}:
                    lines.append(f"{'error' if is_error else 'result'} {text}")
                case {"content": text}:
                    lines.append(f"{message.role.value} {text}")
    return lines


def ledger(run: Run) -> list[tuple[str, str]]:
    rows = ToolCall.objects.filter(run_id=run.pk).order_by("position", "index")
    return [(row.tool, row.state) for row in rows]


def kinds(run: Run) -> list[str]:
    rows = TraceEvent.objects.filter(run_id=run.pk).order_by("sequence")
    return list(rows.values_list("kind", flat=True))


def check_invariants(run_id: UUID) -> None:
    """What holds of every run at every rest: dense events and checkpoints, counted messages, no
    call open after the end, and each call with exactly one entry and one result."""
    run = Run.objects.get(pk=run_id)
    sequences = list(
        TraceEvent.objects.filter(run_id=run_id)
        .order_by("sequence")
        .values_list("sequence", flat=True)
    )
    assert sequences == list(range(1, run.head_sequence + 1))
    points = list(
        Checkpoint.objects.filter(run_id=run_id)
        .order_by("sequence")
        .values_list("sequence", flat=True)
    )
    assert points == list(range(1, len(points) + 1))
    messages = history(run)
    assert len(messages) == run.message_count
    if run.state in TERMINAL:
        open_states = {"planned", "waiting", "approved", "claimed", "dispatched"}
        assert open_states.isdisjoint(state for _, state in ledger(run))
        assert run.finished_at is not None
        assert (run.worker_id, run.lease_until) == (None, None)
    assert run.state in LIVE | TERMINAL


def set_provider(workspace: Workspace, name: str, **fields: Any) -> None:
    Provider.objects.filter(workspace=workspace, name=name).update(**fields)


def set_model(workspace: Workspace, name: str, **fields: Any) -> None:
    Model.objects.filter(workspace=workspace, name=name).update(**fields)
