"""What a break-out would change or touch on the host, watched from the host.

The programs inside may believe what they like; a verdict is made of what is seen here.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.architecture.source import ROOT

# Owned by everybody, so that only the sandbox stands between them and the program.
_UNTOUCHED = "untouched"
_SETTINGS = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/domainname",
)
_PLANTED = ("/usr/bin/planted", "/etc/planted", "/planted", "/dev/planted")
_NEEDED = ("/usr/bin/python3", "/etc/passwd", "/proc/self")
_CLOCK_SECONDS = 30.0


class Canaries:
    """One set for one attempt: files, sockets, a process of the sandbox's user, settings."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(12)
        self.folder = Path(tempfile.mkdtemp(prefix="canaries-", dir="/tmp"))
        self.folder.chmod(0o777)
        (self.folder / "victim").write_text(_UNTOUCHED)
        (self.folder / "victim").chmod(0o666)
        (self.folder / "secret").write_text(self.token)
        (self.folder / "secret").chmod(0o644)
        self.tcp = socket.create_server(("0.0.0.0", 0))
        self.port = int(self.tcp.getsockname()[1])
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("0.0.0.0", self.port))
        self.abstract = f"canary-{self.port}-{os.getpid()}"
        self.by_name = socket.socket(socket.AF_UNIX)
        self.by_name.bind(f"\0{self.abstract}")
        self.by_path = socket.socket(socket.AF_UNIX)
        self.by_path.bind(str(self.folder / "socket"))
        (self.folder / "socket").chmod(0o777)
        for listener in (self.by_name, self.by_path):
            listener.listen()
        for listener in (self.tcp, self.udp, self.by_name, self.by_path):
            listener.setblocking(False)
        self.process: subprocess.Popen[bytes] | None = None
        self._before: dict[str, str] = {}
        self._clock = time.time() - time.monotonic()

    def start(self, *, uid: int) -> None:
        """Start the process with the sandbox's own user id, and remember how everything is."""
        self.process = subprocess.Popen(
            [f"canary-{self.token}", "600"],
            executable="/usr/bin/sleep",
            env={"CANARY": self.token},
            user=uid,
            group=uid,
            extra_groups=[],
            start_new_session=True,
        )
        self._before = self._facts()

    def environment(self) -> dict[str, str]:
        """Return what an attempt is told, as an attacker would know where to look."""
        assert self.process is not None
        return {
            "ATTEMPT_IS_BOXED": "yes",
            "ATTEMPT_CANARIES": str(self.folder),
            "ATTEMPT_PID": str(self.process.pid),
            "ATTEMPT_PORT": str(self.port),
            "ATTEMPT_ADDRESS": _own_address(),
            "ATTEMPT_ABSTRACT": self.abstract,
            "ATTEMPT_CHECKOUT": str(ROOT),
        }

    def bites(self, *told: bytes) -> list[str]:
        """Return what the attempt did to the host; `told` is everything that came out of it."""
        found = [name for name, fact in self._facts().items() if fact != self._before[name]]
        for name, listener in (("TCP", self.tcp), ("named socket", self.by_name),
                               ("path socket", self.by_path)):  # fmt: skip
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                continue
            found.append(f"{name} connection")
        try:
            self.udp.recv(100)
            found.append("datagram")
        except BlockingIOError:
            pass
        if any(self.token.encode() in text for text in told):
            found.append("secret")
        if abs(time.time() - time.monotonic() - self._clock) > _CLOCK_SECONDS:
            found.append("clock")
        return found

    def _facts(self) -> dict[str, str]:
        assert self.process is not None
        own = Path(f"/proc/{self.process.pid}")
        status = (own / "stat").read_text().rpartition(")")[2].split()
        facts = {
            "process state": "going" if status[0] in "RSD" else status[0],
            "process priority": status[16],
            "process limits": (own / "limits").read_text(),
            "process affinity": _line(own / "status", "Cpus_allowed:"),
            "victim": (self.folder / "victim").read_text(),
            "canary folder": " ".join(sorted(entry.name for entry in self.folder.iterdir())),
            "shared memory": _shared_memory_of(_line(own / "status", "Uid:").split()[1]),
            "swap": Path("/proc/swaps").read_text(),
        }
        facts |= {file.name: file.read_text() for file in map(Path, _SETTINGS) if file.exists()}
        facts |= {name: str(Path(name).exists()) for name in (*_PLANTED, *_NEEDED)}
        return facts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for listener in (self.tcp, self.udp, self.by_name, self.by_path):
            listener.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)


def _line(file: Path, key: str) -> str:
    return next(line for line in file.read_text().splitlines() if line.startswith(key))


def _shared_memory_of(uid: str) -> str:
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return " ".join(row[1] for row in rows if uid in row[7:9])


def _own_address() -> str:
    """Return an address of this host that is not loopback's, if it has one."""
    shown = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False)
    return next((word for word in shown.stdout.split() if "." in word), "127.0.0.2")
