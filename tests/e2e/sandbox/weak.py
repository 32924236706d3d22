"""A sandbox that is weak on purpose, to show that the attempts bite where nothing stops them.

It shares the host's processes, network and memory segments, has no filter of system calls, hands
the environment on and shows the canaries. Its user has no rights, /usr and /etc stay read-only, and
a control group bounds it, so that nothing in it can hurt the machine; no attempt that would is run.
"""

import itertools
import os
import subprocess
from pathlib import Path

from core.ids import new_id
from sandbox import cgroups
from sandbox.contracts import MIB, Limits
from sandbox.leases import FIRST_UID, MOST
from tests.e2e.sandbox.attempts_of import Attempt, claims, put_into
from tests.e2e.sandbox.canaries import Canaries
from tests.e2e.sandbox.verdict import DISK, Verdict, command

_numbers = itertools.count(FIRST_UID + MOST + os.getpid() % 1000 * 1000)
_SECONDS = 30.0
_JOIN = 'IFS=:; for group in $1; do echo $$ >"$group/cgroup.procs"; done; shift; exec "$@"'


def try_weakly(workspace: Path, attempt: Attempt) -> Verdict:
    """Run the attempt in the weak sandbox and look at the canaries."""
    assert attempt.is_in_control_run
    put_into(workspace, attempt)
    workspace.chmod(0o777)
    group = cgroups.hierarchy().group(f"control-{new_id().hex[-12:]}")
    uid = next(_numbers)
    group.create(Limits(memory_bytes=512 * MIB, pids=128, cpu=1.0))
    with Canaries() as canaries:
        canaries.start(uid=uid)
        wanted = command(attempt, canaries)
        done = subprocess.run(
            ["sh", "-euc", _JOIN, "control", ":".join(map(str, group.folders)),
             *_weak_bwrap(workspace, canaries.folder, uid), *wanted.argv],
            env={**wanted.env, "A_SECRET_OF_THE_HOST": canaries.token},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            start_new_session=True,
        )  # fmt: skip
        try:
            bites = [f"process {process} lives on" for process in group.processes()]
            result = workspace / "result"
            left = result.read_bytes() if result.is_file() else b""
            bites += canaries.bites(done.stdout, done.stderr, left)
            if sum(f.stat().st_size for f in workspace.rglob("*") if f.is_file()) > DISK:
                bites.append("disk beyond the quota")
        finally:
            group.kill()
            group.remove()
            _remove_shared_memory(uid)
    return Verdict(
        bites=bites,
        claims=claims(done.stdout),
        ended=str(done.returncode),
        words=(done.stdout[-600:] + done.stderr[-600:]).decode(errors="replace"),
    )


def _weak_bwrap(workspace: Path, canaries: Path, uid: int) -> list[str]:
    words = [
        "bwrap", "--die-with-parent", "--new-session",
        "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID",
        "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc",
        "--bind", "/proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
        "--bind", str(canaries), str(canaries), "--bind", str(workspace), "/workspace",
    ]  # fmt: skip
    for name in ("bin", "sbin", "lib", "lib64"):
        if (Path("/") / name).is_symlink():
            words += ["--symlink", str((Path("/") / name).readlink()), f"/{name}"]
    return [
        *words, "--chdir", "/workspace", "--",
        "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--",
    ]  # fmt: skip


def _remove_shared_memory(uid: int) -> None:
    for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        row = line.split()
        if str(uid) in row[7:9]:
            subprocess.run(["ipcrm", "-m", row[1]], check=False, capture_output=True)
