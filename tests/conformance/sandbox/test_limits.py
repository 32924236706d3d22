"""Every limit a runner claims to hold binds, for all processes of the sandbox together."""

import asyncio
from pathlib import Path

import pytest

from sandbox.contracts import MIB, Command, Ended, Isolation, Limit, Limits, Profile, Runner
from sandbox.errors import SandboxBusyError, SandboxLostError, SandboxRefusedError
from tests.conformance.sandbox.host import host_cpu_seconds, names_in, settled
from tests.conformance.sandbox.subjects import has_own_kernel, observed, shell

EAT = """
import os, sys
ready, told = os.pipe()  # at its end when each has all its memory, or is dead
held, hold = os.pipe()
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.close(ready); os.close(hold)
        block = bytearray(int(sys.argv[2]) << 20)
        for i in range(0, len(block), 4096): block[i] = 1
        os.close(told); os.read(held, 1); os._exit(0)
os.close(told); os.read(ready, 1); os.close(hold)
sys.exit(sum(os.wait()[1] != 0 for _ in range(int(sys.argv[1]))))
"""

FORK = """
import os, time
n = 0
try:
    while n < 100:
        if os.fork() == 0: time.sleep(20)
        n += 1
except BlockingIOError: pass
print(n)
"""


def eat(*, processes: int, mib: int) -> Command:
    """Return a command whose processes touch so much memory each; its status counts the dead."""
    return Command(argv=("python3", "-c", EAT, str(processes), str(mib)))


async def test_everything_is_held_or_said_why_not(runner: Runner) -> None:
    abilities = await runner.abilities()

    assert abilities.is_available, abilities.problem
    assert abilities.holds | abilities.missing.keys() == set(Limit)
    assert abilities.holds & abilities.missing.keys() == set()
    assert all(abilities.missing.values())
    assert abilities.holds | {Limit.NET} == set(Limit), "tests run as root and hold everything"


async def test_what_cannot_be_held_is_refused(runner: Runner, workspace: Path) -> None:
    profile = Profile(net=("api.example.org",))

    with pytest.raises(SandboxRefusedError, match=r"net cannot be held|there is no port"):
        await runner.open(workspace, profile)
    assert names_in(workspace.parent) == ["workspace"]


async def test_another_engine_is_refused(runner: Runner, workspace: Path) -> None:
    with pytest.raises(SandboxRefusedError, match="microvm was asked for"):
        await runner.open(workspace, Profile(isolation=Isolation.MICROVM))


async def test_memory_counts_all_processes_together(runner: Runner, workspace: Path) -> None:
    profile = Profile(limits=Limits(memory_bytes=96 * MIB))

    async with await runner.open(workspace, profile) as session:
        alone = await session.run(eat(processes=1, mib=40))
        peak = observed(session).group.peak_memory_bytes()
        many = await session.run(eat(processes=4, mib=40))
        if not has_own_kernel(runner):
            one = await session.run(eat(processes=1, mib=200))
            peak = observed(session).group.peak_memory_bytes()
            after = await session.run(shell("echo alive"))
            assert one.ended_by == Ended.MEMORY
            assert many.exit_code in {1, 2, 3}
            assert after.stdout == b"alive\n"
        else:
            with pytest.raises(SandboxLostError):
                await session.run(shell("echo alive"))

    assert (alone.exit_code, alone.ended_by) == (0, Ended.EXIT)
    assert many.ended_by == Ended.MEMORY
    assert 40 * MIB < peak <= 96 * MIB
    assert await settled(observed(session)) == []


async def test_processes_are_counted(runner: Runner, workspace: Path) -> None:
    profile = Profile(limits=Limits(pids=12, wall_seconds=10))

    async with await runner.open(workspace, profile) as session:
        if has_own_kernel(runner):
            with pytest.raises(SandboxLostError):
                await session.run(Command(argv=("python3", "-c", FORK)))
        else:
            outcome = await session.run(Command(argv=("python3", "-c", FORK)))
            after = await session.run(shell("echo alive"))
            assert outcome.stdout == b"11\n"
            assert after.stdout == b"alive\n"

    assert await settled(observed(session)) == []


async def test_the_share_of_the_processors_is_bounded(runner: Runner, workspace: Path) -> None:
    profile = Profile(limits=Limits(cpu=0.2, wall_seconds=1.5))

    async with await runner.open(workspace, profile) as session:
        # A kernel in user space counts a process's time by its own clock, which does not stand
        # still while the host holds it; what it takes of the host is what is limited.
        before = host_cpu_seconds(observed(session)) if has_own_kernel(runner) else 0.0
        outcome = await session.run(shell("while :; do :; done & while :; do :; done"))
        used = outcome.usage.cpu_seconds
        if has_own_kernel(runner):
            used = host_cpu_seconds(observed(session)) - before

    assert outcome.ended_by == Ended.TIMEOUT
    assert used < 0.6


async def test_the_workspace_has_a_quota_of_bytes_and_files(
    runner: Runner, workspace: Path
) -> None:
    profile = Profile(limits=Limits(disk_bytes=8 * MIB, wall_seconds=20))

    async with await runner.open(workspace, profile) as session:
        full = await session.run(shell("head -c 50000000 /dev/zero >big"))
        size = await session.run(shell("wc -c <big; rm big"))
        many = await session.run(
            shell("i=0; while : >f$i; do i=$((i+1)); [ $i -lt 5000 ] || break; done; echo $i")
        )

    assert full.exit_code != 0
    assert b"No space left on device" in full.stderr
    assert int(size.stdout) <= 8 * MIB
    assert int(many.stdout or 0) < 2000


async def test_files_and_descriptors_are_bounded(runner: Runner, workspace: Path) -> None:
    profile = Profile(limits=Limits(file_bytes=MIB, open_files=32))

    async with await runner.open(workspace, profile) as session:
        file = await session.run(shell("head -c 3000000 /dev/zero >big; wc -c <big"))
        opened = await session.run(
            shell("exec python3 -c 'k=[]\nfor n in range(99): k.append(open(\"/dev/null\"))'")
        )

    assert file.stdout == b"1048576\n"
    assert opened.exit_code == 1
    assert b"Too many open files" in opened.stderr


async def test_only_the_workspace_lasts(runner: Runner, workspace: Path) -> None:
    write = "echo kept >/workspace/file; echo gone >/tmp/file; echo no >/etc/file; echo no >/usr/f"

    async with await runner.open(workspace, Profile()) as session:
        first = await session.run(shell(write))
    async with await runner.open(workspace, Profile()) as session:
        second = await session.run(shell("cat file; ls /tmp; echo more >>file; cat file"))

    refused = (b"Read-only file system", b"Permission denied")
    assert sum(map(first.stderr.count, refused)) == 2
    assert second.stdout == b"kept\nkept\nmore\n"


async def test_a_workspace_belongs_to_one_session(runner: Runner, workspace: Path) -> None:
    async with await runner.open(workspace, Profile()) as session:
        with pytest.raises(SandboxBusyError):
            await runner.open(workspace, Profile())
        outcome = await session.run(shell("echo mine"))

    assert outcome.stdout == b"mine\n"


async def test_the_host_puts_files_in_before_the_first_session(
    runner: Runner, workspace: Path
) -> None:
    (workspace / "given").write_text("by the host\n")

    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(shell("cat given; echo changed >given; cat given"))

    assert outcome.stdout == b"by the host\nchanged\n"


@pytest.mark.timeout(400)
async def test_a_hundred_calls_at_once_finish_and_leave_nothing(
    runner: Runner, tmp_path: Path
) -> None:
    sandboxes = 30 if has_own_kernel(runner) else 100  # to spare time; the bench has a hundred
    limits = Limits(memory_bytes=64 * MIB, pids=16, disk_bytes=2 * MIB)
    ended = []

    async def one(number: int) -> bytes:
        folder = tmp_path / f"w{number}"
        folder.mkdir()
        async with await runner.open(folder, Profile(limits=limits)) as session:
            outcome = await session.run(shell(f"echo {number} >f; cat f; sleep 60 &"))
        ended.append(session)
        return outcome.stdout

    answers = await asyncio.gather(*map(one, range(sandboxes)))

    assert answers == [f"{number}\n".encode() for number in range(sandboxes)]
    assert [await settled(observed(session)) for session in ended] == [[]] * sandboxes


async def test_a_workspace_that_is_only_to_be_read_cannot_be_written(
    runner: Runner, workspace: Path
) -> None:
    (workspace / "kept").write_text("kept")
    profile = Profile(is_read_only=True)

    async with await runner.open(workspace, profile) as session:
        outcome = await session.run(shell("cat kept; touch new; echo x >kept; rm kept; cat kept"))

    assert outcome.stdout == b"keptkept"
    assert b"Read-only file system" in outcome.stderr
