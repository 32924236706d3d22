"""A sandbox worker of this process's own, for sites whose processes are not kept by anybody else.

It is started when the first sandbox is wanted. A pipe ties it to this process: whatever way this
one ends, the pipe ends with it, and then the worker takes its sandboxes down and ends too.
"""

import asyncio
import atexit
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

from core import tracing
from core.env import environment_of_child
from core.ids import new_id
from core.variables import VARIABLES
from sandbox.errors import SandboxUnavailableError

_ROOT = Path(__file__).parents[2]
_STOP_SECONDS = 20.0
_LONGEST_WORD = 4000
# It gets what it needs to find programs and engines, and none of the site's secrets.
_NAMES = frozenset({"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME", "VIRTUAL_ENV", "PYTHONPATH"})
_ENGINES = ("DOCKER_",)
_TRACES = "OTEL_"  # where its spans go to; only where this process makes any


class ChildWorker:
    """Keeps at most one worker; thread-safe. `locate` starts it, also again when it has died."""

    def __init__(self, *, workspaces: Path, folder: Path) -> None:
        self._workspaces = workspaces
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = folder
        self._lock = threading.Lock()

    async def locate(self) -> Path:
        """Return where the worker listens. Raises SandboxUnavailableError."""
        return await asyncio.to_thread(self.start)

    def start(self) -> Path:
        """Start the worker unless it runs; return where it listens.

        Raises:
            SandboxUnavailableError: It ended at once; the sentence has its last words.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._begin()
            return self._socket

    def peek(self) -> Path | None:
        """Return where the worker listens if there is one; starts none."""
        return None if self.process_id is None else self._socket

    @property
    def process_id(self) -> int | None:
        """Return the worker's id while it lives."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def stop(self) -> None:
        """Let it take its sandboxes down and wait for its end."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.stdout is not None:
            process.stdout.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._socket.unlink(missing_ok=True)

    def _begin(self) -> None:
        if self._process is None:
            atexit.register(self.stop)
        else:
            self._forget(self._process)
        self._socket = self._folder / "sockets" / f"{new_id().hex[-12:]}.sock"
        self._workspaces.mkdir(mode=0o711, parents=True, exist_ok=True)
        words = [
            sys.executable, "-m", "sandbox.worker", "--socket", str(self._socket),
            "--workspaces", str(self._workspaces), "--folder", str(self._folder), "--attached",
        ]  # fmt: skip
        process = subprocess.Popen(  # noqa: S603 - our own program
            words,
            cwd=_ROOT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._process = process
        told = process.stdout.readline() if process.stdout is not None else b""
        if told.strip() != b"ready":
            self._process = None
            self._forget(process)
            process.kill()
            process.wait()
            raise SandboxUnavailableError(
                "The sandbox worker of this process did not start: "
                f"{told[:_LONGEST_WORD].decode(errors='replace').strip() or 'it said nothing'}.",
                remedy="Its words are in this process's log; or start one by hand: "
                "manage.py sandbox worker.",
            )

    def _forget(self, process: "subprocess.Popen[bytes]") -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._socket.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    own = {variable.name for variable in VARIABLES if variable.section == "Sandboxes"}
    wanted = (*_ENGINES, _TRACES) if tracing.is_on() else _ENGINES
    return {
        name: value
        for name, value in environment_of_child().items()
        if name in _NAMES | own or name.startswith(wanted)
    } | {"PYTHONUNBUFFERED": "1"}
