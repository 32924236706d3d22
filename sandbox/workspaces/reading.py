"""Reading a file a sandbox wrote: no link, no way out, no device, no waiting, no flood."""

import ctypes
import errno
import os
import stat
from pathlib import Path

from core.errors import LimitExceededError, NotFoundError
from sandbox.errors import SandboxUnavailableError, UnsafePathError

_OPENAT2 = 437  # the same number on every architecture
_NO_CROSSING, _NO_MAGIC_LINKS, _NO_LINKS, _BENEATH = 0x01, 0x02, 0x04, 0x08


class _How(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def safe_read(workspace: Path, name: str, *, max_bytes: int) -> bytes:
    """Return the content of a plain file below `workspace`, named by its path there.

    Raises:
        NotFoundError: There is no such file.
        UnsafePathError: The path is absolute, leads out, goes through a link, or is no plain file.
        LimitExceededError: The file is larger than `max_bytes`.
        SandboxUnavailableError: The kernel has no openat2 (Linux before 5.6).
    """
    folder = os.open(workspace, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = _open_beneath(folder, name)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafePathError(f"{name!r} is no plain file.")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise LimitExceededError(
            f"{name!r} is larger than {max_bytes} bytes.", remedy="Read a part of it inside."
        )
    return data


def _open_beneath(folder: int, name: str) -> int:
    if "\0" in name:
        raise UnsafePathError("A path cannot carry NUL characters.")
    libc = ctypes.CDLL(None, use_errno=True)
    how = _How(
        os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC,
        0,
        _BENEATH | _NO_LINKS | _NO_MAGIC_LINKS | _NO_CROSSING,
    )
    descriptor: int = libc.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(folder),
        ctypes.c_char_p(os.fsencode(name)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if descriptor >= 0:
        return descriptor
    code = ctypes.get_errno()
    if code in {errno.ENOENT, errno.ENOTDIR}:
        raise NotFoundError(f"There is no file {name!r}.")
    if code == errno.ENOSYS:
        raise SandboxUnavailableError(
            "This kernel cannot confine a path to a folder.", remedy="Use Linux 5.6 or newer."
        )
    raise UnsafePathError(f"{name!r} cannot be read safely: {os.strerror(code)}.")
