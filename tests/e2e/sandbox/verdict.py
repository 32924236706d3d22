"""Running one attempt in a real sandbox, and what the host says about it."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import DomainError
from sandbox.contracts import MIB, Command, Limits, Outcome, Profile
from sandbox.errors import SandboxLostError
from sandbox.runners.bubblewrap import BubblewrapRunner
from sandbox.workspaces import safe_read
from tests.conformance.sandbox.host import settled, work_of
from tests.conformance.sandbox.subjects import shell
from tests.e2e.sandbox.attempts_of import PLACE, Attempt, claims, put_into
from tests.e2e.sandbox.canaries import Canaries

MEMORY, DISK, OUTPUT, PIDS = 96 * MIB, 16 * MIB, 256 * 1024, 48
SECONDS = {"timeout": 1.0, "any": 2.0}
OTHERWISE_SECONDS = 20.0
GRACE_SECONDS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`bites` is what happened to the host; `claims` what the program says it reached."""

    bites: list[str]
    claims: list[str]
    ended: str
    words: str = ""

    @property
    def is_blocked(self) -> bool:
        return not self.bites and not self.claims


def command(attempt: Attempt, canaries: Canaries) -> Command:
    return Command(
        argv=("/usr/bin/python3", "-B", f"/workspace/{PLACE}/{attempt.name}.py"),
        env={"PYTHONPATH": "/workspace", "PATH": "/usr/bin:/bin", **canaries.environment()},
    )


def limits(attempt: Attempt) -> Limits:
    return Limits(
        cpu=1.0,
        memory_bytes=MEMORY,
        pids=PIDS,
        wall_seconds=SECONDS.get(attempt.ends, OTHERWISE_SECONDS),
        disk_bytes=DISK,
        output_bytes=OUTPUT,
        file_bytes=8 * MIB,
    )


async def try_in(runner: BubblewrapRunner, workspace: Path, attempt: Attempt) -> Verdict:
    """Run the attempt, look at the host while the sandbox is open and after it is closed."""
    put_into(workspace, attempt)
    profile = Profile(limits=limits(attempt))
    with Canaries() as canaries:
        session = await runner.open(workspace, profile)
        canaries.start(uid=session.uid)
        async with session:
            outcome = await session.run(command(attempt, canaries))
            bites = overrun(outcome, profile.limits)
            bites += [f"process {process} lives on" for process in work_of(session)]
            if session.group.peak_memory_bytes() > MEMORY:
                bites.append("memory beyond the limit")
            left = _read_result(workspace)
            try:
                after = await session.run(shell("echo alive"))
                bites += [] if after.stdout == b"alive\n" else ["the sandbox is broken"]
            except SandboxLostError:
                if outcome.ended_by != "memory":
                    bites.append("the sandbox is gone")
        bites += canaries.bites(outcome.stdout, outcome.stderr, left)
        bites += [f"left: {trace}" for trace in await settled(session)]
    if workspace.with_name("workspace.disk").stat().st_blocks * 512 > DISK + MIB:
        bites.append("disk beyond the quota")
    return Verdict(
        bites=bites,
        claims=claims(outcome.stdout),
        ended=outcome.ended_by if outcome.ended_by != "exit" or not outcome.exit_code else "broken",
        words=(outcome.stdout[-600:] + outcome.stderr[-600:]).decode(errors="replace"),
    )


def overrun(outcome: Outcome, given: Limits) -> list[str]:
    found = []
    if outcome.usage.wall_seconds > given.wall_seconds + GRACE_SECONDS:
        found.append(f"{outcome.usage.wall_seconds:.1f} seconds")
    if given.cpu and outcome.usage.cpu_seconds > given.cpu * outcome.usage.wall_seconds * 1.3 + 0.3:
        found.append(f"{outcome.usage.cpu_seconds:.1f} seconds of the processors")
    if len(outcome.stdout) + len(outcome.stderr) > given.output_bytes:
        found.append("output beyond the limit")
    return found


def _read_result(workspace: Path) -> bytes:
    """Read what the program left the way the control plane does."""
    try:
        return safe_read(workspace, "result", max_bytes=64 * 1024)
    except DomainError:
        return b""
