"""Draining a worker: its runs go elsewhere, it stays, and it can be undone while it lasts."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from agents.contracts import RunState, WorkerState
from agents.execution.host import EngineHost
from agents.models import Run, Worker
from agents.selectors.workers import worker_state
from agents.services.workers import worker_drain, worker_undrain
from core import clock, pausepoints
from core.errors import ConflictError, NotFoundError, PermissionDeniedError
from core.ids import new_id
from governance.contracts import Actor
from governance.models import AuditEntry, Workspace
from governance.selectors.activity import activity_list
from plugins.contracts import ToolResult
from tests.factories.governance import Cast
from tests.integration.agents.execution.files import AppendTool
from tests.integration.agents.execution.kit import (
    WORDS,
    Engine,
    begin,
    boss,
    check_invariants,
    kinds,
    script_agent,
)
from tests.waiting import wait_for

ONE_CALL = "steps: [{tool_calls: [{name: append, arguments: {}}]}, {text: done}]"
LONG = """
steps:
  - tool_calls: [{name: echo, arguments: {text: again}}]
    delay_ms: 50
    repeat: forever
"""
# Nobody hurries a drain that was asked for: it has to end long before this.
PATIENT = {"drain_seconds": 300.0}


def state_of(host: EngineHost) -> WorkerState:
    return worker_state(Worker.objects.get(pk=host.worker_id))


def until(host: EngineHost, wanted: WorkerState) -> None:
    wait_for(lambda: state_of(host) is wanted, lambda: f"it is {state_of(host)}", seconds=60)


def told() -> list[str]:
    rows = AuditEntry.objects.filter(action="worker_changed").order_by("sequence")
    return [row.payload["what"] for row in rows]


def test_a_drained_worker_gives_its_runs_to_another_and_takes_none(
    engine: Engine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both are in this process, and neither takes the other for one that died in it.
    monkeypatch.setattr("agents.execution.host.workers_bury", lambda: 0)
    script_agent(workspace, LONG)
    first = engine.start(**PATIENT)
    run = begin(workspace, limits={"max_iterations": 10_000})
    engine.until(run, RunState.RUNNING, worker_id=first.worker_id)

    worker_drain(boss(), worker_id=first.worker_id)
    until(first, WorkerState.DRAINED)
    assert first.running == 0
    later = begin(workspace, limits={"max_iterations": 3})
    second = engine.start(**PATIENT)
    engine.until(run, RunState.RUNNING, worker_id=second.worker_id)
    engine.until(later, RunState.YIELDED)

    assert state_of(first) is WorkerState.DRAINED
    assert first.running == 0
    assert Run.objects.get(pk=run.pk).crashes == 0
    check_invariants(later.pk)


def test_an_undone_drain_lets_it_take_runs_again(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, WORDS)
    host = engine.start()
    worker_drain(boss(), worker_id=host.worker_id)
    until(host, WorkerState.DRAINED)
    run = begin(workspace)

    worker_undrain(boss(), worker_id=host.worker_id)

    engine.until(run, RunState.SUCCEEDED)
    until(host, WorkerState.SERVING)
    assert told() == ["drained", "put to work again"]


def test_a_run_that_is_still_there_stays_when_the_drain_is_undone(
    engine: Engine, workspace: Workspace, append: AppendTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_called, may_end = threading.Event(), threading.Event()

    async def long_call(arguments: object, context: object) -> ToolResult:
        is_called.set()
        await asyncio.to_thread(may_end.wait, 60)
        return ToolResult(text="At last.")

    monkeypatch.setattr(append, "call", long_call)
    script_agent(workspace, ONE_CALL, tools=["append"])
    host = engine.start(**PATIENT)
    run = begin(workspace)
    assert is_called.wait(60)

    try:
        worker_drain(boss(), worker_id=host.worker_id)
        until(host, WorkerState.DRAINING)
        worker_undrain(boss(), worker_id=host.worker_id)
        until(host, WorkerState.SERVING)
    finally:
        may_end.set()
    engine.until(run, RunState.SUCCEEDED)

    assert kinds(run).count("run.claimed") == 1
    assert told() == ["drained", "put to work again"]


def test_a_worker_that_stops_while_it_drains_ends(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, WORDS)
    host = engine.start()
    worker_drain(boss(), worker_id=host.worker_id)
    until(host, WorkerState.DRAINED)

    host.drain()

    assert not Worker.objects.filter(pk=host.worker_id).exists()


def test_a_row_that_is_lost_does_not_undo_it(engine: Engine, workspace: Workspace) -> None:
    host = engine.start(lease_seconds=0.6)
    worker_drain(boss(), worker_id=host.worker_id)
    until(host, WorkerState.DRAINED)

    Worker.objects.all().delete()

    wait_for(Worker.objects.exists, lambda: "it has not reported itself again", seconds=60)
    assert state_of(host) is WorkerState.DRAINED
    assert Worker.objects.get().drain_asked_at is not None


def test_the_one_started_in_its_place_works(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, WORDS)
    host = engine.start()
    worker_drain(boss(), worker_id=host.worker_id)
    host.drain()
    run = begin(workspace)

    fresh = engine.start()

    engine.until(run, RunState.SUCCEEDED)
    assert state_of(fresh) is WorkerState.SERVING


def worker(**fields: Any) -> Worker:
    now = clock.now()
    values = {"name": "h1:7", "host": "h1", "pid": 7, "capacity": 9, "started_at": now}
    return Worker.objects.create(**{**values, "seen_at": now, **fields})


@pytest.fixture
def root(cast: Cast) -> Actor:
    return cast.actor("root")


def test_asking_twice_is_noted_once(root: Actor) -> None:
    row = worker()

    first = worker_drain(root, worker_id=row.pk)
    again = worker_drain(root, worker_id=row.pk)

    assert first.drain_asked_at == again.drain_asked_at is not None
    assert (again.drain_asked_by, told()) == ("root", ["drained"])
    entry = activity_list(root).get(object_pk=str(row.pk))
    assert entry.changes_dict == {"drain": ["no", "yes"]}
    assert entry.additional_data["by"] == "root"


def test_of_two_who_ask_at_once_one_is_noted(root: Actor) -> None:
    row = worker()

    def first() -> None:
        with pausepoints.at("drain.before_update", lambda: None):
            worker_drain(root, worker_id=row.pk)

    with pausepoints.at("drain.before_update", first):
        worker_drain(root, worker_id=row.pk)

    assert told() == ["drained"]


def test_undoing_what_nobody_asked_changes_nothing(root: Actor) -> None:
    row = worker()

    worker_undrain(root, worker_id=row.pk)

    assert told() == []


def test_a_worker_that_is_silent_or_gone_is_not_asked(root: Actor) -> None:
    silent = worker(seen_at=clock.now() - timedelta(minutes=2))

    with pytest.raises(ConflictError, match="has not been heard of since"):
        worker_drain(root, worker_id=silent.pk)
    with pytest.raises(NotFoundError, match="it has stopped"):
        worker_drain(root, worker_id=new_id())
    with pytest.raises(NotFoundError):
        worker_undrain(root, worker_id=new_id())

    silent.refresh_from_db()
    assert (silent.drain_asked_at, told()) == (None, [])


@pytest.mark.parametrize("name", ["admin", "operator", "viewer"])
def test_only_who_runs_the_site_drains(cast: Cast, name: str) -> None:
    row = worker()

    for deed in (worker_drain, worker_undrain):
        with pytest.raises(PermissionDeniedError, match="Only a superuser"):
            deed(cast.actor(name), worker_id=row.pk)

    row.refresh_from_db()
    assert (row.drain_asked_at, told()) == (None, [])


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, WorkerState.SERVING),
        ({"drain_asked_at": clock.now()}, WorkerState.ASKED),
        ({"is_draining": True, "running": 2}, WorkerState.DRAINING),
        ({"is_draining": True}, WorkerState.DRAINED),
        ({"seen_at": clock.now() - timedelta(minutes=2), "running": 2}, WorkerState.SILENT),
    ],
)
@pytest.mark.django_db
def test_a_workers_state_is_what_it_says_and_what_it_was_asked(
    fields: dict[str, Any], state: WorkerState
) -> None:
    assert worker_state(worker(**fields)) is state
