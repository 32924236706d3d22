"""What a killed owner leaves is taken away, and nothing that somebody still owns."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.contracts import Command, Profile
from sandbox.services import Sandboxes, default_folder
from sandbox.workspaces import delete_workspace, quota
from tests.architecture.source import ROOT
from tests.waiting import wait_for


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
    delete_workspace(folder)


def test_what_a_killed_owner_leaves_is_taken_away(workspace: Path) -> None:
    sandboxes = Sandboxes()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.sandbox.orphan", str(default_folder()), str(workspace)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as owner:
        try:
            assert owner.stdout is not None
            told = json.loads(owner.stdout.readline())
            wait_for((workspace / "file").exists, lambda: "the call has not begun")
            had_way_out = (Path(told["egress"]) / "gateway.sock").is_socket()
            while_alive = sandboxes.reap()
        finally:
            owner.kill()
    after = sandboxes.reap()

    mine = f"of process {owner.pid} was taken away"
    assert [words for words in while_alive if mine in words] == []
    assert len([words for words in after if mine in words]) == 1
    assert [group for group in told["groups"] if Path(group).exists()] == []
    assert had_way_out
    assert not Path(told["egress"]).exists()
    assert not quota.is_mounted(workspace)
    wait_for(
        lambda: not any(Path(f"/proc/{process}").exists() for process in told["processes"]),
        lambda: "processes live on",
    )

    async def read() -> bytes:
        runner = sandboxes.runner_for(Profile())
        async with await runner.open(workspace, Profile()) as session:
            return (await session.run(Command(argv=("cat", "file")))).stdout

    assert asyncio.run(read()) == b"kept\n"
