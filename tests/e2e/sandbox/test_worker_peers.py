"""Who may ask the sandbox worker: root, its own user, and a group it was given."""

import asyncio
import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT
from tests.e2e.sandbox.worker_process import worker_process
from tests.services import reachable_folder

STRANGER = 65534
ASK = """
import asyncio, os, sys
from pathlib import Path
from sandbox.remote import RemoteRunner, at
from sandbox.contracts import Profile
from sandbox.errors import SandboxUnavailableError
os.setgroups([int(sys.argv[2])] if sys.argv[2] else []); os.setresgid(65533, 65533, 65533)
os.setresuid(65534, 65534, 65534)
runner = RemoteRunner(at(Path(sys.argv[1])))
try:
    if sys.argv[3]:
        asyncio.run(runner.open(Path(sys.argv[3]), Profile()))
        print("opened")
    else:
        print("answered", asyncio.run(runner.abilities()).name)
except SandboxUnavailableError as error:
    print("refused", error.message)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = reachable_folder(tmp_path / "sockets")
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)
    return place


def ask(socket: Path, group: str, workspace: Path | None = None) -> str:
    """Ask as another user for abilities, or for a sandbox in the workspace."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(socket), group, str(workspace or "")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_another_user_is_not_let_in(folder: Path) -> None:
    with worker_process(folder) as worker:
        told = ask(worker.socket, "")
        mode = worker.socket.stat().st_mode & 0o777

    assert told.startswith("refused No sandbox worker answers")
    assert "Permission denied" in told
    assert mode == 0o600


def test_who_gets_past_the_mode_is_still_asked_for_its_user(folder: Path) -> None:
    with worker_process(folder) as worker:
        worker.socket.chmod(0o666)
        told = ask(worker.socket, "")
        is_fine = asyncio.run(worker.runner.abilities()).is_available

    assert told == (
        "refused The sandbox worker ended the connection without an answer; nothing ran."
    )
    assert is_fine


def test_the_group_it_was_given_is_let_in(folder: Path) -> None:
    group = grp.getgrgid(pwd.getpwuid(STRANGER).pw_gid)
    with worker_process(folder, variables={"AGENTRY_SANDBOX_GROUP": group.gr_name}) as worker:
        told = ask(worker.socket, str(group.gr_gid))
        others = ask(worker.socket, "")
        owner, mode = worker.socket.stat().st_gid, worker.socket.stat().st_mode & 0o777

    assert told == "answered bubblewrap"
    assert "Permission denied" in others
    assert (owner, mode) == (group.gr_gid, 0o660)


def test_a_caller_who_could_not_read_the_files_afterwards_is_told_so(folder: Path) -> None:
    group = grp.getgrgid(pwd.getpwuid(STRANGER).pw_gid)
    workspace = folder / "workspace"
    workspace.mkdir(mode=0o700)
    os.chown(workspace, STRANGER, group.gr_gid)
    with worker_process(folder, variables={"AGENTRY_SANDBOX_GROUP": group.gr_name}) as worker:
        told = ask(worker.socket, str(group.gr_gid), workspace)

    assert told == (
        "refused The sandbox worker is root and gives the workspace workspace to a user of the "
        "sandbox, so its caller, user 65534, could not reach the files afterwards; nothing ran."
    )
    assert workspace.stat().st_uid == STRANGER
    assert sorted(path.name for path in folder.iterdir()) == ["w.sock", "w.sock.lock", "workspace"]


def test_a_group_there_is_none_of_stops_the_start(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.worker", "--socket", str(folder / "w"), "--workspaces",
         str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"AGENTRY_SANDBOX_GROUP": "no-such-group"},
    )  # fmt: skip

    assert done.returncode == 1
    assert "There is no group 'no-such-group' on this host." in done.stdout
    assert not (folder / "w").exists()
