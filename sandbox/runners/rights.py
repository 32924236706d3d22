"""Command lines that give rights up: from root down to a user without any, and limits on top."""

from collections.abc import Sequence
from pathlib import Path

from sandbox.contracts import Limits

# Joins the control groups and turns into the rest of the command line.
_LAUNCH = """
IFS=:
for group in $1; do echo $$ >"$group/cgroup.procs"; done
shift
exec "$@"
"""


def from_root(
    *, groups: Sequence[Path], uid: int, rest: Sequence[str], more_groups: Sequence[int] = ()
) -> list[str]:
    """Return the command line that begins as root and runs `rest` as `uid`, in no other groups
    of users than `more_groups`."""
    kept = f"--groups={','.join(map(str, more_groups))}" if more_groups else "--clear-groups"
    return [
        "sh", "-euc", _LAUNCH, "agentry-sandbox",
        ":".join(map(str, groups)),
        "setpriv", f"--reuid={uid}", f"--regid={uid}", kept, "--no-new-privs",
        "--inh-caps=-all", "--", *rest,
    ]  # fmt: skip


def limited(limits: Limits, rest: Sequence[str]) -> list[str]:
    """Return `rest` under the limits that hold for each process and file."""
    return [
        "prlimit", f"--nofile={limits.open_files}", f"--fsize={limits.file_bytes}", "--core=0",
        "--memlock=65536", "--msgqueue=0", "--", *rest,
    ]  # fmt: skip
