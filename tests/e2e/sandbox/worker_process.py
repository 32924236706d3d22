"""A sandbox worker as a process of its own, to be stopped and killed by tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox import cgroups
from sandbox.contracts import Profile, Session
from sandbox.remote import RemoteRunner, at
from sandbox.services import default_folder
from tests.architecture.source import ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    process: "subprocess.Popen[bytes]"
    socket: Path

    @property
    def runner(self) -> RemoteRunner:
        return RemoteRunner(at(self.socket))

    async def open(self, workspace: Path) -> Session:
        return await self.runner.open(workspace, Profile())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """Ask it to stop and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def worker_process(
    folder: Path, *, variables: Mapping[str, str] | None = None
) -> Iterator[WorkerProcess]:
    """Run a worker for workspaces below `folder`; it is killed at the end if it still runs."""
    socket = folder / "w.sock"
    environment = {name: text for name, text in os.environ.items() if "AGENTRY" not in name}
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox.worker", "--socket", str(socket), "--workspaces",
         str(folder), "--folder", str(default_folder()), "--attached"],
        cwd=ROOT,
        env=environment | dict(variables or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield WorkerProcess(process=process, socket=socket)
        finally:
            process.kill()


def left_of(workspace: Path) -> list[str]:
    """Return what there is on this host for a workspace: mounts, and places that name it."""
    mounts = [
        line.split()[1]
        for line in Path("/proc/self/mounts").read_text().splitlines()
        if line.split()[1] == str(workspace)
    ]
    places = [
        file.name
        for file in (default_folder() / "places").iterdir()
        if str(workspace).encode() + b'"' in file.read_bytes()
    ]
    return mounts + places


def processes_of(workspace: Path) -> list[int]:
    """Return the processes of the sandbox that has the workspace."""
    from tests.conformance.sandbox.worker import place_of

    _, held = place_of(workspace)
    return list(cgroups.hierarchy().group(held.group).processes())
