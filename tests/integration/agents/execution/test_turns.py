"""What a run lives through, driven by a real engine on the test database."""

from datetime import timedelta
from decimal import Decimal
from secrets import token_hex

import pytest

from agents.contracts import RunState
from agents.models import Run, RunSnapshot
from agents.services.runs import run_cancel, run_resume
from core import clock
from core.errors import InvalidInputError
from governance.models import Workspace
from observability.models import Blob
from plugins.models import ToolCall
from tests.integration.agents.execution.kit import (
    LOOP,
    WORDS,
    Engine,
    begin,
    boss,
    check_invariants,
    kinds,
    ledger,
    script_agent,
    set_provider,
    told,
)


def test_a_run_says_what_it_was_told_to(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, WORDS)
    run = engine.play(begin(workspace))

    assert (run.state, run.output, run.iteration) == ("succeeded", "Hello.", 1)
    assert told(run) == ["user do it", "assistant Hello."]
    assert kinds(run) == ["run.created", "run.claimed", "step.model", "run.state"]
    assert (run.fence, run.cost_usd, run.cost_is_partial) == (1, Decimal(0), False)
    check_invariants(run.pk)


def test_calls_of_one_turn_run_at_once_and_are_recorded_each(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(
        workspace,
        """
steps:
  - tool_calls:
      - {name: write, arguments: {path: a.txt, content: A}}
      - {name: write, arguments: {path: b.txt, content: B}}
      - {name: nothing, arguments: {}}
      - {name: echo, arguments: {}}
  - text: "${last_result}"
""",
    )
    run = engine.play(begin(workspace))

    assert run.state == "succeeded"
    assert ledger(run) == [
        ("write", "committed"),
        ("write", "committed"),
        ("nothing", "failed"),
        ("echo", "failed"),
    ]
    folder = engine.workspaces / str(workspace.pk) / str(run.pk)
    assert {path.name: path.read_text() for path in folder.glob("*.txt")} == {
        "a.txt": "A",
        "b.txt": "B",
    }
    assert sum(line.startswith(("result ", "error ")) for line in told(run)) == 4
    check_invariants(run.pk)


def test_a_large_result_is_a_blob_and_a_shortened_text(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(
        workspace,
        f"""
steps:
  - tool_calls: [{{name: echo, arguments: {{text: "{"x" * 40_000}"}}}}]
  - text: done
""",
    )
    run = engine.play(begin(workspace))

    call = ToolCall.objects.get(run_id=run.pk)
    blob = Blob.objects.get(workspace_id=workspace.pk)
    assert (call.result_digest, blob.size_bytes) == (blob.digest, 40_000)
    assert bytes(blob.content) == b"x" * 40_000
    assert f"sha256:{blob.digest}" in call.result
    assert told(run)[2] == f"result {call.result}"


def test_a_child_does_its_part_while_the_parent_waits(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, 'steps: [{text: "heard ${input}"}]', name="helper")
    script_agent(
        workspace,
        """
steps:
  - tool_calls:
      - {name: agent, arguments: {agent: helper, input: one}}
      - {name: agent, arguments: {agent: helper, input: two}}
      - {name: agent, arguments: {agent: stranger, input: three}}
  - text: "${last_result}"
""",
        name="lead",
        delegates=["helper"],
    )
    run = engine.play(begin(workspace, agent="lead"))

    children = list(Run.objects.filter(parent=run).order_by("input"))
    assert [(child.input, child.output) for child in children] == [
        ("one", "heard one"),
        ("two", "heard two"),
    ]
    assert {child.root_id for child in children} == {run.pk}
    results = sorted(line for line in told(run) if line.startswith(("result", "error")))
    assert results[1:] == ["result heard one", "result heard two"]
    assert results[0].startswith("error This agent may not delegate to 'stranger'.")
    for each in (run, *children):
        check_invariants(each.pk)


def test_a_failed_child_is_an_error_the_parent_sees(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, "steps: [{error: {kind: auth, message: no}}]", name="helper")
    script_agent(
        workspace,
        "steps: [{tool_calls: [{name: agent, arguments: {agent: helper, input: x}}]}, {text: ok}]",
        name="lead",
        delegates=["helper"],
    )
    run = engine.play(begin(workspace, agent="lead"))
    child = Run.objects.get(parent=run)

    assert (run.state, child.state, child.error_code) == ("succeeded", "failed", "provider_auth")
    assert f"error The delegated run {child.pk} failed: {child.reason}" in told(run)


def test_delegation_ends_at_a_depth(engine: Engine, workspace: Workspace) -> None:
    names = [f"level-{number}" for number in range(10)]
    script = (
        "steps: [{tool_calls: [{name: agent, arguments: {agent: NEXT, input: x}}]},"
        ' {text: "${last_result}"}]'
    )
    for name in reversed(names):
        below = names[names.index(name) + 1 :][:1]
        told_to = script.replace("NEXT", below[0]) if below else WORDS
        script_agent(workspace, told_to, name=name, delegates=below)
    run = engine.play(begin(workspace, agent="level-0"))

    assert Run.objects.filter(root_id=run.pk).count() == 9
    assert run.output.startswith("Delegation is 8 levels deep already")


def test_a_timer_holds_no_worker(engine: Engine, workspace: Workspace) -> None:
    script_agent(
        workspace,
        "steps: [{tool_calls: [{name: wait, arguments: {seconds: 3600}}]}, {text: awake}]",
    )
    run = begin(workspace)
    host = engine.start()
    engine.until(run, RunState.WAITING)

    assert (run.wait_kind, run.worker_id, run.lease_until) == ("timer", None, None)
    assert run.wake_at is not None
    engine.until_idle(host)
    with clock.shifted(timedelta(hours=1)):
        engine.until(run)
    assert (run.state, run.output) == ("succeeded", "awake")
    assert "result The wait is over." in told(run)
    check_invariants(run.pk)


def test_a_run_yields_at_its_limit_and_goes_on_with_a_higher_one(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, LOOP, limits={"max_iterations": 2})
    run = begin(workspace)
    engine.start()
    engine.until(run, RunState.YIELDED)

    assert (run.iteration, run.error_code) == (2, "max_iterations")
    with pytest.raises(InvalidInputError, match="yielded at max_iterations 2 and has used 2"):
        run_resume(actor=boss(), run_id=run.pk)
    run_resume(actor=boss(), run_id=run.pk, limits={"max_iterations": 5})
    engine.until(run, RunState.YIELDED, iteration=5)
    assert run.message_count == 11
    check_invariants(run.pk)


def test_tokens_and_dollars_are_limits_too(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, LOOP, limits={"max_tokens": 40})
    run = begin(workspace)
    engine.start()
    engine.until(run, RunState.YIELDED)

    assert (run.error_code, run.input_tokens, run.output_tokens) == ("max_tokens", 30, 15)


def test_a_failure_that_passes_is_retried_by_a_timer(engine: Engine, workspace: Workspace) -> None:
    script_agent(
        workspace,
        """
steps:
  - text: Here.
    error: {kind: rate_limit, retry_after_seconds: 0.05, message: slow down, times: 2}
""",
    )
    set_provider(workspace, "p-helper", max_retries=0)
    run = engine.play(begin(workspace))

    assert (run.state, run.output) == ("succeeded", "Here.")
    assert kinds(run).count("step.retry") == 2
    assert told(run) == ["user do it", "assistant Here."]
    check_invariants(run.pk)


def test_retries_end(engine: Engine, workspace: Workspace) -> None:
    script_agent(
        workspace,
        "steps: [{error: {kind: overloaded, retry_after_seconds: 0.01, message: busy}}]",
        limits={"model_retries": 2},
    )
    set_provider(workspace, "p-helper", max_retries=0)
    run = engine.play(begin(workspace))

    assert (run.state, run.error_code) == ("failed", "provider_overloaded")
    assert kinds(run).count("step.retry") == 2
    assert "busy" in run.reason


@pytest.mark.parametrize(
    "step",
    [
        "{text: late, delay_ms: 60000}",
        "{tool_calls: [{name: wait, arguments: {seconds: 3600}}]}",
    ],
)
def test_wall_time_ends_a_run_wherever_it_is(
    engine: Engine, workspace: Workspace, step: str
) -> None:
    script_agent(workspace, f"steps: [{step}, {{text: never}}]", limits={"wall_seconds": 0.5})
    run = engine.play(begin(workspace))

    assert (run.state, run.error_code) == ("failed", "deadline_exceeded")
    assert "wall time ran out" in run.reason
    check_invariants(run.pk)


def test_the_end_of_a_run_leaves_no_call_open(engine: Engine, workspace: Workspace) -> None:
    script_agent(
        workspace,
        "steps: [{tool_calls: [{name: wait, arguments: {seconds: 3600}},"
        " {name: echo, arguments: {text: x}}]}]",
    )
    run = begin(workspace)
    engine.start()
    engine.until(run, RunState.WAITING)
    run_cancel(actor=boss(), run_id=run.pk)
    engine.until(run)

    assert ledger(run) == [("wait", "cancelled"), ("echo", "committed")]
    check_invariants(run.pk)


@pytest.mark.parametrize(
    ("step", "code", "output"),
    [
        ('{text: "I can", finish: content_filter}', "content_filter", "I can"),
        ('{text: "", repeat: forever}', "empty_answer", ""),
    ],
)
def test_answers_that_end_in_nothing_fail_the_run(
    engine: Engine, workspace: Workspace, step: str, code: str, output: str
) -> None:
    script_agent(workspace, f"steps: [{step}]")
    run = engine.play(begin(workspace))

    assert (run.state, run.error_code, run.output) == ("failed", code, output)
    check_invariants(run.pk)


def test_a_tool_that_is_not_the_one_the_run_began_with_blocks_it(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, WORDS)
    run = begin(workspace)
    snapshot = RunSnapshot.objects.get(pk=run.snapshot_id)
    for tool in snapshot.content["tools"]:
        if tool["name"] == "echo":
            tool["digest"] = "0" * 64
    # As if a worker of an earlier release had pinned it: a row under its own name.
    digest = token_hex(32)  # a process reads each digest once
    RunSnapshot.objects.create(digest=digest, workspace=workspace, content=snapshot.content)
    Run.objects.filter(pk=run.pk).update(snapshot_id=digest)
    engine.start()
    engine.until(run, RunState.PAUSED)

    assert run.error_code == "blocked"
    assert run.reason.startswith("The tool echo the run started with is not the one installed")
    assert (run.message_count, run.iteration) == (0, 0)
    check_invariants(run.pk)
