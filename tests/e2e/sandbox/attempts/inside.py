"""What attempts have in common. Importing it anywhere but in a sandbox ends the program."""

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

if (
    os.environ.get("ATTEMPT_IS_BOXED") != "yes"
    or not os.path.isdir("/workspace")
    or not os.getuid()
):
    sys.exit("Attempts to break out run inside a sandbox and nowhere else.")

CANARIES = os.environ["ATTEMPT_CANARIES"]  # a folder of the host
VICTIM = CANARIES + "/victim"  # anybody may write it
SECRET = CANARIES + "/secret"  # anybody may read it
PID = int(os.environ["ATTEMPT_PID"])  # a process of the host, of our own user
PORT = int(os.environ["ATTEMPT_PORT"])  # served by the host, on TCP and UDP
ADDRESS = os.environ["ATTEMPT_ADDRESS"]  # of the host
ABSTRACT = os.environ["ATTEMPT_ABSTRACT"]  # name of a socket of the host
CHECKOUT = os.environ["ATTEMPT_CHECKOUT"]

IS_X86 = platform.machine() == "x86_64"
_libc = ctypes.CDLL(None, use_errno=True)


def reached(what: object) -> None:
    """Say that something was possible which should not be."""
    print(f"REACHED {what}", flush=True)


def attempt(act: Callable[..., Any], *arguments: Any) -> Any:
    """Do it and say how it was refused; returns the result, None when it was refused."""
    try:
        return act(*arguments)
    except OSError as error:
        print(f"refused: {errno.errorcode.get(error.errno or 0, str(error))}", flush=True)
    except ValueError as error:
        print(f"refused: {error}", flush=True)
    return None


def system_call(x86: int, arm: int, *arguments: Any) -> tuple[int, str]:
    """Make a system call; returns its result and the name of its error."""
    number = x86 if IS_X86 else arm
    if number < 0:
        return -1, "ENOSYS"
    _libc.syscall.restype = ctypes.c_long
    ctypes.set_errno(0)
    result: int = _libc.syscall(
        ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    )
    return result, errno.errorcode.get(ctypes.get_errno(), "") if result < 0 else ""


def must_be_refused(name: str, x86: int, arm: int, *arguments: Any) -> int:
    """A refusal is EPERM or ENOSYS; every other answer means that the kernel looked at it."""
    result, error = system_call(x86, arm, *arguments)
    if error in {"EPERM", "ENOSYS"}:
        print(f"refused: {error}", flush=True)
    else:
        reached(f"{name}: {error or result}")
    return result
