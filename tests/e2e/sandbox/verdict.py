"""Running one attempt in a real sandbox, and what the host says about it."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from core.errors import DomainError
from sandbox.contracts import MIB, Command, Ended, Limits, Outcome, Profile, Runner
from sandbox.errors import SandboxLostError
from sandbox.workspaces import safe_read
from tests.conformance.sandbox.host import Observed, host_cpu_seconds, settled, work_of
from tests.conformance.sandbox.subjects import has_own_kernel, observed, shell
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


async def try_in(runner: Runner, workspace: Path, attempt: Attempt) -> Verdict:
    """Run the attempt, look at the host while the sandbox is open and after it is closed."""
    put_into(workspace, attempt)
    profile = Profile(limits=limits(attempt))
    with Canaries() as canaries:
        session = observed(await runner.open(workspace, profile))
        canaries.start(uid=session.uid)
        async with session:
            outcome = await _run(runner, session, command(attempt, canaries))
            bites = overrun(outcome, profile.limits)
            bites += [f"process {process} lives on" for process in work_of(session)]
            if session.group.peak_memory_bytes() > MEMORY:
                bites.append("memory beyond the limit")
            left = _read_result(workspace)
            try:
                after = await session.run(shell("echo alive"))
                bites += [] if after.stdout == b"alive\n" else ["the sandbox is broken"]
            except SandboxLostError:
                if outcome.ended_by != "memory" and not has_own_kernel(runner):
                    bites.append("the sandbox is gone")
        bites += canaries.bites(outcome.stdout, outcome.stderr, left)
        bites += [f"left: {trace}" for trace in await settled(session)]
    if workspace.with_name("workspace.disk").stat().st_blocks * 512 > DISK + MIB:
        bites.append("disk beyond the quota")
    return Verdict(
        bites=bites,
        claims=claims(outcome.stdout),
        ended=_how(outcome),
        words=(outcome.stdout[-600:] + outcome.stderr[-600:]).decode(errors="replace"),
    )


async def _run(runner: Runner, session: Observed, wanted: Command) -> Outcome:
    """Run it; a kernel of the sandbox's own that ends is told as an outcome without a status.

    Such a kernel counts the processors' time by its own clock, so what the host counts is told.
    """
    if not has_own_kernel(runner):
        return await session.run(wanted)
    before = host_cpu_seconds(session)
    try:
        outcome = await session.run(wanted)
    except SandboxLostError:
        return Outcome(exit_code=None, signal=None, stdout=b"", stderr=b"", is_truncated=True,
                       ended_by=Ended.SIGNAL)  # fmt: skip
    if not session.group.processes():
        return outcome
    used = host_cpu_seconds(session) - before
    usage = msgspec.structs.replace(outcome.usage, cpu_seconds=used)
    return msgspec.structs.replace(outcome, usage=usage)


def _how(outcome: Outcome) -> str:
    if outcome.exit_code is None and outcome.signal is None:
        return "lost"
    return "broken" if outcome.ended_by == Ended.EXIT and outcome.exit_code else outcome.ended_by


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
