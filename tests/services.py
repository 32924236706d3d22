"""Private PostgreSQL and Redis servers: started on free loopback ports, stopped by process id.

Used by `scripts/services` at the keyboard and by the test fixtures. Only the standard library, so
that it works before anything is installed. Nothing here touches a server it did not start: a
process id from a file is believed only when that process still carries our folder or port.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if sys.platform != "win32":
    import pwd

START_SECONDS = 60.0
STOP_SECONDS = 30.0
USER = "agentry"


class ServiceError(Exception):
    """A server could not be started or stopped; the sentence says what to do."""


def free_port() -> int:
    """Return a loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_program(name: str) -> str:
    """Find a server program where Debian and Homebrew keep them, else on PATH.

    Raises:
        ServiceError: It is not installed.
    """
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: int(folder.parent.name) if folder.parent.name.isdigit() else 0,
        reverse=True,
    )
    for place in [*debian, Path("/opt/homebrew/bin")]:
        if (place / name).exists():
            return str(place / name)
    if found := shutil.which(name):
        return found
    raise ServiceError(f"{name} is not installed. Run: scripts/services install")


def reachable_folder(wanted: Path) -> Path:
    """Return `wanted`, or a stand-in below the temporary folder if the servers could not enter it.

    PostgreSQL refuses to run as root; the account it runs as instead may be shut out of the
    checkout (a home folder with mode 700).
    """
    wanted.mkdir(parents=True, exist_ok=True)
    account = _server_account()
    if account is None or _run(["test", "-x", str(wanted)], account=account).returncode == 0:
        return wanted
    digest = hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:12]
    stand_in = Path(tempfile.gettempdir()) / f"agentry-services-{digest}"
    stand_in.mkdir(mode=0o711, exist_ok=True)
    if stand_in.stat().st_uid != os.geteuid():
        raise ServiceError(f"{stand_in} belongs to somebody else. Remove it and try again.")
    return stand_in


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
        return pid if self._mark() in _command_of(pid) else None

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


class PostgresServer(Server):
    """A PostgreSQL cluster of our own, trusting every loopback connection.

    `is_durable` keeps fsync on, for chaos and benches; tests of behaviour turn it off.
    """

    name = "postgres"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        dies_with_us: bool = True,
        is_durable: bool = True,
    ) -> None:
        super().__init__(folder, port=port, dies_with_us=dies_with_us)
        self.is_durable = is_durable

    @property
    def data_folder(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = USER) -> str:
        return f"postgres://{USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self._client("createdb", name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending whoever is still connected to it."""
        self._client("dropdb", "--if-exists", "--force", name)

    def has_database(self, name: str) -> bool:
        done = _run([find_program("psql"), *self._address(), "-d", name, "-c", ""], account=None)
        return done.returncode == 0

    def _client(self, program: str, *arguments: str) -> None:
        done = _run([find_program(program), *self._address(), *arguments], account=None)
        if done.returncode:
            raise ServiceError(f"{program} failed: {done.stderr.strip()}")

    def _address(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER]

    def _account(self) -> "pwd.struct_passwd | None":
        return _server_account()

    def _mark(self) -> str:
        return str(self.data_folder)

    def _stop_signal(self) -> int:
        return signal.SIGINT  # "fast": end sessions, write a checkpoint, leave

    def _prepare(self) -> None:
        super()._prepare()
        if (self.data_folder / "PG_VERSION").exists():
            self._forget_dead_postmaster()
            return
        shutil.rmtree(self.data_folder, ignore_errors=True)
        self.data_folder.mkdir(mode=0o700)
        account = self._account()
        if account is not None:
            os.chown(self.data_folder, account.pw_uid, account.pw_gid)
        done = _run(
            [
                find_program("initdb"), "-D", str(self.data_folder), "-U", USER, "-A", "trust",
                "-E", "UTF8", "--locale=C", "--no-sync",
            ],
            account=account,
        )  # fmt: skip
        if done.returncode:
            raise ServiceError(f"initdb failed in {self.data_folder}: {done.stderr.strip()}")

    def _forget_dead_postmaster(self) -> None:
        """Remove the lock of a killed server, whose id another process may carry by now."""
        lock = self.data_folder / "postmaster.pid"
        if lock.exists():
            pid = int(lock.read_text().split()[0])
            if self._mark() in _command_of(pid):
                raise ServiceError(f"Another server, process {pid}, runs in {self.data_folder}.")
            lock.unlink()

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "timezone": "UTC",
        }
        if not self.is_durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [word for item in settings.items() for word in ("-c", "=".join(item))]
        return [find_program("postgres"), "-D", str(self.data_folder), *options]

    def _answers(self) -> bool:
        """Read what the server itself says: another one may answer on the port we wanted."""
        try:
            words = (self.data_folder / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return False
        return words[:1] == [str(self.pid)] and words[-1:] == ["ready"]


class RedisServer(Server):
    """A Redis of our own, in memory only: a restart loses everything, as brokers do."""

    name = "redis"

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def flush(self) -> None:
        """Forget everything."""
        if self._ask("FLUSHALL") != "+OK":
            raise ServiceError("Redis did not flush.")

    def _ask(self, command: str) -> str:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection,
        ):
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(8192).decode(errors="replace").strip()
        return ""

    def _mark(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        # The process shows its address in its title, but only after reading its options; naming
        # it here as well lets the process be recognised from its first moment.
        return [
            find_program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
            "--save", "", "--appendonly", "no", "--dir", str(self.folder),
            "--proc-title-template", f"redis-server 127.0.0.1:{self.port}",
        ]  # fmt: skip

    def _answers(self) -> bool:
        """Ask for the process id: another Redis may answer on the port we wanted."""
        return f"process_id:{self.pid}\r" in self._ask("INFO server")


def _server_account() -> "pwd.struct_passwd | None":
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServiceError("PostgreSQL does not run as root and there is no account to run it as.")


def _run(
    command: list[str], *, account: "pwd.struct_passwd | None"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
        cwd="/",
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )


def _command_of(pid: int) -> str:
    """Return the command line of a living process, else nothing."""
    if Path("/proc/self").exists():
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
            if status.rpartition(")")[2].split()[0] == "Z":
                return ""
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            return ""
    shown = _run(["ps", "-ww", "-o", "command=", "-p", str(pid)], account=None)
    return shown.stdout


def _wait_until(is_ready: Callable[[], bool], *, what: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > end:
            raise ServiceError(f"{what} within {seconds:.0f} seconds.")
        time.sleep(0.05)
