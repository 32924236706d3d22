"""Whoever dies, caller or sandbox worker, nothing is left behind and nobody waits for ever."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.contracts import Command, Crowd, Ended, Limits, Profile
from sandbox.errors import (
    SandboxCrowdedError,
    SandboxLostError,
    SandboxRefusedError,
    SandboxUnavailableError,
)
from sandbox.remote import ChildWorker, RemoteRunner, RemoteSandboxes, at
from sandbox.services import Sandboxes, default_folder
from sandbox.workspaces import delete_workspace
from tests.architecture.source import ROOT
from tests.e2e.sandbox.worker_process import left_of, processes_of, worker_process
from tests.waiting import wait_for

SLEEP = Command(argv=("sh", "-c", "echo begun >begun; exec sleep 600"))


def echo(words: str) -> Command:
    return Command(argv=("echo", words))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
    delete_workspace(folder)


def gone(workspace: Path) -> None:
    wait_for(lambda: not left_of(workspace), lambda: left_of(workspace))


async def begun(workspace: Path) -> None:
    await asyncio.to_thread(
        wait_for, (workspace / "begun").exists, lambda: "the call has not begun"
    )


def test_a_killed_caller_leaves_no_sandbox(tmp_path: Path, workspace: Path) -> None:
    with (
        worker_process(tmp_path) as worker,
        subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.sandbox.caller", str(worker.socket), str(workspace)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        ) as caller,
    ):
        wait_for((workspace / "file").exists, lambda: "the call has not begun")
        inside = processes_of(workspace)
        caller.kill()
        gone(workspace)

        assert inside
        assert [number for number in inside if Path(f"/proc/{number}").exists()] == []
        assert worker.terminate() == 0


def test_a_killed_owner_takes_its_own_worker_with_it(tmp_path: Path, workspace: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.sandbox.caller", "own", str(tmp_path), str(workspace)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as owner:
        wait_for((workspace / "file").exists, lambda: "the call has not begun")
        inside = processes_of(workspace)
        owner.kill()
    gone(workspace)

    assert [number for number in inside if Path(f"/proc/{number}").exists()] == []
    wait_for(
        lambda: not _workers_for(tmp_path), lambda: f"workers live on: {_workers_for(tmp_path)}"
    )


def _workers_for(folder: Path) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"sandbox.worker" in words and str(folder).encode() in words:
            found.append(file.parent.name)
    return found


async def test_a_killed_worker_is_told_and_the_next_one_cleans_up(
    tmp_path: Path, workspace: Path
) -> None:
    with worker_process(tmp_path) as worker:
        session = await worker.open(workspace)
        call = asyncio.ensure_future(session.run(SLEEP))
        await begun(workspace)
        inside = processes_of(workspace)
        worker.kill()
        with pytest.raises(SandboxLostError, match="what the call did is unknown"):
            await call
        with pytest.raises(SandboxLostError, match="this call has not run"):
            await session.run(SLEEP)
        await session.close()
        with pytest.raises(SandboxUnavailableError, match="No sandbox worker answers") as refused:
            await worker.open(workspace)

    assert "manage.py sandbox worker" in refused.value.remedy
    wait_for(
        lambda: not any(Path(f"/proc/{number}").exists() for number in inside),
        lambda: "processes live on",
    )
    with worker_process(tmp_path) as following:
        assert left_of(workspace) == []
        async with await following.open(workspace) as again:
            outcome = await again.run(Command(argv=("cat", "begun")))
    assert outcome.stdout == b"begun\n"


@pytest.mark.parametrize("point", ["sandbox.after_open", "sandbox.before_close"])
async def test_a_worker_that_dies_at_a_point_leaves_nothing(
    point: str, tmp_path: Path, workspace: Path
) -> None:
    with worker_process(tmp_path, variables={"AGENTRY_PAUSE_AT": f"{point}:kill"}) as worker:

        async def use() -> None:
            async with await worker.open(workspace) as session:
                await session.run(echo("one"))
                await session.close()
                await session.run(echo("two"))

        with pytest.raises((SandboxLostError, SandboxUnavailableError)):
            await use()
        assert worker.process.wait(30) == -signal.SIGKILL

    with worker_process(tmp_path):
        gone(workspace)


async def test_a_stopping_worker_lets_the_call_end(tmp_path: Path, workspace: Path) -> None:
    slow = Command(argv=("sh", "-c", "echo begun >begun; while ! [ -e go ]; do sleep 0.05; done"))
    with worker_process(tmp_path) as worker:
        session = await worker.open(workspace)
        idle = tmp_path / "idle"
        idle.mkdir()
        other = await worker.open(idle)
        call = asyncio.ensure_future(session.run(slow))
        await begun(workspace)
        worker.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(gone, idle)
        with pytest.raises(SandboxLostError, match="has not run"):
            await other.run(echo("more"))
        with pytest.raises(SandboxLostError, match="is stopping; this call has not run"):
            await session.run(echo("more"))
        (workspace / "go").touch()
        outcome = await call
        status = await asyncio.to_thread(worker.process.wait, 60)
        await session.close()
        await other.close()

    assert (outcome.ended_by, outcome.exit_code, status) == (Ended.EXIT, 0, 0)
    assert left_of(workspace) == []
    assert not worker.socket.exists()
    delete_workspace(idle)


async def test_a_call_that_takes_too_long_to_drain_is_ended(
    tmp_path: Path, workspace: Path
) -> None:
    with worker_process(tmp_path, variables={"AGENTRY_SANDBOX_DRAIN_SECONDS": "0.2"}) as worker:
        session = await worker.open(workspace)
        call = asyncio.ensure_future(session.run(SLEEP))
        await begun(workspace)
        status = await asyncio.to_thread(worker.terminate)
        with pytest.raises(SandboxLostError):
            await call
        await session.close()

    assert status == 0
    assert left_of(workspace) == []


async def test_more_than_there_are_places_wait_in_turn(tmp_path: Path) -> None:
    folders = [tmp_path / f"w{number}" for number in range(4)]
    for folder in folders:
        folder.mkdir()
    order = []

    with worker_process(tmp_path, variables={"AGENTRY_SANDBOX_AT_MOST": "1"}) as worker:
        first = await worker.open(folders[0])

        async def one(number: int) -> None:
            async with await worker.open(folders[number]) as session:
                order.append((number, (await session.run(echo(str(number)))).stdout))

        waiting = []
        for number in (1, 2, 3):
            waiting.append(asyncio.ensure_future(one(number)))
            await worker.runner.abilities()  # answered after the opening before it was taken in
        waiting[1].cancel()
        assert order == []
        await first.close()
        await asyncio.gather(*waiting, return_exceptions=True)

    assert order == [(1, b"1\n"), (3, b"3\n")]
    for folder in folders:
        assert left_of(folder) == []
        delete_workspace(folder)


async def test_who_waits_too_long_for_a_place_is_told(tmp_path: Path, workspace: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    variables = {"AGENTRY_SANDBOX_AT_MOST": "1", "AGENTRY_SANDBOX_WAIT_SECONDS": "0.2"}

    with worker_process(tmp_path, variables=variables) as worker:
        async with await worker.open(workspace):
            with pytest.raises(SandboxCrowdedError, match="All 1 sandboxes") as refused:
                await worker.open(other)
            crowd = await RemoteSandboxes(at(worker.socket), lambda: worker.socket).crowd()

    assert crowd == Crowd(at_most=1, taken=1, waiting=0)
    assert "AGENTRY_SANDBOX_AT_MOST" in refused.value.remedy
    assert list(other.iterdir()) == []


async def test_a_place_is_taken_once(tmp_path: Path) -> None:
    with worker_process(tmp_path) as worker:
        second = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "sandbox.worker", "--socket", str(worker.socket),
             "--workspaces", str(tmp_path)],
            cwd=ROOT, capture_output=True, check=False,
        )  # fmt: skip
        still = await worker.runner.abilities()

    assert second.returncode == 1
    assert b"listens at" in second.stdout
    assert still.is_available


async def test_a_worker_of_ones_own_is_started_again(tmp_path: Path, workspace: Path) -> None:
    child = ChildWorker(workspaces=tmp_path, folder=default_folder())
    runner = RemoteRunner(child.locate)
    try:
        async with await runner.open(workspace, Profile()) as session:
            await session.run(echo("one"))
            first = child.process_id
            assert first is not None
            environment = await asyncio.to_thread(Path(f"/proc/{first}/environ").read_bytes)
            os.kill(first, signal.SIGKILL)
            with pytest.raises(SandboxLostError):
                await session.run(Command(argv=("sleep", "600")))
        await asyncio.to_thread(
            wait_for, lambda: child.process_id is None, lambda: "the worker lives on"
        )
        async with await runner.open(workspace, Profile()) as again:
            outcome = await again.run(echo("two"))
        second = child.process_id
        socket = await child.locate()
    finally:
        await asyncio.to_thread(child.stop)

    assert outcome.stdout == b"two\n"
    assert second != first
    assert b"AGENTRY_SECRET_KEY" not in environment
    assert b"DATABASE_URL" not in environment
    assert not socket.exists()


async def test_a_cancel_right_behind_a_call_ends_it(tmp_path: Path, workspace: Path) -> None:
    with worker_process(tmp_path) as worker:
        async with await worker.open(workspace) as session:
            await session.run(echo("before"))
            for _ in range(20):
                call = asyncio.ensure_future(session.run(Command(argv=("sleep", "600"))))
                await asyncio.sleep(0)
                await session.cancel()
                assert (await call).ended_by == Ended.CANCELLED
            outcome = await session.run(echo("after"))

    assert outcome.stdout == b"after\n"


async def test_an_outcome_that_is_too_large_is_refused_before_anything_runs(
    tmp_path: Path, workspace: Path
) -> None:
    with worker_process(tmp_path) as worker:
        with pytest.raises(SandboxRefusedError, match="at most"):
            await worker.runner.open(
                workspace, Profile(limits=Limits(output_bytes=64 * 1024 * 1024))
            )
        async with await worker.open(workspace) as session:
            with pytest.raises(SandboxRefusedError, match="does not go to"):
                await session.run(Command(argv=("cat",), stdin=bytes(65 * 1024 * 1024)))
            outcome = await session.run(echo("still here"))

    assert outcome.stdout == b"still here\n"


def test_reaping_by_others_does_not_harm_what_is_open(tmp_path: Path, workspace: Path) -> None:
    async def work() -> bytes:
        with worker_process(tmp_path) as worker:
            async with await worker.open(workspace) as session:
                await asyncio.to_thread(Sandboxes().reap)
                return (await session.run(echo("alive"))).stdout

    assert asyncio.run(work()) == b"alive\n"
