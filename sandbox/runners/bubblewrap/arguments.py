"""The command line of `bwrap`, and the files that are put inside."""

from collections.abc import Mapping
from pathlib import Path

from sandbox.contracts import SECRETS, WORKSPACE

INSIDE_ID = 10001
AGENT = "/run/agentry/agent.py"
RELAY = "/run/agentry/relay.py"
PATH = "/usr/local/bin:/usr/bin:/bin"
_TEMPORARY_BYTES = 64 * 1024 * 1024
_SHARED_BYTES = 16 * 1024 * 1024
_SECRETS_BYTES = 1024 * 1024

# Files of /etc a program may need to find its way; nothing of the host's own is among them.
ETC: Mapping[str, bytes] = {
    "passwd": b"tool:x:10001:10001::/workspace:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "group": b"tool:x:10001:\nnogroup:x:65534:\n",
    "hosts": b"127.0.0.1 localhost sandbox\n::1 localhost\n",
    "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
}
_SHARED_ETC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs")


def bwrap(
    *,
    program: str,
    workspace: Path,
    files: Mapping[str, int],
    filter_descriptor: int,
    python: str,
    folders: Mapping[str, Path] = {},
    relay: str = "",
    is_read_only: bool = False,
) -> list[str]:
    """Return bwrap's command line.

    `files` are descriptors of what is put in and `folders` what is shown read-only, by path inside;
    `relay` is what the session agent is told of the way out.
    """
    words = [
        program,
        "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net",
        "--unshare-cgroup-try", "--disable-userns",
        "--uid", str(INSIDE_ID), "--gid", str(INSIDE_ID), "--hostname", "sandbox",
        "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--cap-drop", "ALL",
        "--ro-bind", "/usr", "/usr", *_links_to_usr(),
        "--proc", "/proc", "--dev", "/dev",
        "--size", str(_SHARED_BYTES), "--tmpfs", "/dev/shm",  # noqa: S108 - inside
        "--size", str(_TEMPORARY_BYTES), "--tmpfs", "/tmp",  # noqa: S108 - inside
        "--perms", "0700", "--size", str(_SECRETS_BYTES), "--tmpfs", SECRETS,
        "--ro-bind" if is_read_only else "--bind", str(workspace), WORKSPACE,
    ]  # fmt: skip
    for place in _SHARED_ETC:
        words += ["--ro-bind-try", place, place]
    for place, descriptor in files.items():
        words += ["--perms", "0444", "--ro-bind-data", str(descriptor), place]
    for place, folder in folders.items():
        words += ["--ro-bind", str(folder), place]
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    words += ["--chdir", WORKSPACE, "--setenv", "PATH", PATH, "--seccomp", str(filter_descriptor)]
    return [*words, "--", python, "-I", "-S", AGENT, *([relay] if relay else [])]


def _links_to_usr() -> list[str]:
    words = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/") / name
        if place.is_symlink():
            words += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            words += ["--ro-bind", str(place), str(place)]
    return words
