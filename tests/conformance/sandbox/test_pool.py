"""The warm sandboxes of a process: one for each workspace, over the same files as the host."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.contracts import Limits, Profile, Runner
from sandbox.errors import SandboxBusyError
from sandbox.pool import SandboxPool
from sandbox.site import SiteRules, planning
from sandbox.workspaces import delete_workspace, quota
from tests.conformance.sandbox.host import names_in
from tests.conformance.sandbox.subjects import shell, until

OTHER = Profile(limits=Limits(pids=64))
RULES = SiteRules(workspace_bytes=16 * 1024 * 1024)


class Source:
    """The one runner of the test, as a process sees it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.opened = 0

    def runner_for(self, profile: Profile) -> Runner:
        self.opened += 1
        return self._runner


@pytest.fixture
def source(runner: Runner) -> Source:
    return Source(runner)


@pytest.fixture
async def pool(source: Source, runner: Runner) -> AsyncIterator[SandboxPool]:
    pool = a_pool(source, runner)
    yield pool
    await pool.close()


def a_pool(source: Source, runner: Runner, **options: float) -> SandboxPool:
    rules = SiteRules(engine=runner.name, workspace_bytes=RULES.workspace_bytes)
    return SandboxPool(source, rules, **options)  # type: ignore[arg-type]


async def test_calls_of_one_workspace_share_a_warm_sandbox_and_take_turns(
    pool: SandboxPool, source: Source, workspace: Path
) -> None:
    script = "[ -e busy ] && echo overlap; touch busy; sleep 0.05; rm busy; echo $PPID"

    outcomes = await asyncio.gather(
        *(pool.run(workspace, Profile(), shell(script)) for _ in range(5))
    )

    assert {outcome.stdout for outcome in outcomes} == {b"1\n"}
    assert source.opened == 1


async def test_two_profiles_on_one_workspace_do_not_hinder_each_other(
    pool: SandboxPool, source: Source, workspace: Path
) -> None:
    profiles = [Profile(), OTHER, planning(Profile()), OTHER, Profile()]

    outcomes = await asyncio.gather(
        *(pool.run(workspace, profile, shell("echo x >>f; wc -l <f")) for profile in profiles)
    )

    assert [outcome.exit_code for outcome in outcomes] == [0] * 5
    assert max(int(outcome.stdout or 0) for outcome in outcomes) == 4  # one could only read
    assert source.opened > 2


async def test_files_and_a_call_that_makes_the_disk_at_once_lose_nothing(
    pool: SandboxPool, workspace: Path
) -> None:
    async def put(number: int) -> None:
        async with pool.files(workspace):
            (workspace / f"f{number}").write_text("x")

    await asyncio.gather(
        *(put(number) for number in range(20)), pool.run(workspace, Profile(), shell("true"))
    )
    outcome = await pool.run(workspace, Profile(), shell("ls | grep -c f"))

    assert outcome.stdout == b"20\n"


async def test_files_are_the_same_after_the_host_was_restarted(
    source: Source, runner: Runner, workspace: Path
) -> None:
    """As after a restart: the disk is there and nobody has mounted it."""
    before = a_pool(source, runner)
    await before.run(workspace, Profile(), shell("echo kept >file"))
    await before.close()
    assert names_in(workspace) == []

    after = a_pool(source, runner)
    async with after.files(workspace):
        text = (workspace / "file").read_text()
        (workspace / "new").write_text("of the host")
    outcome = await after.run(workspace, Profile(), shell("cat new"))
    await after.close()

    assert text == "kept\n"
    assert outcome.stdout == b"of the host"
    assert not quota.is_mounted(workspace)


async def test_the_quota_counts_whoever_writes(pool: SandboxPool, workspace: Path) -> None:
    await pool.run(workspace, Profile(), shell("true"))

    async with pool.files(workspace):
        with pytest.raises(OSError, match="No space left on device"):
            (workspace / "big").write_bytes(bytes(20 * 1024 * 1024))


async def test_one_that_rests_makes_room_and_more_wait_in_order(
    source: Source, runner: Runner, tmp_path: Path
) -> None:
    pool = a_pool(source, runner, most=2)
    folders = [tmp_path / f"w{number}" for number in range(6)]
    for folder in folders:
        folder.mkdir()

    outcomes = await asyncio.gather(
        *(pool.run(folder, Profile(), shell("pwd; sleep 0.05")) for folder in folders)
    )
    await pool.close()

    assert [outcome.exit_code for outcome in outcomes] == [0] * 6
    for folder in folders:
        assert not quota.is_mounted(folder)
        delete_workspace(folder)


async def test_it_is_closed_with_its_run_or_after_a_rest(
    source: Source, runner: Runner, workspace: Path
) -> None:
    pool = a_pool(source, runner, idle_seconds=0.05)
    await pool.run(workspace, Profile(), shell("true"))
    await until(lambda: not quota.is_mounted(workspace))

    await pool.run(workspace, Profile(), shell("true"))
    pool.leave(workspace)
    await until(lambda: not quota.is_mounted(workspace))
    await until(lambda: not pool.known)
    await pool.close()


async def test_a_cancelled_call_leaves_no_process(pool: SandboxPool, workspace: Path) -> None:
    call = asyncio.ensure_future(
        pool.run(workspace, Profile(), shell("echo >begun; exec sleep 61.7"))
    )
    await until((workspace / "begun").exists)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert _sleeping("61.7") == []
    outcome = await pool.run(workspace, Profile(), shell("ls"))
    assert outcome.stdout == b"begun\n"


async def test_another_process_has_the_workspace_until_it_is_done(
    source: Source, runner: Runner, workspace: Path
) -> None:
    """Two pools are two processes of a host: one waits for the other, and says so in the end."""
    first, second = a_pool(source, runner), a_pool(source, runner, room_seconds=0.3)
    await first.run(workspace, Profile(), shell("echo first >file"))

    with pytest.raises(SandboxBusyError):
        await second.run(workspace, Profile(), shell("true"))
    async with second.files(workspace):
        assert (workspace / "file").read_text() == "first\n"
    await first.close()
    outcome = await second.run(workspace, Profile(), shell("cat file"))
    await second.close()

    assert outcome.stdout == b"first\n"


def _sleeping(seconds: str) -> list[str]:
    found = []
    for process in names_in(Path("/proc")):
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if seconds.encode() in words:
            found.append(process)
    return found
