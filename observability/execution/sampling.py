"""py-spy on this very process, as its child: where its threads are, many times a second.

A process may look into another only where the kernel lets it. Under Yama's `ptrace_scope` 1, which
is the default of many distributions, a child may not look into its parent unless the parent names
it; this one does, for the time of one profile. With 2 or 3, or in a container whose seccomp profile
forbids it, CAP_SYS_PTRACE is needed.
"""

import ctypes
import gzip
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core import clock

RATE: Final = 100
MAX_STACKS_BYTES: Final = 8 * 1024 * 1024
_GRACE_SECONDS: Final = 20.0
_PULSE_SECONDS: Final = 0.25
_PR_SET_PTRACER: Final = 0x59616D61
OWN_THREAD: Final = "process-watch"
_OWN_THREAD: Final = f": {OWN_THREAD}".encode()
_REST: Final = "(smaller stacks, put together to keep the profile small)"
_PTRACE_REMEDY: Final = (
    "Give the process the capability SYS_PTRACE: `--cap-add SYS_PTRACE` for Docker, "
    "`securityContext.capabilities.add` for Kubernetes, `AmbientCapabilities=CAP_SYS_PTRACE` for "
    "systemd; or set kernel.yama.ptrace_scope to 0 or 1. See docs/operate/profiling.md."
)


class SamplingError(Exception):
    """There is no profile; says why and what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Collapsed stacks, `frame;frame count` a line, and how often it was looked."""

    stacks: bytes
    samples: int

    def packed(self) -> bytes:
        return gzip.compress(self.stacks, compresslevel=6, mtime=0)


def sample(
    *,
    seconds: int,
    rate: int,
    with_idle: bool,
    is_over: Callable[[], bool],
    beat: Callable[[], None],
) -> Sampled:
    """Profile this process; blocks the calling thread and calls `beat` meanwhile.

    Raises:
        SamplingError: py-spy is missing, was refused or failed, or `is_over` became true.
    """
    program = _program()
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        target = Path(folder) / "stacks.txt"
        complaints = _record(
            _command(program, target, seconds=seconds, rate=rate, with_idle=with_idle),
            seconds=seconds,
            is_over=is_over,
            beat=beat,
        )
        if not target.exists():
            raise _refusal(complaints)
        stacks = target.read_bytes()
    found = bounded(stacks)
    if not found.samples:
        raise SamplingError(
            "No thread was doing anything while the process was looked at.",
            "Profile it when it is busy, or count waiting threads too.",
        )
    return found


def bounded(stacks: bytes, *, most_bytes: int = MAX_STACKS_BYTES) -> Sampled:
    """Keep the heaviest stacks that fit; the others become one line that says so.

    The thread that waits for py-spy is left out: it is there only because of the profile.
    """
    counted: list[tuple[int, bytes]] = []
    for line in stacks.splitlines():
        path, _, number = line.rpartition(b" ")
        if number.isdigit() and not path.split(b";", 1)[0].endswith(_OWN_THREAD):
            counted.append((int(number), line))
    samples = sum(count for count, _ in counted)
    kept: list[bytes] = []
    size = rest = 0
    for count, line in sorted(counted, key=lambda each: -each[0]):
        if size + len(line) < most_bytes:
            kept.append(line)
            size += len(line) + 1
        else:
            rest += count
    if rest:
        kept.append(f"{_REST} {rest}".encode())
    return Sampled(stacks=b"\n".join(kept) + b"\n", samples=samples)


def _program() -> str:
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise SamplingError(
            "py-spy is not installed beside this process's Python.",
            "Install the project's dependencies again (`uv sync`), then restart the process.",
        )
    return found


def _command(program: str, target: Path, *, seconds: int, rate: int, with_idle: bool) -> list[str]:
    # The shell waits for a line on standard input, which comes once it may look, and becomes
    # py-spy: its process number stays.
    return [
        "/bin/sh", "-c", 'read -r _ && exec "$@"', "profile",
        program, "record", "--pid", str(os.getpid()), "--duration", str(seconds),
        "--rate", str(rate), "--format", "raw", "--threads", "--function",
        *(["--idle"] if with_idle else []),
        "--output", str(target),
    ]  # fmt: skip


def _record(
    command: list[str], *, seconds: int, is_over: Callable[[], bool], beat: Callable[[], None]
) -> str:
    """Run py-spy to its end; returns what it complained of.

    Raises:
        SamplingError: It was stopped, because the process ends or it took far too long.
    """
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603 - our own program and numbers
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints
        ) as child,
    ):
        try:
            _allow(child.pid)
            assert child.stdin is not None
            child.stdin.write(b"go\n")
            child.stdin.close()
            _await(child, seconds=seconds, is_over=is_over, beat=beat)
        finally:
            _allow(0)
            if child.poll() is None:
                child.kill()
        complaints.seek(0)
        return complaints.read(64 * 1024).decode(errors="replace")


def _await(
    child: "subprocess.Popen[bytes]",
    *,
    seconds: int,
    is_over: Callable[[], bool],
    beat: Callable[[], None],
) -> None:
    until = clock.monotonic() + seconds + _GRACE_SECONDS
    while True:
        try:
            child.wait(_PULSE_SECONDS)
            return
        except subprocess.TimeoutExpired:
            beat()
        if is_over():
            raise SamplingError(
                "The process was told to stop while it was profiled.",
                "Profile the process that takes its place.",
            )
        if clock.monotonic() > until:
            raise SamplingError(
                "py-spy did not end in time and was stopped.",
                "Try again for fewer seconds, or when the machine has time.",
            )


def _allow(pid: int) -> None:
    """Name the process that may look into this one; 0 for none. Without Yama there is no need."""
    if platform.system() != "Linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PTRACER, ctypes.c_ulong(pid), 0, 0, 0)


def _refusal(complaints: str) -> SamplingError:
    said = " ".join(complaints.split())[-600:] or "nothing"
    if any(
        word in complaints.lower()
        for word in ("permission denied", "not permitted", "eperm", "requires root")
    ):
        return SamplingError(
            "The kernel does not let py-spy look into this process.", _PTRACE_REMEDY
        )
    return SamplingError(
        f"py-spy ended without a profile. It said: {said}",
        "Try again; if it stays so, run `py-spy dump --pid PID` on its host and read the answer.",
    )
