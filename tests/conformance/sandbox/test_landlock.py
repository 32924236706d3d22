"""Landlock: what it holds, what it refuses to promise, and that it harms no stranger."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.contracts import Command, Ended, Limit, Limits, Profile, Strength
from sandbox.errors import SandboxRefusedError
from sandbox.leases import FIRST_UID
from sandbox.runners.landlock import LandlockRunner
from sandbox.runners.landlock import runner as landlock
from sandbox.services import Sandboxes, default_folder
from sandbox.uids import kill_all_of, processes_of
from tests.architecture.source import ROOT
from tests.conformance.sandbox.subjects import shell, until
from tests.waiting import wait_for

HELD = Limits(cpu=None, memory_bytes=None, disk_bytes=None, pids=20, wall_seconds=10)
COMET = """
import os, sys
while True:
    if os.fork(): os._exit(0)
    open("flown", "w").close()
"""


@pytest.fixture
def subject() -> LandlockRunner:
    return LandlockRunner(default_folder())


async def test_it_says_what_it_cannot_hold_and_refuses_it(
    subject: LandlockRunner, workspace: Path
) -> None:
    abilities = await subject.abilities()

    assert abilities.is_available, abilities.problem
    assert abilities.strength == Strength.RULES
    assert abilities.missing.keys() == {Limit.CPU, Limit.MEMORY, Limit.DISK, Limit.NET}
    with pytest.raises(SandboxRefusedError, match="memory_bytes cannot be held: Landlock has no"):
        await subject.open(workspace, Profile())
    assert list(workspace.parent.iterdir()) == [workspace]


async def test_only_programs_and_the_workspace_can_be_read(
    subject: LandlockRunner, workspace: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    secret.chmod(0o644)
    tries = " ".join(f"cat {place};" for place in (secret, "/etc/passwd", "/proc/self/environ"))

    async with await subject.open(workspace, Profile(limits=HELD)) as session:
        outcome = await session.run(shell(f"env; {tries} ls /proc {tmp_path}; echo own >f; cat f"))
        elsewhere = await session.run(
            shell(f"echo x >{secret}; echo y >/tmp/{tmp_path.name}; mkdir /dev/shm/{tmp_path.name}")
        )

    assert outcome.stdout.decode().splitlines() == [f"PWD={workspace}", "own"]
    assert outcome.stderr.count(b"Permission denied") == 5
    assert elsewhere.exit_code != 0
    assert secret.read_text() == "canary"
    assert not (Path("/tmp") / tmp_path.name).exists()
    assert not (Path("/dev/shm") / tmp_path.name).exists()


@pytest.mark.parametrize(
    "code",
    [
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_INET)",
        "socket.socket(socket.AF_UNIX)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    ],
)
async def test_no_socket_can_be_made(subject: LandlockRunner, workspace: Path, code: str) -> None:
    async with await subject.open(workspace, Profile(limits=HELD)) as session:
        outcome = await session.run(Command(argv=("python3", "-c", f"import socket; {code}")))
        pair = await session.run(
            Command(argv=("python3", "-c", "import socket; socket.socketpair()"))
        )

    assert b"Address family not supported" in outcome.stderr
    assert pair.exit_code == 0


async def test_strangers_cannot_be_signalled_nor_their_limits_changed(
    subject: LandlockRunner, workspace: Path
) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "600")
    script = (
        "import os, resource\n"
        f"for what in (lambda: os.kill({bystander.pid}, 9), lambda: os.kill(-1, 9),"
        f" lambda: os.kill(os.getppid(), 9), lambda: resource.prlimit(os.getppid(), 0, (0, 0))):\n"
        "    try: what(); print('done')\n"
        "    except OSError as error: print(error.errno)\n"
    )
    try:
        async with await subject.open(workspace, Profile(limits=HELD)) as session:
            outcome = await session.run(Command(argv=("python3", "-c", script)))
            after = await session.run(shell("echo alive"))
        still = bystander.returncode
    finally:
        bystander.kill()
        await bystander.wait()

    assert "done" not in outcome.stdout.decode().splitlines()[:1]
    assert outcome.stdout.decode().splitlines()[3] == "1"
    assert after.stdout == b"alive\n"
    assert still is None


async def test_processes_are_counted_and_a_chain_of_forks_is_ended(
    subject: LandlockRunner, workspace: Path
) -> None:
    many = "i=0; while [ $i -lt 60 ]; do sleep 30 & i=$((i+1)); done; echo all"

    async with await subject.open(workspace, Profile(limits=HELD)) as session:
        crowd = await session.run(shell(many))
        left = session.group.processes()
        comet = await session.run(Command(argv=("python3", "-c", COMET)))
        after = await session.run(shell("rm flown; echo alive"))
        again = await session.run(shell("sleep 0.2; ls"))
        agents = session.group.processes()

    assert b"all" not in crowd.stdout
    assert b"fork" in crowd.stderr
    assert len(left) == len(agents) == 1
    assert comet.ended_by == Ended.EXIT
    assert after.stdout == b"alive\n"
    assert again.stdout == b""


async def test_what_is_left_after_a_killed_agent_is_killed_by_its_user(
    subject: LandlockRunner, workspace: Path
) -> None:
    session = await subject.open(workspace, Profile(limits=HELD))
    call = asyncio.ensure_future(session.run(shell("setsid sleep 600 & sleep 600")))
    await until(lambda: len(session.group.processes()) >= 3)
    os.kill(min(session.group.processes()), signal.SIGKILL)
    await asyncio.gather(call, return_exceptions=True)
    await session.close()

    assert session.group.processes() == []


async def test_secrets_and_other_engines_disks_are_refused(
    subject: LandlockRunner, workspace: Path
) -> None:
    async with await subject.open(workspace, Profile(limits=HELD)) as session:
        with pytest.raises(SandboxRefusedError, match="no /run/secrets"):
            await session.run(Command(argv=("true",), secrets={"key": b"s"}))
    disk = workspace.with_name("workspace.disk")
    disk.touch()

    with pytest.raises(SandboxRefusedError, match="has a disk of its own"):
        await subject.open(workspace, Profile(limits=HELD))
    disk.unlink()


@pytest.mark.parametrize(("found", "reason"), [(5, "version 5, and 6 is needed"), (-1, "has no")])
async def test_an_old_kernel_is_refused(
    found: int, reason: str, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: found)

    abilities = await LandlockRunner(default_folder()).abilities()

    assert reason in abilities.problem
    assert "6.12" in abilities.remedy


def test_what_a_killed_owner_leaves_is_reaped_by_its_user(workspace: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.conformance.sandbox.landlock import HeldByLandlock\n"
        "from sandbox.contracts import Command, Profile\n"
        "async def main():\n"
        "    session = await HeldByLandlock().open(Path(sys.argv[1]), Profile())\n"
        "    print(session.uid, flush=True)\n"
        "    await session.run(Command(argv=('sh', '-c', 'setsid sleep 600 & sleep 600')))\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(workspace)], cwd=ROOT, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        uid = int(owner.stdout.readline())
        wait_for(lambda: len(processes_of(uid)) >= 3, lambda: processes_of(uid))
        os.kill(min(processes_of(uid)), signal.SIGSTOP)  # the agent cannot clean up by itself
        owner.kill()
    Sandboxes().reap()

    wait_for(lambda: not processes_of(uid), lambda: processes_of(uid))


def test_only_users_of_sandboxes_are_ever_swept() -> None:
    for uid in (0, 1000, FIRST_UID - 1, FIRST_UID + 4096):
        with pytest.raises(ValueError, match="no user of a sandbox"):
            kill_all_of(uid)


def test_sockets_of_the_host_are_not_reached_by_path(workspace: Path, tmp_path: Path) -> None:
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        place.chmod(0o777)
        listening.listen()
        listening.settimeout(0)

        async def knock() -> bytes:
            runner = LandlockRunner(default_folder())
            async with await runner.open(workspace, Profile(limits=HELD)) as session:
                code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(place)!r})"
                return (await session.run(Command(argv=("python3", "-c", code)))).stderr

        told = asyncio.run(knock())
        with pytest.raises(BlockingIOError):
            listening.accept()

    assert b"Address family not supported" in told
