"""What a container is made with: nothing is left to the daemon's or the image's defaults."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from sandbox.contracts import MIB, WORKSPACE, Limits
from sandbox.seccomp import container_profile

AGENT_FOLDER = "/run/agentry"
LABEL_FOLDER = "cloud.agentry.sandbox.folder"
LABEL_PLACE = "cloud.agentry.sandbox.place"
LABEL_GROUP = "cloud.agentry.sandbox.group"
PATH = "/usr/local/bin:/usr/bin:/bin"
_TEMPORARY_BYTES = 64 * MIB
_SHARED_BYTES = 16 * MIB
_SECRET_BYTES = MIB
_PERIOD_NANOSECONDS = 1_000_000_000
_VICTIM = 500  # out of memory, the host kills this before its own

# Docker's own list, and all of /sys, which says much about the host.
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats", "/sys",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`files` are the host's, by path inside; all of them read-only. `pids` counts everything in
    the container's control group, ours included; `relay` is what the agent is told of the way
    out, and `is_read_only` is about the workspace."""

    image: str
    runtime: str
    user: int
    workspace: Path
    files: Mapping[str, Path]
    limits: Limits
    pids: int | None
    labels: Mapping[str, str]
    relay: str = ""
    is_read_only: bool = False


def host_of(wanted: Wanted) -> dict[str, Any]:
    """Return the host's side: `known` are arguments of the SDK, `other` it has no names for."""
    limits = wanted.limits
    known: dict[str, Any] = {
        "runtime": wanted.runtime,
        "init": False,  # the session agent is process 1, which nobody inside can end
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": [
            "no-new-privileges:true",
            f"seccomp={container_profile(platform.machine())}",
        ],
        "network_mode": "none",
        "ipc_mode": "private",
        "cgroupns": "private",
        "tmpfs": _temporary(wanted.user),
        "mounts": _mounts(wanted),
        "ulimits": _limits_of_a_process(limits),
        "log_config": LogConfig(type="none"),
        "oom_score_adj": _VICTIM,
        # No ICMP sockets, as on a host; loopback listeners of the way out on any port.
        "sysctls": {
            "net.ipv4.ping_group_range": "1 0",
            "net.ipv4.ip_unprivileged_port_start": "0",
        },
    }
    if limits.memory_bytes is not None:
        known |= {"mem_limit": limits.memory_bytes, "memswap_limit": limits.memory_bytes}
    if limits.cpu is not None:
        known["nano_cpus"] = round(limits.cpu * _PERIOD_NANOSECONDS)
    if wanted.pids is not None:
        known["pids_limit"] = wanted.pids
    return {"known": known, "other": {"MaskedPaths": _MASKED, "ReadonlyPaths": _READ_ONLY}}


def container_of(wanted: Wanted) -> dict[str, Any]:
    """Return the container's side, as the engine's interface names it."""
    return {
        "Image": wanted.image,
        "Entrypoint": ["python3", "-I", "-S", f"{AGENT_FOLDER}/agent.py"],
        "Cmd": [wanted.relay] if wanted.relay else [],
        "User": f"{wanted.user}:{wanted.user}",
        "Hostname": "sandbox",
        "Domainname": "",
        "WorkingDir": WORKSPACE,
        "Env": [f"PATH={PATH}", "LC_ALL=C.UTF-8"],
        "Labels": dict(wanted.labels),
        "Healthcheck": {"Test": ["NONE"]},  # an image's own would run beside the agent
        "OpenStdin": True,
        "StdinOnce": True,  # the end of our connection ends the agent
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "NetworkDisabled": True,
    }


def _temporary(user: int) -> dict[str, str]:
    common = "rw,noexec,nosuid,nodev"
    owned = f"uid={user},gid={user},mode=0700"
    return {
        "/tmp": f"{common},size={_TEMPORARY_BYTES},nr_inodes=8192,mode=1777",  # noqa: S108 - inside
        "/dev/shm": f"{common},size={_SHARED_BYTES},nr_inodes=4096,mode=1777",  # noqa: S108
        "/run/secrets": f"{common},size={_SECRET_BYTES},nr_inodes=4096,{owned}",
    }


def _mounts(wanted: Wanted) -> list[Mount]:
    """A mount of a source that is missing is refused, where a bind would make it."""
    workspace = Mount(
        WORKSPACE,
        str(wanted.workspace),
        type="bind",
        read_only=wanted.is_read_only,
        propagation="rprivate",
    )
    files: Sequence[Mount] = [
        Mount(place, str(source), type="bind", read_only=True, propagation="rprivate")
        for place, source in wanted.files.items()
    ]
    return [workspace, *files]


def _limits_of_a_process(limits: Limits) -> list[Ulimit]:
    values = {
        "nofile": limits.open_files,
        "fsize": limits.file_bytes,
        "core": 0,
        "memlock": 65536,
        "msgqueue": 0,
    }
    return [Ulimit(name=name, soft=value, hard=value) for name, value in values.items()]
