"""What a call in a sandbox costs: opening one, and a command in one that is open.

    python -m tests.bench.sandbox_calls                      as root: bubblewrap
    python -m tests.bench.sandbox_calls docker gvisor        on the engine of AGENTRY_SANDBOX_DOCKER

Prints one line of JSON for each engine: milliseconds, and the same for a bare process for
comparison.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from statistics import median, quantiles

from sandbox.contracts import MIB, Command, Isolation, Limits, Outcome, Profile, Runner
from sandbox.services import Sandboxes
from sandbox.workspaces import delete_workspace

COLD, WARM, AT_ONCE = 20, 100, 100
SHELL = Command(argv=("sh", "-c", "true"))
PYTHON = Command(argv=("python3", "-c", "pass"))
PROFILE = Profile(limits=Limits(disk_bytes=16 * MIB, memory_bytes=128 * MIB, pids=32))


async def measure(engine: Isolation) -> dict[str, object]:
    """Measure cold and warm calls, and a hundred sandboxes at once."""
    runner = Sandboxes().runner_for(Profile(isolation=engine))
    abilities = await runner.abilities()
    if not abilities.is_available:
        return {"engine": engine, "problem": f"{abilities.problem} {abilities.remedy}"}
    folder = Path(tempfile.mkdtemp(prefix="bench-sandbox-"))
    try:
        fresh = [await _cold(runner, _made(folder, f"c{number}")) for number in range(COLD)]
        again = [await _cold(runner, folder / "c0") for _ in range(COLD)]
        async with await runner.open(folder / "c0", PROFILE) as session:
            shell = [await _timed(session.run(SHELL)) for _ in range(WARM)]
            python = [await _timed(session.run(PYTHON)) for _ in range(WARM // 4)]
        begun = time.perf_counter()
        many = [_made(folder, f"m{number}") for number in range(AT_ONCE)]
        await asyncio.gather(*(_cold(runner, workspace) for workspace in many))
        together = time.perf_counter() - begun
        bare = [_bare() for _ in range(COLD)]
    finally:
        await asyncio.to_thread(_delete, folder)
    return {
        "engine": engine,
        "cold_new_workspace_ms": _summary(fresh),
        "cold_ms": _summary(again),
        "warm_shell_ms": _summary(shell),
        "warm_python_ms": _summary(python),
        "bare_shell_ms": _summary(bare),
        "hundred_at_once_seconds": round(together, 2),
    }


async def _cold(runner: Runner, workspace: Path) -> float:
    """Open a sandbox, run a command, close it; milliseconds until the command's answer."""
    begun = time.perf_counter()
    async with await runner.open(workspace, PROFILE) as session:
        await session.run(SHELL)
        return (time.perf_counter() - begun) * 1000


async def _timed(call: Awaitable[Outcome]) -> float:
    begun = time.perf_counter()
    await call
    return (time.perf_counter() - begun) * 1000


def _bare() -> float:
    begun = time.perf_counter()
    subprocess.run(SHELL.argv, check=True)
    return (time.perf_counter() - begun) * 1000


def _made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _delete(folder: Path) -> None:
    for workspace in [entry for entry in folder.iterdir() if entry.is_dir()]:
        delete_workspace(workspace)
    folder.rmdir()


def _summary(values: list[float]) -> dict[str, float]:
    return {"p50": round(median(values), 2), "p95": round(quantiles(values, n=20)[-1], 2)}


if __name__ == "__main__":
    for name in sys.argv[1:] or ["bubblewrap"]:
        sys.stdout.write(json.dumps(asyncio.run(measure(Isolation(name)))) + "\n")
