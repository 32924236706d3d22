"""One server process: started on a free loopback port, known by its id, stopped by it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.services.programs import START_SECONDS, ServiceError, command_of

if sys.platform != "win32":
    import pwd

STOP_SECONDS = 30.0


def free_port() -> int:
    """Return a loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One server process: started by us, known by its id, never by its name."""

    name = "server"

    def __init__(self, folder: Path, *, port: int | None = None, dies_with_us: bool = True) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.dies_with_us = dies_with_us
        self._process: subprocess.Popen[bytes] | None = None
        self._has_run = False

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """The id of the running server if there is one and it is ours."""
        try:
            pid = int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        if self._process is not None and self._process.poll() is not None:
            return None
        return pid if self._mark() in command_of(pid) else None

    def start(self) -> None:
        """Start and wait until it answers; does nothing when it runs already.

        Raises:
            ServiceError: It did not answer in time; the sentence ends with its last words.
        """
        if self.pid is not None:
            return
        self._prepare()
        for is_last in (False, False, True):
            try:
                self._launch()
                break
            except ServiceError:
                self.kill()
                if is_last:
                    raise
                # Once it has run, its address is known to others. Then what stands in the way is
                # what a killed server left: it goes in a moment.
                if self._has_run:
                    time.sleep(1)
                else:
                    self.port = free_port()
        self._has_run = True

    def stop(self) -> None:
        """Ask it to end, wait, and insist if it does not."""
        self._signal(self._stop_signal())
        if not self._gone_within(STOP_SECONDS):
            self.kill()
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGKILL)
        self._gone_within(STOP_SECONDS)
        self.pid_file.unlink(missing_ok=True)

    def restart(self) -> None:
        """Stop and start again on the same port."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Stop the clock of the process; connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _launch(self) -> None:
        account = self._account()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._leash(), *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
        self.pid_file.write_text(str(self._process.pid))
        process = self._process

        def is_settled() -> bool:
            return process.poll() is not None or self._answers()

        _wait_until(is_settled, what=f"{self.name} did not answer", seconds=START_SECONDS)
        if process.poll() is not None:
            words = self.log_file.read_text(errors="replace").splitlines()[-5:]
            raise ServiceError(f"{self.name} ended at start: {' / '.join(words)}")

    def _leash(self) -> list[str]:
        """Ask Linux to end the server when the process that started it is gone, however it went."""
        setpriv = shutil.which("setpriv") if self.dies_with_us else None
        return [setpriv, "--pdeathsig", "KILL"] if setpriv else []

    def _signal(self, number: int) -> None:
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _gone_within(self, seconds: float) -> bool:
        with contextlib.suppress(ServiceError):
            _wait_until(lambda: self.pid is None, what=f"{self.name} did not end", seconds=seconds)
            if self._process is not None:
                self._process.wait(seconds)
            return True
        return False

    def _account(self) -> "pwd.struct_passwd | None":
        return None

    def _mark(self) -> str:
        raise NotImplementedError

    def _stop_signal(self) -> int:
        return signal.SIGTERM

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


def _wait_until(is_ready: Callable[[], bool], *, what: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > end:
            raise ServiceError(f"{what} within {seconds:.0f} seconds.")
        time.sleep(0.05)
