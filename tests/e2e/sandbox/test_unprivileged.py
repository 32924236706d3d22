"""Sandboxes made by an ordinary user: what then holds, and that the rest is refused.

A subprocess loads the code as root, whose folders the interpreter may lie in, and drops to a user
without rights before it opens anything.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source import ROOT
from tests.privileges import needs_landlock

SCRIPT = """
import asyncio, concurrent.futures.thread, encodings.idna, json, os, sys
from pathlib import Path
from sandbox import contracts, errors, services
from sandbox.contracts import Command, Isolation, Limits, Profile
place, engine = Path(sys.argv[1]), Isolation(sys.argv[2])
sandboxes = services.Sandboxes
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
os.umask(0o077)
FREE = Limits(cpu=None, memory_bytes=None, pids=None, disk_bytes=None, wall_seconds=10)

async def main():
    runner = sandboxes(place / "places").runner_for(Profile(isolation=engine))
    abilities = await runner.abilities()
    told = {"problem": abilities.problem, "holds": sorted(abilities.holds)}
    if not abilities.is_available:
        return told
    try:
        await runner.open(place / "w", Profile())
    except errors.SandboxRefusedError as error:
        told["refused"] = error.message
    async with await runner.open(place / "w", Profile(limits=FREE)) as session:
        async def run(text):
            outcome = await session.run(Command(argv=("sh", "-c", text)))
            return outcome.stdout.decode()
        told["words"] = await run("echo hello >f; cat f")
        told["secret"] = await run(f"cat {place}/secret; ls {place}")
        await run("setsid sh -c 'trap \\"\\" HUP TERM; sleep 600' >/dev/null 2>&1 & echo $!")
        told["left"] = [
            number for number in os.listdir("/proc")
            if number.isdigit() and os.stat(f"/proc/{number}").st_uid == 65534
            and Path(f"/proc/{number}/cmdline").read_bytes().startswith(b"sleep")
        ]
    return told

print(json.dumps(asyncio.run(main())))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder anybody may go through, wherever the checkout lies."""
    with tempfile.TemporaryDirectory(prefix="agentry-unprivileged-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def told_by(engine: str, place: Path) -> dict[str, Any]:
    for name in ("core", "sandbox"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "w").mkdir()
    (place / "secret").write_text("canary")
    for folder in (place, place / "w", place / "secret"):
        shutil.chown(folder, 65534, 65534)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(place), engine],
        cwd=place, capture_output=True, text=True, check=False, timeout=90,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("engine", ["bubblewrap", pytest.param("landlock", marks=needs_landlock)])
def test_an_ordinary_users_sandbox_holds_what_it_says(engine: str, place: Path) -> None:
    told = told_by(engine, place)

    assert told["problem"] == ""
    net = ["net"] if engine == "bubblewrap" else []
    holds = ["file_bytes", *net, "open_files", "output_bytes", "wall_seconds"]
    assert told["holds"] == holds
    assert told["words"] == "hello\n"
    assert told["secret"] == ""
    assert told["left"] == []
    for limit in ("cpu", "memory_bytes", "pids", "disk_bytes"):
        assert f"{limit} cannot be held: " in told["refused"]
