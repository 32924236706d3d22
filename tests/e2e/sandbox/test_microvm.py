"""The driver for virtual machines, against a process that speaks Firecracker's API."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.contracts import MIB, Command, Ended, Limit, Limits, Profile, Strength
from sandbox.errors import SandboxLostError, SandboxRefusedError, SandboxUnavailableError
from sandbox.leases import FIRST_UID, MOST
from sandbox.runners.microvm import Host, MicrovmRunner, find_host
from sandbox.runners.microvm import runner as microvm
from sandbox.runners.microvm.host import kvm_problem
from sandbox.services import Sandboxes, default_folder
from sandbox.uids import processes_of
from sandbox.workspaces import delete_workspace, quota
from tests.architecture.source import ROOT
from tests.conformance.sandbox.host import names_in
from tests.waiting import wait_for

FAKE = Path(__file__).with_name("fake_firecracker.py")
PROFILE = Profile(
    limits=Limits(cpu=1.5, memory_bytes=200 * MIB, disk_bytes=8 * MIB, pids=50, wall_seconds=20)
)


OWNER = """
import asyncio, sys
from pathlib import Path
from sandbox.contracts import Profile
from sandbox.runners.microvm import Host, MicrovmRunner
from sandbox.services import default_folder
place = Path(sys.argv[1])
host = Host(program=place / "firecracker", kernel=place / "kernel", root_disk=place / "root.ext4")
async def main():
    session = await MicrovmRunner(default_folder(), host).open(Path(sys.argv[2]), Profile())
    print(session.uid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A host with a stand-in for Firecracker; `log` is what it was asked."""

    place: Path

    def host(self, behaviour: str = "works") -> Host:
        program = self.place / "firecracker"
        program.write_text(
            f'#!/bin/sh\nexec /usr/bin/python3 {self.place}/fake.py {self.place}/log "{behaviour}"'
            ' "$@"\n'
        )
        program.chmod(0o755)
        return Host(
            program=program, kernel=self.place / "kernel", root_disk=self.place / "root.ext4"
        )

    def runner(self, behaviour: str = "works") -> MicrovmRunner:
        return MicrovmRunner(default_folder(), self.host(behaviour))

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.place / "log").read_text().splitlines()]

    @property
    def asked(self) -> dict[str, Any]:
        return {row["path"]: row["body"] for row in self.log if "path" in row}


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="agentry-microvm-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        shutil.copyfile(FAKE, place / "fake.py")
        for name in ("kernel", "root.ext4", "log"):
            (place / name).touch()
        (place / "log").chmod(0o666)
        yield Bench(place=place)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "given").write_text("by the host")
    yield folder
    delete_workspace(folder)


async def test_a_machine_is_described_started_and_ended(bench: Bench, workspace: Path) -> None:
    async with await bench.runner().open(workspace, PROFILE) as session:
        uid = session.uid
        inside = session.group.processes()
        outcome = await session.run(Command(argv=("say", "hello there")))

    assert (outcome.stdout, outcome.ended_by) == (b"say hello there", Ended.EXIT)
    paths = [row["path"] for row in bench.log if "path" in row]
    assert paths == [
        "/machine-config", "/boot-source", "/drives/root", "/drives/workspace", "/vsock",
        "/actions",
    ]  # fmt: skip
    assert bench.asked["/machine-config"] == {"vcpu_count": 2, "mem_size_mib": 200, "smt": False}
    words = bench.asked["/boot-source"]["boot_args"]
    assert words.endswith("agentry.nofile=256 agentry.fsize=134217728 agentry.nproc=50")
    assert bench.asked["/drives/root"]["is_read_only"] is True
    assert bench.asked["/drives/workspace"]["is_read_only"] is False
    assert bench.asked["/actions"] == {"action_type": "InstanceStart"}
    drives = {row["drive"]: row for row in bench.log if "drive" in row}
    assert drives["workspace"]["bytes"] == 8 * MIB
    assert FIRST_UID <= drives["root"]["uid"] == uid < FIRST_UID + MOST
    assert [row["knock"] for row in bench.log if "knock" in row] == ["CONNECT 5000\n"]
    assert inside
    assert processes_of(uid) == []


async def test_the_disk_is_the_machines_alone_and_keeps_its_files(
    bench: Bench, workspace: Path
) -> None:
    async with await bench.runner().open(workspace, PROFILE):
        assert not quota.is_mounted(workspace)
        assert names_in(workspace) == []

    quota.attach(workspace, disk_bytes=8 * MIB)
    found = (workspace / "given").read_text()
    quota.detach(workspace)
    assert found == "by the host"


async def test_a_call_is_cancelled_and_a_dead_machine_is_told(
    bench: Bench, workspace: Path
) -> None:
    session = await bench.runner().open(workspace, PROFILE)
    call = asyncio.ensure_future(session.run(Command(argv=("wait",))))
    await asyncio.sleep(0)
    await session.cancel()
    outcome = await call
    waiting = asyncio.ensure_future(session.run(Command(argv=("wait",))))
    await asyncio.sleep(0)
    session.group.kill()
    with pytest.raises(SandboxLostError):
        await waiting
    await session.close()

    assert outcome.ended_by == Ended.CANCELLED
    assert session.group.processes() == []


async def test_a_socket_that_has_a_name_but_no_listener_yet_is_waited_for(
    bench: Bench, workspace: Path
) -> None:
    async with await bench.runner("is slow to listen").open(workspace, PROFILE) as session:
        outcome = await session.run(Command(argv=("say", "late")))

    assert outcome.stdout == b"say late"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("refuses", "/machine-config was answered with 400: Memory is scarce."),
        ("dies", "no answer to /actions"),
        ("stays mute", "session agent inside does not listen"),
        ("never listens", "does not listen at its socket"),
    ],
)
async def test_what_goes_wrong_is_told_and_leaves_nothing(
    behaviour: str, reason: str, bench: Bench, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microvm, "_START_SECONDS", 2.0)

    with pytest.raises(SandboxUnavailableError) as refused:
        await bench.runner(behaviour).open(workspace, PROFILE)

    assert reason in refused.value.message
    assert not quota.is_mounted(workspace)
    for uid in range(FIRST_UID, FIRST_UID + 8):
        place = str(bench.place).encode()
        assert [number for number in processes_of(uid) if place in _words(number)] == []
    # The workspace is free again, and the next opening works.
    async with await bench.runner().open(workspace, PROFILE) as session:
        await session.run(Command(argv=("say",)))


def _words(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_an_opening_that_is_given_up_leaves_nothing(bench: Bench, workspace: Path) -> None:
    for pauses in (1, 5, 20, 60):
        opening = asyncio.ensure_future(bench.runner().open(workspace, PROFILE))
        for _ in range(pauses):
            await asyncio.sleep(0)
        opening.cancel()
        result = (await asyncio.gather(opening, return_exceptions=True))[0]
        if not isinstance(result, BaseException):
            await result.close()

    async with await bench.runner().open(workspace, PROFILE) as session:
        outcome = await session.run(Command(argv=("say", "again")))
    assert outcome.stdout == b"say again"


async def test_it_says_what_it_holds(bench: Bench, workspace: Path) -> None:
    abilities = await bench.runner().abilities()

    assert abilities.strength == Strength.MACHINE
    assert abilities.holds == set(Limit) - {Limit.NET}
    with pytest.raises(SandboxRefusedError, match="net cannot be held"):
        await bench.runner().open(workspace, Profile(net=("a.example:443",)))


def test_a_machine_of_a_dead_owner_is_reaped(bench: Bench, workspace: Path) -> None:
    bench.host()
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(bench.place), str(workspace)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        uid = int(owner.stdout.readline())
        for process in processes_of(uid):
            os.kill(process, signal.SIGSTOP)  # it cannot end by itself
        owner.kill()
    Sandboxes().reap()

    wait_for(lambda: not processes_of(uid), lambda: processes_of(uid))
    assert not (default_folder() / "machines" / str(uid - FIRST_UID)).exists()


def test_what_is_missing_is_told_with_a_remedy(bench: Bench) -> None:
    bench.host()
    path = str(bench.place)
    (bench.place / "cpu").write_text("flags\t\t: fpu vmx sse\n")

    def look(kernel: str, path: str) -> Host:
        return find_host(
            kernel=kernel,
            root_disk=str(bench.place / "root.ext4"),
            path=path,
            device=Path("/dev/null"),
            processor=bench.place / "cpu",
            modules=bench.place,
        )

    none = look(str(bench.place / "kernel"), "/nonexistent")
    whole = look(str(bench.place / "kernel"), path)
    without = look("", path)

    assert "not installed" in none.problem
    assert (whole.problem, whole.program) == ("", bench.place / "firecracker")
    assert "AGENTRY_SANDBOX_MICROVM_KERNEL" in without.problem
    assert none.remedy
    assert without.remedy


@pytest.mark.parametrize(
    ("device", "flags", "module", "reason"),
    [
        ("/nonexistent/kvm", "vmx", "kvm_intel", "is not there"),
        ("/dev/null", "fpu", "kvm_pvm", "kvm_pvm's"),
        ("/dev/null", "fpu", "kvm", "neither VMX nor SVM"),
        ("/dev/null", "svm", "kvm_pvm", "kvm_pvm's"),
        ("/dev/null", "fpu svm", "kvm_amd", ""),
    ],
)
def test_a_device_alone_is_no_usable_kvm(
    device: str, flags: str, module: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "cpu").write_text(f"processor : 0\nflags : {flags}\n")
    (tmp_path / module).mkdir()

    found = kvm_problem(device=Path(device), processor=tmp_path / "cpu", modules=tmp_path)

    assert (reason in found) if reason else found == ""


async def test_this_host_says_why_not_or_is_ready() -> None:
    """Whatever the machine the tests run on: an answer, and a remedy with every no."""
    abilities = next(one for one in await Sandboxes().doctor() if one.name == "microvm")

    assert abilities.is_available != bool(abilities.problem)
    assert bool(abilities.problem) == bool(abilities.remedy)
    assert os.geteuid() == 0
