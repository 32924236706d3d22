"""Which version of control groups this host has, and where this process may make its own."""

import os
from functools import cache
from pathlib import Path

from sandbox.cgroups.contract import Hierarchy
from sandbox.cgroups.nothing import Nothing
from sandbox.cgroups.v1 import HierarchyV1
from sandbox.cgroups.v2 import HierarchyV2


@cache
def hierarchy() -> Hierarchy:
    """Return this host's, found out once."""
    return find(
        mounts=Path("/proc/self/mounts").read_text() if Path("/proc/self/mounts").exists() else "",
        own=Path("/proc/self/cgroup").read_text() if Path("/proc/self/cgroup").exists() else "",
        is_root=os.geteuid() == 0,
    )


def find(*, mounts: str, own: str, is_root: bool) -> Hierarchy:
    """Return the hierarchy these texts of /proc describe."""
    if not is_root:
        return Nothing("only root may make control groups here")
    v1: dict[str, Path] = {}
    v2: Path | None = None
    ours = _own_paths(own)
    for line in mounts.splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind == "cgroup2":
            v2 = Path(folder)
        elif kind == "cgroup":
            for controller in {"memory", "pids", "cpu", "freezer"} & set(options.split(",")):
                base = Path(folder)
                nested = base / ours.get(controller, "/").lstrip("/")
                v1[controller] = nested if nested.is_dir() else base
    if v1:
        return HierarchyV1(v1)
    if v2 is None:
        return Nothing("the kernel's control groups are not mounted")
    return HierarchyV2(v2)


def _own_paths(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found
