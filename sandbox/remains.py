"""What a sandbox leaves on the host, and taking it away: at its end, or for an owner that died."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox import cgroups
from sandbox.cgroups import Group
from sandbox.errors import SandboxBusyError, SandboxUnavailableError
from sandbox.leases import Lease, Leases
from sandbox.uids import kill_all_of
from sandbox.workspaces import quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """`is_mounted` when the workspace's disk goes with the sandbox; else it stays mounted."""

    group: Group
    workspace: Path
    is_mounted: bool = False
    seat: Path | None = None
    egress: Path | None = None


def take_away(remains: Remains) -> None:
    """Kill what is left, remove the group, unmount the workspace.

    Raises:
        OSError, SandboxUnavailableError: Something is still there.
    """
    remains.group.kill()
    remains.group.remove()
    if remains.seat is not None:
        quota.detach(remains.seat)
    if remains.egress is not None and remains.egress.is_dir():
        for file in remains.egress.iterdir():
            file.unlink()
        remains.egress.rmdir()
    if remains.is_mounted and remains.workspace.is_dir():
        quota.detach(remains.workspace)


def reap(leases: Leases, *, container: Callable[[str], Group]) -> list[str]:
    """Take away what dead owners left; returns a sentence for each sandbox.

    `container` gives the processes of a container by its name, to be ended and removed as a group.

    Safe to run at any time and in several processes: a place is locked while it is cleaned, and a
    living owner's place is locked by its owner.
    """
    told = []
    for lease, held in leases.orphans():
        if held.container:
            group = container(held.container)
        else:
            group = cgroups.hierarchy().group(held.group)
        is_mounted = held.is_mounted and _is_free(leases, lease, Path(held.workspace))
        try:
            if os.geteuid() == 0:
                kill_all_of(lease.uid)
            take_away(
                Remains(
                    group=group,
                    workspace=Path(held.workspace),
                    is_mounted=is_mounted,
                    seat=leases.seat(lease),
                    egress=leases.egress(lease),
                )
            )
        except (OSError, SandboxUnavailableError) as error:
            told.append(f"{held.group} of process {held.owner} is still there: {error}")
            lease.abandon()
            continue
        told.append(f"{held.group} of process {held.owner} was taken away")
        lease.release()
    return told


def _is_free(leases: Leases, lease: Lease, workspace: Path) -> bool:
    """Take the workspace's lock along; False: a living sandbox has it and unmounts it itself."""
    try:
        lease.keep_workspace(leases.lock_workspace(workspace))
    except SandboxBusyError:
        return False
    return True
