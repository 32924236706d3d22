"""`bash`, `sh` and `python` as an agent uses them: in a sandbox, on the files of its run."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from agents.contracts import RunState
from governance.models import Workspace
from plugins.models import ToolCall
from sandbox.workspaces import quota
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    check_invariants,
    ledger,
    script_agent,
    told,
)
from tests.waiting import wait_for

TOOLS = ["bash", "sh", "python", "write", "view", "edit", "ls"]


def a_script(*turns: Sequence[tuple[str, Mapping[str, object]]]) -> str:
    """A model that asks for these calls turn by turn, and then says the last result."""
    steps: list[dict[str, object]] = [
        {"tool_calls": [{"name": name, "arguments": given} for name, given in turn]}
        for turn in turns
    ]
    return json.dumps({"steps": [*steps, {"text": "${last_result}"}]})


def folder_of(engine: Engine, workspace: Workspace, run_id: object) -> Path:
    return engine.workspaces / str(workspace.pk) / str(run_id)


def test_an_agent_edits_files_runs_its_tests_and_finishes(
    engine: Engine, workspace: Workspace
) -> None:
    wrong = "def add(a, b):\n    return a - b\n"
    check = "from src.sums import add\nassert add(2, 3) == 5, add(2, 3)\nprint('all good')\n"
    edit = {"path": "src/sums.py", "old_string": "a - b", "new_string": "a + b"}
    script = a_script(
        [
            ("write", {"path": "src/sums.py", "content": wrong}),
            ("write", {"path": "check.py", "content": check}),
        ],
        [("python", {"code": "import runpy; runpy.run_path('check.py')"})],
        [("edit", edit)],
        [("bash", {"command": "python3 check.py && echo done >log"})],
        [("view", {"path": "log"})],
    )
    script_agent(workspace, script, tools=TOOLS)

    run = engine.play(begin(workspace))

    assert run.state == RunState.SUCCEEDED.value, run.reason
    lines = "\n".join(told(run))
    assert "result exit code 1" in lines
    assert "AssertionError: -1" in lines
    assert "stdout:\nall good" in lines
    assert run.output.endswith("done")
    assert {state for _, state in ledger(run)} == {"committed"}
    check_invariants(run.pk)


def test_file_tools_and_programs_of_one_turn_see_the_same_files(
    engine: Engine, workspace: Workspace
) -> None:
    """The first program makes the workspace's disk while files are being written to it."""
    writes = [("write", {"path": f"f{n}", "content": str(n)}) for n in range(8)]
    script = a_script(
        [*writes, ("sh", {"command": "echo program >mine"}), ("ls", {"path": "."})],
        [("sh", {"command": "cat f0 f1 f2 f3 f4 f5 f6 f7 mine; echo more >>f7"})],
        [("view", {"path": "f7"})],
    )
    script_agent(workspace, script, tools=TOOLS)

    run = engine.play(begin(workspace))

    assert run.state == RunState.SUCCEEDED.value, run.reason
    assert "01234567program" in "\n".join(told(run))
    assert "more" in run.output


def test_the_workspace_is_let_go_with_the_run_and_found_again(
    engine: Engine, workspace: Workspace
) -> None:
    """Its disk is not mounted while nobody works in it; a file tool mounts it again."""
    script = a_script(
        [("bash", {"command": "echo kept >file"})],
        [("wait", {"seconds": 0.2})],
        [("view", {"path": "file"})],
        [("write", {"path": "more", "content": "x"})],
    )
    script_agent(workspace, script, tools=[*TOOLS, "wait"])

    run = engine.play(begin(workspace))
    folder = folder_of(engine, workspace, run.pk)

    assert run.state == RunState.SUCCEEDED.value, run.reason
    assert "kept" in "\n".join(told(run))
    wait_for(lambda: not quota.is_mounted(folder), lambda: "the disk is still mounted")
    assert [each.name for each in folder.iterdir() if each.name != ".agentry"] == []


def test_nothing_runs_as_the_worker_or_beside_it(engine: Engine, workspace: Workspace) -> None:
    """A canary: what a program sees of its place is never the worker's own."""
    seen = "import json,os; print(json.dumps([os.getuid(), os.readlink('/proc/self/ns/pid'), "
    seen += "os.path.exists('/proc/%d' % int(open('own').read())), os.getppid()]))"
    script = a_script(
        [("write", {"path": "own", "content": str(os.getpid())})],
        [("python", {"code": seen})],
        [("bash", {"command": f'python3 -c "{seen}"'})],
    )
    script_agent(workspace, script, tools=TOOLS)

    run = engine.play(begin(workspace))

    lines = "\n".join(told(run)).splitlines()
    results = [json.loads(line) for line in lines if line.startswith("[")]
    assert len(results) == 3  # of both programs, and the last one as the run's output
    for uid, namespace, is_worker_there, parent in results:
        assert uid == 10001
        assert namespace != str(Path("/proc/self/ns/pid").readlink())
        assert not is_worker_there
        assert parent < 10


@pytest.mark.parametrize(
    ("tool", "arguments", "part"),
    [
        ("bash", {"command": "exit 3"}, "exit code 3"),
        ("bash", {"command": "kill -9 $$$$"}, "SIGKILL"),
        ("sh", {"command": "sleep 60", "timeout_seconds": 0.3}, "ended after its time was over"),
        ("bash", {"command": "yes"}, "ended because it wrote more than it may"),
        ("bash", {"command": "printf '\\033[31mred\\033[0m\\a\\r\\n'"}, "stdout:\nred"),
        ("bash", {"command": "echo o; echo e >&2", "output": "separate"}, "stderr:\ne"),
        ("bash", {"command": "pwd", "cwd": "deep"}, "deep: No such file or directory"),
        ("bash", {"command": "true"}, "(no output)"),
    ],
)
def test_how_a_program_ended_is_a_result(
    engine: Engine, workspace: Workspace, tool: str, arguments: dict[str, object], part: str
) -> None:
    script_agent(workspace, a_script([(tool, arguments)]), tools=TOOLS)

    run = engine.play(begin(workspace))

    assert run.state == RunState.SUCCEEDED.value, run.reason
    assert part in "\n".join(told(run))
    assert ledger(run) == [(tool, "committed")]


def test_a_folder_outside_is_refused_and_nothing_runs(engine: Engine, workspace: Workspace) -> None:
    script = a_script([("bash", {"command": "touch ran", "cwd": "../.."})])
    script_agent(workspace, script, tools=TOOLS)

    run = engine.play(begin(workspace))

    assert ledger(run) == [("bash", "failed")]
    assert "is not inside the workspace" in ToolCall.objects.get(run_id=run.pk).result
    left = [each.name for each in folder_of(engine, workspace, run.pk).iterdir()]
    assert [name for name in left if name != ".agentry"] == []


def test_programs_are_not_given_to_an_agent_that_names_no_tools(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, a_script([("bash", {"command": "true"})]))

    run = engine.play(begin(workspace))

    assert ledger(run) == [("bash", "failed")]
    assert "There is no tool 'bash' here" in "\n".join(told(run))
