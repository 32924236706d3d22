"""Which version of control groups this host has, and where this process may make its own."""

import os
from functools import cache
from pathlib import Path

from sandbox.cgroups.contract import Group, Hierarchy
from sandbox.cgroups.nothing import Nothing
from sandbox.cgroups.v1 import GroupV1, HierarchyV1
from sandbox.cgroups.v2 import GroupV2, HierarchyV2

_CONTROLLERS = frozenset({"memory", "pids", "cpu", "freezer"})


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
    bases, v2 = _mounted(mounts)
    ours = _own_paths(own)
    for controller, base in bases.items():
        nested = base / ours.get(controller, "/").lstrip("/")
        v1[controller] = nested if nested.is_dir() else base
    if v1:
        return HierarchyV1(v1)
    if v2 is None:
        return Nothing("the kernel's control groups are not mounted")
    return HierarchyV2(v2)


def found_group(process: int, *, named: str) -> Group | None:
    """Return the group somebody else made for a process, None when it cannot be seen from here.

    `named` is part of the group's own name: a process that has just ended, or one of another
    namespace, must not make us take its parent's group for it.
    """
    try:
        paths = _own_paths(Path(f"/proc/{process}/cgroup").read_text())
        bases, v2 = _mounted(Path("/proc/self/mounts").read_text())
    except OSError:
        return None
    found = {
        controller: base / paths[controller].lstrip("/")
        for controller, base in bases.items()
        if named in Path(paths.get(controller, "/")).name
    }
    if "memory" in found and "pids" in found:
        return GroupV1(found)
    if v2 is not None and named in Path(paths.get("", "/")).name:
        return GroupV2(v2 / paths[""].lstrip("/"))
    return None


def _mounted(mounts: str) -> tuple[dict[str, Path], Path | None]:
    """Return where each controller of version 1, and all of version 2, are mounted."""
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in mounts.splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind == "cgroup2":
            v2 = Path(folder)
        elif kind == "cgroup":
            v1 |= dict.fromkeys(_CONTROLLERS & set(options.split(",")), Path(folder))
    return v1, v2


def _own_paths(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found
