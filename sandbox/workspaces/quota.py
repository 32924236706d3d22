"""A workspace with a size: an ext4 image beside the folder, mounted on it (root only).

The image is the truth: it outlives calls, runs and reboots. While it is not mounted the folder
looks empty, and must stay so. What the folder had before it got its disk is moved into it.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

from sandbox.errors import SandboxRefusedError, SandboxUnavailableError

_SECONDS = 60.0
_LEAST_BYTES = 1024 * 1024
_BYTES_PER_FILE = 32 * 1024
_LEAST_FILES = 1024
_PROGRAMS = ("mkfs.ext4", "e2fsck", "mount", "umount")
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GET_FREE = 0x4C82  # LOOP_CTL_GET_FREE
_LOOP_MAJOR = 7
_NODES_AHEAD = 8
_BUSY_TRIES = 20
_BUSY_PAUSE_SECONDS = 0.1
_REPAIRED = 1  # e2fsck's exit status for "errors were corrected"


def problem() -> str:
    """Return why no quota can be held here; empty when it can."""
    if os.geteuid() != 0:
        return "only root may mount a workspace's disk"
    absent = [name for name in _PROGRAMS if shutil.which(name, path=_SYSTEM_FOLDERS) is None]
    if absent:
        return f"{', '.join(absent)} is not installed (package e2fsprogs)"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices (/dev/loop-control)"
    return ""


def disk_of(workspace: Path) -> Path:
    """Return where the image of a workspace is."""
    return workspace.with_name(f"{workspace.name}.disk")


def attach(workspace: Path, *, disk_bytes: int) -> bool:
    """Mount the workspace's disk, making it when there is none; False when it was mounted already.

    Raises:
        SandboxRefusedError: The workspace has a larger disk than asked for.
        SandboxUnavailableError: It cannot be made or mounted.
    """
    disk = disk_of(workspace)
    is_new = not disk.exists()
    size = max(disk_bytes, _LEAST_BYTES)
    if not is_new and disk.stat().st_size > size:
        raise SandboxRefusedError(
            f"The workspace has a disk of {disk.stat().st_size} bytes, more than {disk_bytes}.",
            remedy="Ask for at least as much, or begin with a new workspace.",
        )
    if is_mounted(workspace):
        return False
    has_files = any(workspace.iterdir())
    if is_new:
        _make(disk, size)
        (_mount_and_move_in if has_files else _mount)(disk, workspace)
        (workspace / "lost+found").rmdir()
        return True
    if has_files:
        # Merging would mean following names the work has chosen.
        raise SandboxRefusedError(
            f"Files were put into {workspace.name} while its disk was not mounted.",
            remedy="Move them away, mount the disk, and put them in again.",
        )
    _run("e2fsck", "-p", str(disk), allowed=_REPAIRED)
    _mount(disk, workspace)
    return True


def is_mounted(folder: Path) -> bool:
    """Say whether something is mounted there, also when it is of the same file system."""
    wanted = "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in str(folder.resolve()))
    lines = Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines()
    return any(line.split(" ", 2)[1] == wanted for line in lines)


def detach(workspace: Path) -> None:
    """Unmount the disk; the loop device goes with it. What is not mounted is no error.

    A thread that still reads a file gets a moment to end; it is never unmounted below it, because
    a disk that is mounted again beside itself would be destroyed.
    """
    patience = _BUSY_TRIES
    while os.geteuid() == 0 and is_mounted(workspace):
        try:
            _run("umount", str(workspace))
        except SandboxUnavailableError:
            patience -= 1
            if not patience:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)


def bind(workspace: Path, seat: Path) -> None:
    """Let the workspace be seen at `seat` too; `detach` it there afterwards."""
    _run("mount", "--bind", str(workspace), str(seat))


def give(workspace: Path, *, uid: int) -> None:
    """Make everything in the workspace `uid`'s, so that its sandbox, and no other, can write it.

    No sandbox runs in it meanwhile. Links are given themselves, never what they point to; hard
    links cannot reach out of a disk of its own.
    """
    if workspace.stat().st_uid != uid:
        os.chown(workspace, uid, uid)
        workspace.chmod(0o700)
    _run("find", str(workspace), "-xdev", "!", "-uid", str(uid), "-exec", "chown", "-h",
         f"{uid}:{uid}", "{}", "+")  # fmt: skip


def _make(disk: Path, size: int) -> None:
    making = disk.with_name(f"{disk.name}.new")
    with making.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size)
    files = max(_LEAST_FILES, size // _BYTES_PER_FILE)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(files), "-O", "^has_journal",
         "-E", "root_owner=0:0,lazy_itable_init=1", str(making))  # fmt: skip
    making.rename(disk)


def _mount(disk: Path, workspace: Path) -> None:
    _make_nodes()
    _run("mount", "-o", "loop,nosuid,nodev,noatime", str(disk), str(workspace))


def _mount_and_move_in(disk: Path, workspace: Path) -> None:
    """Mount an empty disk and put into it what the folder has had so far."""
    aside = workspace.with_name(f"{workspace.name}.aside")
    workspace.rename(aside)
    workspace.mkdir(mode=0o755)
    _mount(disk, workspace)
    _run("cp", "-a", "--", f"{aside}/.", str(workspace))
    _run("rm", "-rf", "--one-file-system", "--", str(aside))


def _make_nodes() -> None:
    """Make the device files of the next free loop devices: in a container nobody else does."""
    with Path("/dev/loop-control").open("rb") as control:
        free = fcntl.ioctl(control, _GET_FREE)
    for number in range(free, free + _NODES_AHEAD):
        node = Path(f"/dev/loop{number}")
        if not node.exists():
            with contextlib.suppress(FileExistsError):
                os.mknod(node, 0o660 | stat.S_IFBLK, os.makedev(_LOOP_MAJOR, number))


def _run(program: str, *arguments: str, allowed: int = 0) -> None:
    path = shutil.which(program, path=_SYSTEM_FOLDERS)
    if path is None:
        raise SandboxUnavailableError(
            f"{program} is not installed.", remedy="Install e2fsprogs and util-linux."
        )
    done = subprocess.run([path, *arguments], capture_output=True, timeout=_SECONDS, check=False)
    if done.returncode > allowed:
        words = (done.stderr or done.stdout)[-300:].decode(errors="replace").strip()
        raise SandboxUnavailableError(
            f"The workspace's disk could not be prepared: {program}: {words}",
            remedy="See `manage.py sandbox doctor`.",
        )
