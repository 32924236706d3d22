"""A private Docker daemon with gVisor as a second runtime, without bridge and firewall rules."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from tests.services.programs import ServiceError, find_program
from tests.services.server import Server

_GVISOR = ["--platform=ptrace", "--network=none", "--fsgofer-host-uds"]
_DISK_BYTES = 24 * 1024**3  # sparse


class DockerServer(Server):
    """A dockerd of our own: its own folders, its own socket, nothing of the host's touched.

    Stopping it ends its containers. Like the servers beside it, it needs no rights of ours but
    those of this process; a daemon without root is not what the tests are about.
    """

    name = "docker"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    def stop(self) -> None:
        super().stop()
        self._unmount()

    def kill(self) -> None:
        super().kill()
        self._unmount()

    def _prepare(self) -> None:
        if os.geteuid() != 0:
            raise ServiceError("A Docker daemon of our own needs root.")
        super()._prepare()
        self._mount_disk()
        (self.folder / "dockerd.pid").unlink(missing_ok=True)
        runtimes = {"runsc": {"path": find_program("runsc"), "runtimeArgs": _GVISOR}}
        settings = self.folder / "daemon.json"
        settings.write_text(json.dumps({"runtimes": runtimes, "shutdown-timeout": 5}))

    def _command(self) -> list[str]:
        return [
            find_program("dockerd"),
            f"--config-file={self.folder / 'daemon.json'}",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'dockerd.pid'}",
            f"--host={self.url}",
            "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false",
            "--log-level=warn",
        ]  # fmt: skip

    def _mark(self) -> str:
        return f"--data-root={self.folder / 'data'}"

    def _stop_signal(self) -> int:
        return signal.SIGTERM

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(self.socket))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 OK" in connection.recv(4096)
        return False

    def _mount_disk(self) -> None:
        """In a container the folders are on an overlay, which cannot carry another: make a disk."""
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        shown = _run("stat", "--file-system", "--format=%T", str(data))
        if shown != "overlayfs" or data.is_mount():
            return
        disk = self.folder / "data.disk"
        with disk.open("wb") as file:
            file.truncate(_DISK_BYTES)
        _run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1", str(disk))
        _run("mount", "-o", "loop", str(disk), str(data))

    def _unmount(self) -> None:
        """Take away what a daemon leaves mounted below its folders, the innermost first."""
        lines = Path("/proc/self/mounts").read_text().splitlines()
        below = [place for place in (line.split()[1] for line in lines)
                 if place.startswith(f"{self.folder}/")]  # fmt: skip
        for place in sorted(below, key=len, reverse=True):
            _run("umount", "--lazy", place)


def _run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [find_program(program), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServiceError(f"{program} failed: {done.stderr.strip()}")
    return done.stdout.strip()
