"""Server programs: where they are, which account runs them, which process is still there."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

if sys.platform != "win32":
    import pwd

START_SECONDS = 60.0


class ServiceError(Exception):
    """A server could not be started or stopped; the sentence says what to do."""


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
    for place in [*debian, Path("/opt/homebrew/bin"), Path("/usr/sbin"), Path("/sbin")]:
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
    account = server_account()
    if account is None or run(["test", "-x", str(wanted)], account=account).returncode == 0:
        return wanted
    digest = hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:12]
    stand_in = Path(tempfile.gettempdir()) / f"agentry-services-{digest}"
    stand_in.mkdir(mode=0o711, exist_ok=True)
    if stand_in.stat().st_uid != os.geteuid():
        raise ServiceError(f"{stand_in} belongs to somebody else. Remove it and try again.")
    return stand_in


def server_account() -> "pwd.struct_passwd | None":
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServiceError("PostgreSQL does not run as root and there is no account to run it as.")


def run(
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


def command_of(pid: int) -> str:
    """Return the command line of a living process, else nothing."""
    if Path("/proc/self").exists():
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
            if status.rpartition(")")[2].split()[0] == "Z":
                return ""
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            return ""
    shown = run(["ps", "-ww", "-o", "command=", "-p", str(pid)], account=None)
    return shown.stdout
