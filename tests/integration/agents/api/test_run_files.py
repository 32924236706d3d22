"""The files of checkpoints over REST: lists, pages, differences, and what cannot be had."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from agents.execution.collecting import snapshots_collect, snapshots_collect_due
from agents.execution.folders import store_of
from agents.models import Checkpoint, Run, WorkspaceHead
from core import clock
from governance.models import Workspace
from sandbox.workspaces.snapshots import Bounds, take_snapshot
from tests.factories.agents import make_run
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs
from tests.unit.sandbox.snapshots.kit import age

PLENTY = Bounds(size_bytes=1024 * 1024, entries=1000)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with override_settings(WORKSPACES_DIR=tmp_path / "workspaces"):
        yield tmp_path


def snapshot(home: Path, workspace: Workspace, **files: str) -> str:
    """Keep a folder of just these files; a name's `__` is a slash."""
    folder = home / f"folder-{len(list(home.iterdir()))}"
    for name, content in {"_agentry/todo": "ours", **files}.items():
        path = folder / name.replace("__", "/").replace("_agentry", ".agentry")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    store = store_of(home / "workspaces", workspace.pk)
    return take_snapshot(folder, store, bounds=PLENTY).digest


def checkpoint(run: Run, sequence: int, digest: str) -> Checkpoint:
    return Checkpoint.objects.create(
        run=run,
        sequence=sequence,
        message_count=sequence,
        state={},
        workspace_digest=digest,
        created_at=clock.now(),
    )


@pytest.fixture
def run(cast: Cast, home: Path) -> Run:
    made = make_run(cast.acme)
    checkpoint(made, 1, "")
    checkpoint(made, 2, snapshot(home, cast.acme, a="one", src__b="two"))
    checkpoint(made, 3, snapshot(home, cast.acme, a="more", src__c="three"))
    checkpoint(made, 4, "unkept-" + "0" * 32)
    return made


def test_files_are_listed_with_sizes_and_digests(run: Run, call_as: CallAs) -> None:
    answer = call_as("operator")("get", f"runs/{run.pk}/checkpoints/2/files")

    assert answer.status_code == 200, answer.content
    assert answer.json()["items"] == [
        {
            "path": "a",
            "kind": "file",
            "mode": "0644",
            "size_bytes": 3,
            "digest": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
            "target": None,
        },
        {
            "path": "src",
            "kind": "folder",
            "mode": "0755",
            "size_bytes": 0,
            "digest": None,
            "target": None,
        },
        {
            "path": "src/b",
            "kind": "file",
            "mode": "0644",
            "size_bytes": 3,
            "digest": "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
            "target": None,
        },
    ]
    empty = call_as("operator")("get", f"runs/{run.pk}/checkpoints/1/files").json()
    assert empty == {"items": [], "next": None, "next_cursor": None}


def test_pages_follow_one_another(run: Run, call_as: CallAs) -> None:
    operator = call_as("operator")
    address = f"runs/{run.pk}/checkpoints/2/files?limit=2"
    first = operator("get", address).json()
    second = operator("get", f"{address}&cursor={first['next_cursor']}").json()

    assert [item["path"] for item in first["items"]] == ["a", "src"]
    assert [item["path"] for item in second["items"]] == ["src/b"]
    assert second["next_cursor"] is None


def test_the_difference_names_what_changed(run: Run, call_as: CallAs) -> None:
    operator = call_as("operator")
    found = operator("get", f"runs/{run.pk}/checkpoints/3/files/difference")

    assert found.status_code == 200, found.content
    assert found.json() == {
        "since": 2,
        "checkpoint": 3,
        "added": ["src/c"],
        "changed": ["a"],
        "removed": ["src/b"],
        "is_truncated": False,
    }
    backwards = operator("get", f"runs/{run.pk}/checkpoints/2/files/difference?since=3").json()
    assert (backwards["added"], backwards["removed"]) == (["src/b"], ["src/c"])


@pytest.mark.parametrize(
    ("place", "status", "code"),
    [
        ("9/files", 404, "not_found"),
        ("99999999999999999999/files", 404, "not_found"),
        ("4/files", 409, "snapshot_gone"),
        ("4/files/difference", 409, "snapshot_gone"),
        ("3/files/difference?since=9", 404, "not_found"),
        ("3/files/difference?since=-1", 400, "invalid_input"),
        ("3/files?cursor=x", 400, "invalid_input"),
    ],
)
def test_what_cannot_be_had_is_said_in_words(
    run: Run, call_as: CallAs, place: str, status: int, code: str
) -> None:
    answer = call_as("operator")("get", f"runs/{run.pk}/checkpoints/{place}")

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_names_of_files_are_payload(run: Run, call_as: CallAs) -> None:
    for place in ("files", "files/difference"):
        answer = call_as("viewer")("get", f"runs/{run.pk}/checkpoints/2/{place}")
        assert answer.status_code == 403


def test_snapshots_of_live_runs_are_kept_and_those_of_old_ones_go(
    home: Path, cast: Cast, run: Run
) -> None:
    old = make_run(cast.acme)
    digest = snapshot(home, cast.acme, b="of an old run")
    checkpoint(old, 1, digest)
    long_ago = clock.now().replace(year=2020)
    WorkspaceHead.objects.create(
        root_id=old.pk, workspace=cast.acme, digest=digest, updated_at=long_ago
    )
    Run.objects.filter(pk=old.pk).update(state="succeeded", finished_at=long_ago)
    nobodys = snapshot(home, cast.acme, c="of nobody")
    store = store_of(home / "workspaces", cast.acme.pk)
    age(store)

    with override_settings(SNAPSHOT_DAYS=0.0):
        (kept,) = snapshots_collect()
        assert kept.found.trees == 1
        store.renew(digest)
        assert not store.tree_path(nobodys).exists()
    age(store)
    (gone,) = snapshots_collect()

    assert (gone.workspace_id, gone.found.trees, gone.found.gone) == (cast.acme.pk, 1, ())
    assert not store.tree_path(digest).exists()
    for row in Checkpoint.objects.filter(run=run, sequence__in=[2, 3]):
        store.renew(row.workspace_digest)


def test_collecting_is_done_once_an_hour_whoever_asks(home: Path, run: Run) -> None:
    assert snapshots_collect_due(is_over=lambda: False)
    assert not snapshots_collect_due(is_over=lambda: False)


def test_a_collection_that_was_cut_short_is_done_again(home: Path, run: Run) -> None:
    assert snapshots_collect_due(is_over=lambda: True)
    assert snapshots_collect_due(is_over=lambda: False)
