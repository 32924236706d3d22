"""The files of runs: kept with each step, there again after forks, crashes and other machines."""

import json
import shutil
import threading
from collections.abc import Iterator

import pytest

from agents.contracts import RunState
from agents.execution.folders import store_of
from agents.models import Checkpoint, Run, WorkspaceHead
from agents.services.runs import run_fork, run_resume
from core import pausepoints
from governance.models import Workspace
from plugins.contracts import EffectClass
from plugins.models import ToolCall
from sandbox.errors import SnapshotGoneError
from sandbox.workspaces.snapshots import EMPTY
from tests.integration.agents.execution.files import (
    APPEND,
    AppendTool,
    contents,
    cut_off,
    digests,
    files_at,
    folder_of,
    notes,
    turn_file,
)
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    script_agent,
    told,
)

TWO_FILES = """
steps:
  - tool_calls: [{name: write, arguments: {path: a.txt, content: "one"}}]
  - tool_calls: [{name: write, arguments: {path: sub/b.txt, content: "two"}}]
  - tool_calls: [{name: write, arguments: {path: a.txt, content: "three"}}]
  - text: done
"""


def test_every_step_names_the_files_it_left(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, TWO_FILES)
    run = engine.play(begin(workspace))

    found = digests(run)
    assert [found.count(digest) for digest in dict.fromkeys(found)] == [1, 2, 2, 2]
    assert files_at(engine, run, 1) == []
    assert files_at(engine, run, 2) == files_at(engine, run, 3) == ["a.txt"]
    assert files_at(engine, run, 6) == ["a.txt", "sub", "sub/b.txt"]
    assert WorkspaceHead.objects.get(root_id=run.pk).digest == found[-1]
    assert json.loads(turn_file(engine, run).read_text())["digest"] == found[-1]
    check_invariants(run.pk)


def test_a_run_without_file_tools_touches_no_disk(engine: Engine, workspace: Workspace) -> None:
    script = "steps: [{tool_calls: [{name: echo, arguments: {text: x}}]}, {text: y}]"
    script_agent(workspace, script)
    run = engine.play(begin(workspace))

    assert digests(run) == ["", "", ""]
    assert not engine.workspaces.exists()
    assert not engine.workspaces.with_name("snapshots").exists()
    assert not WorkspaceHead.objects.exists()


def test_a_fork_has_the_files_of_its_checkpoint_and_the_origin_keeps_its_own(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, TWO_FILES)
    origin = engine.play(begin(workspace))

    fork = run_fork(actor=boss(), run_id=origin.pk, checkpoint=3)
    assert not folder_of(engine, fork).exists()
    engine.play(fork)

    assert contents(engine, fork) == {"a.txt": "three", "sub/b.txt": "two"}
    assert digests(fork)[0] == digests(origin)[2]
    assert digests(fork)[-1] == digests(origin)[-1]
    assert notes(fork) == ["The files were restored from the run's last step."]
    check_invariants(fork.pk)


def test_a_fork_that_only_reads_sees_the_files_of_its_checkpoint(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(
        workspace,
        """
steps:
  - tool_calls: [{name: write, arguments: {path: a.txt, content: "one"}}]
  - tool_calls: [{name: view, arguments: {path: a.txt}}]
  - tool_calls: [{name: write, arguments: {path: a.txt, content: "two"}}]
  - text: done
""",
    )
    origin = engine.play(begin(workspace))

    fork = engine.play(run_fork(actor=boss(), run_id=origin.pk, checkpoint=2))

    assert [line for line in told(fork) if "one" in line] == [
        line for line in told(origin) if "one" in line
    ]


def test_what_a_cut_off_call_wrote_is_undone_before_it_is_repeated(
    engine: Engine, workspace: Workspace, append: AppendTool
) -> None:
    run = cut_off(engine, workspace, append)
    engine.start()
    engine.until(run)

    assert append.seen == ["begin\n", "begin\n"]
    assert contents(engine, run) == {"half": "done", "log.txt": "begin\nmore\n"}
    assert notes(run) == [
        "A call was cut off while it changed files; they are as they were before it."
    ]
    check_invariants(run.pk)


@pytest.mark.parametrize("append", [EffectClass.IRREVERSIBLE], indirect=True)
def test_what_a_call_in_doubt_wrote_is_kept_and_told(
    engine: Engine, workspace: Workspace, append: AppendTool
) -> None:
    run = cut_off(engine, workspace, append)
    engine.start()
    engine.until(run, RunState.WAITING, wait_kind="in_doubt")

    assert contents(engine, run) == {"half": "done", "log.txt": "begin\nmore\n"}
    last = Checkpoint.objects.filter(run=run).order_by("sequence").last()
    assert last is not None
    assert files_at(engine, run, last.sequence) == ["half", "log.txt"]
    assert "what it wrote is kept" in notes(run)[-1]


def test_a_folder_that_is_gone_is_made_again(
    engine: Engine, workspace: Workspace, append: AppendTool
) -> None:
    run = cut_off(engine, workspace, append)
    shutil.rmtree(folder_of(engine, run))
    engine.start()
    engine.until(run)

    assert append.seen[-1] == "begin\n"
    assert contents(engine, run) == {"half": "done", "log.txt": "begin\nmore\n"}


@pytest.mark.parametrize("mark", ["", "{", '{"boot": "another", "digest": "x"}'])
def test_a_folder_of_which_nothing_is_certain_is_compared_with_the_last_step(
    engine: Engine, workspace: Workspace, append: AppendTool, mark: str
) -> None:
    run = cut_off(engine, workspace, append)
    turn_file(engine, run).write_text(mark)
    (folder_of(engine, run) / "stray").write_text("from elsewhere")
    engine.start()
    engine.until(run)

    assert append.seen[-1] == "begin\n"
    assert contents(engine, run) == {"half": "done", "log.txt": "begin\nmore\n"}


def test_a_run_whose_files_are_nowhere_is_parked_and_begins_with_no_others(
    engine: Engine, workspace: Workspace, append: AppendTool
) -> None:
    run = cut_off(engine, workspace, append)
    shutil.rmtree(folder_of(engine, run))
    kept = engine.workspaces.with_name("snapshots")
    away = kept.rename(kept.with_name("away"))
    engine.start()
    engine.until(run, RunState.PAUSED)

    assert (run.error_code, len(append.seen)) == ("blocked", 1)
    assert "is not kept any more" in run.reason
    assert contents(engine, run) == {}
    away.rename(kept)
    run_resume(actor=boss(), run_id=run.pk)
    assert engine.until(run).state == "succeeded"
    assert append.seen[-1] == "begin\n"


def test_a_fork_whose_files_are_gone_says_so_and_is_not_begun(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, TWO_FILES)
    origin = engine.play(begin(workspace))
    tree = store_of(engine.workspaces, workspace.pk).tree(digests(origin)[2])
    store_of(engine.workspaces, workspace.pk).blob_path(next(iter(tree.blobs))).unlink()

    with pytest.raises(SnapshotGoneError, match="The files at checkpoint 3 cannot be had"):
        run_fork(actor=boss(), run_id=origin.pk, checkpoint=3)

    assert Run.objects.count() == 1
    assert WorkspaceHead.objects.count() == 1
    assert run_fork(actor=boss(), run_id=origin.pk, checkpoint=1).state == "queued"


def test_files_over_quota_are_told_to_the_model_and_not_kept(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(
        workspace,
        """
steps:
  - tool_calls: [{name: write, arguments: {path: a.txt, content: "12345678901"}}]
  - tool_calls: [{name: write, arguments: {path: a.txt, content: "1"}}]
  - text: done
""",
    )
    engine.start(workspace_bytes=10)
    run = engine.play(begin(workspace))

    assert "more than 10 bytes" in told(run)[2]
    assert digests(run)[1].startswith("unkept-")
    assert not digests(run)[3].startswith("unkept-")
    with pytest.raises(SnapshotGoneError, match="more than could be kept"):
        run_fork(actor=boss(), run_id=run.pk, checkpoint=2)
    fork = engine.play(run_fork(actor=boss(), run_id=run.pk, checkpoint=4))
    assert fork.state == "succeeded"


FAMILY = """
branches:
  - when: {agent: child}
    steps:
      - tool_calls: [{name: write, arguments: {path: "${input}.txt", content: "1"}}]
      - tool_calls:
          - {name: insert, arguments: {path: shared.txt, insert_line: 0, content: "${input}"}}
      - text: done
  - steps:
      - tool_calls: [{name: write, arguments: {path: shared.txt, content: "end\\n"}}]
      - tool_calls:
          - {name: agent, arguments: {agent: child, input: one}}
          - {name: agent, arguments: {agent: child, input: two}}
          - {name: agent, arguments: {agent: child, input: three}}
          - {name: write, arguments: {path: own.txt, content: "1"}}
      - text: together
"""


def test_runs_below_one_root_change_its_files_in_turns(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, FAMILY, name="child")
    script_agent(workspace, FAMILY, name="lead", delegates=["child"])
    run = engine.play(begin(workspace, agent="lead"))

    assert run.state == "succeeded", run.reason
    after = contents(engine, run)
    assert sorted(after) == ["one.txt", "own.txt", "shared.txt", "three.txt", "two.txt"]
    assert sorted(after["shared.txt"].split()) == ["end", "one", "three", "two"]
    assert WorkspaceHead.objects.get().digest == digests(run)[-1]
    fork = run_fork(actor=boss(), run_id=run.pk, message="Again.")
    engine.play(fork)
    assert digests(fork)[0] == digests(run)[-1]
    for each in Run.objects.all():
        check_invariants(each.pk)


def test_files_put_there_before_the_run_began_are_kept_with_its_first_call(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, TWO_FILES)
    run = begin(workspace)
    folder_of(engine, run).mkdir(parents=True)
    (folder_of(engine, run) / "given.txt").write_text("given")
    engine.play(run)

    assert files_at(engine, run, 1) == ["given.txt"]
    fork = engine.play(run_fork(actor=boss(), run_id=run.pk, checkpoint=1))
    assert contents(engine, fork)["given.txt"] == "given"


def test_a_run_that_was_parked_between_steps_has_nothing_restored(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(
        workspace,
        """
steps:
  - tool_calls: [{name: write, arguments: {path: a.txt, content: "one"}}]
  - tool_calls: [{name: wait, arguments: {seconds: 0.1}}]
  - tool_calls: [{name: write, arguments: {path: b.txt, content: "two"}}]
  - text: done
""",
    )
    run = engine.play(begin(workspace))

    assert (run.state, run.fence) == ("succeeded", 2)
    assert notes(run) == []
    assert contents(engine, run) == {"a.txt": "one", "b.txt": "two"}


@pytest.fixture
def stale() -> Iterator[None]:
    """The commit that follows the snapshot of `append` is refused: somebody else has the run."""
    reached = threading.Event()

    def lose() -> None:
        if not reached.is_set() and ToolCall.objects.filter(tool="append").exists():
            reached.set()
            Run.objects.update(fence=1000)

    with pausepoints.at("workspace.kept", lose):
        yield
    assert reached.is_set()


def test_what_a_worker_wrote_that_had_lost_the_run_is_undone(
    engine: Engine, workspace: Workspace, append: AppendTool, stale: None
) -> None:
    append.is_held = False
    script_agent(workspace, APPEND, tools=["write", "append"])
    host = engine.start()
    run = begin(workspace)
    assert append.written.wait(30)
    engine.until_idle(host)
    run.refresh_from_db()
    assert run.state == "running"
    Run.objects.filter(pk=run.pk).update(state="queued", worker_id=None, lease_until=None)
    host.ring()
    engine.until(run)

    assert append.seen == ["begin\n", "begin\n"]
    assert contents(engine, run) == {"half": "done", "log.txt": "begin\nmore\n"}


def test_the_digest_of_nothing_needs_no_store(engine: Engine, workspace: Workspace) -> None:
    assert store_of(engine.workspaces, workspace.pk).renew(EMPTY.digest) == EMPTY
