"""What every runner does with a call: what goes in, what comes out, what ends it."""

import asyncio
from pathlib import Path

import pytest

from sandbox.contracts import Command, Ended, Limits, Profile, Runner
from sandbox.errors import SandboxLostError
from tests.conformance.sandbox.host import settled, work_of
from tests.conformance.sandbox.subjects import observed, shell, until


async def test_output_and_status_come_back(runner: Runner, workspace: Path) -> None:
    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(shell("echo out; echo err >&2; exit 3"))

    assert (outcome.stdout, outcome.stderr) == (b"out\n", b"err\n")
    assert (outcome.exit_code, outcome.signal, outcome.ended_by) == (3, None, Ended.EXIT)
    assert not outcome.is_truncated
    assert outcome.usage.wall_seconds > 0
    assert outcome.usage.max_rss_bytes > 100_000


async def test_only_what_the_command_carries_goes_in(
    runner: Runner, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_HOST", "canary")
    command = Command(
        argv=("sh", "-c", 'cat; pwd; tr "\\0" "\\n" </proc/self/environ'),
        stdin=b"\x00\xff in\n",
        env={"GIVEN": "a b;$(c)"},
        cwd="/workspace/deep",
    )

    async with await runner.open(workspace, Profile()) as session:
        await session.run(shell("mkdir /workspace/deep"))
        outcome = await session.run(command)

    first, place, *environment = outcome.stdout.splitlines()
    assert first == b"\x00\xff in"
    assert place == b"/workspace/deep"
    assert sorted(environment) == [b"GIVEN=a b;$(c)"]


async def test_arguments_are_never_pasted_together(runner: Runner, workspace: Path) -> None:
    hostile = '\'; touch pasted; echo "$(id)" `id` \n'

    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(Command(argv=("printf", "%s|", hostile, "-n", "")))
        listed = await session.run(shell("ls"))

    assert outcome.stdout.decode() == f"{hostile}|-n||"
    assert listed.stdout == b""


async def test_a_large_input_and_output_pass(runner: Runner, workspace: Path) -> None:
    data = bytes(range(256)) * 4000

    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(Command(argv=("cat",), stdin=data))

    assert outcome.stdout == data


async def test_a_program_that_is_not_there_ends_with_127(runner: Runner, workspace: Path) -> None:
    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(Command(argv=("no-such-program",)))

    assert outcome.exit_code == 127
    assert outcome.stderr == b"no-such-program: No such file or directory\n"


async def test_a_signal_is_told(runner: Runner, workspace: Path) -> None:
    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(shell("kill -TERM $$"))

    assert (outcome.exit_code, outcome.signal, outcome.ended_by) == (None, 15, Ended.SIGNAL)


async def test_the_wall_time_ends_a_call_and_all_it_started(
    runner: Runner, workspace: Path
) -> None:
    profile = Profile(limits=Limits(wall_seconds=0.3))

    async with await runner.open(workspace, profile) as session:
        outcome = await session.run(shell("trap '' TERM; echo begun; sleep 60 & sleep 60"))
        left = work_of(observed(session))
        after = await session.run(shell("echo still here"))

    assert outcome.ended_by == Ended.TIMEOUT
    assert outcome.stdout == b"begun\n"
    assert outcome.usage.wall_seconds < 3
    assert left == []
    assert after.stdout == b"still here\n"


async def test_too_much_output_is_cut_and_ends_the_call(runner: Runner, workspace: Path) -> None:
    profile = Profile(limits=Limits(output_bytes=10_000))

    async with await runner.open(workspace, profile) as session:
        outcome = await session.run(shell("echo err >&2; exec yes"))

    assert outcome.ended_by == Ended.OUTPUT
    assert outcome.is_truncated
    assert len(outcome.stdout) + len(outcome.stderr) == 10_000


async def test_nothing_that_a_call_started_outlives_it(runner: Runner, workspace: Path) -> None:
    daemon = "setsid sh -c 'trap \"\" HUP TERM; sleep 60' >/dev/null 2>&1 & echo $! >pid"

    async with await runner.open(workspace, Profile()) as session:
        await session.run(shell(daemon))
        left = work_of(observed(session))
        outcome = await session.run(shell("kill -0 $(cat pid)"))

    assert left == []
    assert outcome.exit_code != 0


async def test_cancel_ends_the_call_that_runs(runner: Runner, workspace: Path) -> None:
    async with await runner.open(workspace, Profile()) as session:
        call = asyncio.ensure_future(session.run(shell("echo begun; sleep 60 & sleep 60")))
        await until(lambda: len(work_of(observed(session))) >= 2)
        await session.cancel()
        outcome = await call
        left = work_of(observed(session))
        await session.cancel()
        after = await session.run(shell("echo again"))

    assert outcome.ended_by == Ended.CANCELLED
    assert outcome.stdout == b"begun\n"
    assert left == []
    assert after.stdout == b"again\n"


async def test_a_cancelled_await_leaves_no_process(runner: Runner, workspace: Path) -> None:
    async with await runner.open(workspace, Profile()) as session:
        call = asyncio.ensure_future(session.run(shell("sleep 60 & sleep 60")))
        await until(lambda: len(work_of(observed(session))) >= 2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        left = work_of(observed(session))
        after = await session.run(shell("echo again"))

    assert left == []
    assert after.stdout == b"again\n"


async def test_calls_of_one_session_run_one_after_the_other(
    runner: Runner, workspace: Path
) -> None:
    async with await runner.open(workspace, Profile()) as session:
        await asyncio.gather(
            *(session.run(shell(f"echo in{n} >>log; echo out{n} >>log")) for n in range(5))
        )
        lines = (await session.run(shell("cat log"))).stdout.split()

    assert sorted(lines) == sorted([f"{w}{n}".encode() for n in range(5) for w in ("in", "out")])
    assert all(a[2:] == b[3:] for a, b in zip(lines[::2], lines[1::2], strict=True))


async def test_a_sandbox_that_dies_is_told_and_stays_dead(runner: Runner, workspace: Path) -> None:
    session = await runner.open(workspace, Profile())
    call = asyncio.ensure_future(session.run(shell("sleep 60")))
    await until(lambda: len(work_of(observed(session))) >= 1)
    observed(session).group.kill()

    with pytest.raises(SandboxLostError, match="ended without an answer"):
        await call
    with pytest.raises(SandboxLostError):
        await session.run(shell("true"))
    await session.close()
    await session.close()

    assert await settled(observed(session)) == []
    with pytest.raises(SandboxLostError):
        await session.run(shell("true"))


async def test_an_opening_that_is_given_up_leaves_nothing(runner: Runner, workspace: Path) -> None:
    await runner.abilities()
    for pauses in (1, 3, 10, 30, 100, 300):
        opening = asyncio.ensure_future(runner.open(workspace, Profile()))
        for _ in range(pauses):
            await asyncio.sleep(0)
        opening.cancel()
        result = (await asyncio.gather(opening, return_exceptions=True))[0]
        if not isinstance(result, BaseException):
            await result.close()

    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(shell("echo alive"))

    assert outcome.stdout == b"alive\n"
    assert await settled(observed(session)) == []
