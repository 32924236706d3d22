"""The session agent where there are no namespaces: each command is confined by Landlock alone.

It is not process 1, so it must not kill everybody: it adopts what its commands leave behind
(PR_SET_CHILD_SUBREAPER) and kills its own children until there are none. Under a user of its own,
which only sandboxes that root made have, it kills all of that user at one stroke.

`boot.py` gives it the session agent's source as `base`; standard library of Python 3.8 only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import sys
import time
from pathlib import Path

from sandbox.inside import session_agent as base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

CREATE, ADD, RESTRICT = 444, 445, 446  # system calls, the same numbers on every architecture
PATH_BENEATH = 1
NO_NEW_PRIVS, SECCOMP, FILTER, SUBREAPER, DEATH_SIGNAL = 38, 22, 2, 36, 1  # prctl(2)
# Rights of <linux/landlock.h>: 16 of files, binding and connecting, sockets by name and signals.
HANDLED_FILES, HANDLED_NET, SCOPED = 0xFFFF, 0b11, 0b11
EXECUTE, WRITE, READ, LIST = 1, 2, 4, 8
MAKE_DEVICES, TRUNCATE, IOCTL = (1 << 6) | (1 << 11), 1 << 14, 1 << 15
READABLE = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives",
            "/etc/ssl/certs")  # fmt: skip
READABLE_FILES = ("/etc/ld.so.cache",)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
INSIDE = "/workspace"
PATIENCE_SECONDS = 5.0
FIRST_UID, MOST_UIDS = 0x7000_0000, 4096  # as in sandbox.leases

libc = ctypes.CDLL(None, use_errno=True)
filters: list[bytes] = []


def check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def restrict_files() -> None:
    """Leave the workspace (the current folder) writable, programs readable, and no more."""
    attributes = struct.pack("=QQQ", HANDLED_FILES, HANDLED_NET, SCOPED)
    rules = check(libc.syscall(CREATE, attributes, len(attributes), 0), "landlock_create_ruleset")
    try:
        for place in READABLE:
            allow(rules, place, EXECUTE | READ | LIST)
        for place in READABLE_FILES:
            allow(rules, place, READ)
        for place in DEVICES:
            allow(rules, place, READ | WRITE | TRUNCATE)
        allow(rules, ".", HANDLED_FILES & ~MAKE_DEVICES & ~IOCTL)
        check(libc.syscall(RESTRICT, rules, 0), "landlock_restrict_self")
    finally:
        os.close(rules)


def allow(rules: int, place: str, rights: int) -> None:
    try:
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # what is not there needs no right
    try:
        rule = struct.pack("=Qi", rights, descriptor)
        check(libc.syscall(ADD, rules, PATH_BENEATH, rule, 0), f"landlock_add_rule {place}")
    finally:
        os.close(descriptor)


def restrict_calls() -> None:
    """Install the filters, the last word first: each only takes away."""
    for program in filters:
        code = ctypes.create_string_buffer(program, len(program))
        length = len(program) // 8
        wanted = ctypes.create_string_buffer(struct.pack("@HP", length, ctypes.addressof(code)))
        check(libc.prctl(SECCOMP, FILTER, wanted, 0, 0), "seccomp")


def confine() -> None:
    """In the child, before it turns into the command. What fails ends it: never unconfined."""
    make_victim()
    try:
        check(libc.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0), "prctl")
        check(libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
        restrict_files()
        restrict_calls()
    except OSError as error:
        os.write(2, f"the sandbox could not be made: {error}\n".encode())
        os._exit(126)


def end_all_of_ours(call: base.Call) -> None:
    """Kill what the call left until nothing is left to wait for; give up aloud, never silently."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        strike()
        if not call.reap(os.WNOHANG):
            return
        if time.monotonic() > deadline:
            sys.exit("what a command left could not be ended")
        time.sleep(0.001)


def strike() -> None:
    mine = os.getresuid()
    if FIRST_UID <= mine[0] < FIRST_UID + MOST_UIDS and mine == (mine[0],) * 3:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # all of this user, which is this sandbox's; not ourselves
        return
    for child in children():
        # Ours and not waited for, so the number cannot be anybody else's by now.
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def children() -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(folder.name))
    return found


class ConfinedAgent(base.Agent):
    """Its current folder is the workspace."""

    current: base.Call | None = None

    def run(self, request: dict[str, Any]) -> None:
        request["cwd"] = "." + request["cwd"][len(INSIDE) :]
        super().run(request)

    def obey_end(self) -> NoReturn:
        """The host hung up: what runs must not outlive this process."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            strike()
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.001)
            except ChildProcessError:
                break
        os._exit(0)


make_victim = base.make_victim


def main(workspace: int, programs: list[int]) -> NoReturn:
    os.fchdir(workspace)
    os.close(workspace)
    for descriptor in programs:
        filters.append(os.read(descriptor, 1 << 20))
        os.close(descriptor)
    check(libc.prctl(SUBREAPER, 1, 0, 0, 0), "prctl")
    base.hide(True)
    base.make_victim = confine
    base.end_everything = end_all_of_ours
    agent = ConfinedAgent()
    try:
        agent.serve()
    except SystemExit:
        agent.obey_end()
