"""What a killed owner leaves is taken away, and nothing that somebody still owns."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.contracts import Command, Isolation, Profile
from sandbox.images import local_tag
from sandbox.leases import Held, Leases
from sandbox.runners.docker import Engine, reap_containers
from sandbox.runners.docker.settings import LABEL_FOLDER, LABEL_GROUP, LABEL_PLACE
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


@pytest.mark.parametrize("engine", ["bubblewrap", "docker", "gvisor"])
def test_what_a_killed_owner_leaves_is_taken_away(
    engine: str, workspace: Path, request: pytest.FixtureRequest
) -> None:
    if engine != "bubblewrap":
        request.getfixturevalue("docker_url")
    sandboxes = Sandboxes()
    profile = Profile(isolation=Isolation(engine))
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.e2e.sandbox.orphan",
            str(default_folder()),
            str(workspace),
            engine,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as owner:
        try:
            assert owner.stdout is not None
            told = json.loads(owner.stdout.readline())
            wait_for((workspace / "file").exists, lambda: "the call has not begun")
            while_alive = sandboxes.reap()
        finally:
            owner.kill()
    after = sandboxes.reap()

    mine = f"of process {owner.pid} was taken away"
    assert [words for words in while_alive if mine in words] == []
    assert len([words for words in after if mine in words]) == 1
    assert [group for group in told["groups"] if Path(group).exists()] == []
    assert not quota.is_mounted(workspace)
    wait_for(
        lambda: not any(Path(f"/proc/{process}").exists() for process in told["processes"]),
        lambda: "processes live on",
    )

    async def read() -> bytes:
        runner = sandboxes.runner_for(profile)
        async with await runner.open(workspace, profile) as session:
            return (await session.run(Command(argv=("cat", "file")))).stdout

    assert asyncio.run(read()) == b"kept\n"


def test_a_container_without_an_owner_is_taken_away(docker_url: str) -> None:
    """Its owner died while the engine was making it, and its place has been cleaned since."""
    engine = Engine(docker_url)
    places = Leases(default_folder())
    owned = places.take()
    owned.write(Held(owner=1, group=owned.group))
    labels = {
        name: {LABEL_FOLDER: str(places.folder), LABEL_PLACE: str(owned.number), LABEL_GROUP: group}
        for name, group in (("agentry-owned", owned.group), ("agentry-left", "s0-of-the-dead"))
    }
    try:
        for name, marks in labels.items():
            engine.create(
                name,
                host={"known": {}, "other": {}},
                container={"Image": local_tag(), "Cmd": ["sh"], "Labels": marks},
            )
        told = reap_containers(engine, places)
        left = {found.name for found in engine.containers(f"{LABEL_FOLDER}={places.folder}")}
    finally:
        for name in labels:
            engine.remove(name)
        owned.release()
        engine.close()

    assert [words for words in told if "agentry-" in words] == [
        "the container agentry-left was taken away: nobody has its place"
    ]
    assert "agentry-owned" in left
    assert "agentry-left" not in left
