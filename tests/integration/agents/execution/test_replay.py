"""A replay makes the history of its origin again, without doing anything."""

from pathlib import Path

import pytest

from agents.contracts import RunState
from agents.models import Run
from agents.services.runs import run_cancel, run_fork, run_replay
from core.errors import ConflictError
from governance.models import Workspace
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    history,
    ledger,
    script_agent,
    told,
)

STORIES = {
    "words": 'steps: [{text: "Hello."}]',
    "calls": """
steps:
  - text: I look.
    reasoning: hm
    tool_calls:
      - {name: write, arguments: {path: a.txt, content: "one\\n"}}
      - {name: echo, arguments: {text: two}}
      - {name: nothing, arguments: {}}
      - {name: view, raw_arguments: "{broken"}
  - tool_calls: [{name: view, arguments: {path: a.txt}}]
  - text: "It says ${last_result}"
""",
    "out of order": """
steps:
  - tool_calls:
      - {name: wait, arguments: {seconds: 0.2}}
      - {name: echo, arguments: {text: first}}
  - text: Done.
""",
    "empty once": 'steps: [{text: ""}, {text: "unused"}]\n',
    "continued": """
steps:
  - {text: Half, finish: continue}
  - {text: and half.}
""",
    "cut": 'steps: [{text: "And so", finish: length}]',
    "filtered": 'steps: [{text: "I can", finish: content_filter}]',
    "filtered at once": 'steps: [{text: "", finish: content_filter}]',
    "refused": """
steps:
  - tool_calls: [{name: echo, arguments: {text: x}}]
  - error: {kind: auth, message: no such key}
""",
}


def replayed(engine: Engine, origin: Run) -> Run:
    return engine.play(run_replay(actor=boss(), run_id=origin.pk))


def same_end(replay: Run, origin: Run) -> bool:
    return (replay.state, replay.output, replay.error_code, replay.reason) == (
        origin.state,
        origin.output,
        origin.error_code,
        origin.reason,
    )


@pytest.mark.parametrize("story", STORIES)
def test_a_replay_equals_its_origin(engine: Engine, workspace: Workspace, story: str) -> None:
    script_agent(workspace, STORIES[story])
    origin = engine.play(begin(workspace))
    before = told(origin)

    replay = replayed(engine, origin)

    assert history(replay) == history(origin)
    assert same_end(replay, origin)
    assert [state for _, state in ledger(replay)] == [state for _, state in ledger(origin)]
    assert replay.iteration == origin.iteration
    assert replay.cost_usd == 0
    assert told(origin) == before
    check_invariants(replay.pk)
    assert history(replayed(engine, replay)) == history(origin)


def test_a_replay_touches_no_file(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, STORIES["calls"])
    origin = engine.play(begin(workspace))
    replay = replayed(engine, origin)

    folder = engine.workspaces / str(workspace.pk)
    assert (folder / str(origin.pk) / "a.txt").read_text() == "one\n"
    assert not Path(folder / str(replay.pk)).exists()


def test_a_replay_of_a_delegating_run_starts_no_child(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, 'steps: [{text: "42"}]', name="helper")
    script_agent(
        workspace,
        """
steps:
  - tool_calls: [{name: agent, arguments: {agent: helper, input: think}}]
  - text: "It is ${last_result}"
""",
        name="lead",
        delegates=["helper"],
    )
    origin = engine.play(begin(workspace, agent="lead"))
    replay = replayed(engine, origin)

    assert origin.output == replay.output == "It is 42"
    assert history(replay) == history(origin)
    assert list(Run.objects.filter(parent=replay)) == []
    assert Run.objects.filter(parent=origin).count() == 1


@pytest.mark.parametrize("message", [None, "Something else."])
def test_a_replay_of_a_fork_equals_the_fork(
    engine: Engine, workspace: Workspace, message: str | None
) -> None:
    script_agent(workspace, STORIES["calls"])
    origin = engine.play(begin(workspace))
    fork = engine.play(run_fork(actor=boss(), run_id=origin.pk, checkpoint=1, message=message))
    replay = replayed(engine, fork)

    assert fork.state == RunState.SUCCEEDED.value
    assert history(replay) == history(fork)
    assert same_end(replay, fork)
    check_invariants(replay.pk)


def test_a_replay_of_a_cancelled_run_ends_where_that_did(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(
        workspace,
        "steps: [{tool_calls: [{name: wait, arguments: {seconds: 3600}}]}, {text: late}]",
    )
    origin = begin(workspace)
    engine.start()
    engine.until(origin, RunState.WAITING)
    run_cancel(actor=boss(), run_id=origin.pk)
    engine.until(origin)

    replay = replayed(engine, origin)

    assert ledger(origin) == [("wait", "cancelled")]
    assert (replay.state, replay.error_code) == (RunState.FAILED.value, "replay_ended")
    assert told(replay)[:2] == told(origin)


def test_only_an_ended_run_is_replayed(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, STORIES["words"])
    origin = begin(workspace)

    with pytest.raises(ConflictError, match="The run is queued; only a finished run"):
        run_replay(actor=boss(), run_id=origin.pk)
    assert Run.objects.count() == 1
