"""Without a sandbox: only where an administrator says so, never as root, and yet bounded."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentry_site.sandboxing import sandbox_rules
from core.env import ConfigurationError, Environment
from sandbox.contracts import Command, Ended, Isolation, Limit, Limits, Profile
from sandbox.errors import SandboxRefusedError
from sandbox.pool import SandboxPool
from sandbox.runners import disabled
from sandbox.services import Sandboxes
from sandbox.site import SiteRules
from tests.conformance.sandbox.subjects import until

FREE = Limits(cpu=None, memory_bytes=None, pids=None, disk_bytes=None, wall_seconds=20)
PROFILE = Profile(isolation=Isolation.DISABLED, limits=FREE)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "w"
    folder.mkdir()
    return folder


@pytest.fixture
def _unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disabled, "_is_root", lambda: False)


def shell(script: str) -> Command:
    return Command(argv=("sh", "-c", script), env={"PATH": "/usr/bin:/bin", "HOME": "/workspace"})


async def test_it_is_refused_unless_the_site_allows_it(tmp_path: Path, workspace: Path) -> None:
    pool = SandboxPool(Sandboxes(tmp_path / "s"))

    with pytest.raises(SandboxRefusedError, match="AGENTRY_SANDBOX_DISABLED_ALLOWED"):
        await pool.run(workspace, PROFILE, shell("touch ran"))

    assert not (workspace / "ran").exists()


async def test_it_is_never_root(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disabled, "_is_root", lambda: True)
    pool = SandboxPool(Sandboxes(tmp_path / "s"), SiteRules(allows_disabled=True))

    with pytest.raises(SandboxRefusedError, match="nothing is run as root"):
        await pool.run(workspace, PROFILE, shell("touch ran"))

    assert not (workspace / "ran").exists()


@pytest.mark.usefixtures("_unprivileged")
@pytest.mark.parametrize(
    "profile",
    [
        Profile(isolation=Isolation.DISABLED),
        Profile(isolation=Isolation.DISABLED, limits=FREE, net=("a.example:443",)),
        Profile(isolation=Isolation.DISABLED, limits=FREE, is_read_only=True),
        Profile(limits=FREE),
    ],
)
async def test_what_it_cannot_hold_it_refuses(
    tmp_path: Path, workspace: Path, profile: Profile
) -> None:
    with pytest.raises(SandboxRefusedError):
        await disabled.DisabledRunner(tmp_path / "s").open(workspace, profile)


@pytest.mark.usefixtures("_unprivileged")
async def test_a_call_is_bounded_and_starts_in_the_workspace(
    tmp_path: Path, workspace: Path
) -> None:
    (workspace / "deep").mkdir()
    pool = SandboxPool(Sandboxes(tmp_path / "s"), SiteRules(allows_disabled=True))

    async def run(script: str, **fields: object) -> tuple[Ended, bytes]:
        command = Command(
            argv=("sh", "-c", script),
            env={"PATH": "/usr/bin:/bin", "HOME": "/workspace"},
            **fields,  # type: ignore[arg-type]
        )
        outcome = await pool.run(workspace, PROFILE, command)
        return outcome.ended_by, outcome.stdout[:500]

    place = f"{workspace / 'deep'}\n{workspace}\n".encode()
    assert await run('pwd; echo "$HOME"', cwd="/workspace/deep") == (Ended.EXIT, place)
    assert await run("cat", stdin=b"in") == (Ended.EXIT, b"in")
    assert await run("kill -TERM $$") == (Ended.SIGNAL, b"")
    assert (await run("sleep 60", wall_seconds=0.2))[0] is Ended.TIMEOUT
    assert (await run("exec yes"))[0] is Ended.OUTPUT
    await pool.close()


@pytest.mark.usefixtures("_unprivileged")
async def test_a_cancelled_call_is_killed(tmp_path: Path, workspace: Path) -> None:
    pool = SandboxPool(Sandboxes(tmp_path / "s"), SiteRules(allows_disabled=True))
    script = "trap 'echo >late' TERM; echo >begun; sleep 60; echo >after"
    call = asyncio.ensure_future(pool.run(workspace, PROFILE, shell(script)))
    await until((workspace / "begun").exists)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await pool.close()
    assert not await asyncio.to_thread((workspace / "after").exists)


@pytest.mark.usefixtures("_unprivileged")
async def test_a_call_that_is_cancelled_while_it_starts_leaves_no_process(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program has begun others before whoever started it hears of it."""
    real, goes_on = asyncio.create_subprocess_exec, asyncio.Event()

    async def slow(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        process = await real(*arguments, **options)
        await goes_on.wait()
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slow)
    pool = SandboxPool(Sandboxes(tmp_path / "s"), SiteRules(allows_disabled=True))
    call = asyncio.ensure_future(pool.run(workspace, PROFILE, shell("sleep 61 & echo $! >begun")))
    await until(lambda: (workspace / "begun").exists() and (workspace / "begun").read_text() != "")

    call.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await call

    await pool.close()
    child = (workspace / "begun").read_text().strip()
    await until(lambda: is_gone(child))


def is_gone(pid: str) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def environment(**variables: str) -> Environment:
    return Environment(variables)


def test_the_environment_says_the_rules_of_a_site() -> None:
    rules = sandbox_rules(
        environment(
            AGENTRY_SANDBOX_ENGINE="gvisor",
            AGENTRY_SANDBOX_WITHOUT="cpu,pids",
            AGENTRY_SANDBOX_WORKSPACE_BYTES="2000000",
            AGENTRY_SANDBOX_DISABLED_ALLOWED="1",
        )
    )

    assert rules == SiteRules(
        engine=Isolation.GVISOR,
        workspace_bytes=2_000_000,
        without=frozenset({Limit.CPU, Limit.PIDS}),
        allows_disabled=True,
    )
    applied = rules.applied(Profile())
    assert applied.isolation is Isolation.GVISOR
    assert (applied.limits.cpu, applied.limits.pids) == (None, None)
    assert applied.limits.disk_bytes == 2_000_000
    assert applied.digest() != Profile().digest()
    assert sandbox_rules(environment()) == SiteRules()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AGENTRY_SANDBOX_ENGINE", "disabled"),
        ("AGENTRY_SANDBOX_ENGINE", "chroot"),
        ("AGENTRY_SANDBOX_WITHOUT", "net"),
        ("AGENTRY_SANDBOX_WITHOUT", "wall_seconds"),
        ("AGENTRY_SANDBOX_WORKSPACE_BYTES", "1000"),
    ],
)
def test_a_site_that_cannot_be_is_not_started(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        sandbox_rules(environment(**{name: value}))
