"""Files of checkpoints as the page of a run shows them: lists, texts, pictures, differences."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings
from django.urls import reverse

from agents.models import Checkpoint, Run
from agents.services.files import store
from core import clock
from plugins.models import ToolCall
from sandbox.workspaces.snapshots import Bounds, take_snapshot
from tests.factories.agents import make_call, make_run
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

PLENTY = Bounds(size_bytes=1024 * 1024, entries=1000)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.fixture
def run(cast: Cast, tmp_path: Path) -> Iterator[Run]:
    """A run with a checkpoint of two files, and another one with a third."""
    with override_settings(WORKSPACES_DIR=tmp_path / "workspaces"):
        yield _played(cast, tmp_path)


def _played(cast: Cast, tmp_path: Path) -> Run:
    made = make_run(cast.acme)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "notes.md").write_text("one\ntwo\n")
    (folder / "drawn.svg").write_bytes(SVG)
    kept(made, 1, 1, folder)
    (folder / "plot.txt").write_bytes(PNG)
    kept(made, 2, 4, folder)
    return made


def kept(run: Run, sequence: int, messages: int, folder: Path) -> None:
    digest = take_snapshot(folder, store(run.workspace_id), bounds=PLENTY).digest
    Checkpoint.objects.create(
        run=run, sequence=sequence, message_count=messages, state={"phase": "model"},
        workspace_digest=digest, created_at=clock.now(),
    )  # fmt: skip


def address(run: Run, name: str, *more: object) -> str:
    return reverse(f"admin:agents_run_{name}", args=[run.pk, *more])


def test_the_files_of_a_checkpoint_are_listed(run: Run, browse: Browser) -> None:
    found = browse("operator").get(address(run, "state", 1)).json()

    assert [(file["path"], file["size_bytes"]) for file in found["files"]] == [
        ("drawn.svg", len(SVG)),
        ("notes.md", 8),
    ]
    assert found["files_note"] == ""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("notes.md", "text/plain; charset=utf-8"),
        ("plot.txt", "image/png"),
        ("drawn.svg", "text/plain; charset=utf-8"),
    ],
)
def test_a_file_is_what_its_bytes_are_and_runs_nothing(
    run: Run, browse: Browser, name: str, kind: str
) -> None:
    answer = browse("operator").get(address(run, "file", 2), {"path": name})

    assert answer["Content-Type"] == kind
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == (
        "default-src 'none'; frame-ancestors 'none'; sandbox"
    )


@pytest.mark.parametrize("name", ["plot.txt", "../notes.md", "/etc/passwd", "", ".agentry/x"])
def test_what_the_checkpoint_does_not_name_is_not_there(
    run: Run, browse: Browser, name: str
) -> None:
    assert browse("operator").get(address(run, "file", 1), {"path": name}).status_code == 404


def test_a_file_too_large_for_a_page_is_refused(
    run: Run, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.admin.run_data.MAX_FILE_BYTES", 4)

    refused = browse("operator").get(address(run, "file", 1), {"path": "notes.md"})

    assert refused.status_code == 429
    assert "has 8 bytes; at most 4" in refused.json()["sentence"]


def test_a_written_file_is_compared_with_what_it_was_before(run: Run, browse: Browser) -> None:
    call = make_call(run)
    given = {"path": "./notes.md", "content": "one\nthree\n", "see": "plot.png"}
    ToolCall.objects.filter(pk=call.pk).update(tool="write", arguments=given)

    found = browse("operator").get(address(run, "call", call.pk)).json()

    (change,) = found["changes"]
    assert change["note"] == "compared with checkpoint 1"
    assert [line[2] for line in change["lines"] if line[1] in {"added", "removed"}] == [
        "two",
        "three",
    ]
    (picture,) = found["images"]
    assert picture["url"] == f"{address(run, 'file', 2)}?path=plot.png"
