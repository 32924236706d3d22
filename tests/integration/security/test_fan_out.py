"""Agents that delegate without end: the tree of their runs is bounded in every direction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.execution import spawning
from agents.models import Run
from tests.factories.governance import make_workspace
from tests.integration.agents.execution.kit import Engine, an_engine, begin, script_agent

ASKS_THREE_TIMES = (
    "steps: [{tool_calls: [{name: agent, arguments: {agent: OTHER, input: x}},"
    " {name: agent, arguments: {agent: OTHER, input: x}},"
    ' {name: agent, arguments: {agent: OTHER, input: x}}]}, {text: "${last_result}"}]'
)


@pytest.fixture
def engine(transactional_db: None, tmp_path: Path) -> Iterator[Engine]:
    with an_engine(tmp_path / "workspaces") as running:
        yield running


def test_agents_that_each_ask_three_others_stop_at_a_number_of_runs(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace("acme")
    monkeypatch.setattr(spawning, "MAX_RUNS_BELOW", 10)
    script_agent(workspace, "steps: [{text: done}]", name="level-4")
    for level in (3, 2, 1, 0):
        script = ASKS_THREE_TIMES.replace("OTHER", f"level-{level + 1}")
        script_agent(workspace, script, name=f"level-{level}", delegates=[f"level-{level + 1}"])
    run = engine.play(begin(workspace, agent="level-0"))

    assert run.state == "succeeded"
    below = Run.objects.filter(root_id=run.pk, depth__gt=0)
    # Calls of one turn are counted before any of them is committed: a few more may come through.
    assert 10 <= below.count() < 50
    assert set(below.values_list("state", flat=True)) == {"succeeded"}
    refused = "This task has been delegated 10 times already, over all its agents"
    assert any(refused in output for output in below.values_list("output", flat=True))
