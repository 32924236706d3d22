"""Process 1 of a virtual machine: mounts the workspace, waits for the host, becomes the agent.

It lies on the root disk beside `session_agent.py` (see docs/operate/sandbox.md) and uses the
standard library of Python 3.8 only. The machine ends when this process does, which is when the
host hangs up.
"""

from __future__ import annotations

import ctypes
import os
import resource
import socket

from sandbox.inside import session_agent

PORT = 5000
INSIDE_ID = 10001
NO_SUID, NO_DEV = 2, 4  # mount(2)
MOUNTS = (
    ("proc", "/proc", "proc", NO_SUID | NO_DEV, ""),
    ("tmpfs", "/tmp", "tmpfs", NO_SUID | NO_DEV, "size=64m,mode=1777"),  # noqa: S108 - inside
    ("tmpfs", "/run", "tmpfs", NO_SUID | NO_DEV, "size=16m,mode=755"),
    ("/dev/vdb", "/workspace", "ext4", NO_SUID | NO_DEV, ""),
)
LIMITS = {
    "agentry.nofile": resource.RLIMIT_NOFILE,
    "agentry.fsize": resource.RLIMIT_FSIZE,
    "agentry.nproc": resource.RLIMIT_NPROC,
}


def mount_all() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for source, target, kind, flags, options in MOUNTS:
        words = [text.encode() for text in (source, target, kind)]
        if libc.mount(*words, ctypes.c_ulong(flags), options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount of " + target)


def limits_of(words: str) -> dict[int, int]:
    """Return the limits the host has put on the kernel's command line."""
    pairs = (word.partition("=") for word in words.split())
    return {LIMITS[name]: int(value) for name, _, value in pairs if name in LIMITS}


def wait_for_host() -> socket.socket:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listening:
        listening.bind((socket.VMADDR_CID_ANY, PORT))
        listening.listen(1)
        connection, peer = listening.accept()
    if peer[0] != socket.VMADDR_CID_HOST:
        raise OSError("somebody else than the host has connected")
    return connection


def main() -> None:
    mount_all()
    with open("/proc/cmdline", encoding="ascii") as file:  # noqa: PTH123 - as early as can be
        limits = limits_of(file.read())
    host = wait_for_host()
    for number in (0, 1):
        os.dup2(host.fileno(), number)
    host.close()
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))
    os.setgroups([])
    os.setresgid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
    os.setresuid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
    session_agent.hide(True)
    session_agent.Agent().serve()


if __name__ == "__main__":
    main()
