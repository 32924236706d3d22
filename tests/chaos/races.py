"""Many people at once: the same request from a hundred threads, and what each of them heard.

Called inside a process that has the project set up (see `inside`).
"""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import connection

from agents.contracts import Message as HistoryMessage
from agents.contracts import RunState
from agents.engine.history import message_of
from agents.errors import SessionBusyError
from agents.execution.claiming import claim
from agents.models import Checkpoint, Message, Run
from agents.services.runs import run_cancel, run_fork, run_pause, run_replay, run_resume, run_start
from agents.services.sessions import session_create
from core import clock
from core.errors import InvalidInputError, StaleStateError
from core.ids import new_id
from core.pausepoints import at
from governance.contracts import Actor
from governance.models import User, Workspace
from observability.models import TraceEvent
from plugins.contracts import CallState, WaitKind
from plugins.models import ToolCall
from plugins.services.calls import call_resolve
from tests.chaos.scenario import person, start, tree


def _everybody(count: int) -> list[Actor]:
    """People who may do anything, each with a name of their own."""
    owner = User.objects.get(username="operator")
    return [
        Actor(user_id=owner.pk, username=f"person-{number}", is_superuser=True)
        for number in range(count)
    ]


def _at_once(actors: Sequence[Actor], deed: Callable[[Actor], object]) -> dict[str, Any]:
    """Let everybody do it at the same moment; sort what they heard."""
    barrier = threading.Barrier(len(actors))
    winners: list[str] = []
    losers: list[StaleStateError] = []
    others: list[str] = []

    def act(actor: Actor) -> None:
        try:
            barrier.wait(60)
            deed(actor)
            winners.append(actor.username)
        except StaleStateError as error:
            losers.append(error)
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            others.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(actor,)) for actor in actors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    named = sum(
        bool(winners) and winners[0] in str(error) and error.detail.get("by") == winners[0]
        for error in losers
    )
    return {"won": len(winners), "stale": len(losers), "named": named, "others": others[:3]}


def cancels(*, count: int, is_running: bool) -> dict[str, Any]:
    run_id = UUID(start(agent="slow", count=1, text="race")[0])
    if is_running:
        _own(run_id)
    return _at_once(_everybody(count), lambda actor: run_cancel(actor=actor, run_id=run_id))


def pauses(*, count: int) -> dict[str, Any]:
    run_id = UUID(start(agent="slow", count=1, text="race")[0])
    return _at_once(_everybody(count), lambda actor: run_pause(actor=actor, run_id=run_id))


def resumes(*, count: int) -> dict[str, Any]:
    run_id = UUID(start(agent="slow", count=1, text="race")[0])
    run_pause(actor=person(), run_id=run_id)
    heard = _at_once(_everybody(count), lambda actor: run_resume(actor=actor, run_id=run_id))
    run_cancel(actor=person(), run_id=run_id)
    return heard


def resolves(*, count: int) -> dict[str, Any]:
    """A hundred people say what became of one call, each something else."""
    run_id = UUID(start(agent="slow", count=1, text="race")[0])
    Run.objects.filter(pk=run_id).update(
        state=RunState.WAITING.value, wait_kind=WaitKind.IN_DOUBT.value
    )
    call = ToolCall.objects.create(
        workspace_id=Run.objects.get(pk=run_id).workspace_id, run_id=run_id, position=1, index=0,
        provider_call_id="call", tool="mail", effect="irreversible", arguments={},
        state=CallState.IN_DOUBT.value, reason="unknown", planned_at=clock.now(),
    )  # fmt: skip
    outcomes = ("committed", "failed")
    actors = _everybody(count)
    heard = _at_once(
        actors,
        lambda actor: call_resolve(
            actor=actor, call_id=call.pk, outcome=outcomes[actors.index(actor) % 2]
        ),
    )
    heard["events"] = TraceEvent.objects.filter(run_id=run_id, kind="tool.resolved").count()
    heard["state"] = Run.objects.get(pk=run_id).state
    run_cancel(actor=person(), run_id=run_id)
    return heard


def _own(run_id: UUID) -> None:
    """Claim the run as a worker would, and drive nothing."""
    claimed = claim(worker_id=new_id(), count=1, lease_seconds=60)
    assert [context.run_id for context in claimed] == [run_id]


def talk(*, strategy: str, count: int) -> dict[str, Any]:
    """Give one conversation many inputs at once."""
    workspace = Workspace.objects.get(name="chaos")
    session = session_create(
        actor=person(), workspace=workspace, agent="assistant", strategy=strategy
    )
    started: list[str] = []

    def say(actor: Actor) -> None:
        try:
            run = run_start(
                actor=actor, workspace=workspace, agent="assistant", input=actor.username,
                session=session.pk,
            )  # fmt: skip
        except SessionBusyError as error:
            raise StaleStateError(str(error)) from error
        started.append(str(run.pk))

    heard = _at_once(_everybody(count), say)
    return heard | {"roots": sorted(started)}


def order(*, roots: list[str]) -> dict[str, Any]:
    """Say how the runs of a conversation followed one another."""
    runs = list(tree(roots))
    ended = [run for run in runs if run.started_at and run.finished_at]
    begun = sorted(ended, key=lambda run: run.started_at)
    overlaps = [
        f"{later} began before {earlier} ended"
        for earlier, later in pairwise(begun)
        if later.started_at < earlier.finished_at
    ]
    return {
        "overlaps": overlaps,
        "is_in_order": [run.pk for run in begun] == [run.pk for run in ended],
        "states": [run.state for run in runs],
        "rolled_back": [run.is_rolled_back for run in runs],
    }


def pause(*, run: str) -> None:
    run_pause(actor=person(), run_id=UUID(run))


def cancel(*, run: str) -> None:
    run_cancel(actor=person(), run_id=UUID(run))


def resume(*, run: str, limits: dict[str, Any] | None = None) -> str:
    """Resume; return what was said against it, or nothing."""
    try:
        run_resume(actor=person(), run_id=UUID(run), limits=limits)
    except InvalidInputError as error:
        return str(error)
    return ""


def limited(*, agent: str, limits: dict[str, Any]) -> str:
    workspace = Workspace.objects.get(name="chaos")
    run = run_start(
        actor=person(), workspace=workspace, agent=agent, input="limited", limits=limits
    )
    return str(run.pk)


def forks(*, run: str) -> dict[str, Any]:
    """Fork the run from each of its checkpoints; the last one is its end."""
    sequences = Checkpoint.objects.filter(run_id=UUID(run)).order_by("sequence")
    roots, refused = [], []
    for sequence in sequences.values_list("sequence", flat=True):
        try:
            fork = run_fork(actor=person(), run_id=UUID(run), checkpoint=sequence)
            roots.append(str(fork.pk))
        except InvalidInputError as error:
            refused.append(str(error))
    return {"roots": roots, "refused": refused}


def interrupted_fork(*, run: str) -> dict[str, int]:
    """Fail at the point where a fork is about to be inserted; count what is there afterwards."""
    forks = Run.objects.filter(prefix_run_id=UUID(run))
    before = forks.count()

    def fail() -> None:
        raise ConnectionError("the process ends here")

    try:
        with at("fork.before_insert", fail):
            run_fork(actor=person(), run_id=UUID(run), checkpoint=1)
    except ConnectionError:
        pass
    return {"before": before, "after": forks.count()}


def replay(*, run: str) -> str:
    return str(run_replay(actor=person(), run_id=UUID(run)).pk)


def histories_equal(*, first: str, second: str) -> bool:
    return _history(first) == _history(second)


def _history(run: str) -> list[HistoryMessage]:
    rows = Message.objects.filter(run_id=UUID(run)).order_by("position")
    return [message_of(row.role, row.parts) for row in rows]


def summary(*, run: str) -> dict[str, Any]:
    found = Run.objects.get(pk=UUID(run))
    return {
        "state": found.state,
        "error_code": found.error_code,
        "iteration": found.iteration,
        "message_count": found.message_count,
        "seconds": (found.finished_at - found.created_at).total_seconds()
        if found.finished_at
        else None,
    }
