"""Measured programs run in processes of their own and answer with one JSON object."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.durable_steps import BenchError

ROOT = Path(__file__).resolve().parents[2]
OUR_PYTHON = Path(sys.executable)
PEERS_PYTHON = ROOT / ".run" / "bench-peers" / "bin" / "python"

_LAST_WORDS_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A module of this folder, the interpreter that runs it, and its environment besides ours."""

    module: str
    python: Path = OUR_PYTHON
    environment: Mapping[str, str]

    @property
    def file(self) -> Path:
        return ROOT.joinpath(*self.module.split(".")).with_suffix(".py")

    def command(self, arguments: Sequence[str]) -> list[str]:
        if not self.file.is_file():
            raise BenchError(f"{self.file.relative_to(ROOT)} is not there, so it was not measured")
        return [str(self.python), "-m", self.module, *arguments]

    def surroundings(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def measure(
        self, arguments: Sequence[str], *, needs: Sequence[str], timeout_seconds: float
    ) -> dict[str, Any]:
        """Run to the end and return the last line of its output, which has the keys in `needs`.

        Raises BenchError.
        """
        try:
            done = subprocess.run(
                self.command(arguments),
                env=self.surroundings(),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{self.module} had not ended after {timeout_seconds:g} s") from error
        if done.returncode != 0:
            raise BenchError(
                f"{self.module} ended with status {done.returncode}: {last_words(done.stderr)}"
            )
        return _answer(self.module, done.stdout, needs)

    @contextmanager
    def serving(
        self, log: Path, *, needs: Sequence[str], ready_seconds: float
    ) -> Iterator["Serving"]:
        """Start it, wait for its first line (JSON, written when it is ready), end it after use.

        It runs in a session of its own, so that `kill` reaches whatever it started.
        """
        with log.open("wb") as words:
            process = subprocess.Popen(
                self.command([]),
                env=self.surroundings(),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=words,
                start_new_session=True,
            )
        serving = Serving(process=process)
        try:
            assert process.stdout is not None, "a pipe was asked for"
            ready, _, _ = select.select([process.stdout], [], [], ready_seconds)
            line = process.stdout.readline().decode() if ready else ""
            if not line:
                raise BenchError(
                    f"{self.module} was not ready after {ready_seconds:g} s: "
                    f"{last_words(log.read_text(errors='replace'))}"
                )
            serving.told = _answer(self.module, line, needs)
            yield serving
        finally:
            serving.end()


class Serving:
    """A started server program; `told` is what its first line said."""

    def __init__(self, *, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.told: dict[str, Any] = {}

    def kill(self) -> None:
        """End it and everything it started as a power cut would."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def end(self) -> None:
        """Ask it to end, then insist."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _answer(module: str, output: str, needs: Sequence[str]) -> dict[str, Any]:
    """Read the JSON object that begins on the last line with an unindented brace."""
    _, brace, rest = f"\n{output}".rpartition("\n{")
    try:
        told: dict[str, Any] = json.loads(brace + rest)
    except ValueError as error:
        words = output[-500:]
        raise BenchError(f"{module} should end with a JSON object, it wrote {words!r}") from error
    lacking = [name for name in needs if name not in told]
    if lacking:
        raise BenchError(f"{module} answered {told} without {', '.join(lacking)}")
    return told


def last_words(text: str) -> str:
    """Return the end of what a program wrote, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_WORDS_LINES:]) or "no words on standard error"
