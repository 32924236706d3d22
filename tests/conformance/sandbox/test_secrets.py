"""Secrets of a call are files in memory while the call runs, whatever it does with them."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from sandbox.contracts import MAX_SECRETS_BYTES, Command, Ended, Limits, Profile, Runner
from tests.conformance.sandbox.subjects import observed, shell, until

VALUE = b"a-canary-\x00\xff-of-bytes\n"
# Not `stat`: GNU's does not work in every kernel that answers here.
MODES = "python3 -c 'import os, sys; [print(oct(os.stat(p).st_mode)[-3:]) for p in sys.argv[1:]]'"
LOOK = "ls -A /run/secrets; cat /run/secrets/* 2>/dev/null; true"


def secret(script: str, **more: bytes) -> Command:
    return Command(argv=("sh", "-c", script), secrets={"token": VALUE, **more})


async def test_a_secret_is_a_file_that_its_owner_alone_reads(
    runner: Runner, workspace: Path
) -> None:
    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(
            secret(f"cat /run/secrets/token; {MODES} /run/secrets /run/secrets/token")
        )
        mounted = await session.run(shell("grep ' /run/secrets ' /proc/mounts | cut -d' ' -f3"))

    assert outcome.stdout == VALUE + b"700\n400\n"
    assert mounted.stdout == b"tmpfs\n"


async def test_it_is_in_no_argument_and_no_environment(runner: Runner, workspace: Path) -> None:
    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(
            secret("cat /proc/self/environ /proc/[0-9]*/cmdline 2>/dev/null; true")
        )

    assert b"canary" not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    "script",
    [
        "true",
        "kill -KILL $$",
        (
            "cp /run/secrets/token /run/secrets/copy; mkdir -p /run/secrets/a/b; "
            "cp /run/secrets/token /run/secrets/a/b/c; chmod 000 /run/secrets/a/b /run/secrets/a"
        ),
        (
            "ln -s /workspace /run/secrets/out; ln /run/secrets/token /run/secrets/again; "
            "mkfifo /run/secrets/pipe"
        ),
        "setsid sh -c 'while :; do cp /run/secrets/token /run/secrets/$RANDOM; done' & sleep 0.2",
        "chmod 000 /run/secrets",
    ],
)
async def test_the_next_call_finds_nothing(runner: Runner, workspace: Path, script: str) -> None:
    (workspace / "kept").write_text("kept")
    async with await runner.open(workspace, Profile()) as session:
        await session.run(secret(script))
        outcome = await session.run(shell(f"{LOOK}; cat kept"))

    assert (outcome.stdout, outcome.exit_code) == (b"kept", 0)


async def test_a_tree_deeper_than_any_path_is_taken_away(runner: Runner, workspace: Path) -> None:
    deep = (
        "import os\n"
        "os.chdir('/run/secrets')\n"
        "for _ in range(3000):\n"
        "    os.mkdir('d' * 50)\n"
        "    os.chdir('d' * 50)\n"
        "open('copy', 'wb').write(open('/run/secrets/token', 'rb').read())\n"
    )
    async with await runner.open(workspace, Profile()) as session:
        first = await session.run(Command(argv=("python3", "-c", deep), secrets={"token": VALUE}))
        outcome = await session.run(shell(LOOK))

    assert (first.exit_code, outcome.stdout) == (0, b"")


@pytest.mark.parametrize("ended_by", [Ended.TIMEOUT, Ended.OUTPUT, Ended.CANCELLED])
async def test_however_a_call_ends(runner: Runner, workspace: Path, ended_by: Ended) -> None:
    limits = Limits(wall_seconds=1.0 if ended_by is Ended.TIMEOUT else 30.0, output_bytes=1000)
    script = "touch /workspace/begun; " + ("yes" if ended_by is Ended.OUTPUT else "sleep 60")

    async with await runner.open(workspace, Profile(limits=limits)) as session:
        running = asyncio.ensure_future(session.run(secret(script)))
        if ended_by is Ended.CANCELLED:
            await until((workspace / "begun").exists)
            await session.cancel()
        outcome = await running
        after = await session.run(shell(LOOK))

    assert (outcome.ended_by, after.stdout) == (ended_by, b"")


async def test_also_when_nobody_waits_for_it_any_more(runner: Runner, workspace: Path) -> None:
    async with await runner.open(workspace, Profile()) as session:
        running = asyncio.ensure_future(session.run(secret("touch begun; sleep 60")))
        await until((workspace / "begun").exists)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        after = await session.run(shell(LOOK))

    assert after.stdout == b""


async def test_a_killed_sandbox_takes_them_along(runner: Runner, workspace: Path) -> None:
    session = await runner.open(workspace, Profile())
    running = asyncio.ensure_future(session.run(secret("touch begun; sleep 60")))
    await until((workspace / "begun").exists)
    found = observed(session).group.processes()
    await session.close()
    await asyncio.gather(running, return_exceptions=True)

    assert found
    assert await asyncio.to_thread(_still_readable, found) == []


async def test_the_room_is_bounded(runner: Runner, workspace: Path) -> None:
    largest = bytes(MAX_SECRETS_BYTES)
    fill = "head -c 9000000 /dev/zero >/run/secrets/more; cat /run/secrets/* | wc -c"
    async with await runner.open(workspace, Profile()) as session:
        outcome = await session.run(Command(argv=("sh", "-c", fill), secrets={"x": largest}))

    assert int(outcome.stdout) <= 1024 * 1024
    with pytest.raises(ValueError, match="at most"):
        Command(argv=("x",), secrets={"x": largest, "y": b"z"})


def test_a_command_does_not_show_them() -> None:
    assert "canary" not in repr(secret("true"))


def _still_readable(processes: Iterable[int]) -> list[int]:
    return [pid for pid in processes if Path(f"/proc/{pid}/root/run/secrets/token").exists()]
